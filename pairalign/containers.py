"""What an audio file is and what it promises, read from its first bytes before any decoder sees it.

Decoders are native code with a history of bugs in rare codecs, and headers lie. So the container is recognised here, by
content and never by file name, and only the few codecs that speech recordings need are let through.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

from pairalign.errors import PairAlignError
from pairalign.formats import READABLE

_WAV_PCM, _WAV_FLOAT, _WAV_EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_WAV_CODECS = {
    0x0002: "Microsoft ADPCM",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM 6.10",
    0x0040: "G.721 ADPCM",
    0x0050: "MPEG",
    0x0055: "MP3 inside WAV",
    0x0161: "Windows Media",
}
# the tail shared by every Microsoft sub-format GUID; the first two bytes before it are the plain format tag
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
# programs that write to a pipe cannot go back to fill in the length and leave one of these
_UNKNOWN_LENGTH_FROM = 0x7FFF_F000
# some writers count the header as data
_LENGTH_SLACK_BYTES = 64
_MAX_CHUNKS = 1000
# the decoder's names; checked again after it opened the file, in case it read the header another way than we do
ALLOWED_SUBTYPES = {
    "wav": {"PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"},
    "aiff": {"PCM_S8", "PCM_16", "PCM_24", "PCM_32"},
    "nist": {"PCM_S8", "PCM_16", "PCM_24", "PCM_32", "ULAW", "ALAW"},
    "flac": {"PCM_S8", "PCM_16", "PCM_24"},
    "ogg": {"VORBIS", "OPUS", "PCM_16", "PCM_24"},
    "mp3": {"MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"},
}
_FOREIGN = {
    b"\x1aE\xdf\xa3": "WebM or Matroska",
    b"caff": "Apple CAF",
    b"riff": "Sony Wave64",
    b".snd": "Sun AU",
    b"%PDF": "PDF",
    b"PK\x03\x04": "ZIP",
    b"\x1f\x8b\x08\x00": "gzip",
}


class AudioError(PairAlignError):
    """A recording cannot be used. The message says what is wrong, what is allowed and what to do."""


@dataclass(frozen=True)
class Container:
    """The recognised kind of a file and the number of sample frames its header promises (None: no reliable promise)."""

    kind: str
    promised_frames: int | None = None


def inspect(file: BinaryIO, size: int) -> Container:
    """Recognise an open file of `size` bytes by its content; `AudioError` for whatever must not reach a decoder."""
    start = _skip_id3(file)
    file.seek(start)
    head = file.read(4096)
    if start == 0 and head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] == b"WAVE":
        return Container("wav", _check_wav(file, size, big_endian=head[:4] == b"RIFX"))
    if head[:4] == b"fLaC":
        return Container("flac", _flac_frames(head))
    if head[:4] == b"OggS":
        return Container("ogg")  # pages carry no total, so a cut file is simply a shorter one
    if head[:4] == b"FORM" and head[8:12] == b"AIFF":
        return Container("aiff", _aiff_frames(head))
    if head[:7] == b"NIST_1A":
        return Container("nist", _nist_frames(head))
    if _is_mpeg_audio(head.lstrip(b"\0") if start else head):  # a tag may be followed by padding
        return Container("mp3")
    raise AudioError(f"{_describe_foreign(head)}. Allowed: {READABLE}. Convert it to WAV or FLAC")


def _describe_foreign(head: bytes) -> str:
    if head[4:8] == b"ftyp":
        return "this is an MP4 or M4A file, which cannot be read"
    if head[:4] in _FOREIGN:
        return f"this is a {_FOREIGN[head[:4]]} file, which cannot be read"
    if head[:4] in (b"RIFF", b"FORM", b"RIFX", b"RF64"):
        kind = head[8:12].decode("ascii", "replace")
        return f"this is a {head[:4].decode()} file of type {kind!r}, not plain audio"
    if head and b"\x00" not in head and not any(byte < 9 for byte in head):
        return "this looks like text, not audio, whatever its name says"
    return "this is not an audio file of a known kind"


def _skip_id3(file: BinaryIO) -> int:
    """Offset behind an ID3v2 tag, which may precede MP3 and FLAC alike; 0 without one."""
    file.seek(0)
    head = file.read(10)
    if len(head) < 10 or head[:3] != b"ID3" or any(byte & 0x80 for byte in head[6:10]):
        return 0
    length = (head[6] << 21) | (head[7] << 14) | (head[8] << 7) | head[9]
    return 10 + length


def _is_mpeg_audio(head: bytes) -> bool:
    """An MPEG audio frame header: 11 sync bits, then version, layer, bit rate and rate without reserved values."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    return version != 1 and layer != 0 and head[2] >> 4 != 15 and head[2] >> 2 & 3 != 3


