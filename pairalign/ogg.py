"""The links of a chained Ogg file: streams one after the other, as recorders write them when something changes."""

from __future__ import annotations

from typing import BinaryIO

from pairalign.errors import AudioError
from pairalign.layout import Part, find

_FIRST_PAGE = 0x02


def ogg_links(file: BinaryIO, start: int, size: int) -> tuple[Part, ...]:
    """The byte ranges of the links from `start` on; one for a file that is not chained.

    Raises: AudioError when the last page promises more bytes than there are.
    """
    begins = [start]
    offset, after_first = start, True
    while offset + 27 <= size:
        file.seek(offset)
        head = file.read(27 + 255)
        if head[:4] != b"OggS":
            if (offset := find(file, b"OggS", offset + 1, size)) < 0:
                break
            continue
        first = bool(head[5] & _FIRST_PAGE)
        if first and not after_first:  # several streams side by side begin together
            begins.append(offset)
        after_first = first
        offset += 27 + head[26] + sum(head[27 : 27 + head[26]])
    if offset > size:
        raise AudioError("this Ogg file is cut off in its last page. Copy it again, or convert what is left to WAV")
    return tuple(Part(a, b) for a, b in zip(begins, [*begins[1:], size], strict=True))


def needs_ffmpeg(head: bytes) -> bool:
    """Whether the first page of an Ogg file belongs to Speex or FLAC, which libsndfile does not read there."""
    return head[28:36] == b"Speex   " or head[28:33] == b"\x7fFLAC"
