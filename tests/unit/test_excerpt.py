"""A stretch of a recording: what is heard, and what must not reach a decoder."""

import numpy as np
import pytest
import soundfile

from pairalign.audio import AudioError
from pairalign.excerpt import header_duration_s, read_excerpt
from tests.conftest import babble


@pytest.mark.parametrize(("name", "rate_hz"), [("a.wav", 16_000), ("a.flac", 48_000), ("a.ogg", 16_000)])
def test_a_stretch_is_what_lies_there(tmp_path, name, rate_hz):
    wave = babble(6.0, seed=1, rate_hz=rate_hz)
    soundfile.write(tmp_path / name, np.stack([wave, wave], axis=1), rate_hz)
    assert header_duration_s(tmp_path / name) == pytest.approx(6.0, abs=0.01)
    heard = read_excerpt(tmp_path / name, 2.0, 3.5)
    assert len(heard) == pytest.approx(24_000, abs=2)
    expected = wave[2 * rate_hz : round(3.5 * rate_hz)][:: rate_hz // 16_000]
    length = min(len(heard), len(expected))
    assert np.corrcoef(heard[:length], expected[:length])[0, 1] > 0.9


def test_beyond_the_end_there_is_less(tmp_path):
    soundfile.write(tmp_path / "a.wav", babble(2.0), 16_000)
    assert len(read_excerpt(tmp_path / "a.wav", 1.5, 4.0)) == 8_000
    assert len(read_excerpt(tmp_path / "a.wav", 5.0, 6.0)) == 0


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610"])
@pytest.mark.parametrize("look", [header_duration_s, lambda path: read_excerpt(path, 0.0, 1.0)])
def test_other_wav_codecs_never_reach_the_decoder(tmp_path, subtype, look, monkeypatch):
    soundfile.write(tmp_path / "a.wav", babble(1.0, rate_hz=8_000), 8_000, subtype=subtype)
    monkeypatch.setattr(soundfile, "SoundFile", lambda *_, **__: pytest.fail("the decoder saw it"))
    with pytest.raises(AudioError):
        look(tmp_path / "a.wav")


@pytest.mark.parametrize("content", [b"", b"no audio at all" * 50, b"RIFF" + b"\0" * 60, b"fLaC" + b"\xff" * 200])
def test_what_is_no_audio_is_refused(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(AudioError):
        read_excerpt(tmp_path / "a.wav", 0.0, 1.0)
