"""Lower bounds of edit distances, from what two strings share: no distance is ever below its bound.

An edit script between a query of m tokens and a string of n matches at most as many tokens as both share, and every
other token costs an edit: distance >= max(m, n) - shared; against a substring of unknown length, m - shared.
Shared tokens are counted from the column's presence table. What the string has in a row counts as often as the query
has ids of that row, however often the string has them: never too low, so the bound is never too high.
"""

from __future__ import annotations

import numpy as np

from pairalign.archive import kernel
from pairalign.archive.column import Column

OUT = 65_535  # the bound of windows that are not to be compared
LONGEST_QUERY = OUT - 1
MOST_SPAN = 4  # windows joined for the bound of a substring: more of them share nearly everything with a query


def window_bounds(column: Column, query: np.ndarray) -> np.ndarray:
    """Lower bounds (W,) uint16 of the distances between the query and each window."""
    bounds = _shared(column, query, 1)

    def work(first: int, last: int) -> None:
        kernel.bound_windows(bounds, len(query), column.window_edges, first, last)

    kernel.in_parts(work, column.windows, kernel.MANY_WINDOWS)
    return bounds


def stretch_bounds(column: Column, query: np.ndarray, reach: int) -> np.ndarray:
    """Lower bounds (W,) uint16 of the distances to substrings of up to `reach` tokens that begin in each window."""
    typical = 0.7 * len(column.tokens) / max(1, column.windows)  # few windows between others are shorter
    span = min(MOST_SPAN, 1 + int(np.ceil((reach - 1) / max(1, typical))))
    bounds = _shared(column, query, span)

    def work(first: int, last: int) -> None:
        kernel.bound_stretches(bounds, len(query), reach, span, column.window_edges, column.first_window, first, last)

    kernel.in_parts(work, column.recordings, kernel.MANY_WINDOWS)
    return bounds


def level_of_nearest(bounds: np.ndarray, count: int) -> int:
    """The smallest level that at least `count` bounds do not exceed; if there are fewer, one that none exceeds."""
    parts = kernel.in_parts(lambda first, last: kernel.histogram(bounds, first, last), len(bounds), kernel.MANY_WINDOWS)
    up_to = np.cumsum(sum(parts)[:OUT])
    return int(min(np.searchsorted(up_to, count), OUT - 1))


def _shared(column: Column, query: np.ndarray, span: int) -> np.ndarray:
    """(W,) uint16: at most how many tokens of the query are among those of the windows w to w + span - 1."""
    known = query[query < column.vocab_size]
    rows, counts = np.unique(column.row_of[known], return_counts=True)
    words = column.presence.shape[1] - 1
    shared = np.empty(words * 64, dtype=np.uint16)

    def work(first: int, last: int) -> None:
        kernel.count_shared(column.presence, rows.astype(np.int64), counts, span, first, last, shared)

    kernel.in_parts(work, words, kernel.MANY_WINDOWS // 64)
    return shared[: column.windows]
