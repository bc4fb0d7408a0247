"""Fine-tuning that is killed, whose disk is full, whose app is gone: nothing is corrupt, the state is clear."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import torch

from app.training_runs import DIED, TrainingRuns
from pairalign.checkpoint import own_checkpoints, read_checkpoint
from pairalign.training.finetune import new_run, runs_folder
from pairalign.training.finetune_settings import FinetuneSettings
from pairalign.training.state import STATE_FILE, load_state
from pairalign.training.status import read_status
from tests.conftest import babble

pytestmark = pytest.mark.slow
PROJECT = Path(__file__).resolve().parents[2]
TINY = ("autocast=false", "threads=1", "max_s=1.0", "consensus_views=1", "save_every_s=0", "validate_every=8")
WAIT_S = 240


@pytest.fixture(autouse=True)
def fresh_home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("PAIRALIGN_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for k in range(6):
        soundfile.write(folder / f"{k}.wav", babble(4.0, seed=k), 16_000)
    return folder


def settings(name: str, recordings: Path, init: Path, **changes: object) -> FinetuneSettings:
    values = {"minutes": 0.5, "batch": 4, "device": "cpu", "overrides": TINY, **changes}
    return FinetuneSettings(name, str(recordings), str(init), **values)


def launch(name: str, *extra: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "pairalign", "finetune", "--name", name, "--resume", "--json", *extra]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(name: str, until, process: subprocess.Popen | None = None) -> None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        status = read_status(runs_folder() / name)
        if status is not None and until(status):
            return
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError(f"took too long: {status}")


def give_steps(folder: Path, steps: int) -> None:
    """The number of steps follows from the speed of the machine; here it must be the same in two runs."""
    from pairalign.checkpoint import atomic_write_json
    from pairalign.training.finetune_settings import read_settings

    atomic_write_json(folder / "config.json", read_settings(folder).config(steps, 10.0).to_dict())


def test_a_killed_run_goes_on_to_the_weights_of_an_unbroken_one(recordings: Path, tiny_checkpoint: Path):
    before = hashlib.sha256(tiny_checkpoint.read_bytes()).hexdigest()
    for name in ("whole", "broken"):
        give_steps(new_run(settings(name, recordings, tiny_checkpoint, minutes=60)), 24)
    stdout, stderr = launch("whole").communicate(timeout=WAIT_S)
    assert json.loads(stdout)["state"] == "done", stderr
    for step in (3, 12):
        process = launch("broken")
        wait_for("broken", lambda status, step=step: status.step >= step, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        look = TrainingRuns().look("broken")
        assert look.state == DIED and look.can_resume
    stdout, stderr = launch("broken").communicate(timeout=WAIT_S)
    assert json.loads(stdout)["state"] == "done", stderr
    whole, broken = (read_checkpoint(name)[0] for name in ("whole", "broken"))
    assert whole.keys() == broken.keys() and all(torch.equal(whole[k], broken[k]) for k in whole)
    assert hashlib.sha256(tiny_checkpoint.read_bytes()).hexdigest() == before, "the start is never touched"


def test_a_signal_or_a_stop_file_saves_and_finish_makes_the_checkpoint(recordings: Path, tiny_checkpoint: Path):
    folder = new_run(settings("mine", recordings, tiny_checkpoint, minutes=60))
    process = launch("mine")
    wait_for("mine", lambda status: status.step >= 2, process)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=WAIT_S)
    assert json.loads(stdout)["state"] == "stopped", stderr
    first = read_status(folder).step
    process = launch("mine")
    wait_for("mine", lambda status: status.step > first, process)
    (folder / "stop").touch()
    stdout, stderr = process.communicate(timeout=WAIT_S)
    assert json.loads(stdout)["state"] == "stopped", stderr
    stdout, stderr = launch("mine", "--finish").communicate(timeout=WAIT_S)
    assert json.loads(stdout)["checkpoint"] == "mine", stderr
    assert read_checkpoint("mine")[1]["recipe"]["steps"] > 0


def test_a_run_outlives_the_app_that_started_it(recordings: Path, tiny_checkpoint: Path):
    code = (
        "from app.training_runs import TrainingRuns\n"
        "from pairalign.training.finetune_settings import FinetuneSettings\n"
        f"TrainingRuns().start(FinetuneSettings('mine', {str(recordings)!r}, {str(tiny_checkpoint)!r}, minutes=60, "
        f"batch=4, device='cpu', overrides={TINY!r}))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True, timeout=WAIT_S)
    runs = TrainingRuns()
    wait_for("mine", lambda status: status.step >= 2)
    assert runs.current() == "mine" and runs.look("mine").state == "running"
    with pytest.raises(ValueError, match="One training at a time"):
        runs.resume("mine")
    runs.stop("mine")
    wait_for("mine", lambda status: status.state == "stopped")


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    """A home of 40 MB on a file system of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("mounting a tmpfs needs root")
    monkeypatch.setenv("PAIRALIGN_HOME", str(folder / "home"))
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    path = folder / "filler"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
    return path


def test_a_full_disk_leaves_what_was_saved_and_says_so(small_disk: Path, recordings: Path, tiny_checkpoint: Path):
    folder = new_run(settings("mine", recordings, tiny_checkpoint, minutes=60))
    process = launch("mine")
    wait_for("mine", lambda status: status.step >= 3, process)
    filler = fill(small_disk)
    stdout, stderr = process.communicate(timeout=WAIT_S)
    status = read_status(folder)
    assert process.returncode == 2 and "disk is full" in stderr.splitlines()[-1]
    assert status.state == "failed" and "disk is full" in status.message and "Resume" in status.advice
    from pairalign.training.finetune import Session
    from pairalign.training.job import prepare

    session = Session(folder, settings("mine", recordings, tiny_checkpoint, minutes=60))
    _, progress = load_state(folder, prepare(session.job(session.config(), True), 0, 1).settings)
    assert progress.step >= 1, f"{STATE_FILE} is whole"
    assert not list(folder.glob(".*.tmp")), "no half-written file is left"
    process = launch("mine")  # still full: told before anything is begun
    assert process.wait(WAIT_S) == 2 and "disk is full" in process.stderr.read()
    filler.unlink()
    process = launch("mine")
    wait_for("mine", lambda status: status.state == "running" and status.step > progress.step, process)
    (folder / "stop").touch()
    process.communicate(timeout=WAIT_S)
    assert read_status(folder).state == "stopped"
    shutil.rmtree(folder)
    assert not os.path.exists(own_checkpoints() / "mine.safetensors")
