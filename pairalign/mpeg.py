"""Frames of MPEG audio (MP3) and of AAC in ADTS: where streams begin and end among tags, padding and joints.

Joined MP3 files are several streams: each may begin with a frame that gives its own length, at which a decoder ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

from pairalign.layout import Part

_BITRATES_KBPS = {  # by MPEG 1 or not, and layer
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = (44_100, 48_000, 32_000)
_SEARCH_BYTES = 1 << 16  # as far as the first frame is searched among other bytes
_CHAIN = 3  # frames in a row that are no accident
_DAMAGE_BYTES = 1024  # up to here a decoder finds the next frame itself
_WINDOW_BYTES = 1 << 18


@dataclass(frozen=True)
class Frame:
    """A frame's length in bytes, what may not change within a stream, and where a length of the stream would be."""

    length: int
    stream: tuple[int, int, int, bool]
    info: int


def parse_frame(head: bytes) -> Frame | None:
    """The MPEG audio frame whose first 4 bytes are `head`; None for anything else, also for free bit rates."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate, index = head[2] >> 2 & 3, head[2] >> 4
    if version == 1 or layer == 4 or rate == 3 or index in (0, 15):
        return None
    first = version == 3
    rate_hz = _RATES_HZ[rate] >> (0 if first else 1 if version == 2 else 2)
    bitrate, padding = 1000 * _BITRATES_KBPS[first, layer][index - 1], head[2] >> 1 & 1
    mono = head[3] >> 6 == 3
    if layer == 1:
        length = (12 * bitrate // rate_hz + padding) * 4
    else:
        length = (144 if first or layer == 2 else 72) * bitrate // rate_hz + padding
    side = (17 if mono else 32) if first else (9 if mono else 17)
    return Frame(length, (version, layer, rate_hz, mono), 4 + side)


class _Window:
    """Short reads of an open file, served from larger ones."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self._file, self._start, self._held = file, 0, b""

    def at(self, offset: int, length: int) -> bytes:
        """So many bytes from `offset` on, fewer at the end."""
        if not self._start <= offset <= offset + length <= self._start + len(self._held):
            self._file.seek(offset)
            self._start, self._held = offset, self._file.read(max(length, _WINDOW_BYTES))
        return self._held[offset - self._start : offset - self._start + length]

    def frame(self, offset: int) -> Frame | None:
        return parse_frame(self.at(offset, 4))

    def chain(self, offset: int, frames: int) -> bool:
        """Whether so many frames of one stream follow each other here."""
        first = frame = self.frame(offset)
        for _ in range(frames - 1):
            if frame is None:
                return False
            offset += frame.length
            frame = self.frame(offset)
            if frame is None or first is None or frame.stream != first.stream:
                return False
        return first is not None


def skip_tags(file: BinaryIO, size: int) -> int:
    """Offset behind ID3v2 tags and the zeros after them; 0 without a tag. A tag that is too long is passed over."""
    window, offset = _Window(file, size), 0
    while length := _id3_length(window.at(offset, 10)):
        if offset + length >= size:
            return offset + 10
        offset += length
        while window.at(offset, 1) == b"\0":
            block = window.at(offset, 4096)
            offset += len(block) - len(block.lstrip(b"\0"))
    return offset


def first_frame(file: BinaryIO, start: int, size: int) -> int | None:
    """Where MPEG audio begins: here, or after at most 64 kB of other bytes; None for another kind of file."""
    window = _Window(file, size)
    if _is_header(window.at(start, 4)):
        return start
    block, at = window.at(start, _SEARCH_BYTES), -1
    while (at := block.find(b"\xff", at + 1)) >= 0:
        if window.chain(start + at, _CHAIN):
            return start + at
    return None


def mpeg_streams(file: BinaryIO, start: int, size: int) -> tuple[Part, ...]:
    """The byte ranges of the streams from the first frame on; one range where no frames can be followed."""
    window, parts = _Window(file, size), []
    offset: int | None = start
    while offset is not None and offset < size:
        end, following = _follow(window, offset)
        if end > offset:
            parts.append(Part(offset, end))
        offset = following
    return tuple(parts) or (Part(start, size),)


def is_adts(file: BinaryIO, start: int, size: int) -> bool:
    """Whether frames of AAC follow each other here."""
    window, offset = _Window(file, size), start
    for count in range(_CHAIN):
        head = window.at(offset, 7)
        if len(head) < 7:
            return count > 0 and not head
        if head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
            return False
        offset += max(7, (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5)
    return True


def _follow(window: _Window, start: int) -> tuple[int, int | None]:
    """Where the stream that begins at `start` ends, and where the next one begins (None: there is none)."""
    offset, end, count = start, start, 0
    stream, promised = None, None
    while offset < window.size:
        frame = window.frame(offset)
        if frame is None or (stream and frame.stream != stream and not window.chain(offset, 2)):
            following = _next_frame(window, offset, stream)
            if following is not None and following - offset <= _DAMAGE_BYTES and not _tag_length(window, offset):
                offset = following
                continue
            return (window.size if following is None and not _tag_length(window, offset) else offset), following
        frames = _frames_promised(window.at(offset, frame.info + 32), frame)
        if stream and (frame.stream != stream or frames is not None):
            return offset, offset
        if count - 1 == promised and window.chain(offset, _CHAIN):  # more than the first stream's own count
            return offset, offset
        if stream is None:
            stream, promised = frame.stream, frames or None
        count += 1
        offset += frame.length
        end = min(offset, window.size)
    return end, None


def _frames_promised(head: bytes, frame: Frame) -> int | None:
    """The number of frames in a frame that tells of its stream (0: not given); None in any other frame."""
    for at in (frame.info, 36):
        name = head[at : at + 4]
        if name in (b"Xing", b"Info") and at == frame.info:
            given = len(head) >= at + 12 and head[at + 7] & 1
            return int.from_bytes(head[at + 8 : at + 12], "big") if given else 0
        if name == b"VBRI" and at == 36:
            return int.from_bytes(head[50:54], "big")
    return None


def _next_frame(window: _Window, offset: int, stream: tuple[int, int, int, bool] | None) -> int | None:
    """The next frame behind tags and bytes that are none."""
    while offset < window.size:
        if length := _tag_length(window, offset):
            offset += length
            continue
        if window.frame(offset) and window.chain(offset, 2):
            return offset
        block = window.at(offset + 1, 4096)
        if not block:
            return None
        steps = [at for name in (b"\xff", b"ID3", b"TAG", b"APETAGEX") if (at := block.find(name)) >= 0]
        offset += 1 + (min(steps) if steps else max(1, len(block) - 8))
    return None


def _tag_length(window: _Window, offset: int) -> int:
    """Bytes of the tag at `offset`; 0 when there is none."""
    head = window.at(offset, 32)
    if head[:8] == b"APETAGEX" and len(head) == 32:
        return int.from_bytes(head[12:16], "little") + (32 if head[23] & 0x20 else 0) or 32
    if head[:3] == b"TAG":
        return 128
    return _id3_length(head)


def _id3_length(head: bytes) -> int:
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    footer = 10 if head[5] & 0x10 else 0
    return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + footer


def _is_header(head: bytes) -> bool:
    """A frame header without reserved values; the bit rate may be free."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer != 0 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3
