"""Sweeps for the page: one recording whose steps can be heard, or the mean of several. No Gradio in here."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from app import methods, recordings
from app.limits import RunLimits
from app.recordings import Source
from app.result import decoding_options
from app.services import ModelInfo, Progress, Services, portion, to_int16
from app.stretch import Stretch
from pairalign.audio import SAMPLE_RATE_HZ, wave_from_array
from pairalign.checkpoint import plain_json
from pairalign.errors import PairAlignError
from pairalign.evaluation import drift
from pairalign.evaluation.metrics import Estimate
from pairalign.strings import TokenString
from pairalign.sweeps.sweep import KINDS, Trajectory, heard_at, sweep_methods, sweep_values
from pairalign.windows import WINDOW_S

SHORTEST_WINDOW_S = 0.5  # less than that holds a handful of tokens, and every distance is a large one
BATCH_SIZE = 11  # half of the usual sweep of 21 steps: Stop need not wait for all of it
STEPS = {"shift": 5.0}  # finer than the library's usual steps where the page has room for it
DEFAULT_METHODS = ("pairalign", "vq", "viterbi")


@dataclass(frozen=True)
class SweepSettings:
    """What to sweep; a stop or step of None is the usual one of the kind. start_s: where the first window begins."""

    kind: str = "shift"
    stop: float | None = None
    step: float | None = None
    start_s: float = 0.0
    methods: Sequence[str] = DEFAULT_METHODS

    @cached_property
    def values(self) -> tuple[float, ...]:
        """Values of the sweep. Raises ValueError for numbers that make no sweep."""
        for name in ("stop", "step", "start_s"):
            number = getattr(self, name)
            if number is not None and (isinstance(number, bool) or not isinstance(number, (int, float))):
                raise PairAlignError(f"{name} is {str(number)[:40]!r}; use a number.")
        if not 0 <= self.start_s < math.inf:
            raise PairAlignError(f"start_s is {self.start_s:g}; use 0 or more seconds.")
        return sweep_values(*self.numbers)

    @property
    def numbers(self) -> tuple[str, float | None, float | None]:
        """Kind, stop and step as the library takes them."""
        return self.kind, self.stop, STEPS.get(self.kind) if self.step is None else self.step

    @property
    def reach_s(self) -> float:
        """How much later than the first window the last one begins."""
        return self.values[-1] / 1000 if self.kind == "shift" else 0.0

    def window_s(self, samples: int) -> float:
        """Length of the window in a recording: 3 s, or what there is room for.

        Raises: ValueError when the recording has no room for a window of `SHORTEST_WINDOW_S`.
        """
        first, reach = round(self.start_s * SAMPLE_RATE_HZ), round(self.reach_s * SAMPLE_RATE_HZ)
        room_s = (samples - first - reach) / SAMPLE_RATE_HZ
        if room_s < SHORTEST_WINDOW_S:
            needed_s = self.start_s + self.reach_s + SHORTEST_WINDOW_S
            smaller = "a smaller start or stop" if self.kind == "shift" else "a smaller start"
            raise PairAlignError(
                f"the recording lasts {samples / SAMPLE_RATE_HZ:.2f} s and this sweep needs at least {needed_s:.2f} s;"
                f" use a longer recording or {smaller}."
            )
        return min(WINDOW_S, room_s)


@dataclass(frozen=True)
class SweepResult:
    """The sweep of one recording by every method. wave: (T,) from the first window's start to the last one's end.

    recording_s: how long the whole recording lasts.
    """

    file_name: str
    recording_s: float
    settings: SweepSettings
    window_s: float
    wave: np.ndarray
    trajectories: Mapping[str, Trajectory]
    seconds: float
    model: ModelInfo

    @property
    def values(self) -> tuple[float, ...]:
        return self.settings.values

    def nearest_step(self, value: float) -> int:
        """The step whose value is nearest."""
        return min(range(len(self.values)), key=lambda step: abs(self.values[step] - value))

    def heard(self, step: int) -> np.ndarray:
        """What the tokenizer heard at a step, (T',) int16 for playback."""
        value = self.values[step]
        return to_int16(heard_at([value], self.wave, self.settings.kind, window_s=self.window_s)[0])

    def spans_s(self, string: TokenString, step: int) -> list[tuple[float, float]]:
        """Where the tokens of a step lie in the recording."""
        value, kind, start_s = self.values[step], self.settings.kind, self.settings.start_s
        speed = value if kind == "speed" else 1.0
        start_s += value / 1000 if kind == "shift" else 0.0
        return [(start_s + speed * start, start_s + speed * end) for start, end in string.spans_s]

    def to_document(self) -> dict[str, Any]:
        """What ``python -m pairalign sweep --json`` prints, and what it came from."""
        start_s = self.settings.start_s
        used = Stretch(self.file_name, start_s, start_s + len(self.wave) / SAMPLE_RATE_HZ, self.recording_s)
        strings = [one.strings[0] for one in self.trajectories.values()]
        step = round(abs(self.values[1] - self.values[0]), 9)
        given = {"kind": self.settings.kind, "stop": self.values[-1], "step": step, "methods": list(self.trajectories)}
        found = used.to_document() | {
            "options": given | {"decoding": decoding_options(strings)},
            "kind": self.settings.kind,
            "unit": KINDS[self.settings.kind].unit,
            "values": list(self.values),
            "window_s": self.window_s,
            "methods": {name: one.to_dict() for name, one in self.trajectories.items()},
        }
        return self.model.to_document() | plain_json(found)


@dataclass(frozen=True)
class Curve:
    """Mean distance to the origin at every value with its 95 % interval, the mean content floor, and the measures."""

    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    floor: Sequence[float]
    measures: Mapping[str, Estimate]


@dataclass(frozen=True)
class AverageResult:
    """The same sweep over several recordings. left_out: a sentence for every file that could not be used."""

    settings: SweepSettings
    names: Sequence[str]
    windows_s: Sequence[float]
    left_out: Sequence[str]
    curves: Mapping[str, Curve]
    seconds: float
    model: ModelInfo


def sweep_one(
    services: Services,
    path: str | Path | None,
    settings: SweepSettings,
    progress: Progress | None = None,
    run_id: str = "",
) -> SweepResult:
    """Sweep one recording. User's mistakes are ValueError; stopping the run raises Cancelled."""
    with services.running(run_id, progress) as report:
        settings = _checked(services, settings)
        wave = services.read(path)
        report(0.05)
        recording_s = len(wave) / SAMPLE_RATE_HZ
        window_s = settings.window_s(len(wave))
        first = round(settings.start_s * SAMPLE_RATE_HZ)
        wave = wave[first : first + round((window_s + settings.reach_s) * SAMPLE_RATE_HZ)].copy()
        started = time.perf_counter()
        found = {name: one for name, (one,) in _sweep_all(services, [wave], [window_s], settings, report).items()}
        seconds = time.perf_counter() - started
        report(1.0)
        name, model = Path(str(path)).name, services.model_info()
        return SweepResult(name, recording_s, settings, window_s, wave, found, seconds, model)


def sweep_average(
    services: Services,
    sources: Sequence[Source],
    settings: SweepSettings,
    progress: Progress | None = None,
    run_id: str = "",
) -> AverageResult:
    """The same sweep over several recordings, each from its beginning and with its own window.

    Raises: ValueError for user's mistakes, Cancelled when the run is stopped.
    """
    settings = replace(settings, start_s=0.0)
    _check_size(services.allowed, len(sources), len(settings.values))
    with services.running(run_id, progress) as report:
        settings = _checked(services, settings)
        heard, left_out = recordings.read_all(services, sources, lambda wave: _needed(wave, settings), report)
        windows_s = [settings.window_s(len(one.wave)) for one in heard]
        waves = [one.wave for one in heard]
        started = time.perf_counter()
        swept = _sweep_all(services, waves, windows_s, settings, report)
        curves = {name: _curve(trajectories) for name, trajectories in swept.items()}
        seconds = time.perf_counter() - started
        report(1.0)
        names = [one.name for one in heard]
        return AverageResult(settings, names, windows_s, left_out, curves, seconds, services.model_info())


def _checked(services: Services, settings: SweepSettings) -> SweepSettings:
    """The settings with methods that the checkpoint has. Raises ValueError for wrong numbers, before audio is read."""
    values, allowed = settings.values, services.allowed  # raises where the numbers make no sweep
    if len(values) > allowed.sweep_values:
        raise PairAlignError(
            f"a sweep of {len(values)} values is too large here; {allowed.sweep_values} are allowed at once. Use a"
            f" larger step{allowed.way_out}."
        )
    return replace(settings, methods=methods.check(services, settings.methods))


def _sweep_all(
    services: Services,
    waves: Sequence[np.ndarray],
    windows_s: Sequence[float],
    settings: SweepSettings,
    report: Progress,
) -> dict[str, list[Trajectory]]:
    """The trajectories of all recordings, by method, in one call."""
    how = {"window_s": windows_s, "batch_size": BATCH_SIZE, "progress": portion(report)}
    return services.compute(sweep_methods, waves, *settings.numbers, settings.methods, **how)


def _check_size(allowed: RunLimits, recordings_count: int, values_count: int) -> None:
    if values_count < 3:
        raise PairAlignError("an average needs a sweep of at least two steps; use a smaller step.")
    if recordings_count * values_count > allowed.average_windows:
        raise PairAlignError(
            f"{recordings_count} recordings at {values_count} values are {recordings_count * values_count:,} windows;"
            f" {allowed.average_windows:,} are allowed at once. Use a larger step or fewer recordings{allowed.way_out}."
        )


def _needed(wave: np.ndarray, settings: SweepSettings) -> slice:
    """The part of a recording (T,) that its sweep hears. Raises ValueError when it is too short, or silent."""
    window_s = settings.window_s(len(wave))
    kept = slice(0, round((window_s + settings.reach_s) * SAMPLE_RATE_HZ))
    part = wave[kept]
    starts = heard_at(settings.values, part, window_s=window_s) if settings.kind == "shift" else [part]
    for window in starts:
        wave_from_array(window, SAMPLE_RATE_HZ)  # here a silent one is named; later it would end the whole batch
    return kept


def _curve(trajectories: Sequence[Trajectory]) -> Curve:
    curve = drift.mean_curve(trajectories)
    floor = np.mean([one.content_floor for one in trajectories], axis=0).tolist()
    return Curve(curve["distance_to_origin"], curve["low"], curve["high"], floor, drift.measure_drift(trajectories))
