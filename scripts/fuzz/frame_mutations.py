"""Damage to FLAC and Ogg whose checksums are made right again, so that it reaches the decoder behind them."""

from __future__ import annotations

import re
import struct
from random import Random

from scripts.fuzz.byte_mutations import flip, number, overwrite


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    """The checksum of every byte, highest bit first."""
    found = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> (bits - 1) & 1 else 0)
        found.append(value & ((1 << bits) - 1))
    return tuple(found)


_CRC8, _CRC16, _CRC32 = _table(0x07, 8), _table(0x8005, 16), _table(0x04C11DB7, 32)


def _crc(table: tuple[int, ...], bits: int, data: bytes) -> int:
    value, mask, shift = 0, (1 << bits) - 1, bits - 8
    for byte in data:
        value = value << 8 & mask ^ table[value >> shift ^ byte]
    return value


# --- FLAC -------------------------------------------------------------------------------------------------------------

_BLOCK_TYPES = (0, 1, 2, 3, 4, 5, 6, 7, 126, 127)


def flac(rng: Random, data: bytes) -> bytes:
    """A field of STREAMINFO, a metadata block, a frame's header or its body."""
    return rng.choice((_streaminfo, _metadata, _frame_header, _frame_body, _frame_body, _frame_order))(rng, data)


def _streaminfo(rng: Random, data: bytes) -> bytes:
    """Block sizes, frame sizes, or the 64 bits of rate (20), channels (3), bits (5) and samples (36)."""
    fields = int.from_bytes(data[8:42], "big")
    shift, bits = rng.choice(((256, 16), (240, 16), (216, 24), (192, 24), (172, 20), (169, 3), (164, 5), (128, 36)))
    fields &= ~(((1 << bits) - 1) << shift)
    return data[:8] + (fields | number(rng, bits) << shift).to_bytes(34, "big") + data[42:]


def _metadata(rng: Random, data: bytes) -> bytes:
    """A block of another kind, with counts and lengths that lie, or the length of a block that is there."""
    if rng.random() < 0.3:
        return data[:5] + number(rng, 24).to_bytes(3, "big") + data[8:]
    claims = struct.pack(rng.choice("<>") + "II", number(rng, 32), number(rng, 32))
    body = rng.choice((claims, claims * 4, rng.randbytes(396), b"reference libFLAC" + claims, bytes(18) + claims))
    length = len(body) if rng.random() < 0.7 else number(rng, 24)
    kind = rng.choice(_BLOCK_TYPES) | (0x80 if rng.random() < 0.1 else 0)
    return data[:42] + bytes([kind]) + length.to_bytes(3, "big") + body + data[42:]


def flac_frames(data: bytes) -> list[int]:
    """Where frames begin: a sync code whose header's own checksum is right."""
    found = []
    for match in re.finditer(rb"\xff[\xf8\xf9]", data):
        header = _header_length(data[match.start() : match.start() + 16])
        part = data[match.start() : match.start() + header]
        if len(part) == header and _crc(_CRC8, 8, part[:-1]) == part[-1]:
            found.append(match.start())
    return found


