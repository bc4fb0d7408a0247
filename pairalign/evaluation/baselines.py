"""The baselines of the table: which there are, fitting those that need data, and ceilings by warping frame features.

Fit on training recordings only: a baseline that has seen the test is not one. The compact ones are fitted to the token
rate of the model's own strings, since fewer tokens can be had trivially; what counts is what they still tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.errors import PairAlignError
from pairalign.evaluation import dtw
from pairalign.evaluation.protocols import Result, Trials, rank_segments
from pairalign.evaluation.word_search import WordSearch, rank_words
from pairalign.model.baselines import FITTED_METHODS, Baselines
from pairalign.model.bpe import flatten, learn_merges, merge_pair, token_count
from pairalign.model.chooser import Chooser, fit_chooser
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.quantizer import fit_switch_penalty, spherical_kmeans

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

RANDOM = "random"  # not a tokenizer: strings of the same length without meaning
CEILINGS = {"mfcc_dtw": "mfcc", "encoder_dtw": "encoder"}  # not strings: what is compared frame by frame
BASELINES = ("vq", "vq_raw", "viterbi", "viterbi_cost", "bpe", "mfcc", *CEILINGS, RANDOM)

# of "viterbi_cost": among the best at separating dev frames that keep most codes in use (docs/training-log.md)
CODE_COST, COST_FLOOR = 0.8, 0.4
RATE_SEGMENTS = 200  # the rate is measured on so many segments
MOST_MERGES = 8192
MAX_FRAMES = 60_000

Progress = Callable[[str], None]


def missing_baselines(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Baselines that this checkpoint holds no fit for."""
    return FITTED_METHODS if tokenizer.baselines is None else ()


def fit_baselines(
    tokenizer: Tokenizer, waves: Sequence[np.ndarray], seed: int, progress: Progress = lambda text: None
) -> Baselines:
    """Fit Viterbi penalties, code costs and BPE merges to the model's own token rate, and the MFCC clusters.

    Args:
        waves: training segments (T,) float32 at 16 kHz, of at most 3 s. The rate is that of method "pairalign" with
            default options on the first 200. Merges are learned from the others when there are at least as many:
            a merge of a rare pair saves less in strings it was not learned from, and the rate must hold there.
    Raises: ValueError without a wave.
    """
    if not len(waves):
        raise PairAlignError("baselines are fitted to training recordings: give at least one.")
    measured = list(waves[:RATE_SEGMENTS])
    others = list(waves[RATE_SEGMENTS:]) if len(waves) >= 2 * RATE_SEGMENTS else list(waves)
    seconds = sum(map(len, measured)) / SAMPLE_RATE_HZ
    progress(f"rate of {len(measured)} segments")
    rate_hz = sum(map(len, tokenizer.tokenize_batch(measured))) / seconds
    progress("switch penalty")
    penalty, chooser = _penalty_at(tokenizer, measured, rate_hz), _chooser_at(tokenizer, measured, rate_hz)
    progress("byte pairs")
    learn_from, match_on = ([s.ids for s in tokenizer.tokenize_batch(w, "vq")] for w in (others, measured))
    merges = merges_for(learn_from, match_on, tokenizer.vocab_size, rate_hz * seconds)
    progress("MFCC clusters")
    generator = torch.Generator().manual_seed(seed)
    frames = torch.from_numpy(np.concatenate(tokenizer.frame_features(waves, "mfcc")))
    some = torch.nn.functional.normalize(frames[torch.randperm(len(frames), generator=generator)[:MAX_FRAMES]], dim=1)
    clusters = spherical_kmeans(some, tokenizer.vocab_size, generator)
    return Baselines(penalty, chooser.cost.cpu(), chooser.penalty, merges, clusters, rate_hz)


def merges_for(
    learn_from: Sequence[Sequence[int]], match_on: Sequence[Sequence[int]], first_id: int, tokens: float
) -> torch.Tensor:
    """The merges (M, 2) int64 learned from some strings with which other strings have about `tokens` tokens.

    Fewer when no pair occurs twice any more; none when the strings are short enough as they are.
    """
    merges: list[tuple[int, int]] = []
    flat = flatten(match_on)
    count = token_count(flat)
    for left, right in islice(learn_merges(learn_from, first_id), MOST_MERGES):
        fewer = merge_pair(flat, left, right, first_id + len(merges))
        if count <= tokens or tokens - token_count(fewer) > count - tokens:
            break  # another merge would end further away
        flat, count = fewer, token_count(fewer)
        merges.append((left, right))
    return torch.tensor(merges, dtype=torch.int64).view(-1, 2)


def _penalty_at(tokenizer: Tokenizer, waves: list[np.ndarray], rate_hz: float) -> float:
    latents, lengths = _latents(tokenizer, waves)
    scores = tokenizer.model.codebook.log_scores(latents)
    return fit_switch_penalty(scores.cpu(), lengths.cpu(), rate_hz, FRAME_RATE_HZ)


def _chooser_at(tokenizer: Tokenizer, waves: list[np.ndarray], rate_hz: float) -> Chooser:
    return fit_chooser(tokenizer.model.codebook, [_latents(tokenizer, waves)], rate_hz, CODE_COST, COST_FLOOR)


def _latents(tokenizer: Tokenizer, waves: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Encoder frames (B, T, Z) and their numbers (B,), on the tokenizer's device."""
    frames = [torch.from_numpy(z) for z in tokenizer.frame_features(waves, "encoder")]
    lengths = torch.tensor([len(z) for z in frames], device=tokenizer.device)
    return torch.nn.utils.rnn.pad_sequence(frames, batch_first=True).to(tokenizer.device), lengths


def ceiling_of_views(tokenizer: Tokenizer, trials: Trials, name: str, seed: int = 0) -> Result:
    """R1 of frame features: the distorted view b of each segment, warped as a whole, looks for its clean segment."""
    clean = tokenizer.frame_features(trials.clean, CEILINGS[name])
    queries = tokenizer.frame_features(trials.view_b, CEILINGS[name], warps=trials.warps_b)
    return rank_segments(dtw.whole_distances(queries, clean), trials, seed)


def ceiling_of_words(
    tokenizer: Tokenizer, task: WordSearch, waves: Sequence[np.ndarray], name: str, seed: int = 0
) -> Result:
    """R2 of frame features: a word, heard in its recording, is warped onto any stretch of the others' recordings."""
    frames = tokenizer.frame_features(waves, CEILINGS[name])
    place = {i: k for k, i in enumerate(task.items)}
    queries = [frames_between(frames[place[word.utterance]], word.start_s, word.end_s) for word in task.queries]
    return rank_words(task, dtw.subsequence_distances(queries, frames), seed)


def frames_between(frames: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """The rows of (T, D) whose centre lies between two times; the nearest one when there is none."""
    # a little less, so that a time on a frame's centre is not rounded past it
    start, end = (math.ceil(time_s * FRAME_RATE_HZ - 0.5 - 1e-6) for time_s in (start_s, end_s))
    first = min(max(0, start), len(frames) - 1)
    return frames[first : max(first + 1, end)]
