"""Fine-tuning: a checkpoint learns the voices, the room or the words of a few recordings, and nobody has to watch.

A run is a folder: settings.json, clips/ (its copy of the recordings), status.json, log.jsonl (the curves), report.json
(before and after), the trainer's state and checkpoints, output.log. Every part can be killed and resumed. The result is
a checkpoint among one's own; the one it started from is never touched. Encoder and codebook stay frozen, so VQ strings
and the fitted baselines of the checkpoint stay valid.
"""

from __future__ import annotations

import json
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pairalign.checkpoint import CheckpointError, atomic_write_json, available, resolve_checkpoint
from pairalign.device import pick_device
from pairalign.home import home, inside
from pairalign.lock import LockedError, exclusive, holder
from pairalign.tokenizer import load
from pairalign.training import before_after, result
from pairalign.training.bank import AudioBank, load_bank
from pairalign.training.bridge import BRIDGE_FILE
from pairalign.training.clips import MANIFEST, ClipSummary, make_clips
from pairalign.training.config import TrainConfig
from pairalign.training.corpora import of_split, read_manifest
from pairalign.training.finetune_settings import SETTINGS_FILE, FinetuneSettings, read_settings
from pairalign.training.job import Job
from pairalign.training.monitor import LOG_FILE, first_validation
from pairalign.training.run_folder import CONFIG_FILE, REPORT_FILE, STOP_FILE, came_to_nothing, remove_run
from pairalign.training.safeguards import Trouble, diverged, explain, require_space
from pairalign.training.state import STATE_FILE
from pairalign.training.status import Status, read_status, write_status
from pairalign.training.step_time import step_seconds
from pairalign.training.trainer import DivergedError, train
from pairalign.training.watch import SURE_CLIPS, Watch

LOCK_FILE = "training.lock"
TOLERANCE = 1.1  # of the minutes asked for


class Stopped(Exception):
    """The person asked for it."""


def runs_folder() -> Path:
    """Where runs are kept."""
    return home() / "runs"


def lock_file() -> Path:
    """Held by the process that trains."""
    return home() / LOCK_FILE