def _check_wav(file: BinaryIO, size: int, big_endian: bool) -> int | None:
    """Walk the RIFF chunks: every format chunk must name a plain codec, and the data must be as long as promised."""
    order = ">" if big_endian else "<"
    frame_bytes, rate, data, long_data = 0, 0, None, None
    offset = 12
    for _ in range(_MAX_CHUNKS):
        if offset + 8 > size:
            break
        file.seek(offset)
        head = file.read(8)
        name, length = struct.unpack(order + "4sI", head)
        if name == b"fmt ":
            rate, frame_bytes = _check_wav_format(file.read(min(length, 64)), order)
        elif name == b"ds64":  # RF64 keeps lengths beyond 4 GB here
            body = file.read(16)
            long_data = struct.unpack("<Q", body[8:16])[0] if len(body) == 16 else None
        elif name == b"data" and data is None:
            length = long_data if length == 0xFFFF_FFFF and long_data is not None else length
            data = (offset + 8, length)
        offset += 8 + length + (length & 1)
    if not frame_bytes:
        raise AudioError("this WAV file has no format chunk, so it cannot be decoded. Save it again as WAV or FLAC")
    if data is None:
        raise AudioError("this WAV file has no data chunk: it was cut off before the sound. Copy or record it again")
    return _wav_frames(*data, size, rate, frame_bytes)


def _wav_frames(start: int, length: int, size: int, rate: int, frame_bytes: int) -> int | None:
    if length >= _UNKNOWN_LENGTH_FROM:
        return None
    if length == 0 and size - start >= frame_bytes:
        raise AudioError(
            "this WAV file claims no sound, yet data follow: its recorder was interrupted before it wrote the length. "
            "Import it as raw data in an audio editor and save it again"
        )
    if start + length - size > _LENGTH_SLACK_BYTES:
        seconds = [n / frame_bytes / max(rate, 1) for n in (length, max(0, size - start))]
        raise AudioError(
            f"this WAV file is cut off: its header promises {seconds[0]:.2f} s and {seconds[1]:.2f} s are there. "
            "Copy it again, or open and save it in an audio editor to accept what is left"
        )
    return None  # the bytes are all there, and a plain codec cannot lose any of them


def _check_wav_format(body: bytes, order: str) -> tuple[int, int]:
    """Sample rate and bytes per frame of a format chunk; raises for every codec but PCM and float."""
    if len(body) < 16:
        raise AudioError("this WAV file has a damaged format chunk. Save it again as WAV or FLAC")
    tag, _channels, rate, _byte_rate, frame_bytes, _bits = struct.unpack(order + "HHIIHH", body[:16])
    if tag == _WAV_EXTENSIBLE:
        # a sub-format that is not one of Microsoft's counts as unknown: tag 0
        known = len(body) >= 40 and body[26:40] == _GUID_TAIL
        tag = struct.unpack(order + "H", body[24:26])[0] if known else 0
    if tag not in (_WAV_PCM, _WAV_FLOAT):
        codec = _WAV_CODECS.get(tag, f"format tag 0x{tag:04x}")
        raise AudioError(f"WAV with {codec} is not supported. Allowed: PCM or float. Convert it to 16-bit WAV or FLAC")
    if not rate or not frame_bytes:
        raise AudioError("this WAV file has a damaged format chunk. Save it again as WAV or FLAC")
    return rate, frame_bytes


def _flac_frames(head: bytes) -> int | None:
    """Total in the STREAMINFO block: 36 bits; 0 means that the encoder did not know."""
    if len(head) < 26:
        raise AudioError("this FLAC file is cut off inside its header. Copy it again")
    return (int.from_bytes(head[18:26], "big") & 0xF_FFFF_FFFF) or None


def _aiff_frames(head: bytes) -> int | None:
    found = head.find(b"COMM")
    return struct.unpack(">I", head[found + 10 : found + 14])[0] if 0 < found <= len(head) - 14 else None


def _nist_frames(head: bytes) -> int | None:
    found = re.search(rb"^sample_count -i (\d{1,12})\s*$", head[:4096], re.MULTILINE)
    return int(found.group(1)) if found else None
