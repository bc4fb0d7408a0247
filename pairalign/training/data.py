"""Batches for training and fixed segments for evaluation.

What a training batch holds is a pure function of (seed, step): a run resumed at step n sees exactly what an
uninterrupted one sees, and `world` processes with batch size B together see the batch that one process with batch size
world * B sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pairalign.training.bank import SAMPLE_RATE_HZ, AudioBank, Skipped, load_bank
from pairalign.training.corpora import (
    DataError,
    Utterance,
    Word,
    of_split,
    read_manifest,
    read_words,
    words_for,
)

__all__ = [
    "AudioBank",
    "DataError",
    "Segments",
    "Skipped",
    "Utterance",
    "Word",
    "WordIndex",
    "WordPairs",
    "augmentation_batch",
    "build_word_index",
    "evaluation_segments",
    "load_bank",
    "of_split",
    "read_manifest",
    "read_words",
    "realization_batch",
    "words_for",
]

MIN_WORD_S = 0.15  # shorter words are one-letter function words: mostly context
MAX_WORD_S = 1.5  # longer ones have a pause inside
SPEECH_SHARE = 0.5  # a segment with fewer active frames is drawn again
TRIES = 4
SPREAD = 0.1  # durations within one batch differ by at most this from the batch's own
_AUGMENTATION, _REALIZATION, _EVALUATION = 1, 2, 3  # separate random streams


@dataclass(frozen=True)
class Segments:
    """Pieces of recordings. `wave` (B, T) is zero beyond `lengths` (samples); `start_s` is where each piece was cut."""

    wave: torch.Tensor
    lengths: torch.Tensor
    utterance_ids: torch.Tensor
    start_s: torch.Tensor


@dataclass(frozen=True)
class WordPairs:
    """The same word by two speakers, in context. Spans (B, 2) are the word's seconds inside each segment."""

    a: Segments
    b: Segments
    span_a_s: torch.Tensor
    span_b_s: torch.Tensor
    word_ids: torch.Tensor


@dataclass(frozen=True)
class WordIndex:
    """Spoken words: `tokens[type][speaker]` lists the words. Every type has two speakers or more."""

    types: tuple[str, ...]
    tokens: tuple[tuple[tuple[Word, ...], ...], ...]
    shares: np.ndarray  # probability of each type: square root of its count, so that rare words are heard too

    def __len__(self) -> int:
        return len(self.types)


def augmentation_batch(
    bank: AudioBank,
    items: Sequence[int] | np.ndarray,
    step: int,
    seed: int,
    batch_size: int,
    min_s: float = 0.4,
    max_s: float = 3.0,
    rank: int = 0,
    world: int = 1,
) -> Segments:
    """Segments of speech cut from different recordings of `items`, of similar length within the batch."""
    items = np.asarray(items, dtype=np.int64)
    rng = np.random.default_rng((_AUGMENTATION, seed, step))
    # Reaching past max_s makes full-length segments, which is what the tokenizer's windows are, about a quarter of all.
    middle_s = min(max_s, rng.uniform(min_s, 1.25 * max_s))
    total = batch_size * world
    chosen = _draw_recordings(bank, items, rng, total, middle_s * (1 - SPREAD))
    wanted_s = np.clip(middle_s * rng.uniform(1 - SPREAD, 1 + SPREAD, total), min_s, max_s)
    places = rng.random((total, TRIES))
    mine = range(rank, total, world)
    return _segments(bank, [_cut(bank, int(chosen[k]), float(wanted_s[k]), places[k]) for k in mine])


