"""Runs and classes as the page sees them, without a page: started, watched, stopped, refused, found again."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from app import train_figures, train_words, training_runs, ui
from app.archives import Archives
from app.class_recordings import ClassRecordings
from app.services import Services
from app.tabs import train
from app.train_words import status_html
from app.training_runs import DIED, Look, TrainingRuns
from pairalign.checkpoint import own_checkpoints, read_checkpoint, save_checkpoint
from pairalign.lock import exclusive
from pairalign.training.corpora import read_manifest
from pairalign.training.finetune import lock_file, new_run
from pairalign.training.finetune_settings import FinetuneSettings
from pairalign.training.monitor import WORDS
from pairalign.training.status import Status, write_status

REASON = "Not here."
pytestmark = pytest.mark.usefixtures("fresh_home")


@pytest.fixture
def settings(tmp_path: Path, tiny_checkpoint: Path) -> FinetuneSettings:
    return FinetuneSettings("mine", str(tmp_path), str(tiny_checkpoint), minutes=0.2, batch=4, device="cpu")


@pytest.fixture
def no_process(monkeypatch) -> list[list[str]]:
    """Runs start a process that does nothing; its command is what the test gets."""
    commands: list[list[str]] = []
    real = subprocess.Popen

    def start(command: list[str], **options: object) -> subprocess.Popen:
        commands.append(command)
        assert isinstance(command, list) and not options.get("shell") and options["start_new_session"]
        return real([sys.executable, "-c", "import time; time.sleep(30)"], **options)

    monkeypatch.setattr(training_runs.subprocess, "Popen", start)
    return commands


def end(runs: TrainingRuns) -> None:
    for child in runs._children.values():
        child.kill()
        child.wait()


def test_a_run_on_an_archive_keeps_the_list_of_its_recordings(settings, no_process, fresh_home: Path, services):
    runs, files = TrainingRuns(), Archives(services).sample("demo", 5)
    runs.start(settings, recordings=files)
    try:
        listed = fresh_home / "runs" / "mine" / "recordings.csv"
        assert runs.look("mine").settings.data == str(listed)
        assert [utterance.path for utterance in read_manifest(listed)] == files
    finally:
        end(runs)


def test_a_run_is_a_process_with_a_list_of_arguments(settings, no_process, recordings, fresh_home: Path):
    runs = TrainingRuns()
    name = runs.start(settings, [str(recordings["speech.wav"]), str(recordings["speech.mp3"])])
    try:
        (command,) = no_process
        assert command[1:4] == ["-m", "pairalign", "finetune"] and "--resume" in command
        assert sorted(p.name for p in (fresh_home / "runs" / "mine" / "uploads").iterdir()) == [
            "000_speech.wav",
            "001_speech.mp3",
        ]
        look = runs.look(name)
        assert look.state == "starting" and look.active and runs.current() == "mine"
        assert look.settings.data == str(fresh_home / "runs" / "mine" / "uploads")
        with pytest.raises(ValueError, match="One training at a time"):
            runs.start(settings)
        with pytest.raises(ValueError, match="stop it first"):
            runs.delete(name)
        runs.stop(name)
        assert (fresh_home / "runs" / "mine" / "stop").exists()
    finally:
        end(runs)


def test_a_killed_process_is_told_in_words_and_can_be_resumed(settings, no_process):
    runs = TrainingRuns()
    runs.start(settings)
    folder = runs.look("mine").folder
    write_status(folder, Status("running", "Training", step=40, total_steps=100))
    (folder / "output.log").write_text("one\rtwo\nKilled process\n")
    end(runs)
    look = runs.look("mine")
    assert look.state == DIED and not look.active and look.can_resume
    assert "killed (signal 9)" in look.status.message and "Resume" in look.status.advice
    assert "Killed process" in look.status.notes and look.status.step == 40
    later = TrainingRuns()  # the app was started again: the process is nobody's child
    assert later.look("mine").state == DIED
    later.resume("mine")
    assert later.look("mine").active and len(no_process) == 2
    end(later)


def test_a_run_of_another_process_is_recognised_by_its_lock_and_not_by_its_number(settings):
    folder = new_run(settings)
    write_status(folder, Status("running", "Training", step=3))  # holds this test's own process id, which lives
    assert TrainingRuns().look("mine").state == DIED
    with exclusive(lock_file(), str(folder.resolve())):
        look = TrainingRuns().look("mine")
        assert look.state == "running" and look.active
        with pytest.raises(ValueError, match="One training at a time"):
            TrainingRuns().resume("mine")


def test_unfinished_and_damaged_files_do_not_break_a_look(settings):
    folder = new_run(settings)
    write_status(folder, Status("stopped", step=1))
    (folder / "log.jsonl").write_text('{"event": "step", "step": 10, "loss": 2.5}\n[]\n{"event": "st')
    (folder / "report.json").write_text("{")
    look = TrainingRuns().look("mine")
    assert [entry["loss"] for entry in look.log] == [2.5] and look.report == {}
    (folder / "status.json").write_text("")
    assert "never began" in TrainingRuns().look("mine").status.message


@pytest.mark.parametrize("name", ["../mine", "a b", "", "x" * 65, "mine/../mine", None])
def test_bad_names_reach_no_file(name, settings, no_process):
    runs = TrainingRuns()
    for act in (runs.look, runs.stop, runs.resume, runs.delete, runs.bundle):
        with pytest.raises(ValueError):
            act(name)
    with pytest.raises(ValueError):
        ClassRecordings().create(name, "word")
    assert no_process == []


def test_taken_names_and_lost_checkpoints_are_refused(settings, no_process, tiny_checkpoint: Path):
    from dataclasses import replace

    runs = TrainingRuns()
    with pytest.raises(ValueError, match="already a checkpoint 'base'"):
        runs.start(replace(settings, name="base"))
    with pytest.raises(ValueError, match="no checkpoint named"):
        runs.start(replace(settings, init="gone"))
    runs.start(settings)
    end(runs)
    with pytest.raises(ValueError, match="already a run"):
        runs.start(settings)
    assert len(no_process) == 1


def test_public_apps_refuse_everything_and_say_why(settings, no_process, monkeypatch):
    runs, classes = TrainingRuns(REASON), ClassRecordings(REASON)
    for act in (
        lambda: runs.start(settings),
        lambda: runs.resume("mine"),
        lambda: runs.stop("mine"),
        lambda: runs.delete("mine"),
        lambda: runs.look("mine"),
        lambda: runs.bundle("mine"),
        lambda: classes.create("c", "word"),
        lambda: classes.save_take("c", "ann", "word", "x.wav"),
    ):
        with pytest.raises(ValueError, match=REASON):
            act()
    assert runs.names() == [] and classes.names() == [] and no_process == []
    local = Services("tiny", device="cpu")
    assert train.refusal(local) == ""
    assert "python app.py" in train.refusal(Services("tiny", device="cpu", public=True))
    monkeypatch.setenv("SPACE_ID", "somebody/space")
    assert train.refusal(local)


def test_the_public_page_holds_no_training_event():
    page = ui.build(Services("tiny", device="cpu", public=True))
    config = json.dumps(page.get_config_file(), default=str)
    assert "pa-train-refusal" in config and "pa-train-start" not in config and "pa-checkpoint" not in config
    with pytest.raises(ValueError, match="public app"):
        Services("tiny", device="cpu", public=True).use("base")


def test_a_finished_run_is_bundled_and_deleted_with_its_checkpoint(settings, tiny_checkpoint: Path, tmp_path: Path):
    folder = new_run(settings)
    write_status(folder, Status("done", checkpoint="mine"))
    weights, sidecar = read_checkpoint(tiny_checkpoint)
    figure = {"ned_pair": {"value": 0.4, "low": 0.3, "high": 0.5}}
    sidecar = {
        **sidecar,
        "name": "mine",
        "data": {
            "speakers": 1,
            "licences": "my own",
            "fine_tuned_on": {"recordings": 2, "clips": 8, "train_s": 60.0, "held_out_s": 15.0},
        },
        "recipe": {
            "kind": "fine-tuning",
            "started_from": {"name": "tiny", "sha256": "0" * 64},
            "steps": 5,
            "minutes": 1,
            "config": {},
        },
        "metrics": {"held_out_clips": 2, "before": figure, "after": figure},
    }
    save_checkpoint(own_checkpoints() / "mine.safetensors", weights, sidecar)
    runs = TrainingRuns()
    with zipfile.ZipFile(runs.bundle("mine")) as archive:
        assert sorted(archive.namelist()) == ["MODEL_CARD.md", "mine.json", "mine.safetensors"]
        card = archive.read("MODEL_CARD.md").decode()
    assert "my own" in card and "`tiny`" in card and "| 0.400 | 0.400 |" in card
    runs.delete("mine")
    assert runs.names() == [] and not list(own_checkpoints().iterdir()) and not folder.exists()


def test_figures_and_words_of_a_run(settings):
    folder = new_run(settings)
    write_status(
        folder, Status("stopped", "<b>Stopped</b>", "Press Resume.", ("a.wav was left out: empty",), 40, 100, 63.0)
    )
    start = {
        "event": "validation",
        "step": 0,
        "ned_pair": 0.4,
        "ned_random": 0.9,
        "separation": 0.5,
        "tokens_per_s": 10,
    }
    later = {**start, "step": 40, "ned_pair": 0.3, "ned_random": 0.7, "alarms": [WORDS["bypass"]]}
    log = [start, *({"event": "step", "step": k, "loss": 3 / k} for k in range(1, 41)), later]
    (folder / "log.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in log))
    look = TrainingRuns().look("mine")
    shown = train_words.status_html(look)
    assert "&lt;b&gt;Stopped" in shown and "a.wav was left out" in shown and "step 40 of 100 · 1:03" in shown
    assert len(train_words.alarms_of(look)) == 2 and "hardly depend" in shown and "more alike" in shown
    figure = train_figures.curves_figure(look.log, 12.0)
    assert len(figure.data) == 7 and list(figure.data[2].y) == [0.4, 0.3]
    many = [{"event": "step", "step": k, "loss": 1.0} for k in range(5000)]
    assert len(train_figures.points(many, train_figures.PANELS[0].curves[0])[0]) <= train_figures.MOST_POINTS
    assert "0.300" in train_figures.curves_table_html(look.log)
    assert train_words.before_after_html(look) == "", "nothing is measured yet"


def test_a_real_run_from_start_to_a_checkpoint_that_tokenizes(settings, tmp_path: Path, speech, services: Services):
    """The whole way: a process of its own, a poisoned clip, stop, resume, and the new checkpoint in the list."""
    import pairalign

    uploads = []
    for k in range(6):
        uploads.append(str(tmp_path / f"clip{k}.wav"))
        soundfile.write(uploads[-1], speech * (0.5 + 0.1 * k), 16_000)
    (tmp_path / "poison.wav").write_bytes(b"RIFF\x00\x00\x00\x00WAVEjunk" * 30)
    runs = TrainingRuns()
    runs.start(settings, [*uploads, str(tmp_path / "poison.wav")])
    look = wait(runs, lambda look: look.status.step >= 2)
    assert TrainingRuns().current() == "mine", "another app finds it"
    runs.stop("mine")
    look = wait(runs, lambda look: not look.active)
    assert look.state == "stopped", look.status
    assert any("poison" in note for note in look.status.notes)
    before = look.status.step
    runs.resume("mine")
    look = wait(runs, lambda look: not look.active)
    assert look.state == "done" and look.status.step > before, look.status
    assert "mine" in pairalign.available()
    services = Services(str(settings.init), device="cpu")
    services.use("mine")
    assert len(services.tokenizer().tokenize(speech)) > 0
    shown = train_words.before_after_html(look) + train_words.examples_html(look, 0, "player")
    assert "pa-chip" in shown and "Separation" in shown


def wait(runs: TrainingRuns, until, seconds: float = 150):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        look = runs.look("mine")
        if until(look):
            return look
        assert look.active, (look.state, look.status)
        time.sleep(0.2)
    raise AssertionError(f"took too long: {look.state} {look.status}")


def test_uploads_keep_their_names_in_what_is_told(settings):
    told = Status(state="running", notes=("008_ann says 007_x.wav was left out: too short.",))
    run = Look(
        "mine", replace(settings, data="/home/runs/mine/uploads"), told, "running", (), {}, Path("/home/runs/mine")
    )
    assert "x.wav was left out" in status_html(run) and "007_" not in status_html(run) and "008_ann" in status_html(run)
    elsewhere = replace(run, settings=replace(settings, data="/home/talks"))
    assert "007_x.wav" in status_html(elsewhere), "somebody's own names stay as they are"
