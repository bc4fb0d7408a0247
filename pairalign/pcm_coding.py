"""How samples are coded, as the format chunks of WAV, AIFF and AU say it; whatever is compressed is refused."""

from __future__ import annotations

import struct

from pairalign.errors import AudioError
from pairalign.layout import Raw

DAMAGED = "this {} file has a damaged format chunk. Save it again as WAV or FLAC"
ALLOWED = "is not supported. Allowed: PCM, float, A-law or mu-law. Convert it to 16-bit WAV or FLAC"

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 0x0001, 0x0003, 0x0006, 0x0007, 0xFFFE
_WAV_CODECS = {
    0x0002: "Microsoft ADPCM",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0040: "G.721 ADPCM",
    0x0050: "MPEG",
    0x0055: "MP3 inside WAV",
    0x0161: "Windows Media",
}
# libsndfile's names by format tag and bytes per sample
_WAV_CODINGS = {
    (_PCM, 1): "PCM_U8",
    (_PCM, 2): "PCM_16",
    (_PCM, 3): "PCM_24",
    (_PCM, 4): "PCM_32",
    (_FLOAT, 4): "FLOAT",
    (_FLOAT, 8): "DOUBLE",
    (_ALAW, 1): "ALAW",
    (_MULAW, 1): "ULAW",
}
# the tail shared by every Microsoft sub-format GUID; the first two bytes before it are the plain format tag
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_AIFF_CODINGS = {
    b"NONE": ("PCM", "BIG"),
    b"twos": ("PCM", "BIG"),
    b"sowt": ("PCM", "LITTLE"),
    b"raw ": ("PCM_U8", "BIG"),
    b"in24": ("PCM_24", "BIG"),
    b"in32": ("PCM_32", "BIG"),
    b"42ni": ("PCM_24", "LITTLE"),
    b"23ni": ("PCM_32", "LITTLE"),
    b"fl32": ("FLOAT", "BIG"),
    b"FL32": ("FLOAT", "BIG"),
    b"fl64": ("DOUBLE", "BIG"),
    b"FL64": ("DOUBLE", "BIG"),
    b"ulaw": ("ULAW", "BIG"),
    b"ULAW": ("ULAW", "BIG"),
    b"alaw": ("ALAW", "BIG"),
    b"ALAW": ("ALAW", "BIG"),
}
_AIFF_PCM = {1: "PCM_S8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}
_AU_CODINGS = {1: "ULAW", 2: "PCM_S8", 3: "PCM_16", 4: "PCM_24", 5: "PCM_32", 6: "FLOAT", 7: "DOUBLE", 27: "ALAW"}
_WIDTHS = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}


def frame_bytes(raw: Raw) -> int:
    """Bytes of one sample of every channel."""
    return raw.channels * _WIDTHS.get(raw.coding, 1)


def wav_coding(body: bytes, order: str) -> Raw:
    """What a `fmt ` chunk says; `order` is struct's sign. Raises: AudioError when it is damaged or names a codec."""
    if len(body) < 16:
        raise AudioError(DAMAGED.format("WAV"))
    tag, channels, rate_hz, _byte_rate, block, bits = struct.unpack(order + "HHIIHH", body[:16])
    extensible = tag == _EXTENSIBLE
    if extensible:
        # a sub-format that is not one of Microsoft's counts as unknown: tag 0
        known = len(body) >= 40 and body[26:40] == _GUID_TAIL
        tag = struct.unpack(order + "H", body[24:26])[0] if known else 0
    if tag not in (_PCM, _FLOAT, _ALAW, _MULAW):
        raise AudioError(f"WAV with {_WAV_CODECS.get(tag, f'format tag 0x{tag:04x}')} {ALLOWED}")
    width = 1 if tag in (_ALAW, _MULAW) else (bits + 7) // 8
    if width == 3 and block == 4 * channels:  # 24 bits in words of 32: Microsoft's way, or that of one old editor
        width = 4 if extensible else 0
    coding = _WAV_CODINGS.get((tag, width), "")
    if not (rate_hz and channels and block and coding):
        raise AudioError(DAMAGED.format("WAV"))
    return Raw(rate_hz, channels, coding, "BIG" if order == ">" else "LITTLE")


def aiff_coding(body: bytes, compressed: bool) -> tuple[Raw, int]:
    """What a `COMM` chunk says, of AIFF or AIFF-C (`compressed`), and its number of frames.

    Raises: AudioError when it is damaged or names a codec.
    """
    if len(body) < (22 if compressed else 18):
        raise AudioError(DAMAGED.format("AIFF"))
    channels, frames, bits = struct.unpack(">HIH", body[:8])
    exponent, mantissa = struct.unpack(">HQ", body[8:18])  # the rate, a float of 80 bits
    shift = 16_383 + 63 - exponent
    rate_hz = mantissa >> shift if 32 <= shift < 64 else 0
    packing, width = body[18:22] if compressed else b"NONE", (bits + 7) // 8
    coding, endian = _AIFF_CODINGS.get(packing, ("", ""))
    if not coding or (packing == b"raw " and width != 1):
        raise AudioError(f"AIFF with the codec {ascii(packing.decode('latin-1'))} {ALLOWED}")
    coding = _AIFF_PCM.get(width, "") if coding == "PCM" else coding
    if not (rate_hz and channels and coding):
        raise AudioError(DAMAGED.format("AIFF"))
    return Raw(rate_hz, channels, coding, endian), frames


def au_coding(code: int, rate_hz: int, channels: int, endian: str) -> Raw:
    """What the header of an AU file says. Raises: AudioError when it is damaged or names a codec."""
    if code not in _AU_CODINGS:
        raise AudioError(f"AU with encoding {code} {ALLOWED}")
    if not (rate_hz and channels):
        raise AudioError(DAMAGED.format("AU"))
    return Raw(rate_hz, channels, _AU_CODINGS[code], endian)