def build_word_index(
    words: Sequence[Word], bank: AudioBank, items: Sequence[int] | np.ndarray, min_word_s: float = MIN_WORD_S
) -> WordIndex:
    """Words of `items` that two speakers or more have said; without words of unknown speakers or outside the audio."""
    allowed = {int(i) for i in items}
    types: dict[str, dict[str, list[Word]]] = {}
    for word in words:
        if word.utterance not in allowed or word.end_s > bank.durations_s[word.utterance] + 0.05:
            continue
        speaker = bank.utterances[word.utterance].speaker
        if speaker and min_word_s <= word.end_s - word.start_s <= MAX_WORD_S:
            types.setdefault(word.text.casefold(), {}).setdefault(speaker, []).append(word)
    kept = sorted(text for text, speakers in types.items() if len(speakers) > 1)
    tokens = tuple(tuple(tuple(types[text][speaker]) for speaker in sorted(types[text])) for text in kept)
    roots = np.sqrt([sum(map(len, speakers)) for speakers in tokens])
    return WordIndex(tuple(kept), tokens, roots / roots.sum() if len(kept) else roots)


def realization_batch(
    bank: AudioBank,
    word_index: WordIndex,
    step: int,
    seed: int,
    n_pairs: int,
    min_s: float = 0.4,
    max_s: float = 1.6,
    rank: int = 0,
    world: int = 1,
) -> WordPairs:
    """The same word by two different speakers, per pair; the words of a batch differ as far as there are enough."""
    if not len(word_index):
        raise DataError("no word is spoken by two speakers: realization pairs need word times and speaker names.")
    rng = np.random.default_rng((_REALIZATION, seed, step))
    total = n_pairs * world
    enough = np.count_nonzero(word_index.shares) >= total
    types = rng.choice(len(word_index), size=total, replace=not enough, p=word_index.shares)
    middle_s = rng.uniform(min_s, max_s)
    stretch = rng.uniform(1 - SPREAD, 1 + SPREAD, (total, 2))
    draws = rng.random((total, 6))  # two speakers, two tokens, two places
    mine = range(rank, total, world)
    pairs = [_word_pair(word_index, int(types[k]), draws[k]) for k in mine]
    lengths_s = np.clip(middle_s * stretch, min_s, max_s)
    cuts_a = [_around(bank, a, lengths_s[k, 0], draws[k, 4]) for k, (a, _) in zip(mine, pairs, strict=True)]
    cuts_b = [_around(bank, b, lengths_s[k, 1], draws[k, 5]) for k, (_, b) in zip(mine, pairs, strict=True)]
    side_a, side_b = _segments(bank, cuts_a), _segments(bank, cuts_b)
    return WordPairs(
        side_a,
        side_b,
        _spans([a for a, _ in pairs], side_a),
        _spans([b for _, b in pairs], side_b),
        torch.as_tensor(types[rank::world].copy(), dtype=torch.int64),
    )


def evaluation_segments(
    bank: AudioBank,
    items: Sequence[int] | np.ndarray,
    n: int,
    duration_s: float = 3.0,
    seed: int = 0,
    margin_s: float = 0.1,
) -> Segments:
    """At most `n` fixed segments, each from another recording: full ones first, then the longest of what is shorter.

    `margin_s` of audio is left behind each full segment where the recording allows it, so that shifted windows fit.
    """
    asked_for = np.asarray(items, dtype=np.int64)
    usable = asked_for[bank.durations_s[asked_for] > 0.4]
    if not len(usable):
        raise DataError("no recording is longer than 0.4 s: nothing to evaluate on.")
    # One stream per recording: where a segment lies does not depend on which other recordings are asked for.
    rngs = {int(i): np.random.default_rng((_EVALUATION, seed, int(i))) for i in usable}
    order = {i: rng.random() for i, rng in rngs.items()}
    shortfall = np.maximum(0.0, duration_s - bank.durations_s[usable])
    ranked = sorted(range(len(usable)), key=lambda k: (shortfall[k], order[int(usable[k])]))
    cuts: list[tuple[int, float, float]] = []
    for i in usable[ranked].tolist():
        if len(cuts) >= n:
            break
        room_s = max(bank.durations_s[i] - margin_s, min(duration_s, bank.durations_s[i]))
        cut = _cut(bank, i, duration_s, rngs[i].random(TRIES), room_s)
        if bank.active_share(*cut) > 0:  # silence says nothing, and tokenizers refuse it
            cuts.append(cut)
    return _segments(bank, cuts)


