"""Damage that knows nothing of a file's structure: flipped bits, cut, doubled, spliced, random bytes."""

from __future__ import annotations

from random import Random

NUMBERS = (0, 1, 2, 3, 7, 8, 9, 16, 63, 64, 127, 128, 255, 256, 999, 4_000, 16_000, 32_767, 32_768, 44_100, 65_535,
           65_536, 192_000, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**36 - 1, 2**63 - 1, 2**64 - 1)  # fmt: skip
MAGICS = (b"RIFF\xff\xff\xff\xffWAVEfmt ", b"RF64\xff\xff\xff\xffWAVEds64", b"fLaC\x00\x00\x00\x22", b"OggS\x00\x02",
          b"\xff\xfb\x90\x00", b"ID3\x04\x00\x00\x00\x00\x00\x7f", b"FORM\x00\x00\x10\x00AIFFCOMM",
          b"NIST_1A\n   1024\n", b"\xff\xf8\xc9\x08")  # fmt: skip
LONGEST = 400_000


def number(rng: Random, bits: int) -> int:
    """A number of so many bits at which programs tend to fail, or any."""
    found = rng.choice(NUMBERS) if rng.random() < 0.75 else rng.getrandbits(bits)
    return found & ((1 << bits) - 1)


def flip(rng: Random, data: bytes) -> bytes:
    """Some bits the other way, near the start more often than elsewhere."""
    damaged = bytearray(data)
    reach = min(len(data), 200) if rng.random() < 0.5 else len(data)
    for _ in range(rng.randint(1, 12)):
        damaged[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def overwrite(rng: Random, data: bytes) -> bytes:
    """A few bytes replaced by a telling number or by noise."""
    width = rng.choice((1, 2, 4, 8))
    at = rng.randrange(max(1, min(len(data), 200) if rng.random() < 0.5 else len(data)))
    patch = number(rng, 8 * width).to_bytes(width, rng.choice(("little", "big")))
    return data[:at] + patch + data[at + width :]


def cut(rng: Random, data: bytes) -> bytes:
    """The end, the start or a part of the middle is gone."""
    a, b = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    return rng.choice((data[:a], data[a:], data[:a] + data[b:]))


def double(rng: Random, data: bytes) -> bytes:
    """A part, or everything, occurs several times."""
    a, b = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    return rng.choice((data * rng.randint(2, 4), data[:b] + data[a:b] * rng.randint(1, 20) + data[b:]))[:LONGEST]


def insert(rng: Random, data: bytes) -> bytes:
    """Noise or zeros in between."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((rng.randbytes, bytes))(rng.choice((1, 2, 3, 16, 500))) + data[at:]


def noise(rng: Random, data: bytes) -> bytes:
    """Random bytes, perhaps behind the first bytes of a known kind."""
    head = rng.choice((b"", *MAGICS, data[: rng.randint(1, 200)]))
    return head + rng.randbytes(rng.choice((0, 1, 10, 300, 5_000)))


PLAIN = {"flip": flip, "overwrite": overwrite, "cut": cut, "double": double, "insert": insert, "noise": noise}


def splice(rng: Random, data: bytes, other: bytes) -> bytes:
    """The start of one file and the end of another, or one file behind the other."""
    if rng.random() < 0.3:
        return data + other
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]
