"""A process that reads what it is told to, under limits of memory and time, and the side of it that tells it.

The process is told a reader and a folder per line on its stdin and answers with a line of JSON. Memory: private pages
are limited to what the libraries need plus a gigabyte, and the highest resident size is reported for every input. Time:
more than CPU_LIMIT_S of processor time ends the process by SIGXCPU, a silent one is killed after WALL_LIMIT_S.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

CPU_LIMIT_S = 20
WALL_LIMIT_S = 180.0  # a machine that is busy with other things is no finding
MEMORY_LIMIT_MB = 1_000
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """What became of an input: "read", "refused" or "finding"; why; processor seconds and highest resident memory."""

    outcome: str
    detail: str = ""
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    place: str = ""  # where in the code, which tells one finding from another


class Worker:
    """Reads one input at a time; a process that died is replaced."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    def read(self, reader: str, folder: Path) -> Outcome:
        """Let the process read the files in `folder`."""
        process = self._running()
        process.stdin.write(json.dumps([reader, str(folder)]).encode() + b"\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], WALL_LIMIT_S)
        line = process.stdout.readline() if ready else b""
        if line.endswith(b"\n"):
            return Outcome(**json.loads(line))
        process.kill()
        code = process.wait()
        self._process = None
        if not ready or code == -signal.SIGXCPU:
            return Outcome("finding", f"no answer: more than {CPU_LIMIT_S} s", place=f"hang in {reader}")
        return Outcome("finding", f"the process ended with status {code}", place=f"crash {code} in {reader}")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _running(self) -> subprocess.Popen:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scripts.fuzz.worker"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
            )
            assert self._process.stdout.readline() == b"ready\n", "the worker does not start"
        return self._process


# --- inside the process -----------------------------------------------------------------------------------------------


def serve() -> None:
    """Answer every line of stdin; what libraries print must not end up among the answers."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    _warm_up()
    limit = _private_bytes() + MEMORY_LIMIT_MB * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    answers.write(b"ready\n")
    for line in sys.stdin.buffer:
        reader, folder = json.loads(line)
        answers.write(json.dumps(vars(_read(reader, Path(folder)))).encode() + b"\n")


def _warm_up() -> None:
    """Load what reading needs, so that its own size is not taken for that of an input."""
    import numpy as np
    import soundfile  # noqa: F401

    from pairalign.resample import resample_blocks

    list(resample_blocks([np.zeros(999, np.float32)], 44_100, 16_000))


def _read(reader: str, folder: Path) -> Outcome:
    from scripts.fuzz.readers import READERS, refusal

    _forget_peak()
    used = time.process_time()
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + CPU_LIMIT_S, resource.RLIM_INFINITY))
    outcome, detail, place = "read", "", ""
    try:
        READERS[reader](folder)
    except refusal(reader) as error:
        detail = str(error)
        outcome = "refused"
        if "crashed" in detail:
            outcome, place = "finding", f"{reader}: a decoding process ended"
        elif "\n" in detail or not detail or len(detail) > 1_000:
            outcome, place = "finding", f"{reader}: a message that is no line: {type(error).__name__}"
    except BaseException as error:
        detail = f"{type(error).__name__}: {error}"[:300]
        frame = traceback.extract_tb(error.__traceback__)[-1]
        ours = [
            f for f in traceback.extract_tb(error.__traceback__) if "pairalign" in f.filename or "app" in f.filename
        ]
        inner = ours[-1] if ours else frame
        outcome, place = "finding", f"{type(error).__name__} in {Path(inner.filename).name}:{inner.name}"
    peak_mb = _peak_mb()
    if peak_mb > MEMORY_LIMIT_MB:
        outcome, place, detail = "finding", f"memory in {reader}", f"{peak_mb:.0f} MB"
    return Outcome(outcome, detail[:300], round(time.process_time() - used, 4), round(peak_mb, 1), place)


def _forget_peak() -> None:
    """Begin a new measurement of the highest resident size (Linux)."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _peak_mb() -> float:
    return _status("VmHWM") / 1e6


def _private_bytes() -> int:
    return _status("VmData")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    serve()