def _draw_recordings(
    bank: AudioBank, items: np.ndarray, rng: np.random.Generator, n: int, at_least_s: float
) -> np.ndarray:
    """Recordings long enough for the batch, in proportion to their duration, without repeats when there are enough."""
    durations = bank.durations_s[items] if len(items) else np.zeros(0)
    if not len(items) or durations.max() <= 0:
        raise DataError("no recordings to train on: none of those asked for could be read.")
    usable = durations >= min(at_least_s, float(np.quantile(durations[durations > 0], 0.9)))
    pool, weights = items[usable], durations[usable]
    return rng.choice(pool, size=n, replace=len(pool) < n, p=weights / weights.sum())


def _cut(
    bank: AudioBank, i: int, wanted_s: float, places: np.ndarray, room_s: float | None = None
) -> tuple[int, float, float]:
    """The first of the drawn places that holds speech, or the best of them: (recording, start, end) in seconds."""
    duration_s = float(bank.durations_s[i])
    length_s = min(wanted_s, duration_s)
    free_s = max(0.0, (duration_s if room_s is None else room_s) - length_s)
    best, best_share = 0.0, -1.0
    for place in places:
        start_s = float(place) * free_s
        share = bank.active_share(i, start_s, start_s + length_s)
        if share > best_share:
            best, best_share = start_s, share
        if share >= SPEECH_SHARE or free_s == 0.0:
            break
    return i, best, best + length_s


def _word_pair(index: WordIndex, word_type: int, draws: np.ndarray) -> tuple[Word, Word]:
    speakers = index.tokens[word_type]
    first = int(draws[0] * len(speakers))
    second = int(draws[1] * (len(speakers) - 1))
    second += second >= first
    words_a, words_b = speakers[first], speakers[second]
    return words_a[int(draws[2] * len(words_a))], words_b[int(draws[3] * len(words_b))]


def _around(bank: AudioBank, word: Word, length_s: float, place: float) -> tuple[int, float, float]:
    """A segment of about `length_s` that contains the word at a random place."""
    duration_s = float(bank.durations_s[word.utterance])
    word_end_s = min(word.end_s, duration_s)
    length_s = min(max(length_s, word_end_s - word.start_s), duration_s)
    earliest_s = max(0.0, word_end_s - length_s)
    latest_s = max(earliest_s, min(word.start_s, duration_s - length_s))
    start_s = earliest_s + place * (latest_s - earliest_s)
    return word.utterance, start_s, start_s + length_s


def _spans(words: Sequence[Word], segments: Segments) -> torch.Tensor:
    times = torch.tensor([(word.start_s, word.end_s) for word in words], dtype=torch.float64).view(-1, 2)
    inside = (times - segments.start_s[:, None]).clamp(min=0.0)
    return torch.minimum(inside, segments.lengths[:, None] / SAMPLE_RATE_HZ).float()


def _segments(bank: AudioBank, cuts: Sequence[tuple[int, float, float]]) -> Segments:
    waves = [bank.wave(i, start_s, end_s) for i, start_s, end_s in cuts]
    padded = np.zeros((len(waves), max(map(len, waves), default=0)), dtype=np.float32)
    for row, wave in zip(padded, waves, strict=True):
        row[: len(wave)] = wave
    return Segments(
        wave=torch.from_numpy(padded),
        lengths=torch.tensor([len(wave) for wave in waves], dtype=torch.int64),
        utterance_ids=torch.tensor([i for i, _, _ in cuts], dtype=torch.int64),
        start_s=torch.tensor([start_s for _, start_s, _ in cuts], dtype=torch.float64),
    )
