"""What counts as silence, and where passages of sound begin and end."""

from pathlib import Path

import numpy as np
import pytest

from pairalign.audio import read_audio
from pairalign.gate import (
    FRAME_S,
    HANGOVER_S,
    LEAD_S,
    REACH_FRAMES,
    SMALLEST_CHANGE,
    STEADY_FRAMES,
    Gate,
    levels_dbfs,
    open_frames,
    passages,
)
from tests.conftest import RATE_HZ, babble

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "app" / "examples").glob("*.ogg"))


def noise(duration_s: float, level: float, seed: int = 0, slope: float = 0.0) -> np.ndarray:
    """Noise (T,) of that standard deviation: white, or falling by 6 dB x slope per octave."""
    count = round(duration_s * RATE_HZ)
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(0, 1, count))
    wave = np.fft.irfft(spectrum * np.maximum(np.fft.rfftfreq(count, 1 / RATE_HZ), 20.0) ** -slope, count)
    return (wave * level / wave.std()).astype(np.float32)


def tones(duration_s: float, level: float, *frequencies_hz: float) -> np.ndarray:
    """Steady sines (T,), each softer than the one before."""
    time_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    waves = [np.sin(2 * np.pi * frequency * time_s + k) / (k + 1) for k, frequency in enumerate(frequencies_hz)]
    return (level * np.sum(waves, axis=0)).astype(np.float32)


def zeros(duration_s: float) -> np.ndarray:
    return np.zeros(round(duration_s * RATE_HZ), np.float32)


SILENCES = {
    "zeros": zeros,
    "dither": lambda s: (np.round(noise(s, 2e-5) * 32_768) / 32_768).astype(np.float32),
    "faint noise": lambda s: noise(s, 3e-4),
    "noise": lambda s: noise(s, 1e-2),
    "loud noise": lambda s: noise(s, 0.1),
    "pink noise": lambda s: noise(s, 1e-2, slope=0.5),
    "brown noise": lambda s: noise(s, 1e-2, slope=1.0),
    "hum": lambda s: tones(s, 1e-2, 50.0),
    "hum with harmonics": lambda s: tones(s, 1e-2, 60.0, 120.0, 180.0, 240.0, 300.0),
    "hum and noise": lambda s: tones(s, 0.05, 50.0) + noise(s, 1e-3),
    "tone": lambda s: tones(s, 0.1, 1_000.0),
    "offset": lambda s: zeros(s) + np.float32(0.2),
}


@pytest.mark.parametrize("kind", SILENCES)
@pytest.mark.parametrize("duration_s", [1.5, 20.0])
def test_steady_sound_is_silence_however_loud(kind, duration_s):
    assert passages(SILENCES[kind](duration_s)) == []


@pytest.mark.parametrize("kind", SILENCES)
def test_silence_around_speech_and_between_is_cut_out(kind):
    speech = babble(2.0, 1)
    parts = [SILENCES[kind](4.1), speech, SILENCES[kind](3.0), speech, SILENCES[kind](6.0)]
    found = np.array(passages(np.concatenate(parts))) / RATE_HZ
    assert len(found) == 2
    for (begin_s, end_s), said_s in zip(found, (4.1, 9.1), strict=True):
        assert said_s - LEAD_S - 0.05 <= begin_s <= said_s + 0.1
        assert said_s + 1.9 <= end_s <= said_s + 2.0 + HANGOVER_S + 0.05


def test_silence_that_becomes_another_silence_is_cut_out_too():
    rest = np.concatenate([zeros(3), noise(4, 1e-3), tones(3, 1e-2, 50.0), noise(3, 1e-2), noise(2, 1e-4)])
    assert passages(rest) == []
    ((begin, end),) = passages(np.concatenate([babble(2.0, 1), rest]))
    assert begin < 16 and end <= (2.0 + HANGOVER_S + 0.05) * RATE_HZ


