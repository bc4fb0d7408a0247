"""Damage to the files of phones and browsers: boxes of MP4 and CAF, elements of Matroska, frames of AAC and AMR."""

from __future__ import annotations

import re
from random import Random

from scripts.fuzz.byte_mutations import number

_BOXES = re.compile(
    rb"ftyp|moov|mvhd|trak|tkhd|edts|elst|mdia|mdhd|hdlr|minf|dinf|dref|stbl|stsd|mp4a|alac|esds|stts|stsc|stsz|stco|"
    rb"co64|sgpd|sbgp|mvex|trex|moof|mfhd|traf|tfhd|tfdt|trun|sidx|mfra|mdat|samr|damr|udta|desc|pakt|data|kuki|chan"
)
# header, doc type, segment, index, tracks, codec and its data, rate, clusters, blocks, cues
_ELEMENTS = re.compile(
    rb"\x1a\x45\xdf\xa3|\x42\x82|\x18\x53\x80\x67|\x11\x4d\x9b\x74|\x15\x49\xa9\x66|\x2a\xd7\xb1|"
    rb"\x44\x89|\x16\x54\xae\x6b|\xae|\xe1|\xb5|\x9f|\x86|\x63\xa2|\x56\xaa|\x56\xbb|\x1f\x43\xb6\x75|\xe7|\xa3|\xa0|\xa1|\x1c\x53\xbb\x6b|\xec"
)
_SYNC = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")


def boxes(rng: Random, data: bytes) -> bytes:
    """A length, or a number behind the name of a box; a box twice, gone, or under another name."""
    places = [found.start() for found in _BOXES.finditer(data)]
    at = rng.choice(places)
    act = rng.randrange(6)
    if act == 0:
        return _patched(rng, data, at - 4, 4)
    if act == 1:
        name = data[(other := rng.choice(places)) : other + 4]
        return data[:at] + name + data[at + 4 :]
    if act == 2:
        length = int.from_bytes(data[at - 4 : at], "big")
        part = data[at - 4 : at - 4 + min(length, 20_000)]
        return rng.choice(
            (data[: at - 4] + data[at - 4 + length :], data[: at - 4] + part * 3 + data[at - 4 + length :])
        )
    return _patched(rng, data, at + 4 + rng.randrange(0, 48), rng.choice((1, 2, 4, 4, 8)))


def elements(rng: Random, data: bytes) -> bytes:
    """A length or a value behind the id of an element; the head of the file more often than its sound."""
    places = [found for found in _ELEMENTS.finditer(data) if found.start() < 1_000 or rng.random() < 0.05]
    found = rng.choice(places)
    act = rng.randrange(4)
    if act == 0:
        other = rng.choice(places)
        return data[: found.start()] + other.group() + data[found.end() :]
    if act == 1:
        other = rng.choice(places)
        a, b = sorted((found.start(), other.start()))
        return data[:b] + data[a:b] * rng.choice((1, 3, 50)) + data[b:]
    return _patched(rng, data, found.end() + (0 if act == 2 else rng.randrange(9)), rng.choice((1, 1, 2, 8)))


def adts(rng: Random, data: bytes) -> bytes:
    """Fields of frame headers: profile, rate, channels, length."""
    damaged = bytearray(data)
    places = [found.start() for found in _SYNC.finditer(data)]
    for at in rng.choices(places, k=rng.choice((1, 1, 3))):
        if at + 7 <= len(damaged):
            damaged[at + rng.randrange(1, 7)] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def amr(rng: Random, data: bytes) -> bytes:
    """The mode of a frame, its bits, or frames too many."""
    at = 6 + 13 * rng.randrange(max(1, len(data) // 13))
    return rng.choice(
        (
            _patched(rng, data, at, 1),
            data[:at] + rng.randbytes(rng.choice((1, 13, 32))) + data[at:],
            data[:at] + data[6:],
        )
    )


def _patched(rng: Random, data: bytes, at: int, width: int) -> bytes:
    at = max(0, min(at, len(data) - width))
    return data[:at] + number(rng, 8 * width).to_bytes(width, "big") + data[at + width :]
