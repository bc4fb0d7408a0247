"""A process that decodes for another one: python -m pairalign.decode_worker mp3|ffmpeg

libsndfile's MP3 decoder prints to stderr from C, and FFmpeg is too large to be trusted with a file: neither runs in the
process that asks. The worker reads the file through the pipe that it is asked on, can open nothing itself, and has
limits of memory and time. Lines of JSON go both ways; bytes and samples follow the line that gives their number.

    ask      {"open": KIND, "size": N}  {"skip_to": FRAME}  {"read": FRAMES}  {"count": true}  {"close": true}
    answer   {"rate_hz", "channels", "frames"}  {}  {"samples": [TIME, CHANNELS]}  {"count"}  {}, or {"error": MESSAGE}
    between  {"need": [OFFSET, BYTES]}, answered by {"bytes": N}
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pkgutil
import sys
from typing import Any, BinaryIO

from pairalign.errors import AudioError
from pairalign.ffmpeg import FfmpegDecoder
from pairalign.layout import Part, View
from pairalign.sndfile import SndfileDecoder

_MEMORY_BYTES = 2_000_000_000
_CPU_S = 60  # of one answer
_BUFFER_BYTES = 1 << 17


class _AskedFile(io.RawIOBase):
    """The file of whoever asks, read through the pipe."""

    def __init__(self, asks: BinaryIO, answers: BinaryIO, size: int) -> None:
        super().__init__()
        self._asks, self._answers, self._size, self._at = asks, answers, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        length = max(0, min(len(buffer), self._size - self._at))
        if length:
            _send(self._answers, {"need": [self._at, length]})
            length = json.loads(self._asks.readline())["bytes"]
            buffer[:length] = self._asks.read(length)
            self._at += length
        return length

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, (0, self._at, self._size)[whence] + offset)
        return self._at

    def tell(self) -> int:
        return self._at


def serve(asks: BinaryIO, answers: BinaryIO) -> None:
    """Answer until `asks` ends."""
    decoder: SndfileDecoder | FfmpegDecoder | None = None
    for line in asks:
        ask = json.loads(line)
        _allow_time()
        try:
            if "open" in ask:
                decoder = None
                file: Any = io.BufferedReader(_AskedFile(asks, answers, ask["size"]), _BUFFER_BYTES)
                decoder = _decoder(ask["open"], file, ask["size"])
                about = {"rate_hz": decoder.rate_hz, "channels": decoder.channels, "frames": decoder.frames}
                _send(answers, about)
            elif "close" in ask:
                if decoder is not None:
                    decoder.close()
                decoder = None
                _send(answers, {})
            elif decoder is not None and "count" in ask:
                _send(answers, {"count": decoder.count()})
            elif decoder is not None and "skip_to" in ask:
                decoder.skip_to(ask["skip_to"])
                _send(answers, {})
            elif decoder is not None:
                block = decoder.read(ask["read"])
                _send(answers, {"samples": block.shape}, block.tobytes())
        except AudioError as error:
            _send(answers, {"error": str(error)})


def _decoder(kind: str, file: BinaryIO, size: int) -> SndfileDecoder | FfmpegDecoder:
    if kind == "mp3":
        return SndfileDecoder(View(file, Part(0, size)), kind)
    return FfmpegDecoder(file, kind)


def _send(answers: BinaryIO, about: dict[str, Any], payload: bytes = b"") -> None:
    answers.write(json.dumps(about).encode() + b"\n" + payload)
    answers.flush()


def _load(library: str) -> None:
    """Import a library with all its modules: later none of them could be opened."""
    package = importlib.import_module(library)
    for module in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{library}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def _confine() -> None:
    """Nothing more can be opened, nothing written, and memory is limited (not on Windows, which has no such limits)."""
    with contextlib.suppress(ImportError):
        import resource

        for what, limit in (
            (resource.RLIMIT_DATA, _MEMORY_BYTES),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_NOFILE, 3),
        ):
            hard = resource.getrlimit(what)[1]
            resource.setrlimit(what, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _allow_time() -> None:
    with contextlib.suppress(ImportError):
        import resource
        import time

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        limit = int(time.process_time()) + _CPU_S
        resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def main() -> None:
    """Load what the kind of files needs, give up what it does not, and serve."""
    asks, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library may print must not end up among the answers
    try:
        _load("av" if sys.argv[1] == "ffmpeg" else "soundfile")
    except ImportError as error:
        _send(answers, {"missing": error.name or "a library"})
        return
    _confine()
    _send(answers, {"ready": True})
    serve(asks, answers)


if __name__ == "__main__":
    main()
