"""The strings of one method, packed in memory for the search.

A column holds recordings in a fixed order (the archive's: by path); each is cut into windows, and the windows of a
recording joined are its whole string. Shapes: R recordings, W windows, N tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pairalign.errors import PairAlignError
from pairalign.strings import MAX_VOCAB_SIZE

# Rows of the presence table, one bit per window each. Frequent ids share theirs with rare ones only, so few rows tell
# much: of a million windows of speech (512 ids), a search compares 23 % with 128 rows, 4.4 % with 256, 3.2 % with 320
# and 2.7 % with 512.
PRESENCE_ROWS = 320
COUNTED_AT_ONCE = 1 << 20
MOST_TOKENS = 2**32 - 1  # window edges are uint32


@dataclass(frozen=True, eq=False)
class Column:
    """Packed strings: window w is tokens[window_edges[w]:window_edges[w + 1]].

    tokens: (N,) uint16. window_edges: (W + 1,) uint32. first_window: (R + 1,) int64, recording r has the windows
    first_window[r] to first_window[r + 1], exclusive.
    """

    tokens: np.ndarray
    window_edges: np.ndarray
    first_window: np.ndarray
    # the tensors of the last search on a GPU, by device, so that the next one need not copy
    on_device: dict = field(default_factory=dict, repr=False)

    @property
    def recordings(self) -> int:
        """How many recordings, R."""
        return len(self.first_window) - 1

    @property
    def windows(self) -> int:
        """How many windows, W."""
        return len(self.window_edges) - 1

    @property
    def vocab_size(self) -> int:
        """The highest id + 1."""
        return len(self.row_of)

    @cached_property
    def row_of(self) -> np.ndarray:
        """The presence row of each id, (V,) uint16; V is the highest id + 1."""
        return _presence_rows(self.tokens)

    @cached_property
    def presence(self) -> np.ndarray:
        """Bit w of a row tells whether window w has any token of that row: (rows, words) uint64, one word to spare.

        Made when it is first needed, by a compiled loop: small archives are searched without.
        """
        return _presence(self.tokens, self.window_edges, self.row_of)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        arrays = (self.tokens, self.window_edges, self.first_window, self.row_of, self.presence)
        return sum(array.nbytes for array in arrays)

    @property
    def recording_edges(self) -> np.ndarray:
        """(R + 1,) where the recordings' whole strings begin and end in `tokens`."""
        return self.window_edges[self.first_window]

    def window_ids(self, window: int) -> np.ndarray:
        """The string of one window, (N,) uint16."""
        return self.tokens[self.window_edges[window] : self.window_edges[window + 1]]

    def recording_ids(self, recording: int) -> np.ndarray:
        """The whole string of one recording, (N,) uint16."""
        first, last = self.first_window[recording], self.first_window[recording + 1]
        return self.tokens[self.window_edges[first] : self.window_edges[last]]


def pack(recordings: Iterable[Sequence[np.ndarray]]) -> Column:
    """Pack recordings given as the strings of their windows. Raises: ValueError for ids outside 0 to 65535."""
    windows: list[np.ndarray] = []
    first_window = [0]
    for recording in recordings:
        windows.extend(checked_ids(ids) for ids in recording)
        first_window.append(len(windows))
    edges = np.cumsum([0, *map(len, windows)], dtype=np.int64)
    tokens = np.concatenate(windows) if windows else np.zeros(0, np.uint16)
    return pack_arrays(tokens, edges, np.array(first_window))


def pack_arrays(tokens: np.ndarray, window_edges: np.ndarray, first_window: np.ndarray) -> Column:
    """Pack strings that are joined already: tokens (N,), window_edges (W + 1,), first_window (R + 1,), see `Column`.

    Raises: ValueError for ids outside 0 to 65535, edges that do not cover the tokens in order, or 2^32 tokens or more.
    """
    tokens = checked_ids(tokens)
    if len(tokens) > MOST_TOKENS:
        raise PairAlignError(
            f"{len(tokens)} tokens are too many; a column holds up to {MOST_TOKENS}. Split the archive"
        )
    window_edges = _checked_edges(window_edges, len(tokens), "window_edges").astype(np.uint32)
    first_window = _checked_edges(first_window, len(window_edges) - 1, "first_window").astype(np.int64)
    return Column(tokens, window_edges, first_window)


def checked_ids(ids: Sequence[int] | np.ndarray) -> np.ndarray:
    """The ids as uint16 (N,). Raises: ValueError unless they are a flat row of whole numbers from 0 to 65535."""
    ids = np.asarray(ids)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise PairAlignError("token ids must be one flat row of whole numbers")
    if ids.dtype != np.uint16 and ids.size and not 0 <= ids.min() <= ids.max() < MAX_VOCAB_SIZE:
        raise PairAlignError(f"token ids must lie in 0 to {MAX_VOCAB_SIZE - 1}; found {ids.min()} to {ids.max()}")
    # writeable, which what comes from a file may not be: loops are compiled once more for other arrays
    return np.require(ids, np.uint16, ["C", "W"])


def _checked_edges(edges: np.ndarray, end: int, name: str) -> np.ndarray:
    edges = np.asarray(edges)
    if edges.ndim != 1 or len(edges) == 0 or edges.dtype.kind not in "iu":
        raise PairAlignError(f"{name} must be one flat row of whole numbers, with at least a 0")
    if edges[0] != 0 or edges[-1] != end or (edges[1:] < edges[:-1]).any():
        raise PairAlignError(f"{name} must rise from 0 to {end}; it goes from {edges[0]} to {edges[-1]}")
    return edges


def _presence_rows(tokens: np.ndarray) -> np.ndarray:
    """(V,) the presence row of each id: dealt out by falling frequency, to and fro, so that rare ids share rows."""
    counts = np.zeros(MAX_VOCAB_SIZE, dtype=np.int64)
    for start in range(0, len(tokens), COUNTED_AT_ONCE):  # bincount makes int64 of what it counts
        counts += np.bincount(tokens[start : start + COUNTED_AT_ONCE], minlength=MAX_VOCAB_SIZE)
    counts = counts[: int(tokens.max(initial=0)) + 1]
    ranks = np.empty(len(counts), dtype=np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    there, back = ranks % PRESENCE_ROWS, PRESENCE_ROWS - 1 - ranks % PRESENCE_ROWS
    return np.where(ranks // PRESENCE_ROWS % 2 == 0, there, back).astype(np.uint16)


def _presence(tokens: np.ndarray, window_edges: np.ndarray, row_of: np.ndarray) -> np.ndarray:
    from pairalign.archive import kernel  # numba takes a second to import: not before it is needed

    windows = len(window_edges) - 1
    rows = min(PRESENCE_ROWS, len(row_of))
    presence = np.zeros((rows, windows // 64 + 2), dtype=np.uint64)

    def work(first: int, last: int) -> None:
        kernel.mark_presence(tokens, window_edges, row_of, presence, first, last)

    kernel.in_parts(work, windows, 1 << 16)
    return presence