def test_clicks_do_not_open_the_gate():
    wave = noise(6, 1e-3)
    for at_s in (1.7, 3.0, 4.9):
        wave[round(at_s * RATE_HZ) :][:80] += 0.5
    assert passages(wave) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("noise_level", [0.0, 0.005])
def test_ordinary_speech_is_one_passage_without_the_digital_silence_at_its_ends(path, noise_level):
    wave = read_audio(path)
    ((begin, end),) = passages(wave + noise(len(wave) / RATE_HZ, noise_level)[: len(wave)])
    outside = np.concatenate([wave[:begin], wave[end:]])
    assert noise_level == 0.0 or not len(outside)
    assert not len(outside) or np.abs(np.diff(outside)).max() < 4 * SMALLEST_CHANGE


SHORT = {
    "vowel": tones(1.0, 0.1, 140, 280, 420, 560, 700),
    "mmm": tones(1.0, 0.1, 120, 240),
    "sss": np.diff(noise(0.8, 0.05), prepend=0).astype(np.float32),
    "whisper": noise(0.5, 0.02, slope=0.3),
    "word cut tight": babble(0.4, 2),
    "tenth of a second": babble(0.1, 3),
}


@pytest.mark.parametrize("name", SHORT)
def test_short_clips_are_kept_whole_even_when_they_are_steady(name):
    ((begin, end),) = passages(SHORT[name])
    assert begin < 0.01 * RATE_HZ and end > len(SHORT[name]) - 0.01 * RATE_HZ


def test_a_drawn_out_sound_within_speech_is_kept():
    wave = np.concatenate([babble(1.5, 1), SHORT["vowel"], babble(1.5, 2)])
    ((begin, end),) = passages(wave)
    assert end - begin > len(wave) - 0.02 * RATE_HZ


CHANGES = {
    "quiet": lambda wave: wave * (10 ** (-50 / 20) / np.abs(wave).max()),
    "offset": lambda wave: wave * 0.5 + 0.3,
    "telephone": lambda wave: np.fft.irfft(
        np.fft.rfft(wave) * (np.abs(np.fft.rfftfreq(len(wave), 1 / RATE_HZ) - 1_850) < 1_550), len(wave)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_speech_is_speech_however_it_was_recorded(change):
    wave = read_audio(EXAMPLES[0])
    wave = wave[: len(wave) * 9 // 10]  # without the digital silence at its end
    found = passages(CHANGES[change](wave).astype(np.float32))
    assert sum(end - begin for begin, end in found) > 0.97 * len(wave)


@pytest.mark.parametrize(
    ("before", "after", "offset"),
    [(0, 64_000, 0.0), (64_000, 0, 0.0), (51_237, 33_333, 0.0), (16_000, 16_001, 0.0), (51_237, 33_333, 0.1)],
)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_what_is_said_is_cut_the_same_between_zeros(path, before, after, offset):
    speech = read_audio(path)
    ((begin, end),) = passages(speech)
    ((padded_begin, padded_end),) = passages(np.pad(speech, (before, after)) + np.float32(offset))
    assert padded_begin - before == begin
    assert abs(padded_end - before - end) < 64  # what fades away slowly may end in another frame of the grid


def test_a_recording_that_goes_on_keeps_the_frames_that_are_certain():
    wave = np.concatenate(
        [zeros(0.5), babble(3.0, 1), noise(2.5, 1e-3), babble(1.0, 2), zeros(2), noise(3, 1e-4), babble(3.0, 3)]
    )
    levels = levels_dbfs(wave)
    opened, certain = open_frames(levels), []
    for frames in range(0, len(levels), 3):
        gate = Gate.of(levels[:frames])
        certain.append(gate.certain)
        assert (gate.opened[: gate.certain] == opened[: gate.certain]).all()
        assert gate.certain >= frames - STEADY_FRAMES - REACH_FRAMES - 3
    assert certain == sorted(certain)
    assert np.median(np.arange(0, len(levels), 3) - certain) * FRAME_S < 0.8
