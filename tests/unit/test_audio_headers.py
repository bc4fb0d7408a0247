"""Headers of uncompressed recordings: codings, lengths that were never filled in, what is refused and why."""

import struct

import numpy as np
import pytest

from pairalign.audio import SAMPLE_RATE_HZ, AudioError, read_audio
from pairalign.excerpt import header_duration_s
from tests.unit.test_audio import strongest_hz, tone, wav_bytes

WAV = wav_bytes(tone(1.0))
INT16 = (tone(1.0) * 32767).astype("<i2")


def extended(rate):
    """A rate as AIFF's float of 80 bits."""
    power = rate.bit_length() - 1
    return struct.pack(">HQ", 16_383 + power, rate << (63 - power))


def aiff(samples, bits, packing=None, rate=16_000, channels=1, frames=None, length=None):
    frames = 16_000 if frames is None else frames
    comm = struct.pack(">HIH", channels, frames, bits) + extended(rate) + (packing + b"\0\0" if packing else b"")
    length = len(samples) + 8 if length is None else length
    kind, version = (b"AIFC", b"FVER" + struct.pack(">II", 4, 0xA280_5140)) if packing else (b"AIFF", b"")
    body = kind + version + b"COMM" + struct.pack(">I", len(comm)) + comm
    body += b"SSND" + struct.pack(">III", length, 0, 0) + samples
    return b"FORM" + struct.pack(">I", len(body)) + body


def au(samples, code, length=None, order=">"):
    magic = b".snd" if order == ">" else b"dns."
    return (
        magic
        + struct.pack(order + "5I", 28, len(samples) if length is None else length, code, 16_000, 1)
        + b"note"
        + samples
    )


def wav_of(fmt, data, length=None):
    length = len(data) if length is None else length
    return b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", length) + data


FLOATS = tone(1.0)
GUID = bytes.fromhex("000000001000800000aa00389b71")


def g711_fmt(tag, extra=b"", bits=8):
    return struct.pack("<HHIIHH", tag, 1, 16_000, 16_000, 1, bits) + extra


