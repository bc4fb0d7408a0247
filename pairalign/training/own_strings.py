"""Target strings for fine-tuning: what the checkpoint that training starts from writes itself.

A recording is written several times, undisturbed and under mild views, and the string that is nearest to all the others
is what the decoder shall write however the recording is disturbed. So it learns a new voice or room without changing
what its tokens mean. Where several speakers say the same (one transcript, or one word of a class), their recordings
share one string: the same word by different people is a pair, and its time map is found by dynamic time warping.

Shapes: T samples or frames, U tokens, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from pairalign.errors import PairAlignError
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.strings import TokenString, normalized_distance
from pairalign.tokenizer import Tokenizer, load
from pairalign.training.bank import AudioBank
from pairalign.training.bridge import CONSENSUS, GROUP, Bridge, kept_bridge
from pairalign.training.corpora import DataError
from pairalign.training.matching import warp_path
from pairalign.training.run import Run
from pairalign.views import make_view

LEAST_WRITTEN = 2  # recordings whose string is not empty
QUIETEST_PEAK = 0.05  # a quiet recording at low gain would be refused as silence; loudness means nothing to the model


@dataclass(frozen=True)
class Written:
    """One way to write a recording: ids, and the frame (U + 1,) each token starts at, and the last one ends at."""

    item: int
    ids: tuple[int, ...]
    edges: np.ndarray


def own_bridge(run: Run, init: str | None, folder: Path, check: Callable[[], None] = lambda: None) -> Bridge:
    """The strings of all training recordings; kept in `folder`, where a resumed run finds them again.

    check: called between groups of recordings; may raise to end the work, and then nothing is kept.
    Raises: ValueError without a checkpoint to start from.
    """
    if not init:
        raise PairAlignError('targets is "own", which needs a checkpoint to start from: give it with --init.')
    bridge = kept_bridge(run, folder, lambda: make_own_bridge(run, load(init, device=run.device), check))
    run.items = [item for item in run.items if len(bridge.ids[item])]  # nothing is learned from silence
    if len(run.items) < LEAST_WRITTEN:
        raise DataError(
            f"The checkpoint writes tokens for only {len(run.items)} of the recordings to learn from; at least "
            f"{LEAST_WRITTEN} are needed. The others hold silence or noise to it: give recordings of clear speech."
        )
    return bridge


def make_own_bridge(run: Run, tokenizer: Tokenizer, check: Callable[[], None] = lambda: None) -> Bridge:
    """The string of each training recording on which its views, and recordings of the same words, agree best."""
    ways: dict[int, list[Written]] = {}
    for start in range(0, len(run.items), GROUP):
        check()
        group = list(run.items[start : start + GROUP])
        for written in _write(run, tokenizer, group):
            ways.setdefault(written.item, []).append(written)
    chosen = {item: middle(written) for item, written in ways.items()}
    if run.config.share_words:
        for same in said_by_several(run.bank, run.items):
            shared = middle([one for item in same for one in ways[item]])
            for item, edges in _moved(run.bank, tokenizer, shared, same).items():
                chosen[item] = Written(item, shared.ids, edges)
    ids = {item: np.array(one.ids, np.int32) for item, one in chosen.items()}
    return Bridge(ids, {item: one.edges.astype(np.int32) for item, one in chosen.items()})


def middle(ways: Sequence[Written]) -> Written:
    """The string with the smallest distance to all others, the first of equals."""
    return min(ways, key=lambda one: sum(normalized_distance(one.ids, other.ids) for other in ways))


def said_by_several(bank: AudioBank, items: Sequence[int]) -> list[list[int]]:
    """Groups of recordings with one transcript that come from two named speakers or more."""
    groups: dict[str, list[int]] = {}
    for item in items:
        text = bank.utterances[item].transcript.casefold().strip()
        if text and bank.utterances[item].speaker:
            groups.setdefault(text, []).append(item)
    return [group for group in groups.values() if len({bank.utterances[i].speaker for i in group}) > 1]


def _write(run: Run, tokenizer: Tokenizer, group: list[int]) -> list[Written]:
    """Each recording of the group, undisturbed and under mild views that move nothing in time."""
    waves = [run.bank.wave(i) for i in group]
    padded = pad_sequence([torch.from_numpy(_audible(wave)) for wave in waves], batch_first=True)
    lengths = torch.tensor([len(wave) for wave in waves])
    found = [_written(i, s) for i, s in zip(group, tokenizer.tokenize_batch(waves), strict=True)]
    for k in range(1, run.config.consensus_views):
        seed = int(np.random.SeedSequence((run.config.seed, 8, group[0], k)).generate_state(1)[0])
        view = make_view(padded, lengths, CONSENSUS, torch.Generator().manual_seed(seed))
        heard = [row[:n].numpy() for row, n in zip(view.wave, view.lengths.tolist(), strict=True)]
        strings = tokenizer.tokenize_batch(heard, warps=view.warp.tolist())
        found += [_written(i, s) for i, s in zip(group, strings, strict=True)]
    return found


def _audible(wave: np.ndarray) -> np.ndarray:
    return wave * max(1.0, QUIETEST_PEAK / max(float(np.abs(wave).max()), 1e-9))


def _written(item: int, string: TokenString) -> Written:
    edges = [start for start, _ in string.spans_s] + [end for _, end in string.spans_s[-1:] or [(0.0, 0.0)]]
    return Written(item, string.ids, np.round(np.array(edges) * FRAME_RATE_HZ))


def _moved(bank: AudioBank, tokenizer: Tokenizer, shared: Written, same: list[int]) -> dict[int, np.ndarray]:
    """Where the tokens of the shared string are in each recording of the same words: edges (U + 1,) by item."""
    latents = tokenizer.frame_features([bank.wave(i) for i in (shared.item, *same)])
    source, moved = latents[0], {}
    for item, target in zip(same, latents[1:], strict=True):
        match = warp_path((1 - source @ target.T)[None], np.array([len(source)]), np.array([len(target)]))[0]
        starts = match[np.clip(shared.edges[:-1].astype(int), 0, len(source) - 1)]
        moved[item] = shared.edges if item == shared.item else np.append(starts, len(target))
    return moved
