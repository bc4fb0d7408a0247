"""Are tokens where they say they are? Two checks of recovered times: a known delay, and the boundaries of words.

A token that stands for a sound moves with it: in a window that starts δ later it has to stand δ earlier. And where
words meet, tokens should meet. Two levels of chance go with that share, as dense strings meet everything. As many
boundaries spaced evenly: nothing covers time better, so above about 12 tokens/s this level is near 1 within 40 ms. And
the string's own boundaries turned round in time: the same gaps in the same order, at the wrong moments.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pairalign.evaluation import metrics
from pairalign.evaluation.metrics import Estimate
from pairalign.evaluation.protocols import Result
from pairalign.strings import TokenString, align
from pairalign.sweeps.sweep import Trajectory
from pairalign.training.corpora import Word

TOLERANCE_S = 0.04
TURNS = 10


def delay_errors_ms(first: TokenString, later: TokenString, delay_ms: float) -> np.ndarray:
    """How far each token that both strings share is from where the delay puts it, ms, (M,).

    Args: `later` is the string of the window that starts `delay_ms` after that of `first`. Shared are the matches of
    the edit script. A token that the later window cuts in front is expected at its start.
    """
    runs = [run for run in align(first, later).runs if run.op == "match"]
    starts_s = np.array([start_s for run in runs for start_s, _ in first.spans_s[run.a_start : run.a_end]])
    found_s = np.array([start_s for run in runs for start_s, _ in later.spans_s[run.b_start : run.b_end]])
    return np.abs(np.maximum(0.0, starts_s - delay_ms / 1000) - found_s) * 1000


def delay_error(trajectories: Sequence[Trajectory], seed: int = 0) -> Estimate:
    """Mean of `delay_errors_ms` over all shifts of sweeps by a shift, ms; the interval resamples recordings."""
    totals, counts = [], []
    for one in trajectories:
        later = zip(one.strings[1:], one.values[1:], strict=True)
        errors = np.concatenate([delay_errors_ms(one.strings[0], string, value) for string, value in later])
        totals.append(errors.sum())
        counts.append(len(errors))
    return metrics.bootstrap_ratio(totals, counts, seed)


def measure_boundaries(
    strings: Sequence[TokenString], items: Sequence[int], words: Sequence[Word], seed: int = 0
) -> Result:
    """Share of word boundaries within 40 ms of a token boundary; also by evenly spaced ones and by own ones, turned.

    Args: strings of the whole recordings `items`, and the words of these and other recordings; a boundary where two
    words meet counts once.
    """
    edges: dict[int, set[float]] = {i: set() for i in items}
    for word in words:
        if word.utterance in edges:
            edges[word.utterance] |= {round(word.start_s, 3), round(word.end_s, 3)}
    hits, even, turned, counts = [], [], [], []
    for i, string in zip(items, strings, strict=True):
        edges_s = np.array(sorted(edges[i]))
        # the first start and the last end are those of the recording, whatever is said
        inner_s = np.array([start for start, _ in string.spans_s[1:]])
        even_s = string.duration_s * np.arange(1, len(inner_s) + 1) / (len(inner_s) + 1)
        turns_s = string.duration_s * np.arange(1, TURNS + 1) / (TURNS + 1)
        hits.append(_met(edges_s, inner_s))
        even.append(_met(edges_s, even_s))
        turned.append(float(np.mean([_met(edges_s, (inner_s + turn_s) % string.duration_s) for turn_s in turns_s])))
        counts.append(len(edges_s))
    return {
        "boundary_hit_40ms": metrics.bootstrap_ratio(hits, counts, seed),
        "boundary_hit_40ms_even": metrics.bootstrap_ratio(even, counts, seed),
        "boundary_hit_40ms_turned": metrics.bootstrap_ratio(turned, counts, seed),
    }


def _met(edges_s: np.ndarray, boundaries_s: np.ndarray) -> int:
    """How many of `edges_s` have one of `boundaries_s` within the tolerance."""
    if not len(boundaries_s):
        return 0
    nearest_s = np.abs(edges_s[:, None] - boundaries_s[None]).min(1)
    return int((nearest_s <= TOLERANCE_S + 1e-9).sum())
