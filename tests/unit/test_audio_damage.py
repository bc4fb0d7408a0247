"""Damaged, disguised and oversized recordings: read, or refused in one line that names them."""

import os
import struct
import sys

import numpy as np
import pytest
import soundfile as sf

from pairalign.audio import (
    AudioError,
    AudioLimits,
    read_audio,
)
from tests.unit.test_audio import save, tone, wav_bytes


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32"])
def test_other_wav_codecs_never_reach_the_decoder(tmp_path, subtype, monkeypatch):
    rate = 8_000
    path = save(tmp_path / "a.wav", tone(0.5, rate), rate, subtype=subtype)
    monkeypatch.setattr(sf, "SoundFile", lambda *_: pytest.fail("the decoder saw it"))
    with pytest.raises(AudioError, match="not supported. Allowed: PCM, float, A-law or mu-law"):
        read_audio(path)


def test_second_format_chunk_cannot_smuggle_a_codec(tmp_path):
    data = wav_bytes()
    evil = b"fmt " + struct.pack("<IHHIIHH", 16, 0x11, 1, 16_000, 8_000, 256, 4)
    path = tmp_path / "a.wav"
    path.write_bytes(data[:36] + evil + data[36:])
    with pytest.raises(AudioError, match="IMA ADPCM"):
        read_audio(path)


def test_extensible_with_foreign_codec_is_refused(tmp_path):
    data = bytearray(wav_bytes(kind="WAVEX"))
    at = data.find(b"fmt ") + 8 + 24
    data[at : at + 2] = struct.pack("<H", 2)
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(AudioError, match="Microsoft ADPCM"):
        read_audio(tmp_path / "a.wav")


