"""What is compared with what: fixed test segments, their distorted views, and the measures of one method on them.

Every method hears exactly the same views, so their numbers stand side by side. They are the training views; the
vocal-tract warp of a view exists on the mel axis only and is handed over to the tokenizer as a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.errors import PairAlignError
from pairalign.evaluation import metrics
from pairalign.evaluation.metrics import Estimate
from pairalign.strings import TokenString
from pairalign.training.bank import AudioBank
from pairalign.training.data import evaluation_segments
from pairalign.views import STRONG, ViewRanges, make_view
from pairalign.windows import WINDOW_S

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

SHIFT_S = 0.05
QUIETEST_PEAK = 0.01
VIEW_BATCH = 32  # babble is made of other segments of the same batch, so this is part of the protocol

Result = dict[str, Estimate]


class EvaluationError(PairAlignError):
    """An evaluation that was asked for and cannot be made; the message says what to change."""


@dataclass(frozen=True)
class Trials:
    """Test segments. Lists hold one wave per segment; `shifted` has None where no window 50 ms later fits.

    warps_a, warps_b: vocal-tract factors of the views, for the tokenizer.
    related (N, N): segments of one recording or its copy, or with the same transcript. full_speech (N,): 3 s of speech.
    """

    clean: list[np.ndarray]
    view_a: list[np.ndarray]
    view_b: list[np.ndarray]
    warps_a: list[float]
    warps_b: list[float]
    shifted: list[np.ndarray | None]
    utterances: list[int]
    related: np.ndarray
    full_speech: np.ndarray

    @property
    def durations_s(self) -> np.ndarray:
        """Of the segments, (N,) seconds."""
        return np.array([len(wave) / SAMPLE_RATE_HZ for wave in self.clean])


@dataclass(frozen=True)
class Strings:
    """What one method wrote for the segments of `Trials`; `shifted` has None where there was nothing to write."""

    clean: list[TokenString]
    view_a: list[TokenString]
    view_b: list[TokenString]
    shifted: list[TokenString | None]


def make_trials(bank: AudioBank, items: Sequence[int], n: int, seed: int = 0, ranges: ViewRanges = STRONG) -> Trials:
    """Up to `n` segments of 3 s from different recordings, always the same for a seed, with two views of each."""
    segments = evaluation_segments(bank, items, n, WINDOW_S, seed, margin_s=2 * SHIFT_S)
    ids, starts_s = segments.utterance_ids.tolist(), segments.start_s.tolist()
    if len(ids) < 2:
        raise EvaluationError("one segment cannot be compared with unrelated ones; give at least 2 recordings.")
    clean = _unpadded(segments.wave, segments.lengths)
    shifted: list[np.ndarray | None] = []
    for i, start_s, wave in zip(ids, starts_s, clean, strict=True):
        later = bank.wave(i, start_s + SHIFT_S, start_s + SHIFT_S + len(wave) / SAMPLE_RATE_HZ)
        shifted.append(later if len(later) == len(wave) else None)
    ends_s = [start_s + len(wave) / SAMPLE_RATE_HZ for start_s, wave in zip(starts_s, clean, strict=True)]
    active = [bank.active_share(i, a, b) for i, a, b in zip(ids, starts_s, ends_s, strict=True)]
    view_a, warps_a = _views(segments.wave, segments.lengths, ranges, seed * 2 + 1)
    view_b, warps_b = _views(segments.wave, segments.lengths, ranges, seed * 2 + 2)
    return Trials(
        clean=clean,
        view_a=view_a,
        view_b=view_b,
        warps_a=warps_a,
        warps_b=warps_b,
        shifted=shifted,
        utterances=ids,
        related=bank.related(ids),
        full_speech=(np.array(active) > 0.5) & (np.array([len(wave) for wave in clean]) >= 2.9 * SAMPLE_RATE_HZ),
    )


def tokenize_trials(
    tokenizer: Tokenizer, trials: Trials, method: str, progress: Callable[[str], None] = lambda text: None
) -> Strings:
    """Strings of every segment and view by one method."""

    def write(waves: Sequence[np.ndarray], what: str, warps: list[float] | None = None) -> list[TokenString]:
        progress(f"{method}: {what}")
        return list(tokenizer.tokenize_batch(list(waves), method=method, warps=warps))

    shifted: list[TokenString | None] = [None] * len(trials.clean)
    there = {k: wave for k, wave in enumerate(trials.shifted) if wave is not None}
    if there:
        for k, string in zip(there, write(list(there.values()), "shifted"), strict=True):
            shifted[k] = string
    view_a = write(trials.view_a, "view a", trials.warps_a)
    view_b = write(trials.view_b, "view b", trials.warps_b)
    return Strings(write(trials.clean, "clean"), view_a, view_b, shifted)


def random_floor(strings: Strings, seed: int = 0) -> Strings:
    """Strings of the same lengths and token frequencies without any meaning: what a measure gives for nothing."""
    rng = np.random.default_rng(seed)
    pool = np.array([token for string in strings.clean for token in string.ids] or [0])

    def shuffle(one: TokenString) -> TokenString:
        return replace(one, ids=tuple(rng.choice(pool, len(one.ids))), method="random")

    clean, view_a, view_b = (list(map(shuffle, group)) for group in (strings.clean, strings.view_a, strings.view_b))
    return Strings(clean, view_a, view_b, [None if one is None else shuffle(one) for one in strings.shifted])


def measure(strings: Strings, trials: Trials, reference: Strings | None = None, seed: int = 0) -> Result:
    """All measures of one method; `reference` (VQ) is what `archive_token_reduction` counts against."""
    clean, a, b = ([string.ids for string in group] for group in (strings.clean, strings.view_a, strings.view_b))
    moved = [(ids, later.ids) for ids, later in zip(clean, strings.shifted, strict=True) if later is not None]
    distances = metrics.distance_matrix(a, b)
    own, random = metrics.ned_pair(a, b), metrics.ned_random(distances, trials.related)
    per_segment = {
        "ned_pair": own,
        "ned_random": random,
        "separation": random - own,
        "separation_auc": metrics.separation_auc(distances, trials.related),
        "ued": metrics.ued(clean, b),
        "jaccard_1": metrics.jaccard(a, b, 1),
        "jaccard_2": metrics.jaccard(a, b, 2),
        "lcs": metrics.lcs(a, b),
        "exact_match": metrics.exact_match(a, b),
        "length_deviation": metrics.length_deviation(a, b),
        "shift_50ms": metrics.ned_pair([ids for ids, _ in moved], [later for _, later in moved]),
        "eos_rate": metrics.eos_rate([string.stopped_by for string in strings.clean]),
        "collapse_rate": metrics.collapse_rate(clean, trials.full_speech, trials.related),
    }
    rate = metrics.tokens_per_s(clean, trials.durations_s, seed)
    result = {"tokens_per_s": rate, "bits_per_s": metrics.bits_per_s(rate, strings.clean[0].vocab_size)}
    result |= {name: metrics.bootstrap_mean(values, seed) for name, values in per_segment.items()}
    result |= rank_segments(metrics.distance_matrix(b, clean), trials, seed)
    result["vocab_used"] = plain(metrics.vocab_used(clean))
    result["vocab_perplexity"] = plain(metrics.vocab_perplexity(clean))
    result["archive_tokens"] = plain(metrics.archive_tokens(clean))
    if reference is not None:
        result["archive_token_reduction"] = metrics.archive_token_reduction(
            clean, [string.ids for string in reference.clean], seed
        )
    return result


def rank_segments(distances: np.ndarray, trials: Trials, seed: int = 0) -> Result:
    """R1 of distances (N, N) from distorted queries to clean segments: how well each finds its own."""
    itself = np.eye(len(distances), dtype=bool)
    others = itself | ~trials.related  # segments with the same transcript are no wrong answers
    values = {
        "recall_1": metrics.recall_at(1, distances, itself, others),
        "mrr": metrics.mrr(distances, itself, others),
    }
    alone = others.sum(1) < 2  # what has nothing to be mistaken for is always found
    return {name: metrics.bootstrap_mean(np.where(alone, np.nan, value), seed) for name, value in values.items()}


def condition_gain(tokenizer: Tokenizer, trials: Trials, strings: Strings, seed: int = 0) -> Estimate:
    """How much likelier a string is under its own audio than under the next segment's that says something else, nat.

    NaN where all segments say the same.
    """
    count = len(trials.clean)
    order = [[(i + k) % count for k in range(1, count)] for i in range(count)]
    unrelated = [next((j for j in others if not trials.related[i, j]), i) for i, others in enumerate(order)]
    gain = tokenizer.condition_gain(trials.clean, strings.clean, unrelated)
    return metrics.bootstrap_mean(np.where(np.equal(unrelated, np.arange(count)), np.nan, gain), seed)


def plain(value: float) -> Estimate:
    """A value that is counted over the whole set and has no interval."""
    return Estimate(float(value), math.nan, math.nan)


def _views(
    wave: torch.Tensor, lengths: torch.Tensor, ranges: ViewRanges, seed: int
) -> tuple[list[np.ndarray], list[float]]:
    """A view of every segment: waves and vocal-tract factors."""
    generator = torch.Generator().manual_seed(seed)
    waves: list[np.ndarray] = []
    warps: list[float] = []
    for start in range(0, len(wave), VIEW_BATCH):
        part = slice(start, start + VIEW_BATCH)
        view = make_view(wave[part], lengths[part], ranges, generator)
        # a quiet recording at low gain would be refused as silence; loudness means nothing to the features
        peak = view.wave.abs().amax(1, keepdim=True).clamp(min=1e-9)
        waves += _unpadded(view.wave * (QUIETEST_PEAK / peak).clamp(min=1.0), view.lengths)
        warps += view.warp.tolist()
    return waves, warps


def _unpadded(wave: torch.Tensor, lengths: torch.Tensor) -> list[np.ndarray]:
    return [row[:n].numpy() for row, n in zip(wave, lengths.tolist(), strict=True)]
