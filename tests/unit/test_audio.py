"""Recordings of every usual kind come in; everything else is refused in words."""

import io
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from pairalign.audio import (
    SAMPLE_RATE_HZ,
    AudioError,
    AudioLimits,
    read_audio,
    slice_audio,
    wave_from_array,
    write_audio,
)


def tone(duration_s=0.5, rate=16_000, hz=440.0, gain=0.5):
    return (gain * np.sin(2 * np.pi * hz * np.arange(round(duration_s * rate)) / rate)).astype(np.float32)


def save(path, wave, rate=16_000, **kind):
    sf.write(path, wave, rate, **kind)
    return path


def wav_bytes(wave=None, rate=16_000, subtype="PCM_16", kind="WAV"):
    memory = io.BytesIO()
    sf.write(memory, tone() if wave is None else wave, rate, format=kind, subtype=subtype)
    return memory.getvalue()


def strongest_hz(wave):
    return np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).argmax() * SAMPLE_RATE_HZ / len(wave)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.wav", {"subtype": "PCM_U8"}),
        ("a.wav", {"subtype": "PCM_16"}),
        ("a.wav", {"subtype": "PCM_24"}),
        ("a.wav", {"subtype": "PCM_32"}),
        ("a.wav", {"subtype": "FLOAT"}),
        ("a.wav", {"subtype": "DOUBLE"}),
        ("a.wav", {"format": "WAVEX", "subtype": "PCM_16"}),
        ("a.wav", {"format": "WAVEX", "subtype": "FLOAT"}),
        ("a.wav", {"format": "WAV", "subtype": "PCM_16", "endian": "BIG"}),
        ("a.wav", {"format": "RF64", "subtype": "PCM_16"}),
        ("a.flac", {}),
        ("a.ogg", {"format": "OGG", "subtype": "VORBIS"}),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
        ("a.mp3", {"format": "MP3"}),
        ("a.aiff", {"format": "AIFF"}),
        ("a.sph", {"format": "NIST", "subtype": "PCM_16"}),
        ("a.sph", {"format": "NIST", "subtype": "ULAW"}),
    ],
)
def test_reads_usual_kinds(tmp_path, name, kind):
    wave = read_audio(save(tmp_path / name, tone(1.0), **kind))
    assert wave.dtype == np.float32 and wave.ndim == 1
    assert len(wave) == pytest.approx(SAMPLE_RATE_HZ, abs=1200)  # MP3 pads
    assert strongest_hz(wave) == pytest.approx(440, abs=3)
    middle = wave[2000:-2000]  # lossy codecs overshoot at the edges
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), abs=0.06)


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 12_345, 22_050, 22_051, 44_100, 48_000, 96_000, 192_000])
def test_resamples_every_rate(tmp_path, rate):
    wave = read_audio(save(tmp_path / "a.wav", tone(1.0, rate), rate))
    assert abs(len(wave) - SAMPLE_RATE_HZ) <= 1
    middle = slice(1000, 15_000)
    assert np.abs(wave[middle] - tone(1.0)[middle]).max() < 0.005


