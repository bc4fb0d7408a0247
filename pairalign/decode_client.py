"""Decoders that run in processes of their own: started when a file needs one, and kept for the next file."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from pairalign.errors import AudioError
from pairalign.layout import View

_KEPT = 2  # idle processes of a kind
_CRASHED = "the decoder crashed on this file or took too long. Convert it to WAV"


class RemoteDecoder:
    """A stream that is decoded by `decode_worker`; the same surface as SndfileDecoder."""

    def __init__(self, view: View, kind: str) -> None:
        self._view = view
        self._process: _Process | None = _take("mp3" if kind == "mp3" else "ffmpeg")
        try:
            about = self._ask({"open": kind, "size": view.size})
        except BaseException:
            self.close()
            raise
        self.rate_hz, self.channels, self.frames = about["rate_hz"], about["channels"], about["frames"]

    def skip_to(self, frame: int) -> None:
        """Before the first `read`: go to a frame, or to the end when there are fewer. Raises: AudioError."""
        self._ask({"skip_to": frame})

    def read(self, frames: int) -> np.ndarray:
        """The next samples (time, channels) float32, fewer or none at the end. Raises: AudioError."""
        shape = self._ask({"read": frames})["samples"]
        data = self._receive(4 * shape[0] * shape[1])
        return np.frombuffer(data, np.float32).reshape(shape)

    def count(self) -> int:
        """All frames by the header or by the packets, 0 when neither says; nothing can be read after it."""
        return self._ask({"count": True})["count"]

    def close(self) -> None:
        """Free the decoder; its process waits for the next file."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            self._exchange(process, {"close": True})
        except (AudioError, OSError, ValueError):
            _end(process)
        else:
            _give_back(process)

    def _ask(self, ask: dict[str, Any]) -> dict[str, Any]:
        if self._process is None:
            raise AudioError(_CRASHED)
        try:
            return self._exchange(self._process, ask)
        except AudioError:
            raise
        except BaseException as error:  # it died, or this process was interrupted in the middle of an answer
            process, self._process = self._process, None
            _end(process)
            if isinstance(error, (OSError, ValueError)):
                raise AudioError(_CRASHED) from None
            raise

    def _exchange(self, process: _Process, ask: dict[str, Any]) -> dict[str, Any]:
        """One question, with the parts of the file that the worker needs for its answer."""
        process.send(ask)
        while True:
            answer = process.receive()
            if "error" in answer:
                raise AudioError(answer["error"])
            if "need" not in answer:
                return answer
            offset, length = answer["need"]
            self._view.seek(offset)
            data = self._view.read(length)
            process.send({"bytes": len(data)}, data)

    def _receive(self, length: int) -> bytes:
        data = self._process.read(length) if self._process is not None else b""
        if len(data) < length:
            process, self._process = self._process, None
            if process is not None:
                _end(process)
            raise AudioError(_CRASHED)
        return data


class _Process:
    """A running worker."""

    def __init__(self, kind: str) -> None:
        self.kind, self.owner = kind, os.getpid()
        root = str(Path(__file__).parents[1])
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "pairalign.decode_worker", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )
        assert self._popen.stdin is not None and self._popen.stdout is not None  # as asked for
        self._asks, self._answers = self._popen.stdin, self._popen.stdout
        self.missing = self.receive().get("missing")

    def send(self, ask: dict[str, Any], payload: bytes = b"") -> None:
        self._asks.write(json.dumps(ask).encode() + b"\n" + payload)
        self._asks.flush()

    def receive(self) -> dict[str, Any]:
        """Raises: ValueError when the process has ended."""
        return json.loads(self._answers.readline())

    def read(self, length: int) -> bytes:
        return self._answers.read(length)

    def alive(self) -> bool:
        return self._popen.poll() is None

    def end(self) -> None:
        if self.owner != os.getpid():  # a fork's copy: the process belongs to the other one
            return
        self._popen.kill()
        for pipe in (self._asks, self._answers):
            with contextlib.suppress(OSError):
                pipe.close()
        self._popen.wait()


_idle: list[_Process] = []
_lock = threading.Lock()


def _take(kind: str) -> _Process:
    """An idle process of the kind, or a new one. Raises: AudioError when PyAV is not installed."""
    with _lock:
        for process in list(_idle):
            if process.owner != os.getpid():
                _idle.remove(process)
            elif process.kind == kind:
                _idle.remove(process)
                if process.alive():
                    return process
                process.end()
    try:
        process = _Process(kind)
    except (OSError, ValueError):
        raise AudioError("the decoder cannot be started. Convert the file to WAV or FLAC") from None
    if process.missing is not None:
        process.end()
        raise AudioError('this kind of file is read by PyAV, which is not installed. Install it: pip install "av>=14"')
    return process


def _give_back(process: _Process) -> None:
    with _lock:
        if sum(one.kind == process.kind for one in _idle) < _KEPT:
            _idle.append(process)
            return
    process.end()


@atexit.register
def _end_all() -> None:
    with _lock:
        while _idle:
            _idle.pop().end()


_end = _Process.end
