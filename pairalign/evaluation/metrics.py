"""Measures over strings of token ids and over rankings: pure functions, no audio, no model.

A string is a sequence of ids without BOS and EOS; distances count ids, never printed digits. Functions that compare
strings item by item return one value per item, so that `bootstrap_mean` can put an interval on their mean. No measure
of agreement means anything alone: strings that are all alike agree perfectly, so read `ned_pair` beside `ned_random`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import LCSseq, Levenshtein
from rapidfuzz.process import cdist, cpdist

from pairalign.errors import PairAlignError

Ids = Sequence[int]

SHORT_STRING = 5  # tokens: fewer than this for three seconds of speech means collapse
_BLOCK = 4_000_000  # random indices drawn at once


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % bootstrap interval. NaN: it cannot be measured, or has no interval."""

    value: float
    low: float
    high: float


# --- Intervals -----------------------------------------------------------------------------------------------------


def bootstrap_mean(values: Sequence[float] | np.ndarray, seed: int = 0, rounds: int = 2000) -> Estimate:
    """Mean of values (N,) of items. Items that are NaN (not measurable) are left out; NaN when nothing remains."""
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    return bootstrap_ratio(values, np.ones(len(values)), seed, rounds)


def bootstrap_ratio(
    numerators: Sequence[float] | np.ndarray,
    denominators: Sequence[float] | np.ndarray,
    seed: int = 0,
    rounds: int = 2000,
) -> Estimate:
    """Sum of (N,) over sum of (N,), items resampled together: the interval of a ratio such as tokens per second.

    NaN without items, or when the denominators sum to 0; one item alone has no interval.
    """
    above, below = np.asarray(numerators, dtype=np.float64), np.asarray(denominators, dtype=np.float64)
    n = len(above)
    if n == 0 or below.sum() == 0:
        return Estimate(math.nan, math.nan, math.nan)
    if n == 1:
        return Estimate(float(above[0] / below[0]), math.nan, math.nan)
    rng = np.random.default_rng(seed)
    per_block = max(1, _BLOCK // n)
    ratios = []
    for start in range(0, rounds, per_block):
        drawn = rng.integers(0, n, size=(min(per_block, rounds - start), n))
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios.append(above[drawn].sum(1) / below[drawn].sum(1))
    low, high = np.nanquantile(np.concatenate(ratios), (0.025, 0.975))
    return Estimate(float(above.sum() / below.sum()), float(low), float(high))


# --- Agreement of two views, one value per item ----------------------------------------------------------------------


def ned_pair(a: Sequence[Ids], b: Sequence[Ids]) -> np.ndarray:
    """Levenshtein distance of the strings of two views over the longer length, (N,)."""
    _same_length(a, b)
    return cpdist(_texts(a), _texts(b), scorer=Levenshtein.normalized_distance, dtype=np.float64)


def distance_matrix(a: Sequence[Ids], b: Sequence[Ids]) -> np.ndarray:
    """Normalised Levenshtein distance of every string of `a` to every string of `b`, (N, M)."""
    return cdist(_texts(a), _texts(b), scorer=Levenshtein.normalized_distance, dtype=np.float32, workers=-1)


def ned_random(distances: np.ndarray, related: np.ndarray) -> np.ndarray:
    """Mean distance of each segment's string to the strings of unrelated segments, (N,); NaN where there are none.

    `distances` (N, N) are from `distance_matrix`, `related` (N, N) is True where two segments hold the same content.
    """
    unrelated = ~related
    count = unrelated.sum(1)
    total = np.where(unrelated, distances, 0.0).sum(1, dtype=np.float64)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def separation_auc(distances: np.ndarray, related: np.ndarray) -> np.ndarray:
    """Share of unrelated pairs that are further apart than each segment's own two views, ties by half, (N,).

    The mean is the area under the ROC curve of telling view pairs from unrelated pairs by distance.
    """
    unrelated = np.sort(distances[~related])
    if not len(unrelated):
        return np.full(len(distances), np.nan)
    own = np.diagonal(distances)
    nearer_or_same = np.searchsorted(unrelated, own, side="right")
    nearer = np.searchsorted(unrelated, own, side="left")
    return 1.0 - (nearer + nearer_or_same) / (2.0 * len(unrelated))


def ued(clean: Sequence[Ids], distorted: Sequence[Ids]) -> np.ndarray:
    """Unit edit distance in percent (Gat et al. 2022): repeats removed, over the length of the clean string, (N,).

    NaN where the clean string alone is empty.
    """
    _same_length(clean, distorted)
    a, b = [rle(x) for x in clean], [rle(x) for x in distorted]
    edits = cpdist(_texts(a), _texts(b), scorer=Levenshtein.distance, dtype=np.int64)
    lengths = np.array([len(x) for x in a])
    return np.where((lengths == 0) & (edits > 0), np.nan, 100.0 * edits / np.maximum(1, lengths))


def jaccard(a: Sequence[Ids], b: Sequence[Ids], n: int) -> np.ndarray:
    """Overlap of the sets of n-grams: `jaccard_1`, `jaccard_2`, (N,).

    Without any n-gram equal strings agree; others, both shorter than n, cannot be measured (NaN).
    """
    _same_length(a, b)
    overlaps = []
    for x, y in zip(a, b, strict=True):
        grams_x, grams_y = _ngrams(x, n), _ngrams(y, n)
        union = len(grams_x | grams_y)
        nothing = 1.0 if tuple(x) == tuple(y) else math.nan
        overlaps.append(len(grams_x & grams_y) / union if union else nothing)
    return np.array(overlaps)


def lcs(a: Sequence[Ids], b: Sequence[Ids]) -> np.ndarray:
    """Longest common subsequence over the longer length, (N,)."""
    _same_length(a, b)
    return cpdist(_texts(a), _texts(b), scorer=LCSseq.normalized_similarity, dtype=np.float64)


def exact_match(a: Sequence[Ids], b: Sequence[Ids]) -> np.ndarray:
    """1 where the two strings are equal, (N,)."""
    _same_length(a, b)
    return np.array([float(tuple(x) == tuple(y)) for x, y in zip(a, b, strict=True)])


def length_deviation(a: Sequence[Ids], b: Sequence[Ids]) -> np.ndarray:
    """Difference of the lengths over the longer one, (N,)."""
    _same_length(a, b)
    n, m = np.array([len(x) for x in a]), np.array([len(x) for x in b])
    return np.abs(n - m) / np.maximum(1, np.maximum(n, m))


# --- Strings of one method -------------------------------------------------------------------------------------------


def rle(ids: Ids) -> tuple[int, ...]:
    """The string without consecutive repeats."""
    return tuple(token for k, token in enumerate(ids) if k == 0 or token != ids[k - 1])


def tokens_per_s(strings: Sequence[Ids], durations_s: Sequence[float] | np.ndarray, seed: int = 0) -> Estimate:
    """Tokens of all strings over seconds of all audio."""
    return bootstrap_ratio([len(x) for x in strings], durations_s, seed)


def bits_per_s(rate: Estimate, vocab_size: int) -> Estimate:
    """Upper bound of the information rate: every token of a rate in tokens per second counts log2(vocabulary) bits."""
    bits = math.log2(vocab_size)
    return Estimate(rate.value * bits, rate.low * bits, rate.high * bits)


def eos_rate(stopped_by: Sequence[str | None]) -> np.ndarray:
    """1 where a string ended by itself ("eos") or with the recording (None), 0 at the length limit, (N,)."""
    return np.array([float(reason != "limit") for reason in stopped_by])


def vocab_used(strings: Sequence[Ids]) -> int:
    """Number of different tokens."""
    return len(Counter(token for x in strings for token in x))


def token_counts(strings: Sequence[Ids]) -> list[int]:
    """How often each token that occurs is used, most frequent first."""
    return sorted(Counter(token for x in strings for token in x).values(), reverse=True)


def vocab_perplexity(strings: Sequence[Ids]) -> float:
    """2^H of the token distribution: how many equally frequent tokens it is worth; 0 without tokens."""
    counts = np.array(list(Counter(token for x in strings for token in x).values()), dtype=np.float64)
    if not len(counts):
        return 0.0
    shares = counts / counts.sum()
    return float(2.0 ** -(shares * np.log2(shares)).sum())


def collapse_rate(strings: Sequence[Ids], full_speech: np.ndarray, related: np.ndarray) -> np.ndarray:
    """1 where a string says too little, (N,).

    That is: an unrelated segment has the very same string, or more than half of it is one token, or it has fewer than
    5 tokens although `full_speech` says that the segment is three seconds of speech.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, ids in enumerate(strings):
        groups.setdefault(tuple(ids), []).append(i)
    collapsed = np.zeros(len(strings))
    for i, ids in enumerate(strings):
        shared = any(not related[i, j] for j in groups[tuple(ids)] if j != i)
        one_token = bool(ids) and max(Counter(ids).values()) > len(ids) / 2
        collapsed[i] = shared or one_token or (bool(full_speech[i]) and len(ids) < SHORT_STRING)
    return collapsed


def archive_tokens(strings: Sequence[Ids]) -> int:
    """Tokens that an archive of these strings stores."""
    return sum(len(x) for x in strings)


def archive_token_reduction(strings: Sequence[Ids], reference: Sequence[Ids], seed: int = 0) -> Estimate:
    """1 - tokens / tokens of the reference strings (VQ without repeats) of the same segments."""
    _same_length(strings, reference)
    ratio = bootstrap_ratio([len(x) for x in strings], [len(x) for x in reference], seed)
    return Estimate(1.0 - ratio.value, 1.0 - ratio.high, 1.0 - ratio.low)


# --- Rankings -----------------------------------------------------------------------------------------------------
#
# `distances` (Q, D) from each query to each document, `relevant` (Q, D); documents where `candidates` (Q, D) is False
# are not there for that query. Equal distances share their average rank. Queries without a relevant document give NaN.


def recall_at(k: int, distances: np.ndarray, relevant: np.ndarray, candidates: np.ndarray | None = None) -> np.ndarray:
    """1 where a relevant document is among the first k, (Q,)."""
    best = np.array([ranks.min(initial=np.inf) for ranks, _ in _ranks(distances, relevant, candidates)])
    return np.where(np.isfinite(best), (best <= k).astype(float), np.nan)


def mrr(distances: np.ndarray, relevant: np.ndarray, candidates: np.ndarray | None = None) -> np.ndarray:
    """1 / rank of the first relevant document, (Q,)."""
    best = np.array([ranks.min(initial=np.inf) for ranks, _ in _ranks(distances, relevant, candidates)])
    return np.where(np.isfinite(best), 1.0 / best, np.nan)


def mean_average_precision(
    distances: np.ndarray, relevant: np.ndarray, candidates: np.ndarray | None = None
) -> np.ndarray:
    """Average precision of each query, (Q,): the sum of precisions at relevant documents over *all* R relevant ones.

    Dividing by the relevant documents retrieved instead is a known bug: it rewards finding one and losing the rest.
    """
    return np.array(
        [
            float((places / ranks).sum() / len(ranks)) if len(ranks) else np.nan
            for ranks, places in _ranks(distances, relevant, candidates)
        ]
    )


def _ranks(
    distances: np.ndarray, relevant: np.ndarray, candidates: np.ndarray | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per query, for each relevant document: its average rank, and its average rank among the relevant ones alone."""
    found = []
    for q in range(len(distances)):
        here = np.ones(distances.shape[1], dtype=bool) if candidates is None else candidates[q]
        wanted = np.sort(distances[q, relevant[q] & here])
        found.append((_average_rank(wanted, np.sort(distances[q, here])), _average_rank(wanted, wanted)))
    return found


def _average_rank(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    return (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") + 1) / 2.0


def _texts(strings: Sequence[Ids]) -> list[str]:
    """One character per id: RapidFuzz is more than twice as fast on text as on lists."""
    return ["".join(map(chr, ids)) for ids in strings]


def _ngrams(ids: Ids, n: int) -> set[tuple[int, ...]]:
    return {tuple(ids[k : k + n]) for k in range(len(ids) - n + 1)}


def _same_length(a: Sequence[object], b: Sequence[object]) -> None:
    if len(a) != len(b):
        raise PairAlignError(f"{len(a)} strings cannot be compared with {len(b)}: one of each per item is needed.")
