"""Recordings of every usual kind come in; everything else is refused in words."""

import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from pairalign.audio import (
    SAMPLE_RATE_HZ,
    AudioError,
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
