"""What `bench` times: writing strings, searching them, sweeping a recording, training.

All audio is babble and all archives are made, so that nothing has to be at hand; both follow from fixed seeds.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from pairalign.archive.column import Column, pack_arrays
from pairalign.archive.search import nearest_windows
from pairalign.babble import babble
from pairalign.bench.stopwatch import Result, Task, result_of, time_tasks
from pairalign.decoding import Decoded, DecodingOptions, decode, length_limits
from pairalign.features import log_mel
from pairalign.placement import token_starts
from pairalign.sweeps.sweep import sweep_methods
from pairalign.tokenizer import BEAM, Tokenizer
from pairalign.training.config import TrainConfig
from pairalign.training.job import Job
from pairalign.training.step_time import step_times, trial_start

CLIP_S = 3.0
BATCH = 32
DISSECTED = 8  # clips
WINDOWS = 100_000
WINDOW_TOKENS = (31, 6)  # mean and deviation, as `base` writes for 3 s of speech
TOP = 10
CHANGED = 0.25  # of a query's tokens
SWEEP_METHODS = ("pairalign", "vq", "viterbi")
LONG = 4  # what takes about a second has a fourth of the rounds; training, which takes longer, an eighth
STAGE_STEPS = 1000
NUMERALS = {1: "I", 2: "II", 3: "III"}


def measure_tokenize(tokenizer: Tokenizer, rounds: int) -> list[Result]:
    """A clip of 3 s, whole and in its parts, and batches of them, from samples to strings."""
    clips = [babble(CLIP_S, seed) for seed in range(BATCH)]
    whole = f"tokenize: clip of {CLIP_S:g} s"

    def clip(name: str, method: str = "pairalign", options: DecodingOptions = BEAM) -> Task:
        return Task(name, lambda k: tokenizer.tokenize(clips[k % BATCH], method, options), 1, CLIP_S)

    def batch(name: str, method: str = "pairalign") -> Task:
        return Task(name, lambda _: tokenizer.tokenize_batch(clips, method, BATCH), BATCH, BATCH * CLIP_S)

    greedy = DecodingOptions()
    one = [*part_tasks(tokenizer, clips[:DISSECTED]), clip(whole), clip(f"{whole}, greedy", options=greedy)]
    many = [batch(f"tokenize: batch of {BATCH}"), batch(f"tokenize: batch of {BATCH}, vq", method="vq")]
    device = tokenizer.device
    return time_tasks([*one, clip(f"{whole}, vq", method="vq")], rounds, device) + time_tasks(
        many, -(-rounds // LONG), device
    )


@torch.inference_mode()
def part_tasks(tokenizer: Tokenizer, clips: Sequence[np.ndarray]) -> list[Task]:
    """What `tokenize` does with clips (T,), step by step and one clip per round.

    The decoder's part has with it what it makes of the encoder's frames before it begins.
    """
    model, device = tokenizer.model, tokenizer.device
    heard = [(torch.from_numpy(clip)[None].to(device), torch.tensor([len(clip)], device=device)) for clip in clips]
    features = [log_mel(*one) for one in heard]
    encoded = [model.encode(one) for one in features]

    def write(k: int) -> Decoded:
        return decode(model.decoder, model.condition(encoded[k]), *length_limits(features[k], BEAM), BEAM)

    def place(k: int) -> np.ndarray:
        return token_starts(model, encoded[k], written[k].tokens, written[k].lengths, written[k].attention)

    written = [write(k) for k in range(len(clips))]
    parts = {
        "log-mel": lambda k: log_mel(*heard[k]),
        "encoder": lambda k: model.encode(features[k]),
        "decoder": write,
        "timing": place,
    }

    def task(name: str, act: Callable[[int], object]) -> Task:
        return Task(f"tokenize: {name}", torch.inference_mode()(lambda k: act(k % len(clips))), 1, CLIP_S)

    return [task(name, act) for name, act in parts.items()]


def measure_search(tokenizer: Tokenizer, rounds: int) -> list[Result]:
    """The nearest strings of an archive, exact, beside RapidFuzz comparing the query with all; answers must agree.

    Raises: RuntimeError when they do not.
    """
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    rng = np.random.default_rng(0)
    column = made_column(WINDOWS, tokenizer.vocab_size, rng)
    query_ids = [_query(column, k, rng).tolist() for k in range(rounds)]
    glyphs = np.arange(0x100, 0x100 + tokenizer.vocab_size, dtype=np.uint32)
    text = glyphs[column.tokens].tobytes().decode("utf-32-le")
    edges = column.window_edges.tolist()
    texts = [text[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    written = ["".join(chr(0x100 + token) for token in ids) for ids in query_ids]

    def ours(k: int) -> list[int]:
        return [
            match.distance for match in nearest_windows(column, query_ids[k % rounds], TOP, device=tokenizer.device)
        ]

    def theirs(k: int) -> np.ndarray:
        return cdist([written[k % rounds]], texts, scorer=Levenshtein.distance)[0]

    for k in range(min(rounds, 3)):
        if ours(k) != np.sort(theirs(k))[:TOP].tolist():
            raise RuntimeError(f"search and brute force disagree on {query_ids[k]}")
    name = f"search: {WINDOWS:,} strings"
    return time_tasks([Task(name, ours), Task(f"{name}, RapidFuzz cdist", theirs)], rounds, tokenizer.device)


def made_column(windows: int, vocab_size: int, rng: np.random.Generator) -> Column:
    """Strings with lengths as `base` writes them and tokens as unequally frequent as in speech, one per recording."""
    lengths = rng.normal(*WINDOW_TOKENS, windows).round().clip(5, 60).astype(np.int64)
    shares = 1 / (np.arange(vocab_size) + vocab_size / 8)  # the likeliest token is nine times as likely as the rarest
    tokens = rng.choice(vocab_size, lengths.sum(), p=shares / shares.sum()).astype(np.uint16)
    return pack_arrays(tokens, np.concatenate([[0], np.cumsum(lengths)]), np.arange(windows + 1))


def _query(column: Column, k: int, rng: np.random.Generator) -> np.ndarray:
    """A string of the archive with a quarter of its tokens changed; every other one belongs to no string in it."""
    ids = column.window_ids(int(rng.integers(column.windows))).copy()
    changed = rng.random(len(ids)) < (CHANGED if k % 2 == 0 else 1.0)
    ids[changed] = rng.choice(column.tokens, int(changed.sum()))
    return ids


def measure_sweep(tokenizer: Tokenizer, rounds: int) -> list[Result]:
    """21 windows of 3 s that slide over a recording by 5 ms, the strings of three methods for each."""
    wave, stop_ms, step_ms = babble(CLIP_S + 0.2), 100, 5
    windows = stop_ms // step_ms + 1

    def sweep(_: int) -> object:
        return sweep_methods(tokenizer, [wave], "shift", stop_ms, step_ms, SWEEP_METHODS)

    name = f"sweep: {windows} shifts, {len(SWEEP_METHODS)} methods"
    return time_tasks([Task(name, sweep, 1, windows * CLIP_S)], -(-rounds // LONG), tokenizer.device)


def measure_train(tokenizer: Tokenizer, rounds: int) -> list[Result]:
    """Steps of the trainer in the middle of each of its stages, with the default batches and a network of this size."""
    results = []
    for stage, numeral in NUMERALS.items():
        first, second, third = (STAGE_STEPS if s == stage else 0 for s in NUMERALS)
        config = TrainConfig(stage1_steps=first, stage2_steps=second, stage3_steps=third)
        job = Job(Path(), Path(), config, device=tokenizer.device)
        start = trial_start(copy.deepcopy(tokenizer.model), job)
        taken = step_times(job, start, -(-rounds // (2 * LONG)), STAGE_STEPS // 2)
        results.append(result_of(Task(f"train: step of stage {numeral}", lambda _: None), taken))
    return results


MEASURES = {
    "tokenize": measure_tokenize,
    "search": measure_search,
    "sweep": measure_sweep,
    "train": measure_train,
}
