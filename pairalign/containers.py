"""What an audio file is and what it promises, read from its own bytes before any decoder sees it.

Decoders are native code with a history of bugs in rare codecs, and headers lie. So the container is recognised here, by
content and never by file name, and only the few codecs that speech recordings need are let through.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from pairalign import media, mpeg, ogg, pcm
from pairalign.errors import AudioError
from pairalign.formats import READABLE
from pairalign.layout import Container, Part, find

# the marker of a FLAC file and the head of its first block, which is always 34 bytes long
_FLAC_START = b"fLaC\x00\x00\x00\x22"
_FOREIGN = {b"%PDF": "a PDF", b"PK\x03\x04": "a ZIP", b"\x1f\x8b\x08\x00": "a gzip"}
_MAX_PARTS = 10_000


def inspect(file: BinaryIO, size: int) -> Container:
    """Recognise an open file of `size` bytes by its content; `AudioError` for whatever must not reach a decoder."""
    container = _recognise(file, size)
    if len(container.parts) > _MAX_PARTS:
        raise AudioError(f"the file is joined from more than {_MAX_PARTS} recordings. Convert it to WAV or FLAC")
    return container


def _recognise(file: BinaryIO, size: int) -> Container:
    start = mpeg.skip_tags(file, size)
    file.seek(start)
    head = file.read(4096)
    if start == 0 and pcm.is_pcm(head):
        return pcm.inspect_pcm(file, size)
    if head[:4] == b"fLaC":
        return Container("flac", tuple(_flac_streams(file, start, size)))
    if head[:4] == b"OggS":  # pages carry no total, so a cut file is simply a shorter one
        return Container("speex" if ogg.is_speex(head) else "ogg", ogg.ogg_links(file, start, size))
    if head[:7] == b"NIST_1A":
        return Container("nist", (Part(start, size, frames=_nist_frames(head)),))
    if kind := media.media_kind(head) if start == 0 else "":
        media.check_whole(kind, file, size)
        return Container(kind, (Part(0, size),))
    if mpeg.is_adts(file, start, size):
        return Container("adts", (Part(start, size),))
    if head[:4] not in _FOREIGN and (first := mpeg.first_frame(file, start, size)) is not None:
        return Container("mp3", mpeg.mpeg_streams(file, first, size))
    raise AudioError(f"{_describe_foreign(head)}. Allowed: {READABLE}. Convert it to WAV or FLAC")


def _describe_foreign(head: bytes) -> str:
    if head[:4] in _FOREIGN:
        return f"this is {_FOREIGN[head[:4]]} file, not audio"
    if head[:4] in (b"RIFF", b"FORM", b"RIFX", b"RF64"):
        kind = ascii(head[8:12].decode("latin-1"))
        return f"this is a {head[:4].decode()} file of type {kind}, not plain audio"
    if head and b"\x00" not in head and not any(byte < 9 for byte in head):
        return "this looks like text, not audio, whatever its name says"
    return "this is not an audio file of a known kind"


def _flac_streams(file: BinaryIO, start: int, size: int) -> list[Part]:
    """The FLAC files from `start` on: one, unless several were joined."""
    begins = [start]
    while (at := find(file, _FLAC_START, begins[-1] + 4, size)) > 0:
        begins.append(at)
        if len(begins) > _MAX_PARTS:
            break
    parts = []
    for begin, end in zip(begins, [*begins[1:], size], strict=True):
        file.seek(begin)
        parts.append(Part(begin, end, frames=_flac_frames(file.read(26))))
    return parts


def _flac_frames(head: bytes) -> int | None:
    """Total in the STREAMINFO block: 36 bits; 0 means that the encoder did not know."""
    if len(head) < 26:
        raise AudioError("this FLAC file is cut off inside its header. Copy it again")
    return (int.from_bytes(head[18:26], "big") & 0xF_FFFF_FFFF) or None


def _nist_frames(head: bytes) -> int | None:
    coding = re.search(rb"^sample_coding -s\d{1,3} \S*?(shorten|shortpack|wavpack)", head, re.MULTILINE)
    if coding:
        name = coding.group(1).decode()
        raise AudioError(
            f"this NIST SPHERE file is compressed with {name}, which cannot be read. "
            "Convert it to plain WAV, for example with sph2pipe -f wav"
        )
    found = re.search(rb"^sample_count -i (\d{1,12})\s*$", head, re.MULTILINE)
    return int(found.group(1)) if found else None
