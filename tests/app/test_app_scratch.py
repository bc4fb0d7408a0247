"""The temporary folder of a process: nothing stays behind, however it ends, and downloads do not pile up."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import scratch
from app.class_recordings import ClassRecordings
from app.training_runs import TrainingRuns
from pairalign.checkpoint import own_checkpoints, read_checkpoint, save_checkpoint

ROOT = Path(__file__).resolve().parents[2]
WORK = """
import sys, time
from app import scratch
(scratch.folder() / "upload.wav").write_bytes(b"speech")
print(scratch.folder(), flush=True)
if sys.argv[1] == "wait":
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files are, for this test alone."""
    scratch.remove()
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    yield folder
    scratch.remove()


def process(place: Path, how: str) -> tuple[subprocess.Popen, Path]:
    """Another process with a temporary folder in `place`."""
    environment = os.environ | {"TMPDIR": str(place), "TEMP": str(place)}
    command = [sys.executable, "-c", WORK, how]
    other = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    return other, Path(other.stdout.readline().strip())


def test_the_folder_of_a_killed_process_is_removed_by_the_next_and_that_of_a_living_one_is_not(place: Path) -> None:
    killed, left = process(place, "wait")
    living, used = process(place, "wait")
    try:
        killed.kill()
        killed.wait(10)
        assert (left / "upload.wav").is_file()
        own = scratch.folder()
        assert sorted(path.name for path in place.iterdir() if path.is_dir()) == sorted([own.name, used.name])
        assert (used / "upload.wav").is_file() and not left.with_name(f"{left.name}.lock").exists()
    finally:
        living.kill()
        living.wait(10)
    assert scratch.sweep(place) == [used]


def test_a_process_that_ends_by_itself_leaves_nothing(place: Path) -> None:
    ended, folder = process(place, "end")
    assert ended.wait(20) == 0 and folder.parent == place and list(place.iterdir()) == []


def test_other_things_in_the_folder_for_temporary_files_stay(place: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "precious"
    elsewhere.mkdir()
    (place / f"{scratch.PREFIX}link").symlink_to(elsewhere)
    (place / f"{scratch.PREFIX}note").write_text("a file")
    (place / f"{scratch.PREFIX}new-without-a-lock").mkdir()
    (place / "another-program").mkdir()
    (place / f"{scratch.PREFIX}old").mkdir()
    os.utime(place / f"{scratch.PREFIX}old", (1, 1))
    assert [path.name for path in scratch.sweep(place)] == [f"{scratch.PREFIX}old"]
    assert elsewhere.is_dir() and len(list(place.iterdir())) == 4


def test_no_place_for_temporary_files_is_one_sentence(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(place / "gone"))
    with pytest.raises(ValueError, match="no temporary folder can be made.*TMPDIR"):
        scratch.folder()


def test_downloads_of_a_run_do_not_pile_up(place: Path, fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.training_runs.card_text", lambda _: "a card")
    weights, sidecar = read_checkpoint("tiny")
    save_checkpoint(own_checkpoints() / "my-voice.safetensors", weights, {**sidecar, "name": "my-voice"})
    paths = {TrainingRuns().bundle("my-voice") for _ in range(3)}
    files = [path for path in place.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert files == list(paths)
    assert "my-voice.safetensors" in zipfile.ZipFile(files[0]).namelist()
    scratch.remove()
    assert list(place.iterdir()) == []


def test_a_download_that_fails_leaves_nothing(place: Path, fresh_home: Path, recordings: dict[str, Path]) -> None:
    classes = ClassRecordings()
    classes.create("words", "one")
    classes.save_take("words", "ann", "one", str(recordings["speech.wav"]))
    assert zipfile.ZipFile(classes.bundle("words")).testzip() is None
    (classes.folder("words") / "manifest.csv").unlink()
    before = sorted(place.rglob("*"))
    with pytest.raises(ValueError, match="cannot be saved"):
        classes.bundle("words")
    assert sorted(place.rglob("*")) == before