def new_run(settings: FinetuneSettings, folder: Path | None = None) -> Path:
    """Make the folder of a run that can then be started; one that came to nothing gives way.

    Raises: ValueError when its name is taken.
    """
    folder = folder or inside(runs_folder(), settings.name, "name for a run")
    taken = (folder / SETTINGS_FILE).exists()
    others = (path.parent.name for path in folder.parent.glob(f"*/{SETTINGS_FILE}"))
    alike = next((name for name in others if name != folder.name and name.casefold() == folder.name.casefold()), None)
    if alike is not None or (taken and not came_to_nothing(folder)):  # many disks take Mine and mine for one folder
        name = alike or settings.name
        raise CheckpointError(f"There is already a run {name!r}; resume or delete it, or choose another name")
    alike = next((name for name in available() if name.casefold() == settings.name.casefold()), None)
    if alike is not None:  # many disks take Base and base for one file
        raise CheckpointError(f"There is already a checkpoint {alike!r}; choose another name")
    resolve_checkpoint(settings.init)
    if taken:
        remove_run(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings.save(folder)
    return folder


def read_report(folder: Path) -> dict[str, Any]:
    """What a run has measured so far: "data", "before", "after" and examples."""
    path = folder / REPORT_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def finetune(folder: Path, finish: bool = False) -> Status:
    """Start or go on with the run in `folder`; returns its last status ("done", "stopped" or "failed").

    finish: train no more, make the checkpoint of what was learned so far. Raises: LockedError while another run trains,
    SettingsError when the folder holds no run; whatever goes wrong later is told by the status.
    """
    settings = read_settings(folder)
    owner = str(folder.resolve())
    try:
        with exclusive(lock_file(), owner), _stop_on_signals(folder):
            return _worked(Session(folder, settings), finish)
    except LockedError as error:
        waiting = read_status(folder)
        if waiting and waiting.state == "starting" and holder(lock_file()) != owner:
            advice = "Try again when it has finished."
            write_status(folder, replace(waiting, state="failed", message=str(error), advice=advice, eta_s=None))
        raise


def _worked(session: Session, finish: bool) -> Status:
    """The last status of a run, however it ends."""
    (session.folder / STOP_FILE).unlink(missing_ok=True)
    try:
        session.work(finish)
    except Stopped:
        session.tell(state="stopped", message="Stopped. Everything done so far is kept.", eta_s=None)
    except Exception as error:
        trouble = explain(error, session.settings, session.folder)
        if trouble.ours:
            traceback.print_exc()
        told = {"message": trouble.message, "advice": trouble.advice, "ours": trouble.ours}
        session.tell(state="failed", eta_s=None, **told)
    return session.status


class Session:
    """One process's work on a run."""

    def __init__(self, folder: Path, settings: FinetuneSettings) -> None:
        self.folder, self.settings, self.device = folder, settings, "cpu"
        self.status, last = Status("preparing", "Starting"), read_status(folder)
        if last:
            self.status = replace(self.status, step=last.step, total_steps=last.total_steps, elapsed_s=last.elapsed_s)
        self.told_at = 0.0

    def tell(self, **changes: Any) -> None:
        """Change the status file."""
        self.status, self.told_at = replace(self.status, **changes), time.monotonic()
        write_status(self.folder, self.status)

    def stop_asked(self) -> bool:
        """Whether the person wants it stopped."""
        return (self.folder / STOP_FILE).exists()

    def check(self) -> None:
        """Raises Stopped when the person wants it stopped."""
        if self.stop_asked():
            raise Stopped

    def step_on(self, message: str) -> None:
        """Tell what is done now, unless the person wants it stopped."""
        self.check()
        self.tell(message=message)

    def work(self, finish: bool) -> None:
        """All parts of a run, those that were done before left out."""
        self.tell(state="finishing" if finish else "preparing", message="Starting", advice="", eta_s=None)
        self.device = pick_device(self.settings.device)
        require_space(self.folder, resolve_checkpoint(self.settings.init).stat().st_size)
        self.cut_clips()
        bank, held_out = self.held_out()
        self.measure("before", self.settings.init, bank, held_out)
        trouble = None if finish else self.train()
        self.tell(state="finishing", message="Measuring what was learned", eta_s=None)
        self.make_checkpoint(bank, held_out, trouble)

    def cut_clips(self) -> None:
        """Make the run's own copy of the recordings."""
        report = self.report()
        if "data" not in report or not (self.folder / "clips" / MANIFEST).is_file():

            def tell(done: int, total: int) -> None:
                self.step_on(f"Reading recordings: {done} of {total}")

            summary = make_clips(Path(self.settings.data), self.folder / "clips", tell)
            report = self.report(data=summary.to_dict())
        self.tell(notes=tuple(ClipSummary(**report["data"]).notes()))

    def held_out(self) -> tuple[AudioBank, list[int]]:
        """All clips, and which of them are held out."""
        bank = load_bank(read_manifest(self.folder / "clips"))
        return bank, of_split(bank.utterances, "dev")

    def measure(self, when: str, checkpoint: str | Path, bank: AudioBank, held_out: list[int]) -> None:
        """Figures and example strings of a checkpoint in the run's report, once."""
        if when in self.report():
            return
        self.step_on(f"Measuring {Path(checkpoint).stem} on {len(held_out)} held-out clips")
        tokenizer = load(checkpoint, device=self.device)
        figures = before_after.measure_held_out(
            tokenizer, bank, held_out, lambda part: self.step_on(self.status.message)
        )
        strings = before_after.examples(tokenizer, bank, held_out)
        self.report(**{when: before_after.to_json(figures), f"examples_{when}": strings})

    def config(self) -> TrainConfig:
        """The training configuration; the number of steps is what fits into the minutes, measured here once."""
        path = self.folder / CONFIG_FILE
        if path.is_file():
            return TrainConfig(**json.loads(path.read_text(encoding="utf-8")))
        self.step_on("Timing a training step")
        rate_hz = self.report()["before"]["tokens_per_s"]["value"]
        seconds = step_seconds(self.job(self.settings.config(10, rate_hz), resume=False))
        steps = int(min(max(20, 60 * self.settings.minutes / seconds), 100_000))
        config = self.settings.config(steps, rate_hz)
        atomic_write_json(path, config.to_dict())
        self.report(step_seconds=round(seconds, 4), device=self.device)
        return config

    def job(self, config: TrainConfig, resume: bool, elapsed_s: float = 0.0) -> Job:
        """What the trainer is told."""
        minutes = max(0.05, TOLERANCE * self.settings.minutes - elapsed_s / 60)
        init = str(self.settings.init)
        return Job(
            self.folder / "clips" / MANIFEST, self.folder, config, None, None, init, resume, minutes, self.device
        )

    def train(self) -> Trouble | None:
        """Train until it is done; a Trouble when it was ended because it got worse. Raises Stopped."""
        config = self.config()
        resume = (self.folder / STATE_FILE).is_file()
        if not resume:
            (self.folder / BRIDGE_FILE).unlink(missing_ok=True)
        self.step_on("Writing the strings to learn")
        self.tell(total_steps=config.total_steps)
        before = first_validation(self.folder / LOG_FILE)
        sure = self.report()["data"]["held_out"] >= SURE_CLIPS
        watch = Watch(self.tell, self.stop_asked, config.total_steps, sure, before.get("separation"))
        try:
            ended = train(self.job(config, resume, self.status.elapsed_s), watch, self.check)["ended"]
        except DivergedError:
            ended = "diverged"
        self.tell(**watch.done())
        if ended in ("signal", "stop"):
            raise Stopped
        return diverged(self.settings) if ended == "diverged" else None

    def make_checkpoint(self, bank: AudioBank, held_out: list[int], trouble: Trouble | None) -> None:
        """What was learned as one of the person's own checkpoints, measured, with what there is to say about them."""
        chosen, step = result.chosen_weights(self.folder, diverged=trouble is not None)
        if chosen is None:
            trouble = trouble or Trouble("Nothing was learned yet: no step was done.", "Press Resume.")
            self.tell(state="failed", message=trouble.message, advice=trouble.advice)
            return
        mixed = result.mix(chosen, self.settings, self.folder)
        report = self.report()
        if report.get("measured_step") != [step, self.settings.keep_base]:
            report.pop("after", None)
            atomic_write_json(self.folder / REPORT_FILE, report)
            self.measure("after", mixed, bank, held_out)
            report = self.report(measured_step=[step, self.settings.keep_base])
        result.publish(mixed, self.settings, report, step)
        message, advice = result.verdict(report, self.settings, step, self.status)
        if trouble:
            message, advice = f"{trouble.message} The best weights before that were kept. {message}", trouble.advice
        self.tell(state="failed" if trouble else "done", message=message, advice=advice, checkpoint=self.settings.name)
        if not trouble:
            result.tidy(self.folder)

    def report(self, **parts: Any) -> dict[str, Any]:
        """The run's report, with these parts added."""
        found = read_report(self.folder)
        if parts:
            found |= parts
            atomic_write_json(self.folder / REPORT_FILE, found)
        return found


@contextmanager
def _stop_on_signals(folder: Path) -> Iterator[None]:
    """SIGTERM and SIGINT ask for a stop as the stop file does."""

    def ask(*_: object) -> None:
        (folder / STOP_FILE).touch()

    main = threading.current_thread() is threading.main_thread()  # Python allows handlers nowhere else
    previous = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM) if main}
    try:
        yield
    finally:
        for s, handler in previous.items():
            signal.signal(s, handler)
