"""Containers that FFmpeg opens for us (MP4, Matroska, AMR, CAF, ADTS, ASF): recognised, and whether all of it is there.

Boxes carry their lengths, so a file that was cut off is seen before FFmpeg silently reads the first half of it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from pairalign.errors import AudioError

# FFmpeg's name of the one demuxer that may open a file of the kind, and what people call such a file
DEMUXERS = {
    "mov": ("mov", "MP4 or M4A"),
    "matroska": ("matroska", "WebM or Matroska"),
    "amr": ("amr", "AMR"),
    "caf": ("caf", "Apple CAF"),
    "adts": ("aac", "AAC"),
    "asf": ("asf", "WMA"),
    "speex": ("ogg", "Ogg Speex"),
}
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_SEGMENT = b"\x18\x53\x80\x67"
_MAX_BOXES = 100_000
_CUT = "this {} file is cut off: {}. Copy it again, or convert what is left to WAV"


def media_kind(head: bytes) -> str:
    """The kind of a file that begins so; "" when it is none of these."""
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return "mov"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "matroska"
    if head[:6] == b"#!AMR\n" or head[:9] == b"#!AMR-WB\n":
        return "amr"
    if head[:4] == b"caff":
        return "caf"
    return "asf" if head[:16] == _ASF_HEADER else ""


def check_whole(kind: str, file: BinaryIO, size: int) -> None:
    """Raises: AudioError when the lengths in an open file of `size` bytes promise more than there is."""
    walks = {"mov": _mov_boxes, "caf": _caf_chunks, "asf": _asf_objects, "matroska": _matroska_segment}
    if kind not in walks:
        return
    name, found = DEMUXERS[kind][1], set()
    for box, end in walks[kind](file, size):
        found.add(box)
        if end > size:
            raise AudioError(_CUT.format(name, f"its header promises {end} bytes and {size} are there"))
    if kind == "mov" and b"moov" not in found:
        raise AudioError(_CUT.format(name, "the index (moov) is missing, as when a recorder was interrupted"))


def _mov_boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    offset = 0
    for _ in range(_MAX_BOXES):
        file.seek(offset)
        head = file.read(16)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:  # up to the end
            length = size - offset
        if length < 8 or not name.isascii():
            return
        offset += length
        yield name, offset


def _caf_chunks(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    offset = 8
    for _ in range(_MAX_BOXES):
        file.seek(offset)
        head = file.read(12)
        if len(head) < 12:
            return
        name, length = struct.unpack(">4sq", head)
        if length < 0:  # written as a stream: up to the end
            return
        offset += 12 + length
        yield name, offset


def _asf_objects(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    offset = 0
    for _ in range(_MAX_BOXES):
        file.seek(offset)
        head = file.read(24)
        if len(head) < 24 or head[:16] not in (_ASF_HEADER, _ASF_DATA):
            return
        offset += max(24, int.from_bytes(head[16:24], "little"))
        yield head[:16], offset


def _matroska_segment(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int]]:
    """The EBML header and the segment behind it; a segment written as a stream has no length."""
    file.seek(4)
    length, digits, _ = _vint(file.read(8))
    offset = 4 + digits + length
    yield b"EBML", offset
    file.seek(offset)
    head = file.read(12)
    if head[:4] == _SEGMENT:
        length, digits, known = _vint(head[4:])
        if known:
            yield _SEGMENT, offset + 4 + digits + length


def _vint(data: bytes) -> tuple[int, int, bool]:
    """An EBML length, its number of bytes, and whether it is one at all: all ones means unknown."""
    digits = 9 - data[0].bit_length() if data and data[0] else 1
    value = int.from_bytes(data[:digits], "big") & ((1 << 7 * digits) - 1)
    return value, digits, value != (1 << 7 * digits) - 1
