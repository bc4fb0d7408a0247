"""What lies where in an audio file: the byte ranges that are decoded one after the other, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Raw:
    """Samples that are stored as they are. `coding` and `endian` (LITTLE, BIG) are libsndfile's names."""

    rate_hz: int
    channels: int
    coding: str
    endian: str


@dataclass(frozen=True)
class Part:
    """Bytes `start` to `end` are one stream. `frames`: what its header promises; None without a reliable promise."""

    start: int
    end: int
    raw: Raw | None = None
    frames: int | None = None


@dataclass(frozen=True)
class Container:
    """The recognised kind of a file, its parts in order, and a remark for whoever reads it (or "")."""

    kind: str
    parts: tuple[Part, ...]
    note: str = ""


def find(file: BinaryIO, needle: bytes, start: int, end: int) -> int:
    """Where `needle` first lies between two places of an open file; -1 when it does not."""
    overlap = len(needle) - 1
    while start < end:
        file.seek(start)
        block = file.read(min(_BLOCK_BYTES, end - start))
        if (at := block.find(needle)) >= 0:
            return start + at
        if len(block) <= overlap:
            return -1
        start += len(block) - overlap
        if len(block) < _BLOCK_BYTES:
            return -1
    return -1


class View:
    """Part of an open file as a file of its own: what a decoder sees. Seeking beyond its ends stops there."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self._start, self._at = file, start, 0
        self.size = max(0, end - start)

    def read(self, size: int = -1) -> bytes:
        """The next bytes, fewer at the end."""
        left = self.size - self._at
        # the file is shared between views, so that each goes to its own place first
        self._file.seek(self._start + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:
        """As `read`, into a buffer; returns the number of bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place counted from the start (0), from here (1) or from the end (2)."""
        self._at = min(max(0, (0, self._at, self.size)[whence] + offset), self.size)
        return self._at
