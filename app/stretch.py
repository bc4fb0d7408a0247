"""The part of a recording that an answer is about: every answer to a program says which one was used."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.errors import PairAlignError


@dataclass(frozen=True)
class Stretch:
    """Seconds `start_s` to `end_s` of a recording that lasts `recording_s`."""

    file: str
    start_s: float
    end_s: float
    recording_s: float

    @staticmethod
    def whole(path: str | Path, samples: int) -> Stretch:
        """All of a recording of so many samples at 16 kHz."""
        duration_s = samples / SAMPLE_RATE_HZ
        return Stretch(Path(str(path)).name, 0.0, duration_s, duration_s)

    def to_document(self) -> dict[str, Any]:
        """As answers hold it."""
        times = {"start_s": self.start_s, "end_s": self.end_s}
        times |= {"duration_s": self.end_s - self.start_s, "recording_s": self.recording_s}
        return {"file": self.file} | {name: round(seconds, 4) for name, seconds in times.items()}


def cut(
    wave: np.ndarray,
    path: str | Path,
    start_s: float | None,
    length_s: float | None = None,
    longest_s: float = math.inf,
) -> tuple[np.ndarray, Stretch]:
    """The samples (T',) of a part of a recording (T,), and where they lie; without a length, all from `start_s` on.

    A part that is asked for beyond the end stops at the end.
    Raises: PairAlignError for a start outside the recording, a length that is none, or more than `longest_s`.
    """
    duration_s = len(wave) / SAMPLE_RATE_HZ
    start_s, length_s = _seconds("start_s", start_s), _seconds("length_s", length_s)
    if start_s >= duration_s:
        raise PairAlignError(f"start_s is {start_s:g}; use less than {duration_s:.2f}, the seconds of this recording.")
    end_s = min(start_s + length_s, duration_s) if length_s else duration_s
    if end_s - start_s > longest_s + 1e-6:
        given = f"length_s is {length_s:g}" if length_s else f"There are {end_s - start_s:.2f} s from start_s on"
        raise PairAlignError(f"{given}; use a length_s of {longest_s:g} or less.")
    part = wave[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]
    return part, Stretch(Path(str(path)).name, start_s, end_s, duration_s)


def _seconds(name: str, value: float | None) -> float:
    """Seconds from 0; None is 0."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise PairAlignError(f"{name} is {str(value)[:40]}; use 0 or more seconds.")
    return float(value)
