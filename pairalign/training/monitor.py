"""Validation during training: are views of one segment alike, and unrelated segments not? (method: metrics, alarms)

Shapes: B batch, T frames.
"""

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pairalign.checkpoint import plain_json
from pairalign.decoding import DecodingOptions, decode, length_limits
from pairalign.model import PairAlignModel
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.network import Encoded
from pairalign.model.quantizer import Codebook, runs_of, spherical_kmeans
from pairalign.strings import normalized_distance
from pairalign.training.data import Segments
from pairalign.training.losses import mean_log_probability, pack_strings
from pairalign.views import STRONG, make_view

Metrics = dict[str, float | None]  # None: could not be measured

BATCH = 32
LOG_FILE = "log.jsonl"
WORDS = {
    "collapse": "Unrelated recordings get nearly the same string: lower the learning rate or raise contrast_weight.",
    "bypass": "The decoder hardly listens (condition gain below 0.5 nat/token): raise prefix_corruption.",
    "length": "Strings drift from the wanted rate by more than 40 %: check wanted_rate_hz and length_control.",
    "vocabulary": "Less than half of the vocabulary is used.",
}


@dataclass(frozen=True)
class Heard:
    """A validation view: encoder output and length limits of one batch."""

    encoded: Encoded
    limits: tuple[torch.Tensor, torch.Tensor]


