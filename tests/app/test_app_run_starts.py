"""Runs that cannot be started, and runs that are deleted while something uses them: names stay free."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from app import training_runs
from app.services import Services
from app.tabs import run_panel
from app.training_runs import TrainingError, TrainingRuns
from pairalign.audio import read_audio
from pairalign.checkpoint import available, own_checkpoints, read_checkpoint, save_checkpoint
from pairalign.lock import exclusive
from pairalign.training.corpora import read_manifest
from pairalign.training.finetune import lock_file, new_run
from pairalign.training.finetune_settings import FinetuneSettings
from pairalign.training.status import Status, read_status, write_status
from tests.conftest import babble

pytestmark = pytest.mark.usefixtures("fresh_home")


@pytest.fixture
def settings(tmp_path: Path, tiny_checkpoint: Path) -> FinetuneSettings:
    return FinetuneSettings("mine", str(tmp_path), str(tiny_checkpoint), minutes=0.2, batch=4, device="cpu")


@pytest.fixture
def refused(monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(training_runs.subprocess, "Popen", refuse)


def test_a_start_that_fails_leaves_no_run_and_blocks_no_other(settings, refused, fresh_home: Path, recordings):
    runs, speech = TrainingRuns(), str(recordings["speech.wav"])
    for uploads in ([speech, str(fresh_home / "gone.wav")], [speech]):
        with pytest.raises(TrainingError, match="could not be started"):
            runs.start(settings, uploads)
        assert runs.names() == [] and not (fresh_home / "runs" / "mine").exists()


def test_a_resume_that_fails_leaves_the_run_as_it_was(settings, refused):
    folder = new_run(settings)
    write_status(folder, Status("stopped", "Stopped.", step=7))
    runs = TrainingRuns()
    for _ in range(2):
        with pytest.raises(TrainingError, match="could not be started"):
            runs.resume("mine")
    assert (read_status(folder).state, read_status(folder).step) == ("stopped", 7)


def test_recordings_whose_names_fit_no_list_are_copied(settings, fresh_home: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(TrainingRuns, "_launch", lambda *_: None)
    plain, odd = tmp_path / "a, b.wav", Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.wav"))
    for path in (plain, odd):
        soundfile.write(os.fsencode(path), babble(1.0), 16_000)
    TrainingRuns().start(settings, recordings=[plain, odd])
    folder = fresh_home / "runs" / "mine"
    first, second = (utterance.path for utterance in read_manifest(folder / "recordings.csv"))
    assert first == plain and second.parent == folder / "uploads" and second.read_bytes() == odd.read_bytes()


def test_every_upload_is_tried_whatever_its_name_ends_in(settings, tmp_path: Path, recordings, monkeypatch):
    monkeypatch.setattr(TrainingRuns, "_launch", lambda *_: None)
    uploads = [tmp_path / name for name in ("voice.xyz", "voice", "voice.WAV", "voice.tar.gz")]
    for path in uploads:
        path.write_bytes(recordings["speech.wav"].read_bytes())
    runs = TrainingRuns()
    folder = runs.look(runs.start(settings, [str(path) for path in uploads])).folder / "uploads"
    assert len(read_manifest(folder)) == 4 and all(len(read_audio(path)) > 40_000 for path in folder.iterdir())


def made(settings: FinetuneSettings, name: str, init: str) -> Path:
    """A finished run with its checkpoint."""
    folder = new_run(replace(settings, name=name, init=init))
    write_status(folder, Status("done", checkpoint=name, step=20))
    weights, sidecar = read_checkpoint(init)
    save_checkpoint(own_checkpoints() / f"{name}.safetensors", weights, {**sidecar, "name": name})
    return folder


def test_a_page_that_uses_a_deleted_run_goes_back_to_what_it_started_from(settings, services: Services, monkeypatch):
    told: list[str] = []
    monkeypatch.setattr(run_panel.gr, "Info", told.append)
    made(settings, "mine", "tiny")
    made(settings, "child", "mine")
    runs = TrainingRuns()
    press = run_panel._deletes(services, runs)
    *_, chosen = press("child", "tiny")
    assert chosen["value"] == "tiny" and not told, "a page that uses another checkpoint keeps it"
    made(settings, "child", "mine")
    *_, chosen = press("child", "child")
    assert chosen["value"] == "mine" and "child is deleted. This page uses mine again" in told[-1]
    made(settings, "child", "mine")
    press("mine", "child")
    *_, chosen = press("child", "child")
    assert chosen["value"] == "base" and "child" not in [value for _, value in chosen["choices"]], "its parent is gone"
    assert not {"mine", "child"} & set(available())


def test_a_damaged_run_can_be_deleted_and_one_that_is_needed_cannot(settings):
    made(settings, "mine", "tiny")
    child = new_run(replace(settings, name="child", init="mine"))
    write_status(child, Status("running", step=3))
    runs = TrainingRuns()
    with exclusive(lock_file(), str(child.resolve())), pytest.raises(TrainingError, match="child, which is at work"):
        runs.delete("mine")
    (child / "settings.json").write_text("{")
    assert runs.parent("child") == "base"
    runs.delete("child")
    runs.delete("mine")
    assert runs.names() == []