def _header_length(head: bytes) -> int:
    """Bytes of a frame header with its checksum: what follows the number of the frame depends on the first bytes."""
    if len(head) < 5:
        return 99
    first = head[4]
    coded = 1 if first < 0x80 else max(1, 8 - (~first & 0xFF).bit_length())
    sizes = {6: 1, 7: 2}.get(head[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    return 4 + coded + sizes + 1


def _frame(rng: Random, data: bytes) -> tuple[int, int]:
    starts = flac_frames(data)
    if not starts:
        return len(data), len(data)
    k = rng.randrange(len(starts))
    return starts[k], [*starts[1:], len(data)][k]


def _frame_header(rng: Random, data: bytes) -> bytes:
    """Block size, rate, channel layout, bits or number of a frame; both checksums fit."""
    start, end = _frame(rng, data)
    frame = bytearray(data[start:end])
    header = _header_length(frame)
    if len(frame) < header + 3:
        return flip(rng, data)
    frame[rng.randint(1, max(1, header - 2))] ^= 1 << rng.randrange(8)
    header = _header_length(frame)
    if len(frame) < header + 3:
        return data[:start] + bytes(frame) + data[end:]
    frame[header - 1] = _crc(_CRC8, 8, frame[: header - 1])
    return data[:start] + _sealed(frame) + data[end:]


def _frame_body(rng: Random, data: bytes) -> bytes:
    """Subframe kinds, predictor orders, residuals: noise where the coder's numbers are, with the right checksum."""
    start, end = _frame(rng, data)
    frame = bytearray(data[start:end])
    header = _header_length(frame)
    if len(frame) < header + 3:
        return overwrite(rng, data)
    reach = min(len(frame) - 2, header + 24) if rng.random() < 0.6 else len(frame) - 2
    for _ in range(rng.randint(1, 6)):
        frame[rng.randrange(header, max(header + 1, reach))] = rng.randrange(256)
    return data[:start] + _sealed(frame) + data[end:]


def _sealed(frame: bytearray) -> bytes:
    return bytes(frame[:-2]) + _crc(_CRC16, 16, frame[:-2]).to_bytes(2, "big")


def _frame_order(rng: Random, data: bytes) -> bytes:
    """A frame lost, doubled or somewhere else."""
    start, end = _frame(rng, data)
    other, _ = _frame(rng, data)
    rest = data[:start] + data[end:]
    return rng.choice((rest, data[:other] + data[start:end] * rng.choice((1, 3, 40)) + data[other:]))


# --- Ogg --------------------------------------------------------------------------------------------------------------


def ogg(rng: Random, data: bytes) -> bytes:
    """A field of a page, the order of pages, or bytes of a packet; every page's checksum fits."""
    pages = _pages(data)
    if not pages:
        return flip(rng, data)
    act = rng.choice((_page_field, _page_body, _page_body, _first_packet, _first_packet, _page_order))
    return b"".join(_checked(page) for page in act(rng, pages))


def _pages(data: bytes) -> list[bytes]:
    starts = [found.start() for found in re.finditer(b"OggS\x00", data)]
    pages = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    return [page for page in pages if len(page) > 27]


def _checked(page: bytes) -> bytes:
    bare = page[:22] + bytes(4) + page[26:]
    return page[:22] + struct.pack("<I", _crc(_CRC32, 32, bare)) + page[26:]


def numbered(data: bytes, serial: int) -> bytes:
    """The same Ogg file with another stream number."""
    return b"".join(_checked(page[:14] + struct.pack("<I", serial) + page[18:]) for page in _pages(data))


def _page_field(rng: Random, pages: list[bytes]) -> list[bytes]:
    """Version, flags, granule position, serial, sequence, number of segments, or the length of one."""
    k = rng.randrange(len(pages))
    offset, width = rng.choice(((4, 1), (5, 1), (6, 8), (6, 8), (14, 4), (18, 4), (26, 1), (27, 1)))
    page = bytearray(pages[k])
    page[offset : offset + width] = number(rng, 8 * width).to_bytes(width, "little")
    return [*pages[:k], bytes(page), *pages[k + 1 :]]


def _page_body(rng: Random, pages: list[bytes]) -> list[bytes]:
    """Bytes of packets: headers, codebooks, frames of sound."""
    k = rng.randrange(len(pages))
    head = 27 + pages[k][26]
    body = pages[k][head:]
    return [*pages[:k], pages[k][:head] + (flip(rng, body) if body else b""), *pages[k + 1 :]]


def _first_packet(rng: Random, pages: list[bytes]) -> list[bytes]:
    """OpusHead (version, channels, pre-skip, rate, gain, mapping) or Vorbis' first header (channels, rate, blocks)."""
    page = bytearray(pages[0])
    head = 27 + page[26]
    opus = ((8, 1), (9, 1), (10, 2), (12, 4), (16, 2), (18, 1))
    vorbis = ((7, 4), (11, 1), (12, 4), (16, 4), (20, 4), (24, 4), (28, 1), (29, 1))
    offset, width = rng.choice(opus if page[head : head + 8] == b"OpusHead" else vorbis)
    page[head + offset : head + offset + width] = number(rng, 8 * width).to_bytes(width, "little")
    if rng.random() < 0.2 and page[26] == 1:  # a channel mapping table of any length behind it
        page += rng.randbytes(rng.choice((2, 10, 200)))
        page[27] = min(255, len(page) - head)
    return [bytes(page), *pages[1:]]


def _page_order(rng: Random, pages: list[bytes]) -> list[bytes]:
    """Pages lost, doubled, exchanged, or another stream begun in the middle."""
    k, j = rng.randrange(len(pages)), rng.randrange(len(pages))
    moved = [*pages[:k], *pages[k + 1 :]]
    return rng.choice((moved, [*pages[:j], pages[k], *pages[j:]], [*moved[:j], pages[k], *moved[j:]], pages + pages))