@torch.no_grad()
def validate(
    model: PairAlignModel, segments: Segments, device: str, strings: bool, related: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """Figures on held-out segments under two strong views; NaN where nothing can be measured.

    Args:
        strings: also decode (stages II and III); otherwise a codebook is fitted to the segments themselves, just to
            look at the frames.
        related: (N, N), True where two segments say the same.
    """
    was_training = model.training
    model.eval()
    views = [_hear_all(model, segments, device, seed + k) for k in (1, 2)]
    book = model.codebook if strings else _trial_codebook(model, views[0])
    figures: dict[str, float] = {}
    for name in ("vq", "viterbi"):
        first, second = (_code_strings(book, view, name) for view in views)
        figures |= {f"{name}_{k}": v for k, v in compare(first, second, views, related).items()}
    if strings:
        decoded = [_decode_all(model, view, related) for view in views]
        figures["condition_gain"] = _mean(decoded[0][2] + decoded[1][2])
        figures |= compare(decoded[0][0], decoded[1][0], views, related)
        figures["eos_rate"] = float(np.mean(decoded[0][1] + decoded[1][1]))
        used = {i for side in decoded for string in side[0] for i in string}
        figures["vocab_used"] = len(used) / model.config.codes
    model.train(was_training)
    return figures


def compare(a: list[list[int]], b: list[list[int]], views: list[list[Heard]], related: np.ndarray) -> dict[str, float]:
    """tokens_per_s, ned_pair, ned_random and separation of two views' strings, item by item."""
    seconds = sum(float(h.encoded.lengths.sum()) for view in views for h in view) / FRAME_RATE_HZ
    pair = float(np.mean([normalized_distance(x, y) for x, y in zip(a, b, strict=True)]))
    random = unrelated_distance(a, b, related)
    tokens = sum(map(len, a)) + sum(map(len, b))
    return {"tokens_per_s": tokens / seconds, "ned_pair": pair, "ned_random": random, "separation": random - pair}


def unrelated_distance(a: list[list[int]], b: list[list[int]], related: np.ndarray) -> float:
    """Mean distance of each string to the next in the list that say something else, three at most; NaN without any."""
    others = [[j for j in np.roll(np.arange(len(b)), -i - 1) if not related[i, j]][:3] for i in range(len(a))]
    return _mean([normalized_distance(a[i], b[j]) for i, chosen in enumerate(others) for j in chosen])


def _mean(values: list[float]) -> float:
    """NaN where nothing was measured."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def _hear_all(model: PairAlignModel, segments: Segments, device: str, seed: int) -> list[Heard]:
    heard = []
    for start in range(0, len(segments.lengths), BATCH):
        wave, lengths = (x[start : start + BATCH].to(device) for x in (segments.wave, segments.lengths))
        generator = torch.Generator().manual_seed(seed * 1000 + start)
        features = make_view(wave, lengths, STRONG, generator).log_mel()
        heard.append(Heard(model.encode(features), length_limits(features, DecodingOptions())))
    return heard


def _code_strings(book: Codebook, view: list[Heard], method: str) -> list[list[int]]:
    strings = []
    for h in view:
        latents, lengths = h.encoded.latents, h.encoded.lengths
        path = book.nearest(latents) if method == "vq" else book.viterbi(latents, lengths)
        strings += [runs_of(p, int(n))[0] for p, n in zip(path.cpu(), lengths, strict=True)]
    return strings


def _decode_all(
    model: PairAlignModel, view: list[Heard], related: np.ndarray
) -> tuple[list[list[int]], list[bool], list[float]]:
    """Strings, whether EOS ended them, and their condition gain against other audio (nat/token).

    The other audio is that of the segment before, or the nearest before it that says something else.
    """
    strings: list[list[int]] = []
    stopped, gains = [], []
    for h in view:
        condition = model.condition(h.encoded)
        result = decode(model.decoder, condition, *h.limits)
        found = [ids[:n] for ids, n in zip(result.tokens.tolist(), result.lengths.tolist(), strict=True)]
        packed = pack_strings(found, model.decoder.eos_id, condition.states.device)
        inputs = packed.inputs(model.decoder.bos_id)
        here = slice(len(strings), len(strings) + len(found))
        partners = [_partner(i, related[here, here]) for i in range(len(found))]
        unrelated = condition.rows(torch.tensor(partners, device=inputs.device))
        own, other = (mean_log_probability(model.decoder(inputs, c)[0], packed) for c in (condition, unrelated))
        told = (own - other).tolist()
        strings += found
        stopped += result.chose_eos.tolist()
        gains += [math.nan if partners[i] == i else gain for i, gain in enumerate(told)]
    return strings, stopped, gains


def _partner(i: int, related: np.ndarray) -> int:
    """The nearest segment before i (in a circle) that says something else; i itself where there is none."""
    count = len(related)
    return next((j for j in ((i - k) % count for k in range(1, count)) if not related[i, j]), i)


def _trial_codebook(model: PairAlignModel, view: list[Heard]) -> Codebook:
    frames = torch.cat(
        [z[: int(n)] for h in view for z, n in zip(h.encoded.latents, h.encoded.lengths, strict=True)]
    ).cpu()
    book = Codebook(model.config.codes, frames.shape[1])
    book.codes = spherical_kmeans(frames, model.config.codes, torch.Generator().manual_seed(0), rounds=8)
    return book.to(view[0].encoded.latents.device)


def alarms(figures: dict[str, float], wanted_rate_hz: float) -> list[str]:
    """What looks wrong, in words (docs/how-it-works.md, what can go wrong)."""
    found = []
    if figures.get("ned_random", 1.0) < 0.5:
        found.append(WORDS["collapse"])
    if figures.get("condition_gain", 1.0) < 0.5:
        found.append(WORDS["bypass"])
    if abs(figures.get("tokens_per_s", wanted_rate_hz) / wanted_rate_hz - 1) > 0.4:
        found.append(WORDS["length"])
    if figures.get("vocab_used", 1.0) < 0.5:
        found.append(WORDS["vocabulary"])
    return found


def read_log(path: Path) -> tuple[dict, ...]:
    """The lines of a run's log; one that is being written, or was cut off, is left out."""
    if not path.is_file():
        return ()
    entries = (_parse(line) for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
    return tuple(entry for entry in entries if entry is not None)


def first_validation(path: Path) -> dict:
    """What a run began with, by its log; empty when nothing was measured yet."""
    return next((entry for entry in read_log(path) if entry.get("event") == "validation"), {})


class Log:
    """JSON lines of a run. On resume the lines after the resumed step are dropped, so that none appears twice."""

    def __init__(self, path: Path, resume_step: int):
        kept = [json.dumps(entry) for entry in read_log(path) if entry.get("step", 0) <= resume_step]
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
        os.replace(temporary, path)
        self.path = path

    def write(self, **entry: object) -> None:
        """Add a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(plain_json(entry)) + "\n")


def _parse(line: str) -> dict | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
