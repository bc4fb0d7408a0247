"""Containers of plain samples: WAV (RIFF, RIFX, RF64, BW64, Wave64), AIFF, AIFF-C and AU.

Their headers are read here, and a decoder sees nothing but the samples: no chunk parser of native code is involved, and
a length that a recorder never filled in does no harm.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from pairalign.errors import AudioError
from pairalign.layout import Container, Part, Raw
from pairalign.pcm_coding import aiff_coding, au_coding, frame_bytes, wav_coding

NO_LENGTH = "its header does not give its length: it was read to the end of the file"

# programs that write to a pipe cannot go back to fill in the length and leave 0, or something from here on
_UNKNOWN_LENGTHS = range(0x7FFF_F000, 0x1_0000_0000)
_UNKNOWN_WIDE_FROM = 2**62
# some writers count the header as data
_LENGTH_SLACK_BYTES = 64
_MAX_CHUNKS = 1000
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")


def is_pcm(head: bytes) -> bool:
    """Whether a file that begins so belongs here."""
    return (
        (head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE")
        or (head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"))
        or (head[:4] == b"riff" and head[24:28] == b"wave" and head[28:40] == _W64_TAIL)
        or head[:4] in (b".snd", b"dns.")
    )


def inspect_pcm(file: BinaryIO, size: int) -> Container:
    """Where the samples of an open file of `size` bytes lie. Raises: AudioError when it is damaged or compressed."""
    file.seek(0)
    if (head := file.read(4)) in (b".snd", b"dns."):
        return _inspect_au(file, size, ">" if head == b".snd" else "<")
    parts: list[Part] = []
    offset: int | None = 0
    note = ""
    while offset is not None:  # files that were joined byte by byte
        chunks = _Chunks(file, size, offset)
        parts += chunks.parts()
        note, offset = chunks.note or note, chunks.next_file
    return Container("pcm", tuple(parts), note)


class _Chunks:
    """One RIFF, Wave64 or FORM file at `start`: walks its chunks and keeps what they say of the samples."""

    def __init__(self, file: BinaryIO, size: int, start: int) -> None:
        self.note = ""
        self.next_file: int | None = None  # where another file begins
        self._file, self._size, self._start = file, size, start
        self._head = self._at(start, 12)
        self._magic = self._head[:4]
        self._name = {b"FORM": "AIFF", b"riff": "Wave64"}.get(self._magic, "WAV")
        self._order = ">" if self._magic in (b"RIFX", b"FORM") else "<"
        self._raw: Raw | None = None
        self._frames = 0  # AIFF's own count
        self._data: list[tuple[int, int]] = []
        self._long_data: int | None = None

    def parts(self) -> list[Part]:
        """The ranges of samples. Raises: AudioError for a damaged header, a foreign codec, a file that is cut off."""
        for name, body, length in self._walk():
            self._take(name, body, length)
        raw = self._raw
        if raw is None:
            raise AudioError(
                f"this {self._name} file has no format chunk, so it cannot be decoded. Save it again as WAV or FLAC"
            )
        if not self._data:
            raise AudioError(
                f"this {self._name} file has no data chunk: it was cut off before the sound. Copy or record it again"
            )
        return [Part(start, self._end(start, length, raw), raw) for start, length in self._data]

    def _at(self, offset: int, length: int) -> bytes:
        if offset >= self._size:
            return b""
        self._file.seek(offset)
        return self._file.read(length)

    def _walk(self) -> Iterator[tuple[bytes, int, int]]:
        """Name, place and length of every chunk, up to the end or to where another file begins."""
        wave64 = self._magic == b"riff"
        offset = self._start + (40 if wave64 else 12)
        for count in range(_MAX_CHUNKS):
            for place in (offset, offset - 1):  # writers forget the byte that makes a length even
                if count and is_pcm(head := self._at(place, 40)) and head[:4] == self._magic:
                    self.next_file = place
                    return
            head = self._at(offset, 24 if wave64 else 8)
            if len(head) < (24 if wave64 else 8):
                return
            if wave64:
                length = struct.unpack("<Q", head[16:24])[0]
                yield head[:4] if head[4:16] == _W64_TAIL else b"", offset + 24, max(0, length - 24)
                offset += max(24, length + -length % 8)
                continue
            name, length = struct.unpack(self._order + "4sI", head)
            if name == b"data" and length == 0xFFFF_FFFF and self._long_data is not None:
                length = self._long_data
            yield name, offset + 8, length
            offset += 8 + length + (length & 1)

    def _take(self, name: bytes, body: int, length: int) -> None:
        if name == b"ds64" and length >= 16:  # lengths beyond 4 GB
            self._long_data = int.from_bytes(self._at(body + 8, 8), "little")
        elif name == b"data" and self._name != "AIFF":
            self._data.append((body, length))
        elif name == b"SSND" and self._name == "AIFF":
            skipped = int.from_bytes(self._at(body, 4), "big")
            self._data.append((body + 8 + skipped, max(0, length - 8 - skipped)))
        elif name == (b"COMM" if self._name == "AIFF" else b"fmt "):
            raw = self._coding(self._at(body, min(length, 64)))
            if self._raw is not None and raw != self._raw:
                raise AudioError(f"this {self._name} file has two formats. Save it again as WAV or FLAC")
            self._raw = raw

    def _coding(self, body: bytes) -> Raw:
        if self._name != "AIFF":
            return wav_coding(body, self._order)
        raw, frames = aiff_coding(body, self._head[8:12] == b"AIFC")
        self._frames = 0 if frames == 0xFFFF_FFFF else frames  # a recorder that never went back to fill it in
        return raw

    def _end(self, start: int, length: int, raw: Raw) -> int:
        """Where samples that begin at `start` end. Raises: AudioError when the file ends before."""
        unknown = self._unknown(start, length, raw)
        if self._frames and not self._unknown(start, counted := self._frames * frame_bytes(raw), raw):
            length, unknown = counted if unknown else min(length, counted), False
        if unknown:
            self.note = NO_LENGTH
            return self._size
        _check_whole(self._name, start, length, self._size, raw)
        return min(start + length, self._size)

    def _unknown(self, start: int, length: int, raw: Raw) -> bool:
        if length == 0:
            return self._size - start >= frame_bytes(raw) and not self._chunks_follow(start)
        return _no_length(start, length, self._size)

    def _chunks_follow(self, offset: int) -> bool:
        """Whether well-formed chunks, and nothing else, lie from here to the end: then no sound is what was meant."""
        for _ in range(_MAX_CHUNKS):
            head = self._at(offset, 8)
            if len(head) < 8 or not all(32 <= byte < 127 for byte in head[:4]):
                return False
            length = struct.unpack(self._order + "I", head[4:])[0]
            offset += 8 + length + (length & 1)
            if self._size - 1 <= offset <= self._size + 1:
                return True
        return False


def _inspect_au(file: BinaryIO, size: int, order: str) -> Container:
    """Sun AU: where the samples begin, how many bytes they have, how they are coded, rate, channels."""
    fields = file.read(20)
    if len(fields) < 20:
        raise AudioError("this AU file is cut off inside its header. Copy it again")
    start, length, code, rate_hz, channels = struct.unpack(order + "5I", fields)
    raw = au_coding(code, rate_hz, channels, "BIG" if order == ">" else "LITTLE")
    if _no_length(start, length, size) or (length == 0 and size > start):
        return Container("pcm", (Part(start, size, raw),), NO_LENGTH)
    _check_whole("AU", start, length, size, raw)
    return Container("pcm", (Part(start, min(start + length, size), raw),))


def _no_length(start: int, length: int, size: int) -> bool:
    return start + length > size and (length in _UNKNOWN_LENGTHS or length >= _UNKNOWN_WIDE_FROM)


def _check_whole(name: str, start: int, length: int, size: int, raw: Raw) -> None:
    if start + length - size > _LENGTH_SLACK_BYTES:
        promised, there = (n / frame_bytes(raw) / raw.rate_hz for n in (length, max(0, size - start)))
        raise AudioError(
            f"this {name} file is cut off: its header promises {promised:.2f} s and {there:.2f} s are there. "
            "Copy it again, or open and save it in an audio editor to accept what is left"
        )
