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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ, AudioError, AudioLimits, read_parts

PART_S = 60.0
AHEAD_S = 120.0  # as much audio may wait, decoded, for the tokenizer
LIMITS = AudioLimits(max_duration_s=24 * 3600.0, max_bytes=20_000_000_000)


@dataclass(frozen=True)
class Part:
    """What was read of file number `file`: a wave (T,) of at most PART_S, or why it cannot be read."""

    file: int
    wave: np.ndarray | None = None
    error: str = ""
    last: bool = False


class Decoders:
    """Iterate over it for the parts of all files: those of one file in order, files as they come."""

    def __init__(self, paths: Sequence[Path], workers: int) -> None:
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
                self._change.wait_for(lambda: self._ready or not self._running)
                if not self._ready:
                    return
                part = self._ready.popleft()
                self._held_s -= _seconds(part)
                self._change.notify_all()
            yield part

    def _put(self, part: Part) -> None:
        with self._change:
            self._change.wait_for(lambda: self._stopped or not self._ready or self._held_s < AHEAD_S)
            self._ready.append(part)
            self._held_s += _seconds(part)
            self._change.notify_all()

    def _work(self) -> None:
        """One worker's thread: hand out paths, take in parts; a worker that dies is replaced."""
        process = None
        try:
            while True:
                with self._change:
                    if self._stopped or not self._paths:
                        return
                    number, path = self._paths.popleft()
                    if process is None or process.poll() is not None:
                        process = _start()
                        self.processes.append(process)
                try:
                    self._decode(process, number, path)
                except (OSError, ValueError):  # it died in the middle: what it sent is cut off
                    process.kill()
                    process.wait()
                    if not self._stopped:
                        self._put(Part(number, error="the decoder crashed on this file. Convert it to WAV", last=True))
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

    def _decode(self, process: subprocess.Popen, number: int, path: Path) -> None:
        paths, parts = _pipes(process)
        paths.write(json.dumps(os.fspath(path)).encode() + b"\n")
        paths.flush()
        while True:
            header = json.loads(parts.readline())
            if "error" in header:
                return self._put(Part(number, error=header["error"], last=True))
            samples = parts.read(4 * header["samples"])
            wave = np.frombuffer(samples, np.float32, header["samples"])
            self._put(Part(number, wave, last=header["last"]))
            if header["last"]:
                return None


def _seconds(part: Part) -> float:
    return 0.0 if part.wave is None else len(part.wave) / SAMPLE_RATE_HZ


def _start() -> subprocess.Popen:
    root = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "pairalign.archive.decoder"],
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
        sink.flush()


def _send(sink: BinaryIO, wave: np.ndarray, last: bool) -> None:
    sink.write(json.dumps({"samples": len(wave), "last": last}).encode() + b"\n")
    sink.write(np.ascontiguousarray(wave, np.float32).tobytes())


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what a library may print must not end up among the samples
    serve(sys.stdin.buffer, answers)
