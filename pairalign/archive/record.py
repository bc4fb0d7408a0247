"""What an archive hands out: who wrote the strings, the recordings, all strings of a method at once, and totals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Model:
    """Which model wrote the strings of an archive: its name, sha256, and the vocabulary size of each method."""

    name: str
    sha256: str
    methods: dict[str, int]


@dataclass(frozen=True)
class Recording:
    """One recording of an archive; size and time of change tell whether its file is still the one that was added."""

    id: int
    path: Path
    sha256: str
    duration_s: float
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True)
class Packed:
    """All strings of one method: recordings by path, their windows in order, tokens one after the other.

    recording_ids (R,), durations_s (R,), first_window (R + 1,), window_edges (W + 1,), tokens uint16.
    """

    recording_ids: np.ndarray
    durations_s: np.ndarray
    first_window: np.ndarray
    window_edges: np.ndarray
    tokens: np.ndarray


@dataclass(frozen=True)
class MethodTotals:
    """What one method's strings add up to; `used` of `vocab_size` tokens occur, with counts (vocab_size,)."""

    windows: int
    tokens: int
    vocab_size: int
    counts: np.ndarray

    @property
    def used(self) -> int:
        """How many different tokens occur."""
        return int((self.counts > 0).sum())


@dataclass(frozen=True)
class ArchiveInfo:
    """What an archive holds."""

    path: Path
    model: Model | None
    recordings: int
    seconds: float
    size_bytes: int
    methods: dict[str, MethodTotals]
