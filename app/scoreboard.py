"""All methods of a checkpoint on a small set of recordings: how much they write, and what changes with the sound."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from app import methods, recordings
from app.recordings import Recording, Source
from app.services import ModelInfo, Progress, Services, portion
from app.stretch import Stretch
from pairalign.audio import SAMPLE_RATE_HZ, wave_from_array
from pairalign.checkpoint import plain_json
from pairalign.codec import through_codec
from pairalign.errors import PairAlignError
from pairalign.evaluation import metrics
from pairalign.evaluation.metrics import Estimate
from pairalign.evaluation.protocols import QUIETEST_PEAK, SHIFT_S
from pairalign.strings import TokenString
from pairalign.tokenizer import Tokenizer
from pairalign.views import STRONG, ViewParameters, ViewRanges, make_view
from pairalign.windows import WINDOW_S

SHORTEST_S = 0.5 + SHIFT_S
BATCH_SIZE = 11
SEED = 0
GRID_S = 0.25  # where the loudest part of a long recording may begin
# name of a change: the view that makes it; "change_shift" and "change_telephone" are made from the wave itself
CHANGES: Mapping[str, Mapping[str, float]] = {
    "change_shift": {},
    "change_speed": {"speed": 1.06},
    "change_warp": {"warp": 1.08},
    "change_noise": {"snr_db": 15.0, "noise_slope": 1.0},
    "change_room": {"t60_s": 0.3},
    "change_telephone": {},
}
COUNTS = ("tokens", "vocab_used")
Scores = Mapping[str, Estimate]


@dataclass(frozen=True)
class Scoreboard:
    """Measures of every method by name, each with its interval over the recordings; NaN where nothing can be measured.

    left_out: a sentence for every file that could not be used. unrelated: whether any two recordings may be told apart.
    """

    names: Sequence[str]
    stretches: Sequence[Stretch]
    left_out: Sequence[str]
    unrelated: bool
    scores: Mapping[str, Scores]
    vocab_sizes: Mapping[str, int]
    seconds: float
    model: ModelInfo

    def to_document(self) -> dict[str, Any]:
        """Plain numbers; null where nothing can be measured."""
        values = {
            name: {key: int(one.value) if key in COUNTS else one.value for key, one in scores.items()}
            for name, scores in self.scores.items()
        }
        found = {
            "options": {"methods": list(self.scores)},
            "recordings": [one.to_document() for one in self.stretches],
            "left_out": list(self.left_out),
            "methods": values,
        }
        return self.model.to_document() | plain_json(found)


@dataclass(frozen=True)
class _Heard:
    """One version of every recording, in order: waves, and the vocal-tract factors that the tokenizer applies."""

    waves: Sequence[np.ndarray]
    warps: Sequence[float]


def compare(
    services: Services,
    sources: Sequence[Source],
    chosen: Sequence[str],
    progress: Progress | None = None,
    run_id: str = "",
) -> Scoreboard:
    """Write every recording, and every changed version of it, with each method.

    Of a recording the loudest 3 s count. Raises: ValueError for user's mistakes, Cancelled when the run is stopped.
    """
    with services.running(run_id, progress) as report:
        names = methods.check(services, chosen)
        heard, left_out = recordings.read_all(services, sources, loudest_part, report)
        started = time.perf_counter()
        versions = make_versions(heard)
        related = _related(heard)
        durations_s = [len(wave) / SAMPLE_RATE_HZ for wave in versions["clean"].waves]
        stretches = [
            Stretch(one.name, one.start_s, one.start_s + seconds, one.recording_s)
            for one, seconds in zip(heard, durations_s, strict=True)
        ]
        written = _write(services, versions, names, portion(report))
        scores = {name: measure(strings, durations_s, related) for name, strings in written.items()}
        vocab_sizes = {name: strings["clean"][0].vocab_size for name, strings in written.items()}
        seconds = time.perf_counter() - started
        report(1.0)
        return Scoreboard(
            [one.name for one in heard],
            stretches,
            left_out,
            bool((~related).any()),
            scores,
            vocab_sizes,
            seconds,
            services.model_info(),
        )


def loudest_part(wave: np.ndarray) -> slice:
    """The samples of the 3.05 s of a recording (T,) with the most energy: a window and room to shift it.

    Raises: ValueError when the recording is too short for that, or silent.
    """
    if len(wave) < SHORTEST_S * SAMPLE_RATE_HZ:
        raise PairAlignError(f"lasts {len(wave) / SAMPLE_RATE_HZ:.2f} s; at least {SHORTEST_S:.2f} s are needed.")
    size, hop = round((WINDOW_S + SHIFT_S) * SAMPLE_RATE_HZ), round(GRID_S * SAMPLE_RATE_HZ)
    energy = np.concatenate([[0.0], np.cumsum(np.square(wave, dtype=np.float64))])
    starts = np.arange(0, max(len(wave) - size, 0) + 1, hop)
    ends = np.minimum(starts + size, len(wave))
    start = int(starts[np.argmax(energy[ends] - energy[starts])])
    shift = round(SHIFT_S * SAMPLE_RATE_HZ)
    part = slice(start, start + size)
    wave_from_array(wave[part][shift:-shift], SAMPLE_RATE_HZ)  # refuses silence, which would end the whole batch
    return part


def make_versions(heard: Sequence[Recording]) -> dict[str, _Heard]:
    """The recordings as they are ("clean"), under each of `CHANGES`, and in two strong views ("view_a", "view_b")."""
    shift = round(SHIFT_S * SAMPLE_RATE_HZ)
    clean = [one.wave[:-shift] for one in heard]
    versions = {"clean": _Heard(clean, [1.0] * len(clean))}
    for index, (name, view) in enumerate(CHANGES.items()):
        if name == "change_shift":
            versions[name] = _Heard([one.wave[shift:] for one in heard], [1.0] * len(clean))
        elif name == "change_telephone":
            versions[name] = _Heard([_audible(through_codec(wave, "telephone")) for wave in clean], [1.0] * len(clean))
        else:
            same = {key: torch.full((len(clean),), value) for key, value in view.items()}
            versions[name] = _view(clean, replace(ViewParameters.neutral(len(clean)), **same), SEED + index)
    versions["view_a"], versions["view_b"] = (_view(clean, STRONG, SEED + 100 + k) for k in (0, 1))
    return versions


def _view(clean: Sequence[np.ndarray], ranges: ViewRanges | ViewParameters, seed: int) -> _Heard:
    """One view of every recording, the same for a seed."""
    lengths = torch.tensor([len(wave) for wave in clean])
    padded = torch.zeros(len(clean), int(lengths.max()))
    for row, wave in zip(padded, clean, strict=True):
        row[: len(wave)] = torch.from_numpy(wave)
    view = make_view(padded, lengths, ranges, torch.Generator().manual_seed(seed))
    waves = [_audible(row[:n].numpy()) for row, n in zip(view.wave, view.lengths.tolist(), strict=True)]
    return _Heard(waves, view.warp.tolist())


def _audible(wave: np.ndarray) -> np.ndarray:
    peak = float(np.abs(wave).max())
    return wave * np.float32(max(1.0, QUIETEST_PEAK / max(peak, 1e-9)))


def _related(heard: Sequence[Recording]) -> np.ndarray:
    """(N, N): True where two recordings are one or its copy, or are known to say the same."""
    texts = np.array([one.text.casefold().strip() or f"\0{index}" for index, one in enumerate(heard)])
    contents = np.array([hashlib.sha256(one.wave.tobytes()).hexdigest() for one in heard])
    return (texts[:, None] == texts) | (contents[:, None] == contents)


def _write(
    services: Services, versions: Mapping[str, _Heard], names: Sequence[str], progress: Progress
) -> dict[str, dict[str, list[TokenString]]]:
    """The strings of all versions by method, in one call."""
    waves = [wave for one in versions.values() for wave in one.waves]
    warps = [warp for one in versions.values() for warp in one.warps]
    written = services.compute(Tokenizer.tokenize_methods, waves, names, BATCH_SIZE, progress=progress, warps=warps)
    return {name: _by_version(strings, versions) for name, strings in written.items()}


def _by_version(strings: Sequence[TokenString], versions: Mapping[str, _Heard]) -> dict[str, list[TokenString]]:
    rest = iter(strings)
    return {name: [next(rest) for _ in one.waves] for name, one in versions.items()}


def measure(
    strings: Mapping[str, Sequence[TokenString]], durations_s: Sequence[float], related: np.ndarray
) -> dict[str, Estimate]:
    """The measures of one method from its strings of every version; `related` (N, N)."""
    ids = {name: [string.ids for string in group] for name, group in strings.items()}
    clean = ids["clean"]
    rate = metrics.tokens_per_s(clean, durations_s)
    own = metrics.ned_pair(ids["view_a"], ids["view_b"])
    random = metrics.ned_random(metrics.distance_matrix(ids["view_a"], ids["view_b"]), related)
    per_recording = {"ned_pair": own, "ned_random": random, "separation": random - own}
    per_recording |= {name: metrics.ned_pair(clean, ids[name]) for name in CHANGES}
    return {
        "tokens_per_s": rate,
        "bits_per_s": metrics.bits_per_s(rate, strings["clean"][0].vocab_size),
        "tokens": _count(sum(map(len, clean))),
        "vocab_used": _count(metrics.vocab_used(clean)),
        **{name: metrics.bootstrap_mean(values) for name, values in per_recording.items()},
    }


def _count(value: float) -> Estimate:
    """A number counted over the whole set: it has no interval."""
    return Estimate(float(value), float("nan"), float("nan"))