KINDS = {
    "wav mu-law": wav_bytes(tone(1.0), subtype="ULAW"),
    "wav a-law": wav_bytes(tone(1.0), subtype="ALAW"),
    "wav mu-law, extensible": wav_of(
        g711_fmt(0xFFFE, struct.pack("<HHIH", 22, 8, 4, 7) + GUID), wav_bytes(tone(1.0), subtype="ULAW")[-16_000:]
    ),
    "wav 24 bits in 32": wav_of(
        struct.pack("<HHIIHH", 0xFFFE, 1, 16_000, 64_000, 4, 32) + struct.pack("<HHIH", 22, 24, 4, 1) + GUID,
        (INT16.astype("<i4") << 16).tobytes(),
    ),
    "wav BW64": b"BW64" + wav_bytes(tone(1.0), kind="RF64")[4:],
    "wave64": wav_bytes(tone(1.0), kind="W64"),
    "aiff": aiff(INT16.astype(">i2").tobytes(), 16),
    "aiff-c NONE": aiff(INT16.astype(">i2").tobytes(), 16, b"NONE"),
    "aiff-c twos": aiff(INT16.astype(">i2").tobytes(), 16, b"twos"),
    "aiff-c sowt": aiff(INT16.tobytes(), 16, b"sowt"),
    "aiff-c sowt 24": aiff((INT16.astype("<i4") << 16).view(np.uint8).reshape(-1, 4)[:, 1:].tobytes(), 24, b"sowt"),
    "aiff-c in32": aiff((INT16.astype(">i4") << 16).astype(">i4").tobytes(), 32, b"in32"),
    "aiff-c fl32": aiff(FLOATS.astype(">f4").tobytes(), 32, b"fl32"),
    "aiff-c FL64": aiff(FLOATS.astype(">f8").tobytes(), 64, b"FL64"),
    "aiff-c raw": aiff((INT16 // 256 + 128).astype(np.uint8).tobytes(), 8, b"raw "),
    "aiff 8 bits": aiff((INT16 // 256).astype(np.int8).tobytes(), 8),
    "aiff-c ulaw": aiff(wav_bytes(tone(1.0), subtype="ULAW")[-16_000:], 16, b"ulaw"),
    "aiff-c ALAW": aiff(wav_bytes(tone(1.0), subtype="ALAW")[-16_000:], 8, b"ALAW"),
    "au 16 bits": au(INT16.astype(">i2").tobytes(), 3),
    "au mu-law": au(wav_bytes(tone(1.0), subtype="ULAW")[-16_000:], 1),
    "au little-endian float": au(FLOATS.astype("<f4").tobytes(), 6, order="<"),
}


@pytest.mark.parametrize("case", KINDS)
def test_every_plain_coding_is_read(case):
    wave = read_audio(KINDS[case])
    np.testing.assert_allclose(wave, tone(1.0), atol=0.02)
    assert header_duration_s(KINDS[case]) == 1.0


LENGTHS = [0, 0x7FFF_F000, 0x7FFF_FFDB, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFDB, 0xFFFF_FFFF]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("odd", [0, 1], ids=["even", "odd"])
def test_a_wav_whose_length_was_never_filled_in_is_read_to_its_end(length, odd):
    notes = []
    data = WAV[:4] + bytes(4) + WAV[8:40] + struct.pack("<I", length) + WAV[44:] + bytes(odd)
    np.testing.assert_allclose(read_audio(data, notes=notes), tone(1.0), atol=1e-4)
    assert len(notes) == 1 and "does not give its length" in notes[0] and "\n" not in notes[0]


def test_other_containers_without_a_length_are_read_to_their_end():
    big = INT16.astype(">i2").tobytes()
    for data in (
        au(big, 3, 0xFFFF_FFFF),
        aiff(big, 16, frames=0, length=0),
        aiff(big, 16, frames=0, length=0xFFFF_FFFF),
        aiff(big, 16, frames=0xFFFF_FFFF, length=0xFFFF_FFFF),
    ):
        notes = []
        np.testing.assert_allclose(read_audio(data, notes=notes), tone(1.0), atol=1e-4)
        assert len(notes) == 1
    np.testing.assert_allclose(read_audio(aiff(big, 16, length=0)), tone(1.0), atol=1e-4)  # AIFF counts frames as well
    rf64 = bytearray(wav_bytes(tone(1.0), kind="RF64"))
    at = rf64.find(b"ds64") + 16
    rf64[at : at + 8] = b"\xff" * 8
    assert len(read_audio(bytes(rf64))) >= SAMPLE_RATE_HZ


def test_a_good_header_gives_no_note():
    for data in (WAV, KINDS["aiff"], KINDS["wav BW64"], KINDS["au 16 bits"]):
        notes = []
        read_audio(data, notes=notes)
        assert notes == []


def test_a_recording_of_nothing_is_not_taken_for_one_without_a_length():
    empty = WAV[:40] + bytes(4)
    for data in (empty, empty + b"LIST" + struct.pack("<I", 4) + b"INFO"):
        with pytest.raises(AudioError, match="holds no samples"):
            read_audio(data)


SPHERE = (
    b"NIST_1A\n   1024\nchannel_count -i 1\nsample_rate -i 16000\nsample_count -i 9\nsample_coding -s%d %s\nend_head\n"
)
REFUSED = {
    "sphere, shorten": (
        (SPHERE % (26, b"pcm,embedded-shorten-v2.00")).ljust(1024) + bytes(5000),
        "compressed with shorten.*sph2pipe",
    ),
    "aiff-c ima4": (aiff(bytes(9000), 4, b"ima4"), "AIFF with the codec 'ima4' is not supported. Allowed: PCM"),
    "au g721": (au(bytes(9000), 23), "AU with encoding 23 is not supported"),
    "cut aiff": (KINDS["aiff"][:9000], "this AIFF file is cut off: its header promises 1.00 s and 0.28 s are there"),
    "cut au": (KINDS["au 16 bits"][:9000], "this AU file is cut off"),
    "cut wave64": (KINDS["wave64"][:9000], "this Wave64 file is cut off"),
    "cut rf64": (wav_bytes(tone(1.0), kind="RF64")[:9000], "this WAV file is cut off"),
    "no channels": (wav_of(struct.pack("<HHIIHH", 1, 0, 16_000, 32_000, 2, 16), bytes(9000)), "damaged format chunk"),
    "24 bits in 32, plain": (
        wav_of(struct.pack("<HHIIHH", 1, 1, 16_000, 64_000, 4, 24), bytes(9000)),
        "damaged format chunk",
    ),
    "two formats": (WAV[:36] + WAV[12:24] + struct.pack("<I", 8000) + WAV[28:], "two formats"),
    "pdf": (b"%PDF-1.7\n" + bytes(9000), "this is a PDF file, not audio"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_named(case):
    data, words = REFUSED[case]
    with pytest.raises(AudioError, match=words) as caught:
        read_audio(data)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("the recording in memory: ")


def test_an_extensible_header_does_not_hide_noise():
    assert strongest_hz(read_audio(KINDS["wav 24 bits in 32"])) == pytest.approx(440, abs=2)
