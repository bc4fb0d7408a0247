"""The state of a run in a small file, `status.json`, for whoever watches from outside: the page, another terminal.

It is written whole or not at all, about once a second. The curves are in log.jsonl.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pairalign.checkpoint import atomic_write_json
from pairalign.home import one_line

STATUS_FILE = "status.json"
RESERVE_FILE = ".reserve"  # given up when the disk is full, so that the last words still find room
RESERVE_BYTES = 64 * 1024
LONGEST_TEXT = 2_000  # characters
STATES = ("starting", "preparing", "running", "stopping", "stopped", "finishing", "done", "failed")
ACTIVE = ("starting", "preparing", "running", "stopping", "finishing")


@dataclass(frozen=True)
class Status:
    """Where a run is.

    message says what happens or happened, advice what to do next, notes what else one should know (skipped files).
    elapsed_s: training time; eta_s: how much of it is left, None where nobody knows. checkpoint: name of the result.
    """

    state: str
    message: str = ""
    advice: str = ""
    notes: tuple[str, ...] = ()
    step: int = 0
    total_steps: int = 0
    elapsed_s: float = 0.0
    eta_s: float | None = None
    checkpoint: str = ""
    pid: int = 0
    updated: float = 0.0  # seconds since 1970
    ours: bool = False  # it failed through a bug, not through what the person gave

    @property
    def active(self) -> bool:
        """Whether a process should be at work."""
        return self.state in ACTIVE


def write_status(folder: Path, status: Status) -> None:
    """Replace the run's status. On a full disk the reserve is given up for it."""
    content = {**asdict(status), "pid": os.getpid(), "updated": time.time()}
    # a page shows them, and what is no character in a file's name cannot be sent to it
    content |= {name: one_line(content[name], LONGEST_TEXT) for name in ("message", "advice")}
    content["notes"] = [one_line(note, LONGEST_TEXT) for note in status.notes]
    try:
        reserve(folder)
        atomic_write_json(folder / STATUS_FILE, content)
    except OSError:
        (folder / RESERVE_FILE).unlink(missing_ok=True)
        atomic_write_json(folder / STATUS_FILE, content)


def read_status(folder: Path) -> Status | None:
    """The run's status; None where there is none, or none that can be read."""
    try:
        content = json.loads((folder / STATUS_FILE).read_text(encoding="utf-8"))
        known = {f.name: content[f.name] for f in fields(Status) if f.name in content}
        status = Status(**{**known, "notes": tuple(map(str, known.get("notes", ())))})
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None
    return status if _makes_sense(status) else None


def _makes_sense(status: Status) -> bool:
    """Whether every value is of its kind: the file may be damaged, and what it says is shown and reckoned with."""
    texts = (status.state, status.message, status.advice, status.checkpoint)
    counts = (status.step, status.total_steps, status.pid)
    times = (status.elapsed_s, status.updated, *(() if status.eta_s is None else (status.eta_s,)))
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(status.ours, bool)
        and status.state in STATES
        and all(type(count) is int and 0 <= count < 2**63 for count in counts)
        and all(type(time_s) in (int, float) and 0 <= time_s < 1e12 for time_s in times)
    )


def reserve(folder: Path) -> None:
    """Keep a little room for the last words of a run whose disk is full."""
    path = folder / RESERVE_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.write_bytes(b"\0" * RESERVE_BYTES)
