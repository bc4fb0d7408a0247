"""Files that hold several streams one after the other, with tags, padding and junk between them: all of it is read."""

import struct

import numpy as np
import pytest

from pairalign.audio import SAMPLE_RATE_HZ, AudioError, read_audio, read_parts
from pairalign.excerpt import header_duration_s, read_excerpt
from pairalign.mpeg import parse_frame
from tests.unit.test_audio import strongest_hz, tone, wav_bytes

FIRST_S, SECOND_S = 2.0, 1.5


def stereo(wave):
    return np.stack([wave, wave], axis=1)


def first(kind, subtype=None):
    return wav_bytes(tone(FIRST_S, hz=400), kind=kind, subtype=subtype)


def second(kind, subtype=None, rate=16_000, channels=1):
    wave = tone(SECOND_S, rate, hz=900)
    return wav_bytes(wave if channels == 1 else stereo(wave), rate, kind=kind, subtype=subtype)


def id3(length, size=None):
    size = length if size is None else size
    return b"ID3\x03\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + bytes(length)


def ape(length):
    """An APEv2 tag with header and footer."""
    ends = [b"APETAGEX" + struct.pack("<IIII8x", 2000, length + 32, 1, flags) for flags in (0xA000_0000, 0x8000_0000)]
    return ends[0] + bytes(length) + ends[1]


def without_info(data):
    """An MP3 file without the frame that gives its length."""
    return data[parse_frame(data[:4]).length :]


MP3, MP3_B = first("MP3"), second("MP3")
ID3V1 = b"TAG" + bytes(125)
NOISE = np.random.default_rng(0).bytes(20_000)
JOINED = {
    "mp3": MP3 + MP3_B,
    "mp3, each with tags": id3(700) + MP3 + ape(3000) + ID3V1 + id3(20) + MP3_B + ID3V1,
    "mp3, an old tag between": MP3 + ID3V1 + MP3_B,
    "mp3, a large new tag between": MP3 + id3(100_000) + MP3_B,
    "mp3, padding between": MP3 + bytes(5000) + MP3_B + bytes(5000),
    "mp3, junk between": MP3 + NOISE + MP3_B,
    "mp3, the second without its length": MP3 + without_info(MP3_B),
    "mp3, both without their lengths": without_info(MP3) + without_info(MP3_B),
    "mp3 of two rates": MP3 + second("MP3", rate=44_100),
    "mp3 of two rates and channels": MP3 + second("MP3", rate=44_100, channels=2),
    "opus": first("OGG", "OPUS") + second("OGG", "OPUS"),
    "opus of two rates": first("OGG", "OPUS") + second("OGG", "OPUS", rate=48_000, channels=2),
    "vorbis": first("OGG", "VORBIS") + second("OGG", "VORBIS"),
    "vorbis of two rates": first("OGG", "VORBIS") + second("OGG", "VORBIS", rate=44_100, channels=2),
    "opus and vorbis": first("OGG", "OPUS") + second("OGG", "VORBIS"),
    "ogg, junk between": first("OGG", "VORBIS") + NOISE + second("OGG", "VORBIS"),
    "flac": first("FLAC") + second("FLAC"),
    "flac of two rates": first("FLAC") + second("FLAC", rate=48_000),
    "wav": first("WAV") + second("WAV"),
    "wav of two kinds": first("WAV", "PCM_16") + second("WAV", "FLOAT", rate=44_100, channels=2),
    "wav whose odd length was not padded": wav_bytes(tone(2.0, hz=400)[:-1], subtype="PCM_U8")[:-1] + second("WAV"),
    "aiff": first("AIFF") + second("AIFF"),
    "wav with two data chunks": first("WAV")
    + b"data"
    + struct.pack("<I", round(2 * SECOND_S * SAMPLE_RATE_HZ))
    + (tone(SECOND_S, hz=900) * 32767).astype("<i2").tobytes(),
}


@pytest.mark.parametrize("case", JOINED)
def test_every_part_of_a_joined_file_is_read(case):
    data = JOINED[case]
    wave = read_audio(data)
    assert len(wave) == pytest.approx((FIRST_S + SECOND_S) * SAMPLE_RATE_HZ, abs=2400)  # MP3 without lengths is padded
    assert strongest_hz(wave[4_000:28_000]) == pytest.approx(400, abs=2)
    assert strongest_hz(wave[-16_000:-3_000]) == pytest.approx(900, abs=2)
    assert header_duration_s(data) == pytest.approx(len(wave) / SAMPLE_RATE_HZ, abs=0.001)
    assert sum(len(part) for part in read_parts(data, 1.0)) == len(wave)


@pytest.mark.parametrize("case", ["mp3", "opus of two rates", "flac", "wav of two kinds"])
def test_an_excerpt_may_lie_anywhere_in_a_joined_file(case):
    data = JOINED[case]
    wave = read_audio(data)
    for start_s, end_s in ((0.5, 1.0), (1.5, 3.0), (2.7, 3.2), (3.0, 9.0)):
        heard = read_excerpt(data, start_s, end_s)
        expected = wave[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]
        assert len(heard) == pytest.approx(len(expected), abs=2)
        assert strongest_hz(heard[-4_800:]) == pytest.approx(strongest_hz(expected[-4_800:]), abs=5)
    assert len(read_excerpt(data, 9.0, 10.0)) == 0


def test_the_end_of_a_joined_file_is_checked_too():
    for kind in ("FLAC", "WAV", "AIFF"):
        with pytest.raises(AudioError, match="cut off|damaged"):
            read_audio(first(kind) + second(kind)[:-9000])


ALONE = {
    "mp3 with two tags": id3(100) + id3(3000) + MP3,
    "mp3 with padding after its tag": id3(100) + bytes(9000) + MP3,
    "mp3 with a tag longer than it says": id3(900, size=100) + b"x" * 50 + MP3,
    "mp3 with a tag that claims too much": id3(500, size=200_000_000) + MP3,
    "mp3 that begins in the middle of a stream": NOISE[:3000] + MP3,
    "mp3 with junk behind": MP3 + NOISE,
    "mp3 without its length": without_info(MP3),
    "flac with an old tag behind": first("FLAC") + ID3V1,
    "flac with two tags": id3(9) + id3(99) + bytes(10) + first("FLAC"),
    "ogg with a tag": id3(99) + first("OGG", "VORBIS"),
}


@pytest.mark.parametrize("case", ALONE)
def test_what_lies_around_a_recording_does_no_harm(case):
    wave = read_audio(ALONE[case])
    assert len(wave) == pytest.approx(FIRST_S * SAMPLE_RATE_HZ, abs=1500)
    assert strongest_hz(wave[4_000:28_000]) == pytest.approx(400, abs=2)


def test_a_file_of_very_many_parts_is_refused():
    with pytest.raises(AudioError, match="joined from more than"):
        read_audio(wav_bytes(tone(0.001)) * 10_001)
