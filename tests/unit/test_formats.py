"""One list of formats: what a folder scan finds, what a message names, what the page accepts."""

from pathlib import Path

import pytest
import soundfile

from pairalign.archive.archive import Archive
from pairalign.archive.ingest import audio_files
from pairalign.audio import AudioError, read_audio
from pairalign.formats import AUDIO_SUFFIXES, FORMATS, READABLE
from pairalign.training.corpora import DataError, read_manifest
from tests.conftest import babble

encode = pytest.importorskip("tests.unit.encoders").encode  # needs PyAV


@pytest.fixture
def folder(tmp_path):
    """A recording of each of some kinds, under the names that people give them, and files that are none."""
    soundfile.write(tmp_path / "voice.oga", babble(1.0, seed=1), 16_000, format="OGG", subtype="OPUS")
    soundfile.write(tmp_path / "call.WAV", babble(1.0, seed=2), 16_000, subtype="ULAW")
    (tmp_path / "memo.m4a").write_bytes(encode(babble(1.0, seed=3), "ipod", "aac", 16_000))
    (tmp_path / "note.webm").write_bytes(encode(babble(1.0, seed=4, rate_hz=48_000), "webm", "libopus"))
    (tmp_path / "joined.mp3").write_bytes(b"".join(_mp3(tmp_path / "part.mp3", seed) for seed in (5, 6)))
    (tmp_path / "part.mp3").unlink()
    (tmp_path / "notes.txt").write_text("no recording")
    return tmp_path


def _mp3(path: Path, seed: int) -> bytes:
    soundfile.write(path, babble(1.0, seed=seed), 16_000)
    return path.read_bytes()


NAMES = ["call.WAV", "joined.mp3", "memo.m4a", "note.webm", "voice.oga"]


def test_folders_and_single_files_know_every_format(folder):
    assert [path.name for path in audio_files(folder)] == NAMES
    assert [utterance.path.name for utterance in read_manifest(folder)] == NAMES
    for name in NAMES:
        assert audio_files(folder / name) == [folder / name]
        with pytest.raises(DataError, match="is a recording, not a manifest"):
            read_manifest(folder / name)


def test_an_archive_takes_every_format(folder, tiny_tokenizer):
    with Archive.open(folder / "talks.db", tiny_tokenizer) as archive:
        report = archive.add_folder(folder, workers=1)
        assert report.recordings == 5 and report.skipped == ()
        assert report.seconds == pytest.approx(6.0, abs=0.2), "the joined file lasts two seconds"


def test_messages_name_the_list(tmp_path):
    assert all(one.name in READABLE for one in FORMATS)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in AUDIO_SUFFIXES)
    with pytest.raises(AudioError, match=f"Allowed: {READABLE}"):
        read_audio(b"some text, not sound")
    with pytest.raises(DataError, match=f"Accepted: {READABLE}"):
        read_manifest(tmp_path)
