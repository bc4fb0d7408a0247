"""What counts as silence."""

from pathlib import Path

import numpy as np
import pytest

from pairalign.audio import read_audio
from pairalign.gate import FRAME_S, REACH_S, heard, levels_dbfs, open_frames, without_silence
from pairalign.strings import TokenString
from tests.conftest import RATE_HZ, babble

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "app" / "examples").glob("*.ogg"))


def noise(duration_s: float, level: float, seed: int = 0) -> np.ndarray:
    """White noise (T,) of that standard deviation."""
    return np.random.default_rng(seed).normal(0, level, int(duration_s * RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize("level", [0.0, 1e-4, 1e-3, 1e-2, 0.1])
def test_steady_noise_is_silence_however_loud(level):
    assert not open_frames(levels_dbfs(noise(20, level))).any()


def test_mains_hum_and_rumble_are_silence():
    time_s = np.arange(20 * RATE_HZ) / RATE_HZ
    hum = 0.05 * np.sin(2 * np.pi * 50 * time_s) + noise(20, 1e-3)
    assert not open_frames(levels_dbfs(hum.astype(np.float32))).any()


def test_a_click_does_not_open_the_gate():
    wave = noise(6, 1e-3)
    wave[3 * RATE_HZ : 3 * RATE_HZ + 80] += 0.5
    assert not open_frames(levels_dbfs(wave)).any()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("noise_level", [0.0, 0.005])
def test_speech_opens_it(path, noise_level):
    wave = read_audio(path)
    opened = open_frames(levels_dbfs(wave + noise(len(wave) / RATE_HZ, noise_level)[: len(wave)]))
    assert opened.mean() > 0.8


@pytest.mark.parametrize("quiet", [0.0, 1e-3])
def test_speech_after_silence_is_heard_from_before_its_beginning(quiet):
    speech = read_audio(EXAMPLES[0])
    begins_s = 6.0
    wave = np.concatenate([noise(begins_s, quiet), speech])
    opened = open_frames(levels_dbfs(wave))
    first_sound_s = begins_s + np.argmax(np.abs(speech) > 0.02 * np.abs(speech).max()) / RATE_HZ
    first_open_s = np.argmax(opened) * FRAME_S
    assert begins_s - 0.4 <= first_open_s <= first_sound_s - 0.05


def test_the_rule_looks_no_further_ahead_than_it_says():
    wave = np.concatenate([noise(4, 1e-3), babble(5.0, 1), noise(2, 1e-3), babble(3.0, 2)])
    whole = open_frames(levels_dbfs(wave))
    for frames in range(50, len(whole), 35):
        part = open_frames(levels_dbfs(wave[: round(frames * FRAME_S * RATE_HZ)]))
        certain = max(0, frames - int(np.ceil(REACH_S / FRAME_S)))
        assert (part[:certain] == whole[:certain]).all()


def test_tokens_in_silence_are_left_out_and_their_neighbours_stay():
    wave = np.concatenate([noise(3, 1e-4), babble(2.0), noise(3, 1e-4)])
    spans = ((0.0, 1.5), (1.5, 3.2), (3.2, 5.1), (6.0, 8.0))
    string = TokenString((1, 2, 3, 4), spans, 8.0, (-0.1, -0.2, -0.3, -0.4), "eos", "pairalign", "ab" * 32, 32)
    kept = without_silence(string, wave)
    assert kept.ids == (2, 3) and kept.spans_s == spans[1:3] and kept.log_probs == (-0.2, -0.3)


def test_a_span_is_heard_when_one_frame_of_it_is_open():
    opened = np.zeros(100, dtype=bool)
    opened[50] = True
    assert heard(opened, 0.5, 1.02) and heard(opened, 1.0, 1.02) and heard(opened, 11.0, 11.1, first_s=10.0)
    assert not heard(opened, 0.5, 1.0) and not heard(opened, 1.02, 2.0) and not heard(opened, 5.0, 6.0)