def test_resampling_removes_what_16_khz_cannot_hold(tmp_path):
    high = tone(1.0, 48_000, hz=12_000) + tone(1.0, 48_000, hz=1_000, gain=0.3)
    wave = read_audio(save(tmp_path / "a.wav", high, 48_000))
    assert np.abs(wave[1000:-1000] - tone(1.0, hz=1_000, gain=0.3)[1000:-1000]).max() < 0.001


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_blocks_leave_no_seams(rate):
    from pairalign.resample import resample_blocks

    wave = np.random.default_rng(0).normal(0, 0.1, 3 * rate + 17).astype(np.float32)
    whole = np.concatenate(list(resample_blocks([wave], rate, SAMPLE_RATE_HZ)))
    cuts = [5, 900, 1000, rate, 2 * rate + 1]
    pieces = np.concatenate(list(resample_blocks(np.split(wave, cuts), rate, SAMPLE_RATE_HZ)))
    assert len(whole) == len(pieces) == -(-len(wave) * SAMPLE_RATE_HZ // rate)
    np.testing.assert_allclose(pieces, whole, atol=1e-6)


@pytest.mark.parametrize("channels", range(1, 9))
def test_mixes_channels(tmp_path, channels):
    frames = np.stack([tone(gain=0.5)] + [np.zeros(8_000, np.float32)] * (channels - 1), axis=1)
    wave = read_audio(save(tmp_path / "a.wav", frames))
    np.testing.assert_allclose(wave, tone() / channels, atol=1e-4)


def test_flac_48k_stereo(tmp_path):
    frames = np.stack([tone(1.0, 48_000), tone(1.0, 48_000)], axis=1)
    wave = read_audio(save(tmp_path / "a.flac", frames, 48_000))
    assert len(wave) == SAMPLE_RATE_HZ and strongest_hz(wave) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("true_kind", ["MP3", "FLAC", "OGG"])
@pytest.mark.parametrize("name", ["a.wav", "a.raw", "a", "a.txt"])
def test_content_decides_not_the_extension(tmp_path, true_kind, name):
    path = tmp_path / name
    path.write_bytes(wav_bytes(subtype=None, kind=true_kind))
    assert len(read_audio(str(path))) > 7_000


@pytest.mark.parametrize("subtype", ["IMA_ADPCM", "MS_ADPCM", "ULAW", "ALAW", "GSM610", "G721_32"])
def test_other_wav_codecs_never_reach_the_decoder(tmp_path, subtype, monkeypatch):
    rate = 8_000
    path = save(tmp_path / "a.wav", tone(0.5, rate), rate, subtype=subtype)
    monkeypatch.setattr(sf, "SoundFile", lambda *_: pytest.fail("the decoder saw it"))
    with pytest.raises(AudioError, match="not supported. Allowed: PCM or float"):
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
    "cut vorbis": (wav_bytes(tone(5), kind="OGG", subtype="VORBIS")[:2000], "damaged, cut off"),
    "zeros": (bytes(5000), "not an audio file"),
    "noise": (b"\x80" + np.random.default_rng(1).bytes(5000), "not an audio file"),
    "avi": (b"RIFF" + struct.pack("<I", 500) + b"AVI " + bytes(500), "AVI"),
    "endless chunks": (b"RIFF" + struct.pack("<I", 500) + b"WAVE" + b"junk\0\0\0\0" * 5000, "no format chunk"),
    "chunk beyond the end": (b"RIFF\xff\xff\xff\xffWAVELIST\xff\xff\xff\xff" + bytes(99), "no format chunk"),
    "mp4": (b"\0\0\0\x20ftypM4A " + bytes(500), "M4A"),
    "webm": (b"\x1aE\xdf\xa3" + bytes(500), "WebM"),
    "id3 then nothing": (b"ID3\x04\0\0\0\0\0\x05hello" + bytes(50), "not an audio file"),
    "mpeg header then noise": (b"\xff\xfb\x90\x00" + np.random.default_rng(2).bytes(300), "damaged|holds"),
    "ogg page only": (b"OggS" + bytes(200), "damaged"),
    "interrupted": (WAV[:40] + bytes(4) + WAV[44:], "interrupted"),
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


def test_loud_float_is_scaled_not_clipped(tmp_path):
    wave = read_audio(save(tmp_path / "a.wav", tone(gain=3.0), subtype="FLOAT"))
    assert np.abs(wave).max() <= 1
    np.testing.assert_allclose(wave, tone(gain=1.0), atol=1e-3)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int8, np.float32, np.float64, np.uint8])
def test_arrays(dtype):
    wave = tone()
    if dtype is np.uint8:
        samples = (wave * 127 + 128).astype(dtype)
    else:
        samples = (wave * (np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1)).astype(dtype)
    for frames in (samples, samples[:, None], np.stack([samples, samples], 1)):
        np.testing.assert_allclose(wave_from_array(frames, 16_000), wave, atol=0.016)
    assert len(wave_from_array(samples, 8_000)) == 16_000


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.zeros((2, 3, 4)), 16_000),
        (np.zeros(()), 16_000),
        (np.zeros((2, 16_000)), 16_000),
        (np.array(["a", "b"] * 5000), 16_000),
        (np.ones(16_000, bool), 16_000),
        (np.ones(16_000, complex), 16_000),
        (tone(), 0),
        (tone(), -16_000),
        (tone(), 16_000.5),
        (tone(), float("nan")),
        (tone(), True),
        (np.zeros(16_000), 16_000),
        (np.full(16_000, np.nan), 16_000),
        (np.zeros(0), 16_000),
        (np.zeros((0, 2), np.int16), 16_000),
    ],
)
def test_bad_arrays(samples, rate):
    with pytest.raises(AudioError):
        wave_from_array(samples, rate)


def test_reading_does_not_change_the_input_array():
    samples = tone(gain=2.0)
    before = samples.copy()
    wave_from_array(samples, 16_000)
    np.testing.assert_array_equal(samples, before)


def test_slices():
    wave = tone(1.0)
    assert len(slice_audio(wave, 0.25, 0.5)) == 4_000
    assert len(slice_audio(wave, -1, 99)) == 16_000
    for start, end in ((0.5, 0.5), (0.6, 0.5), (2, 3), (-2, -1), (float("nan"), 1)):
        with pytest.raises(AudioError):
            slice_audio(wave, start, end)


@pytest.mark.parametrize("name", ["a.wav", "b.FLAC"])
def test_written_files_read_back(tmp_path, name):
    write_audio(tmp_path / name, tone())
    np.testing.assert_allclose(read_audio(tmp_path / name), tone(), atol=1e-4)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_writing_refuses_nonsense_and_leaves_the_old_file(tmp_path):
    write_audio(tmp_path / "a.wav", tone())
    before = (tmp_path / "a.wav").read_bytes()
    with pytest.raises(AudioError, match="NaN"):
        write_audio(tmp_path / "a.wav", np.array([0.0, np.nan]))
    with pytest.raises(AudioError, match="can write"):
        write_audio(tmp_path / "a.mp3", tone())
    assert (tmp_path / "a.wav").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_import_is_light():
    code = "import sys, pairalign.audio; print([m for m in ('torch', 'soundfile', 'torchaudio') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['torch']")
