"""Lower bounds of edit distances, from what two strings share: no distance is ever below its bound.

An edit script between a query of m tokens and a string of n matches at most as many tokens as both share, and every
other token costs an edit: distance >= max(m, n) - shared; against a substring of unknown length, m - shared.
Shared tokens are counted from the column's presence table. What the string has in a row counts as often as the query
has ids of that row, however often the string has them: never too low, so the bound is never too high.
"""

from __future__ import annotations

import math

import numpy as np

from pairalign.archive import kernel
from pairalign.archive.column import Column
from pairalign.archive.kernel import ONE, compiled

TILE = 64  # words of the presence table that are counted together: they stay in the first-level cache
OUT = 65_535  # the bound of windows that are not to be compared


def window_bounds(column: Column, query: np.ndarray) -> np.ndarray:
    """Lower bounds (W,) uint16 of the distances between the query and each window."""
    bounds = _shared(column, query, 1)

    def work(first: int, last: int) -> None:
        _bound_windows(bounds, len(query), column.window_edges, first, last)

    kernel.in_parts(work, column.windows, kernel.MANY_WINDOWS)
    return bounds


def span_of(column: Column, reach: int) -> int:
    """How many windows, mostly, a substring of `reach` tokens touches: few windows are much shorter than the mean."""
    return 1 + math.ceil((reach - 1) / max(1, 0.7 * len(column.tokens) / max(1, column.windows)))


def stretch_bounds(column: Column, query: np.ndarray, reach: int) -> np.ndarray:
    """Lower bounds (W,) uint16 of the distances to substrings of up to `reach` tokens that begin in each window."""
    span = min(span_of(column, reach), 63)  # windows that are further apart than a word has bits get the bound 0
    bounds = _shared(column, query, span)

    def work(first: int, last: int) -> None:
        _bound_stretches(bounds, len(query), reach, span, column.window_edges, column.first_window, first, last)

    kernel.in_parts(work, column.recordings, kernel.MANY_WINDOWS)
    return bounds


def level_of_nearest(bounds: np.ndarray, count: int) -> int:
    """The smallest level that at least `count` bounds (W,) do not exceed; if there are fewer, one that none exceeds."""
    parts = kernel.in_parts(lambda first, last: _histogram(bounds, first, last), len(bounds), kernel.MANY_WINDOWS)
    up_to = np.cumsum(sum(parts)[:OUT])
    return min(int(np.searchsorted(up_to, count)), OUT - 1)


def _shared(column: Column, query: np.ndarray, span: int) -> np.ndarray:
    """(W,) uint16: at most how many tokens of the query are among those of the windows w to w + span - 1."""
    known = query[query < column.vocab_size]
    rows, counts = np.unique(column.row_of[known], return_counts=True)
    words = column.presence.shape[1] - 1
    shared = np.empty(words * 64, dtype=np.uint16)

    def work(first: int, last: int) -> None:
        _count_shared(column.presence, rows.astype(np.int64), counts, span, first, last, shared)

    kernel.in_parts(work, words, kernel.MANY_WINDOWS // 64)
    return shared[: column.windows]


@compiled
def _count_shared(presence, rows, counts, span, first, last, shared):
    """For windows of the words [first, last): how many of the query's tokens lie in rows that w…w+span-1 have.

    rows, counts: the query's rows and how many of its tokens lie in each. Counters of 64 windows are added at once,
    their bits spread over `planes` of words: plane p holds bit p of all of them.
    """
    depth = 0
    while counts.sum() >> depth:
        depth += 1
    planes, carry = np.zeros((depth, TILE), np.uint64), np.zeros(TILE, np.uint64)
    for base in range(first, last, TILE):
        size = min(TILE, last - base)
        planes[:] = 0
        for r in range(len(rows)):
            for plane in range(depth):
                if (counts[r] >> plane) & 1:
                    _any_of(presence[rows[r]], base, size, span, carry)
                    for p in range(plane, depth):
                        for k in range(size):
                            held = planes[p, k]
                            planes[p, k] = held ^ carry[k]
                            carry[k] &= held
        for k in range(size):
            out = shared[(base + k) * 64 : (base + k + 1) * 64]
            out[:] = 0
            for p in range(depth):
                plane_bits = planes[p, k]
                for bit in range(64):
                    out[bit] |= np.uint16(((plane_bits >> np.uint64(bit)) & ONE) << np.uint64(p))


@compiled
def _any_of(row, base, size, span, out):
    """Bit w of out: any of the bits w…w+span-1 of the row."""
    for k in range(size):
        out[k] = row[base + k]
    for shift in range(1, span):
        right, left = np.uint64(shift), np.uint64(64 - shift)
        for k in range(size):
            out[k] |= (row[base + k] >> right) | (row[base + k + 1] << left)


@compiled
def _bound_windows(bounds, length, window_edges, first, last):
    """Turn counts of shared tokens into lower bounds of the distance to each of the windows [first, last)."""
    for window in range(first, last):
        size = np.int64(window_edges[window + 1]) - np.int64(window_edges[window])
        bound = max(length, size) - min(np.int64(bounds[window]), length, size)
        bounds[window] = min(bound, OUT - 1)


@compiled
def _bound_stretches(bounds, length, reach, span, window_edges, first_window, first, last):
    """Turn counts of tokens shared with w…w+span-1 into bounds for substrings of the recordings [first, last).

    A window's bound holds for substrings of up to `reach` tokens that begin in it.
    """
    for recording in range(first, last):
        stop = first_window[recording + 1]
        for window in range(first_window[recording], stop):
            begin, end = np.int64(window_edges[window]), np.int64(window_edges[window + 1])
            needed = min(end - 1 + reach, np.int64(window_edges[stop]))
            if begin == end:
                bounds[window] = length  # nothing begins here
            elif window_edges[min(window + span, stop)] < needed:
                bounds[window] = 0  # more windows than were counted
            else:
                bounds[window] = length - min(np.int64(bounds[window]), length)


@compiled
def _histogram(bounds, first, last):
    """How often each uint16 is among bounds[first:last], (65536,)."""
    counts = np.zeros(65_536, np.int64)
    for window in range(first, last):
        counts[bounds[window]] += 1
    return counts
