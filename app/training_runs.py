"""Training runs as the page sees them: started as processes of their own, watched through their files.

The process outlives the page and the app. A run is found again by its folder, and whether its process lives is told by
the lock it holds, not by a process id, which may belong to another program by then.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pairalign
from app import run_recordings, scratch
from pairalign.checkpoint import available, own_checkpoints, read_sidecar
from pairalign.errors import PairAlignError
from pairalign.home import inside, listed
from pairalign.lock import holder
from pairalign.training.finetune import lock_file, new_run, runs_folder
from pairalign.training.finetune_settings import SETTINGS_FILE, FinetuneSettings, read_settings
from pairalign.training.monitor import LOG_FILE, read_log
from pairalign.training.result import card_text
from pairalign.training.run_folder import LIST_FILE, OUTPUT_FILE, STARTING_S, STOP_FILE, UPLOADS, remove_run
from pairalign.training.status import Status, read_status, write_status

LAST_LINES = 3
PROJECT = Path(pairalign.__file__).resolve().parent.parent
# waiting threads must not keep the cores busy that the page needs: beside other work that halved the speed of training
SHARING = {"OMP_WAIT_POLICY": "PASSIVE", "TQDM_DISABLE": "1", "PYTHONUNBUFFERED": "1"}
DIED = "died"  # a state that no process writes: the status says it works, and no process does


class TrainingError(PairAlignError):
    """What cannot be done, and what to do instead."""


@dataclass(frozen=True)
class Look:
    """A run as it is now. log: the lines of log.jsonl; report: before and after, as far as measured."""

    name: str
    settings: FinetuneSettings
    status: Status
    state: str
    log: tuple[dict[str, Any], ...]
    report: dict[str, Any]
    folder: Path

    @property
    def active(self) -> bool:
        """Whether its process is at work."""
        return self.state != DIED and self.status.active

    @property
    def can_resume(self) -> bool:
        """Whether there is something to go on with."""
        return self.state in (DIED, "stopped", "failed")


class TrainingRuns:
    """All runs of this person; `refusal` is why there can be none here ("" where there can)."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self._children: dict[str, subprocess.Popen] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Runs, the latest first."""
        if self.refusal:
            return []
        found = [path.parent for path in listed(runs_folder(), f"*/{SETTINGS_FILE}")]
        return [path.name for path in sorted(found, key=lambda path: -(path / SETTINGS_FILE).stat().st_mtime)]

    def current(self) -> str | None:
        """The run that a page should show first: the one at work, else the latest."""
        looks = self._looks()
        return next((look.name for look in looks if look.active), looks[0].name if looks else None)

    def start(self, settings: FinetuneSettings, uploads: Sequence[str] = (), recordings: Sequence[Path] = ()) -> str:
        """Begin a run; uploads are copied into it, because the page's own copies do not last. Returns its name.

        recordings: files to learn from in place of `settings.data`; they stay where they are.

        Raises: ValueError when training is not possible here or now, or for bad settings.
        """
        with self._lock:
            self._refuse_public()
            folder = inside(runs_folder(), settings.name, "name for a run")
            self._refuse_unless_free()
            if uploads:
                settings = replace(settings, data=str(folder / UPLOADS))
            elif recordings:
                settings = replace(settings, data=str(folder / LIST_FILE))
            with _starting():
                new_run(settings)
                try:
                    run_recordings.keep(folder, uploads, () if uploads else recordings)
                    self._launch(settings.name, folder, [])
                except BaseException:
                    remove_run(folder)  # it was not started, so its name stays free
                    raise
        return settings.name

    def resume(self, name: str, finish: bool = False) -> None:
        """Go on with a run that has stopped, failed or died; `finish`: only make the checkpoint of what it learned."""
        with self._lock:
            self._refuse_unless_free()
            folder = self._folder(name)
            if not self.look(name).can_resume:
                raise TrainingError(f"{name} is {self.look(name).state}: there is nothing to go on with.")
            before = read_status(folder)
            with _starting():
                try:
                    self._launch(name, folder, ["--finish"] if finish else [])
                except BaseException:
                    if before:
                        write_status(folder, before)
                    raise

    def stop(self, name: str) -> None:
        """Ask the run to save and end."""
        self._refuse_public()
        folder = self._folder(name)
        if not self.look(name).active:
            raise TrainingError(f"{name} is not running.")
        (folder / STOP_FILE).touch()

    def delete(self, name: str) -> None:
        """Remove a run with its copy of the recordings, and the checkpoint it made."""
        self._refuse_public()
        folder = self._folder(name)
        for look in self._looks():
            if look.active and look.name == name:
                raise TrainingError(f"{name} is at work: stop it first.")
            if look.active and Path(look.settings.init).stem == name:
                raise TrainingError(f"The run {look.name}, which is at work, started from {name}: stop that run first.")
        made = [inside(own_checkpoints(), name, "name of a checkpoint", ending) for ending in (".safetensors", ".json")]
        try:
            shutil.rmtree(folder)
            for path in made:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise TrainingError(f"{name} cannot be deleted ({error.strerror}). Check its folder, {folder}.") from None

    def parent(self, name: str) -> str:
        """The checkpoint to use in place of a run's own: what the run started from, while that is there, else another.

        Raises: ValueError when there is no such run.
        """
        self._refuse_public()
        folder, start = self._folder(name), ""
        with contextlib.suppress(PairAlignError):  # settings that cannot be read must not keep a run from being deleted
            start = read_settings(folder).init
        names = [one for one in available() if one != name]
        there = start in names or (start.endswith(".safetensors") and os.path.isfile(start))
        return start if there else next((one for one in ("base", *names) if one in names), "base")

    def look(self, name: str) -> Look:
        """The run as its files tell it. Raises ValueError when there is none of that name."""
        self._refuse_public()
        folder = self._folder(name)
        for child in self._children.values():
            child.poll()  # lets the system forget those that have ended
        settings, status = read_settings(folder), read_status(folder)
        status = status or Status("failed", "The run has no status: it never began.", "Delete it and start again.")
        state = status.state
        if status.active and not self._alive(name, folder, status):
            status = read_status(folder) or status  # it may have ended between the two looks
            state = status.state
            if status.active:
                state, status = DIED, self._last_words(name, folder, status)
        elif state in ("preparing", "running") and (folder / STOP_FILE).exists():
            state = "stopping"
        return Look(name, settings, status, state, read_log(folder / LOG_FILE), _json(folder / "report.json"), folder)

    def bundle(self, name: str) -> Path:
        """A zip with the checkpoint of a run, its description and its model card, in a folder for temporary files."""
        self._refuse_public()
        weights = inside(own_checkpoints(), name, "name of a checkpoint", ".safetensors")
        if not weights.is_file():
            raise TrainingError(f"{name} has made no checkpoint yet.")

        def make(path: Path) -> None:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # weights do not get smaller
                archive.write(weights, weights.name)
                archive.write(weights.with_suffix(".json"), f"{name}.json")
                archive.writestr("MODEL_CARD.md", card_text(read_sidecar(weights)).encode("utf-8", "replace"))

        try:
            return scratch.write("runs", f"{name}.zip", make)
        except OSError as error:
            raise TrainingError(
                f"{name} cannot be put together ({error.strerror or error}). Make room on the disk."
            ) from None

    def _looks(self) -> list[Look]:
        """All runs whose files can be read, the latest first; a damaged one must not stand in the way of others."""
        found = []
        for name in self.names():
            with contextlib.suppress(ValueError):
                found.append(self.look(name))
        return found

    def _folder(self, name: str) -> Path:
        folder = inside(runs_folder(), name, "name of a run")
        if not (folder / SETTINGS_FILE).is_file():
            raise TrainingError(f"There is no run {name!r} any more.")
        return folder

    def _refuse_public(self) -> None:
        if self.refusal:
            raise TrainingError(self.refusal)

    def _refuse_unless_free(self) -> None:
        self._refuse_public()
        busy = holder(lock_file()) is not None or any(look.active for look in self._looks())
        if busy:
            raise TrainingError("One training at a time: stop the one that runs, or wait until it has finished.")

    def _launch(self, name: str, folder: Path, extra: list[str]) -> None:
        (folder / STOP_FILE).unlink(missing_ok=True)
        before = read_status(folder) or Status("starting")
        write_status(
            folder, replace(before, state="starting", message="Starting the training process", advice="", eta_s=None)
        )
        command = [
            sys.executable,
            "-m",
            "pairalign",
            "finetune",
            "--name",
            name,
            "--out",
            str(folder),
            "--resume",
            *extra,
        ]
        with (folder / OUTPUT_FILE).open("ab") as output:
            self._children[name] = subprocess.Popen(
                command,
                cwd=PROJECT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**SHARING, **os.environ},
                start_new_session=True,  # it goes on when the page or the app is closed
            )

    def _alive(self, name: str, folder: Path, status: Status) -> bool:
        child = self._children.get(name)
        if child is not None and child.poll() is None:
            return True
        if holder(lock_file()) == str(folder.resolve()):
            return True
        return child is None and status.state == "starting" and time.time() - status.updated < STARTING_S

    def _last_words(self, name: str, folder: Path, status: Status) -> Status:
        child = self._children.get(name)
        code = child.poll() if child is not None else None
        how = f"was killed (signal {-code})" if code is not None and code < 0 else "ended without saying why"
        output = folder / OUTPUT_FILE
        text = output.read_text(encoding="utf-8", errors="replace") if output.is_file() else ""
        lines = [line.strip()[:200] for line in text[-4000:].replace("\r", "\n").splitlines() if line.strip()]
        message = f"The training process {how}: too little memory, perhaps, or the computer was switched off."
        saved = "What it saved is whole: press Resume to go on from there."
        return replace(status, message=message, advice=saved, notes=(*status.notes, *lines[-LAST_LINES:]), eta_s=None)


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """What the system refuses becomes a sentence."""
    try:
        yield
    except OSError as error:
        raise TrainingError(
            f"The run could not be started: {error.strerror or error}. Make room on the disk, or check the "
            f"permissions of {runs_folder()}."
        ) from None


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
