"""Times of tasks, taken in turns so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

WARM_UP = 2


@dataclass(frozen=True)
class Task:
    """Something to time: `act(k)` is round k of it. A round does `items` items (clips, queries) of `audio_s` in all.

    audio_s: None where no audio is worked on.
    """

    name: str
    act: Callable[[int], object]
    items: int = 1
    audio_s: float | None = None


@dataclass(frozen=True)
class Result:
    """n rounds of a task: median and 95th percentile of one round, items per second and seconds of audio per second.

    The last two follow from the median; real_time_factor is None where no audio is worked on.
    """

    name: str
    n: int
    p50_ms: float
    p95_ms: float
    per_s: float
    real_time_factor: float | None


def time_tasks(tasks: Sequence[Task], rounds: int, device: str = "cpu") -> list[Result]:
    """Every task once per round, in order; rounds that warm up do not count, and have numbers below 0."""
    times_s: list[list[float]] = [[] for _ in tasks]
    for k in range(-WARM_UP, rounds):
        for task, taken in zip(tasks, times_s, strict=True):
            start = _now(device)
            task.act(k)
            seconds = _now(device) - start
            if k >= 0:
                taken.append(seconds)
    return [result_of(task, taken) for task, taken in zip(tasks, times_s, strict=True)]


def result_of(task: Task, times_s: Sequence[float]) -> Result:
    """What the seconds of a task's rounds amount to."""
    p50_s, p95_s = np.percentile(times_s, [50, 95])
    factor = None if task.audio_s is None else task.audio_s / p50_s
    return Result(task.name, len(times_s), 1000 * p50_s, 1000 * p95_s, task.items / p50_s, factor)


def _now(device: str) -> float:
    """Seconds, after everything that the device was asked to do."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter()
