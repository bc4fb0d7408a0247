"""Recordings in memory: every usual shape, type and rate gives the string of the file, and the rest a sentence."""

import array
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import pairalign
from pairalign import audio_input
from pairalign.audio import AudioError, write_audio
from pairalign.audio_input import load_wave, load_waves
from tests.conftest import babble

WAVE = (np.round(babble(0.6, seed=3) * 32768).clip(-32768, 32767) / 32768).astype(np.float32)
INTEGERS = (WAVE * 32768).astype(np.int16)
SAME = {
    "float32": WAVE,
    "float64": WAVE.astype(np.float64),
    "int16": INTEGERS,
    "int32": INTEGERS.astype(np.int32) * 65_536,
    "list": WAVE.tolist(),
    "array": array.array("h", INTEGERS.tolist()),
    "read only": np.frombuffer(WAVE.tobytes(), np.float32),
    "tensor": torch.from_numpy(WAVE),
    "with a gradient": torch.from_numpy(WAVE.copy()).requires_grad_(),
    "channels last": np.stack([WAVE, WAVE], 1),
    "channels first": np.stack([WAVE, WAVE]),
    "one channel": torch.from_numpy(WAVE)[None],
    "Gradio": (16_000, INTEGERS),
    "torchaudio": (torch.from_numpy(WAVE)[None], 16_000),
    "soundfile": (WAVE, 16_000),
    "in a list": [16_000, WAVE],
    "NumPy rate": (np.int64(16_000), WAVE),
    "data set": {"path": "hello.wav", "array": WAVE, "sampling_rate": 16_000},
    "pipeline": {"raw": WAVE, "sampling_rate": 16_000},
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_samples_in_every_form_are_the_same_recording(name: str) -> None:
    np.testing.assert_allclose(load_wave(SAME[name]), WAVE, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_floats_are_read(dtype: torch.dtype) -> None:
    np.testing.assert_allclose(load_wave(torch.from_numpy(WAVE).to(dtype)), WAVE, atol=0.01)


def test_eight_bits_are_unsigned() -> None:
    np.testing.assert_allclose(load_wave((WAVE * 127 + 128).astype(np.uint8)), WAVE, atol=0.02)


def test_an_array_of_another_rate_has_the_string_of_its_file(fitted_tokenizer, tmp_path: Path) -> None:
    """Without the rate, 32 kHz samples last twice as long."""
    samples = np.interp(np.arange(0, 0.6, 1 / 32_000), np.arange(len(WAVE)) / 16_000, WAVE).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 32_000, subtype="FLOAT")
    audio, how, tok = samples, {"sample_rate": 32_000}, fitted_tokenizer
    expected = tok.tokenize(tmp_path / "a.wav")
    assert expected.duration_s == pytest.approx(0.6, abs=1e-3)
    assert tok.tokenize(audio, **how) == expected == tok.tokenize((32_000, samples))
    assert tok.tokenize_batch([audio], "vq", **how) == tok.tokenize_batch([tmp_path / "a.wav"], "vq")
    assert tok.tokenize_methods([audio], ["mfcc"], **how)["mfcc"][0] == tok.tokenize(tmp_path / "a.wav", "mfcc")
    assert len(tok.frame_features([audio], **how)[0]) == 30 == len(tok.frame_features([audio], "mfcc", **how)[0])
    assert int(tok.condition(audio, **how).lengths) == 30
    lbar = pairalign.likelihood.log_likelihoods(tok, [expected], [audio], **how)
    assert lbar == pytest.approx(pairalign.likelihood.log_likelihoods(tok, [expected], [tmp_path / "a.wav"]))
    assert pairalign.likelihood.attention_map(tok, audio, expected, **how).weights.shape[1] == 30
    assert np.isfinite(tok.condition_gain([audio, audio], [expected, expected], **how)).all()
    sweep_of = {"kind": "snr", "stop": 36, "window_s": 0.5}
    swept = pairalign.sweep(tok, audio, method="vq", **sweep_of, **how)
    assert swept.strings == pairalign.sweep(tok, tmp_path / "a.wav", method="vq", **sweep_of).strings


@pytest.mark.parametrize(
    "rate", [100, 1e9, 44_100.5, "44100", True, -16_000, 0, float("nan"), float("inf"), [16_000], b"x"]
)
def test_a_rate_that_cannot_be_is_refused(rate: object) -> None:
    with pytest.raises(AudioError, match="sample rate"):
        load_wave(WAVE, rate)
    if not isinstance(rate, list):
        with pytest.raises(AudioError, match="sample rate|samples"):
            load_wave((WAVE, rate))


def test_two_rates_must_agree() -> None:
    assert len(load_wave((16_000, WAVE), 16_000)) == len(WAVE)
    with pytest.raises(AudioError, match="come with 16000 Hz, and sample_rate is 32000"):
        load_wave((16_000, WAVE), 32_000)


def test_a_file_has_its_own_rate(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.wav", WAVE)
    for file in (str(tmp_path / "a.wav"), tmp_path / "a.wav", (tmp_path / "a.wav").read_bytes()):
        with pytest.raises(AudioError, match="a file has its own"):
            load_wave(file, 16_000)


def test_paths_bytes_and_open_files_go_to_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Named:
        def __fspath__(self) -> str:
            return "hello.wav"

    opened, given = io.BytesIO(b"RIFF"), []
    monkeypatch.setattr(audio_input, "read_audio", lambda file: given.append(file) or WAVE)
    files = ["hello.wav", Path("hello.wav"), Named(), b"RIFF", bytearray(b"RIFF"), memoryview(b"RIFF"), opened]
    assert all(load_wave(file) is WAVE for file in files)
    assert given[:3] == files[:3] and given[3:6] == [b"RIFF"] * 3 and given[6] is opened


SPOILT = WAVE.copy()
SPOILT[100] = np.nan
RAGGED = np.empty(2, object)
RAGGED[:] = [WAVE, WAVE[:100]]
WRONG = {
    "nothing": (None, "NoneType is no recording; use a path"),
    "number": (3, "int is no recording"),
    "object": (object(), "object is no recording"),
    "0-d": (np.float32(0.5), "is no recording"),
    "empty": (np.zeros(0, np.float32), "no samples"),
    "no channels": (np.zeros((0, 2), np.float32), "no samples"),
    "three axes": (WAVE[None, None], r"shape \(1, 1, 9600\); use"),
    "complex": (WAVE.astype(np.complex64), "complex64 are not audio"),
    "bool": (WAVE > 0, "bool are not audio"),
    "int64": (INTEGERS.astype(np.int64), "int64 are not audio"),
    "objects": (RAGGED, "no recording"),
    "texts": (np.array(["a.wav", "b.wav"]), "no recording"),
    "several paths": (["a.wav", "b.wav"], "several recordings to tokenize_batch"),
    "several waves": ([WAVE, WAVE], "several recordings to tokenize_batch"),
    "ragged": ([[0.1, 0.2], [0.3]], "several recordings to tokenize_batch"),
    "NaN": (SPOILT, "NaN"),
    "NaN in a list": (SPOILT.tolist(), "NaN|numbers of one recording"),
    "huge": (WAVE * 1e12, "beyond the range of audio"),
    "faint": (WAVE * 1e-6, "silent"),
    "many channels": (np.stack([WAVE] * 9), "9 channels"),
    "short": (WAVE[:100], "0.006 s"),
    "mapping": ({"array": WAVE}, "needs the keys 'array' and 'sampling_rate'"),
    "no values": (torch.zeros(9600, device="meta"), "cannot be read"),
    "no rate": ((None, WAVE), "numbers of one recording"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_recording_is_refused_in_a_sentence(name: str, tiny_tokenizer) -> None:
    audio, message = WRONG[name]
    with pytest.raises(AudioError, match=message):
        tiny_tokenizer.tokenize(audio)


@pytest.mark.parametrize("single", ["a.wav", Path("a.wav"), b"RIFF", WAVE, {"array": WAVE}, None, 3, io.BytesIO()])
def test_one_recording_is_no_list_of_them(single: object) -> None:
    with pytest.raises(AudioError, match="list"):
        load_waves(single)


def test_the_rows_of_a_batch_are_recordings() -> None:
    every = load_waves(torch.from_numpy(np.stack([WAVE, WAVE[::-1]])))
    np.testing.assert_allclose(every[1], WAVE[::-1], atol=1e-6)
    assert len(load_waves(iter([WAVE, (16_000, WAVE)]))) == 2