WAV = wav_bytes()
BAD_BYTES = {
    "empty": (b"", "empty"),
    "one byte": (b"R", "not audio|not an audio"),
    "text": (b"hello, this is a transcript\n" * 50, "looks like text"),
    "header only": (WAV[:44], "cut off"),
    "cut in the header": (WAV[:30], "damaged format chunk|no format chunk"),
    "no data chunk": (WAV[:36], "no data chunk"),
    "cut wav": (WAV[: len(WAV) // 2], r"promises 0.50 s and 0.25 s"),
    "cut rf64": (wav_bytes(kind="RF64")[:5000], "cut off"),
    "cut flac": (wav_bytes(tone(5), kind="FLAC")[:30_000], "cut off"),
    "cut flac header": (wav_bytes(kind="FLAC")[:20], "cut off"),
    "cut sphere": (wav_bytes(tone(5), kind="NIST")[:50_000], "cut off"),
    "cut aiff": (wav_bytes(kind="AIFF")[:5000], "cut off"),
    "cut vorbis": (wav_bytes(tone(5), kind="OGG", subtype="VORBIS")[:2000], "cut off in its last page"),
    "zeros": (bytes(5000), "not an audio file"),
    "noise": (b"\x80" + np.random.default_rng(1).bytes(5000), "not an audio file"),
    "avi": (b"RIFF" + struct.pack("<I", 500) + b"AVI " + bytes(500), "AVI"),
    "endless chunks": (b"RIFF" + struct.pack("<I", 500) + b"WAVE" + b"junk\0\0\0\0" * 5000, "no format chunk"),
    "chunk beyond the end": (b"RIFF\xff\xff\xff\xffWAVELIST\xff\xff\xff\xff" + bytes(99), "no format chunk"),
    "mp4": (b"\0\0\0\x20ftypM4A " + bytes(500), "M4A file is cut off: the index"),
    "webm": (b"\x1aE\xdf\xa3" + bytes(500), "damaged, cut off"),
    "id3 then nothing": (b"ID3\x04\0\0\0\0\0\x05hello" + bytes(50), "not an audio file"),
    "mpeg header then noise": (b"\xff\xfb\x90\x00" + np.random.default_rng(2).bytes(300), "damaged|holds"),
    "ogg page only": (b"OggS" + bytes(200), "damaged"),
    "no samples": (wav_bytes(np.zeros(0, np.float32)), "holds no samples"),
    "one sample": (wav_bytes(tone()[:1]), "a single sample"),
    "99 ms": (wav_bytes(tone(0.099)), "at least 0.1 s"),
    "silence": (wav_bytes(np.zeros(16_000, np.float32)), "is silent"),
    "constant": (wav_bytes(np.full(16_000, 0.5, np.float32)), "is silent"),
    "nan": (wav_bytes(np.where(np.arange(8_000) == 4_000, np.nan, tone()), subtype="FLOAT"), "NaN"),
    "infinity": (wav_bytes(np.where(np.arange(8_000) == 4_000, -np.inf, tone()), subtype="FLOAT"), "infinite"),
    "absurd values": (wav_bytes(tone() * 1e30, subtype="FLOAT"), "far beyond"),
    "low rate": (wav_bytes(tone(1, 3_999), 3_999), "3999 Hz; allowed: 4000 to 192000"),
    "high rate": (wav_bytes(tone(0.2, 384_000), 384_000), "384000 Hz"),
    "nine channels": (wav_bytes(np.stack([tone()] * 9, 1)), "9 channels; allowed: 1 to 8"),
    "channels that cancel": (wav_bytes(np.stack([tone(), -tone()], 1)), "cancel"),
}


@pytest.mark.parametrize("case", BAD_BYTES)
def test_bad_files_are_refused_in_one_line_that_names_them(tmp_path, case, capfd):
    data, words = BAD_BYTES[case]
    path = tmp_path / "bad file.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=words) as caught:
        read_audio(path)
    assert str(caught.value).startswith("bad file.wav: ") and "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_bad_paths(tmp_path):
    with pytest.raises(AudioError, match="no such file"):
        read_audio(tmp_path / "missing.wav")
    with pytest.raises(AudioError, match="folder"):
        read_audio(tmp_path)
    with pytest.raises(AudioError, match="no file name"):
        read_audio("")
    with pytest.raises(AudioError):
        read_audio("a\0b.wav")
    with pytest.raises(AudioError, match="cannot be opened"):
        read_audio("x" * 5000)
    with pytest.raises(AudioError) as caught:
        read_audio(tmp_path / "two\nlines.wav")
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipes_and_devices_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", "/dev/zero"):
        with pytest.raises(AudioError, match="not a regular file"):
            read_audio(path)


@pytest.mark.parametrize("length", [0x7FFF_F000, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_wav_written_to_a_pipe_is_read_to_its_end(tmp_path, length):
    data = bytearray(WAV)
    data[40:44] = struct.pack("<I", length)
    (tmp_path / "a.wav").write_bytes(data)
    assert len(read_audio(tmp_path / "a.wav")) == 8_000


def test_extra_chunks_and_trailing_bytes_are_fine(tmp_path):
    odd = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    (tmp_path / "a.wav").write_bytes(WAV[:36] + odd + WAV[36:] + odd + b"trailing")
    assert len(read_audio(tmp_path / "a.wav")) == 8_000


def test_id3_tags_are_skipped(tmp_path):
    tag = b"ID3\x04\0\0\0\0\x01\x00" + bytes(128)
    for kind in ("MP3", "FLAC"):
        (tmp_path / "a.bin").write_bytes(tag + wav_bytes(subtype=None, kind=kind))
        assert len(read_audio(tmp_path / "a.bin")) >= 8_000


KINDS = [("WAV", "PCM_16"), ("RF64", "PCM_24"), ("FLAC", None), ("OGG", "OPUS"), ("MP3", None), ("AIFF", "PCM_16")]


@pytest.mark.parametrize(("kind", "subtype"), [*KINDS, ("NIST", "PCM_16"), ("WAVEX", "FLOAT"), ("OGG", "VORBIS")])
def test_random_damage_is_read_or_refused_and_never_a_traceback(tmp_path, kind, subtype, capfd):
    rng = np.random.default_rng(7)
    base, path = wav_bytes(kind=kind, subtype=subtype), tmp_path / "a.wav"
    for trial in range(60):
        data = np.frombuffer(base, np.uint8).copy()
        reach = min(len(data), 120) if trial % 2 else len(data)
        data[rng.integers(reach, size=rng.integers(1, 8))] = rng.integers(256)
        path.write_bytes(data.tobytes()[: rng.integers(len(data)) if trial % 5 == 0 else None])
        try:
            wave = read_audio(path)
        except AudioError:
            continue
        assert np.isfinite(wave).all() and np.abs(wave).max() <= 1
    assert capfd.readouterr() == ("", "")


def test_damaged_mp3_prints_nothing(tmp_path, capfd):
    data = bytearray(wav_bytes(tone(2), subtype=None, kind="MP3"))
    data[1000::37] = np.random.default_rng(0).bytes(len(data[1000::37]))
    (tmp_path / "a.mp3").write_bytes(data)
    try:
        read_audio(tmp_path / "a.mp3")
    except AudioError:
        pass
    assert capfd.readouterr() == ("", "")
    print("still there", file=sys.stderr)
    assert capfd.readouterr().err == "still there\n"


def test_limits_hold_before_and_while_decoding(tmp_path):
    path = save(tmp_path / "a.flac", tone(3))
    with pytest.raises(AudioError, match="at most"):
        read_audio(path, AudioLimits(max_bytes=1000))
    with pytest.raises(AudioError, match="min allowed"):
        read_audio(path, AudioLimits(max_duration_s=2.0))
    # a FLAC whose header does not know its length is cut short while decoding
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    path.write_bytes(data)
    assert len(read_audio(path)) == 48_000
    with pytest.raises(AudioError, match="min allowed"):
        read_audio(path, AudioLimits(max_duration_s=2.0))


def test_header_that_promises_hours_costs_nothing(tmp_path):
    data = bytearray(wav_bytes(kind="FLAC"))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    (tmp_path / "a.flac").write_bytes(data)
    with pytest.raises(AudioError, match="min allowed|cut off"):
        read_audio(tmp_path / "a.flac")
