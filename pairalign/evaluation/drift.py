"""How far strings drift while the audio slides under its window: sweeps over a set of segments (method: sweep).

Every segment is heard at 0, 10, … 100 ms. The longer steps of 20 ms are every other string of the same sweep.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.evaluation import metrics
from pairalign.evaluation.metrics import Estimate
from pairalign.evaluation.placement_checks import delay_error
from pairalign.evaluation.protocols import Result, plain
from pairalign.sweeps.sweep import Trajectory, sweep_batch
from pairalign.training.bank import AudioBank
from pairalign.training.data import evaluation_segments
from pairalign.windows import WINDOW_S

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

STOP_MS = 100.0
STEP_MS = 10.0
_NEEDED_S = WINDOW_S + STOP_MS / 1000
# of a method where no recording has room for a sweep
UNMEASURED: Result = {
    name: plain(math.nan)
    for name in (
        "sweep_d_100", "sweep_d_max", "sweep_excess", "sweep_step_mean", "sweep_step_mean_20", "sweep_length_std",
        "sweep_length_deviation", "sweep_bounded", "sweep_roughness", "delay_error_ms",
    )
}  # fmt: skip


def sweep_waves(bank: AudioBank, items: Sequence[int], n: int, seed: int = 0) -> list[np.ndarray]:
    """Up to `n` pieces (T,) of 3.1 s at 16 kHz from different recordings, the same for a seed: a sweep has room.

    Shorter recordings are left out, so there may be none.
    """
    long_enough = [i for i in items if bank.durations_s[i] >= _NEEDED_S]
    if not long_enough or n < 1:
        return []
    segments = evaluation_segments(bank, long_enough, n, WINDOW_S, seed, margin_s=STOP_MS / 1000)
    size = round(_NEEDED_S * SAMPLE_RATE_HZ)
    waves = []
    for i, start_s in zip(segments.utterance_ids.tolist(), segments.start_s.tolist(), strict=True):
        # cut to the sample, and with sound in what all windows share: tokenizers refuse silence
        start_s = min(start_s, (round(bank.durations_s[i] * SAMPLE_RATE_HZ) - size) / SAMPLE_RATE_HZ)
        if bank.active_share(i, start_s + STOP_MS / 1000, start_s + WINDOW_S) > 0:
            waves.append(bank.wave(i, start_s)[:size])
    return waves


def add_sweeps(
    results: dict[str, Result],
    names: Sequence[str],
    waves: Sequence[np.ndarray],
    tokenizer: Tokenizer,
    seed: int,
    progress: Callable[[str], None],
) -> dict[str, dict[str, list[float]]]:
    """Adds drift and delay error of each named method to its results; returns the `mean_curve` of each.

    `waves` are from `sweep_waves`; without any nothing is measured.
    """
    curves = {}
    for name in names if waves else ():
        progress(f"{name}: {len(waves)} sweeps")
        moved = sweep_batch(tokenizer, waves, "shift", STOP_MS, STEP_MS, name)
        results[name] |= measure_drift(moved, seed) | {"delay_error_ms": delay_error(moved, seed)}
        curves[name] = mean_curve(moved, seed)
    return curves


def measure_drift(trajectories: Sequence[Trajectory], seed: int = 0) -> Result:
    """The `sweep_…` measures of one method over its trajectories, all with the same values."""
    if not trajectories:
        return {}
    d_last = np.array([t.d_last for t in trajectories])
    steps = np.array([sum(t.step_distance) for t in trajectories])
    per_segment: dict[str, Sequence[float] | np.ndarray] = {
        "sweep_d_100": d_last,
        "sweep_d_max": [t.d_max for t in trajectories],
        "sweep_excess": [t.excess for t in trajectories],
        "sweep_step_mean": [t.step_mean for t in trajectories],
        "sweep_step_mean_20": [t.every(2).step_mean for t in trajectories],
        "sweep_length_std": [t.length_std for t in trajectories],
        "sweep_length_deviation": [t.length_deviation for t in trajectories],
        "sweep_bounded": [float(t.bounded) for t in trajectories],
    }
    found = {name: metrics.bootstrap_mean(values, seed) for name, values in per_segment.items()}
    # a ratio of sums: one segment that comes back to its first string has no ratio of its own
    return found | {"sweep_roughness": metrics.bootstrap_ratio(steps, d_last, seed)}


def mean_curve(trajectories: Sequence[Trajectory], seed: int = 0) -> dict[str, list[float]]:
    """Mean distance to the origin at every shift with its interval: shift_ms, distance_to_origin, low, high, floor."""
    if not trajectories:
        return {}
    by_value = zip(*(t.distance_to_origin for t in trajectories), strict=True)
    means: list[Estimate] = [metrics.bootstrap_mean(distances, seed) for distances in by_value]
    return {
        "shift_ms": list(trajectories[0].values),
        "distance_to_origin": [mean.value for mean in means],
        "low": [mean.low for mean in means],
        "high": [mean.high for mean in means],
        "floor": list(trajectories[0].content_floor),
    }
