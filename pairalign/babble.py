"""Speech-like audio by formula, for tests and benchmarks: nothing has to be recorded, shipped or fetched."""

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ


def babble(duration_s: float, seed: int = 0, rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Vowel-like sounds of changing pitch and formants, with pauses: (T,) float32. Not speech, but speech-shaped."""
    rng = np.random.default_rng(seed)
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < duration_s * rate_hz:
        time_s = np.arange(int(rng.uniform(0.06, 0.25) * rate_hz)) / rate_hz
        pitch_hz, formants_hz = rng.uniform(90, 240), rng.uniform([250, 900, 2200], [800, 2000, 3200])
        harmonics = np.arange(1, 30) * pitch_hz
        gain = np.exp(-((harmonics[:, None] - formants_hz) ** 2) / (2 * 150**2)).sum(1) + 0.01
        tone = (gain[:, None] * np.sin(2 * np.pi * harmonics[:, None] * time_s)).sum(0)
        pieces.append(tone * np.hanning(len(time_s)) * (rng.random() > 0.15) + rng.normal(0, 0.01, len(time_s)))
    wave = np.concatenate(pieces)[: int(duration_s * rate_hz)]
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)
