"""The strings of one recording along a sweep, and how far they move from the first one (method: sweep)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pairalign.errors import PairAlignError
from pairalign.strings import TokenString, normalized_distance
from pairalign.windows import WINDOW_S

BOUNDED_BELOW = 0.3  # d_max of a trajectory that stays near its origin


@dataclass(frozen=True)
class Trajectory:
    """The strings of one recording at every value of a sweep, and how far they move; all lists run along `values`.

    Distances are Levenshtein over token ids / longer length. `window_s` is what a shift is measured against.
    """

    kind: str
    method: str
    values: tuple[float, ...]
    strings: tuple[TokenString, ...]
    window_s: float = WINDOW_S

    @cached_property
    def distance_to_origin(self) -> tuple[float, ...]:
        """Distance of every string to the first one; the first is 0."""
        return tuple(normalized_distance(self.strings[0], string) for string in self.strings)

    @cached_property
    def step_distance(self) -> tuple[float, ...]:
        """Distance of every string to the one before; the first, which has none before, is 0."""
        before = (self.strings[0], *self.strings)
        return tuple(normalized_distance(a, b) for a, b in zip(before, self.strings, strict=False))

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Tokens of every string."""
        return tuple(map(len, self.strings))

    @cached_property
    def content_floor(self) -> tuple[float, ...]:
        """What distance the audio itself explains: a shift by δ takes δ/T away in front and adds it behind, 2δ/T.

        0 for kinds that keep the content.
        """
        if self.kind != "shift":
            return (0.0,) * len(self.values)
        return tuple(min(1.0, 2 * value / 1000 / self.window_s) for value in self.values)

    @property
    def d_last(self) -> float:
        """Distance to the origin at the last value."""
        return self.distance_to_origin[-1]

    @property
    def d_100(self) -> float:
        """Distance to the origin at a shift of 100 ms; NaN for a sweep without that value."""
        at = self.values.index(100.0) if self.kind == "shift" and 100.0 in self.values else None
        return math.nan if at is None else self.distance_to_origin[at]

    @property
    def d_max(self) -> float:
        """Largest distance to the origin."""
        return max(self.distance_to_origin)

    @property
    def excess(self) -> float:
        """`d_last` over the content floor; below 0 where less changes than the audio explains."""
        return self.d_last - self.content_floor[-1]

    @property
    def step_mean(self) -> float:
        """Mean distance between neighbours."""
        return sum(self.step_distance) / (len(self.strings) - 1)

    @property
    def roughness(self) -> float:
        """Sum of the steps / `d_last`: 1 for a straight path, large for a restless one; NaN where it ends at 0."""
        return sum(self.step_distance) / self.d_last if self.d_last else math.nan

    @property
    def length_std(self) -> float:
        """Standard deviation of the lengths, tokens."""
        return float(np.std(self.lengths))

    @property
    def length_deviation(self) -> float:
        """Mean of |length - first length| / the longer of the two, over all but the first string."""
        first, *later = self.lengths
        return sum(abs(n - first) / max(n, first, 1) for n in later) / len(later)

    @property
    def bounded(self) -> bool:
        """Whether the string stays near its origin: `d_max` below 0.3."""
        return self.d_max < BOUNDED_BELOW

    def every(self, stride: int) -> Trajectory:
        """The same sweep in steps that are `stride` times as large.

        Raises: ValueError when fewer than two values would be left.
        """
        if not 1 <= stride < len(self.values):
            raise PairAlignError(
                f"stride is {stride}; allowed: 1 to {len(self.values) - 1}, so that two values are left."
            )
        return replace(self, values=self.values[::stride], strings=self.strings[::stride])

    def statistics(self) -> dict[str, float | bool]:
        """All measures of the trajectory by name."""
        names = "d_last d_max excess step_mean roughness length_std length_deviation bounded".split()
        return {name: getattr(self, name) for name in names}

    def to_dict(self) -> dict[str, Any]:
        """The keys of the JSON contract, and the statistics."""
        return {
            "distance_to_origin": list(self.distance_to_origin),
            "step_distance": list(self.step_distance),
            "lengths": list(self.lengths),
            "strings": [string.to_dict() for string in self.strings],
            "statistics": self.statistics(),
        }
