"""Recordings decoded in processes of their own, ahead of the tokenizer: neither waits for the other.

A worker is this module run as a program. It is told a path per line on its stdin and answers on its stdout with a line
of JSON for each part, followed by the part's float32 samples. A file that crashes the decoder costs a worker, which is
replaced, and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ, AudioError, AudioLimits, read_parts

PART_S = 60.0
AHEAD_S = 120.0  # as much audio may wait, decoded, for the tokenizer
IDLE_S = 0.25  # how often somebody who waits may give up
LIMITS = AudioLimits(max_duration_s=24 * 3600.0, max_bytes=20_000_000_000)
_MOST_SAMPLES = round(4 * PART_S * SAMPLE_RATE_HZ)  # a last part may be longer than others
_MOST_HEADER_BYTES = 100_000


@dataclass(frozen=True)
class Part:
    """What was read of file number `file`: a wave (T,) of at most PART_S, or why it cannot be read."""

    file: int
    wave: np.ndarray | None = None
    error: str = ""
    last: bool = False


class Decoders:
    """Iterate over it for the parts of all files: those of one file in order, files as they come."""

    def __init__(self, paths: Sequence[Path], workers: int, idle: Callable[[], None] | None = None) -> None:
        """idle: called again and again while nothing comes; it may raise to give up."""
        self._idle = idle or (lambda: None)
        self._paths = deque(enumerate(paths))
        self._ready: deque[Part] = deque()
        self._held_s = 0.0
        self._change = threading.Condition()
        self._stopped = False
        self._running = min(workers, len(paths))
        self.processes: list[subprocess.Popen] = []
        for _ in range(self._running):
            threading.Thread(target=self._work, daemon=True).start()

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        with self._change:
            self._stopped = True
            self._change.notify_all()
            for process in self.processes:
                process.kill()

    def __iter__(self) -> Iterator[Part]:
        while True:
            with self._change:
                if not self._change.wait_for(lambda: self._ready or not self._running, IDLE_S):
                    part = None
                elif not self._ready:
                    return
                else:
                    part = self._ready.popleft()
                    self._held_s -= _seconds(part)
                    self._change.notify_all()
            if part is None:
                self._idle()
            else:
                yield part

    def _put(self, part: Part) -> None:
        with self._change:
            self._change.wait_for(lambda: self._stopped or not self._ready or self._held_s < AHEAD_S)
            self._ready.append(part)
            self._held_s += _seconds(part)
            self._change.notify_all()

    def _work(self) -> None:
        """One worker's thread: hand out paths, take in parts; a worker that dies or talks nonsense is replaced."""
        process = None
        try:
            while (work := self._next()) is not None:
                number, path = work
                try:
                    process = self._alive(process)
                    self._decode(process, number, path)
                except Exception as error:  # whatever it was, the file is reported: what came of it is cut off
                    _end(process)
                    if not self._stopped:
                        self._put(Part(number, error=_crash(error), last=True))
        finally:
            if process is not None:
                paths, parts = _pipes(process)
                with contextlib.suppress(OSError):  # it may have been killed with a path on its way
                    paths.close()
                process.wait()
                parts.close()
            with self._change:
                self._running -= 1
                self._change.notify_all()

    def _next(self) -> tuple[int, Path] | None:
        with self._change:
            return None if self._stopped or not self._paths else self._paths.popleft()

    def _alive(self, process: subprocess.Popen | None) -> subprocess.Popen:
        if process is None or process.poll() is not None:
            process = _start()
            with self._change:
                self.processes.append(process)
                if self._stopped:
                    process.kill()
        return process

    def _decode(self, process: subprocess.Popen, number: int, path: Path) -> None:
        paths, parts = _pipes(process)
        paths.write(json.dumps(os.fspath(path)).encode() + b"\n")
        paths.flush()
        while True:
            header = _Header.read(parts)
            if header.error:
                return self._put(Part(number, error=header.error, last=True))
            samples = parts.read(4 * header.samples)
            self._put(Part(number, np.frombuffer(samples, np.float32, header.samples), last=header.last))
            if header.last:
                return None


@dataclass(frozen=True)
class _Header:
    """What a worker says before the samples of a part, or instead of them."""

    samples: int = 0
    last: bool = False
    error: str = ""

    @staticmethod
    def read(answers: IO[bytes]) -> _Header:
        """Raises: ValueError for anything else."""
        header = json.loads(answers.readline(_MOST_HEADER_BYTES))
        if not isinstance(header, dict):
            raise ValueError("no header")
        if "error" in header:
            return _Header(error=str(header["error"]) or "cannot be decoded")
        samples, last = header.get("samples"), header.get("last")
        if not isinstance(last, bool) or type(samples) is not int or not 1 <= samples <= _MOST_SAMPLES:
            raise ValueError("no header")
        return _Header(samples, last)


def _end(process: subprocess.Popen | None) -> None:
    if process is not None:
        process.kill()
        process.wait()


def _crash(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, BrokenPipeError):
        return f"no decoder could be started ({error.strerror or error}). Close other programs and index again"
    return "the decoder crashed on this file. Convert it to WAV"


def _seconds(part: Part) -> float:
    return 0.0 if part.wave is None else len(part.wave) / SAMPLE_RATE_HZ


def serve_command() -> list[str]:
    """What runs a worker."""
    return [sys.executable, "-m", "pairalign.archive.decoder"]


def _start() -> subprocess.Popen:
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        serve_command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    )


def _pipes(process: subprocess.Popen) -> tuple[IO[bytes], IO[bytes]]:
    """Where a worker takes paths, and where it gives parts."""
    assert process.stdin is not None and process.stdout is not None  # `_start` asked for both
    return process.stdin, process.stdout


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer every path on `source` with its parts on `sink`."""
    for line in source:
        try:
            waves = read_parts(json.loads(line), PART_S, LIMITS)
            held = next(waves)  # a recording has one part or more
            for wave in waves:
                _send(sink, held, last=False)
                held = wave
            _send(sink, held, last=True)
        except AudioError as error:
            sink.write(json.dumps({"error": str(error)}).encode() + b"\n")
        except (OSError, MemoryError) as error:
            reason = f"cannot be read ({getattr(error, 'strerror', None) or type(error).__name__})"
            sink.write(json.dumps({"error": f"{reason}. Copy it again or convert it to WAV"}).encode() + b"\n")
        sink.flush()


def _send(sink: BinaryIO, wave: np.ndarray, last: bool) -> None:
    sink.write(json.dumps({"samples": len(wave), "last": last}).encode() + b"\n")
    sink.write(np.ascontiguousarray(wave, np.float32).tobytes())


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what a library may print must not end up among the samples
    serve(sys.stdin.buffer, answers)
