"""Damage to files of chunks and of header fields: WAV, AIFF, NIST SPHERE, MP3. Everything else stays valid."""

from __future__ import annotations

import re
import struct
from random import Random

from scripts.fuzz.byte_mutations import number

_TAGS = (0, 1, 2, 3, 6, 7, 0x11, 0x31, 0x50, 0x55, 0x161, 0xFFFE, 0xFFFF)
_BITS = (0, 1, 4, 7, 8, 12, 15, 16, 17, 20, 24, 31, 32, 33, 64, 65, 255, 65_535)
_CHUNKS = (b"LIST", b"fact", b"cue ", b"JUNK", b"PEAK", b"bext", b"cart", b"smpl", b"inst", b"id3 ", b"SSND", b"MARK")
_FLOATS = (b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\x00\x00\x80\xff", b"\xff\xff\x7f\x7f", b"\x01\x00\x00\x00")


def wav(rng: Random, data: bytes) -> bytes:
    """A field of the format chunk, a chunk's length, the order of chunks, a chunk too many, samples that are none."""
    order = ">" if data[:4] == b"RIFX" else "<"
    chunks = _chunks(data, order)
    act = rng.choice((_format_field, _format_field, _extensible, _length, _more, _shuffle, _samples, _magic))
    return act(rng, data, chunks, order)


def aiff(rng: Random, data: bytes) -> bytes:
    """A field of COMM (channels, frames, bits, the rate as an 80-bit float), or chunks as in a WAV."""
    if rng.random() < 0.5:
        return rng.choice((_length, _more, _shuffle))(rng, data, _chunks(data, ">"), ">")
    at = data.index(b"COMM") + 8
    offset, width = rng.choice(((0, 2), (2, 4), (6, 2), (8, 2), (10, 8)))
    value = rng.choice(_BITS) if offset == 6 else number(rng, 8 * width)
    return data[: at + offset] + (value & ((1 << 8 * width) - 1)).to_bytes(width, "big") + data[at + offset + width :]


def nist(rng: Random, data: bytes) -> bytes:
    """A line of the header with another value, doubled, gone; another header length."""
    lines = data[:1024].split(b"\n")
    at = rng.randrange(len(lines) - 1)
    act = rng.randrange(4)
    if act == 0:
        lines[at] = rng.choice((b"", lines[at] * 2, b"sample_coding -s7 shorten", b"sample_n_bytes -i 0", b"end_head"))
    elif act == 1:
        lines.insert(at, rng.choice((*lines, b"channel_count -i 0", b"sample_byte_format -s99 " + b"1" * 900)))
    else:
        value = rng.choice((str(number(rng, 64)), "-1", "1e9", "", "%s%n", "mu-law", "pcm,embedded-shorten", "10"))
        lines[at] = re.sub(rb"[^ ]*$", value.encode(), lines[at])
    return b"\n".join(lines).ljust(1024)[:1024] + data[1024:]


def au(rng: Random, data: bytes) -> bytes:
    """A field of the header: where the sound begins, its length, its coding, rate, channels."""
    at = rng.choice((0, 4, 4, 8, 8, 12, 16, 20))
    return data[:at] + number(rng, 32).to_bytes(4, "big") + data[at + 4 :]


def mp3(rng: Random, data: bytes) -> bytes:
    """Frame headers with other versions, layers, rates; frames lost or doubled; tags with wrong lengths."""
    frames = [found.start() for found in re.finditer(rb"\xff[\xe0-\xff]", data)] or [0]
    at = rng.choice(frames)
    act = rng.randrange(4)
    if act == 0:
        size = number(rng, 28).to_bytes(4, "big")
        return b"ID3" + rng.choice((b"\x03\x00", b"\x04\x00", b"\xff\xff")) + rng.randbytes(1) + size + data
    if act == 1:
        return data[:at] + data[rng.choice(frames) :]
    damaged = bytearray(data)
    for place in [at] if act == 2 else rng.choices(frames, k=4):
        offset = place + rng.randint(1, 3)
        if offset < len(damaged):
            damaged[offset] ^= 1 << rng.randrange(8)
    return bytes(damaged)


# --- RIFF and AIFF ----------------------------------------------------------------------------------------------------


def _chunks(data: bytes, order: str) -> list[tuple[int, int]]:
    """Where each chunk begins and its whole length, header and padding included."""
    found, at = [], 12
    while at + 8 <= len(data):
        length = 8 + struct.unpack(order + "I", data[at + 4 : at + 8])[0]
        length = min(length + length % 2, len(data) - at)
        found.append((at, length))
        at += length
    return found


def _format_field(rng: Random, data: bytes, chunks: list, order: str) -> bytes:
    at = data.index(b"fmt ") + 8
    offset, code = rng.choice(((0, "H"), (2, "H"), (2, "H"), (4, "I"), (4, "I"), (8, "I"), (12, "H"), (14, "H")))
    bits = struct.calcsize(code) * 8
    value = {0: rng.choice(_TAGS), 14: rng.choice(_BITS)}.get(offset, number(rng, bits))
    fields = bytearray(data)
    struct.pack_into(order + code, fields, at + offset, value)
    if offset == 2 and rng.random() < 0.5:  # a frame that fits the new number of channels
        width = struct.unpack_from(order + "H", fields, at + 14)[0] // 8
        struct.pack_into(order + "H", fields, at + 12, value * width & 0xFFFF)
    return bytes(fields)


def _extensible(rng: Random, data: bytes, chunks: list, order: str) -> bytes:
    """An extensible format chunk, made if need be, with another sub-format, mask or number of valid bits."""
    at = data.index(b"fmt ")
    tag, channels, rate, second, frame, bits = struct.unpack(order + "HHIIHH", data[at + 8 : at + 24])
    length = 8 + struct.unpack(order + "I", data[at + 4 : at + 8])[0]
    tail = bytes.fromhex("000000001000800000aa00389b71") if rng.random() < 0.7 else rng.randbytes(14)
    extra = (rng.choice((22, 0, 2, 65_535)), rng.choice(_BITS), number(rng, 32), rng.choice(_TAGS))
    body = struct.pack(order + "HHIIHHHHIH", 0xFFFE, channels, rate, second, frame, bits, *extra) + tail
    body = body[: rng.choice((40, 40, 40, 18, 24, 39))]
    return data[:at] + b"fmt " + struct.pack(order + "I", len(body)) + body + data[at + length :]


def _length(rng: Random, data: bytes, chunks: list, order: str) -> bytes:
    at = rng.choice([4, *(start + 4 for start, _ in chunks)])
    old = struct.unpack(order + "I", data[at : at + 4])[0]
    new = rng.choice((number(rng, 32), max(0, old + rng.randint(-9, 9)), len(data) - at))
    return data[:at] + struct.pack(order + "I", new) + data[at + 4 :]


def _more(rng: Random, data: bytes, chunks: list, order: str) -> bytes:
    """Another chunk: one of the file's own, or of a known name with noise in it."""
    start, length = rng.choice(chunks)
    body = rng.randbytes(rng.choice((0, 1, 4, 28, 300)))
    claimed = len(body) if rng.random() < 0.7 else number(rng, 32)
    made = rng.choice((data[start : start + length], rng.choice(_CHUNKS) + struct.pack(order + "I", claimed) + body))
    at = rng.choice(chunks)[0]
    return data[:at] + made * rng.choice((1, 1, 2, 200)) + data[at:]


def _shuffle(rng: Random, data: bytes, chunks: list, order: str) -> bytes:
    parts = [data[start : start + length] for start, length in chunks]
    rng.shuffle(parts)
    return data[:12] + b"".join(parts[: rng.randint(0, len(parts))])


def _samples(rng: Random, data: bytes, chunks: list, order: str) -> bytes:
    """Values that are no sound: NaN, infinity, the largest float, denormals."""
    at = data.index(b"data") + 8
    at += rng.randrange(max(1, len(data) - at)) // 8 * 8
    return data[:at] + rng.choice(_FLOATS) * rng.choice((1, 2, 300)) + data[at + 4 :]


def _magic(rng: Random, data: bytes, chunks: list, order: str) -> bytes:
    return rng.choice((b"RIFF", b"RIFX", b"RF64", b"riff", b"FFIR")) + data[4:]
