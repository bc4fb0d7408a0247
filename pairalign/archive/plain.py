"""Edit distances of a query to many strings in plain NumPy: what `kernel` computes, with nothing to compile first.

The table of dynamic programming row by row, for all strings at once: a row per token of the query. Insertions along a
row are a running minimum. Strings lie one after the other, each behind a column for its empty beginning.
"""

from __future__ import annotations

import numpy as np


def distances(query: np.ndarray, tokens: np.ndarray, edges: np.ndarray, infix: bool) -> np.ndarray:
    """Edit distance of the query to tokens[edges[k]:edges[k + 1]], or to its best substring, for every k: (K,) int64.

    tokens (N,), edges (K + 1,) from 0 to N.
    """
    if len(edges) < 2:
        return np.zeros(0, np.int64)
    starts = edges[:-1].astype(np.int64) + np.arange(len(edges) - 1)
    last = _last_row(query, np.insert(tokens.astype(np.int64), edges[:-1].astype(np.int64), -1), starts, infix)
    if infix:
        return np.minimum.reduceat(last, starts)
    return last[np.append(starts[1:], len(last)) - 1]


def trail(query: np.ndarray, string: np.ndarray, infix: bool) -> np.ndarray:
    """Distances (T + 1,) of the query to string[:t] for every t; infix: to the best of the substrings that end at t."""
    return _last_row(query, np.insert(string.astype(np.int64), 0, -1), np.zeros(1, np.int64), infix)


def _last_row(query: np.ndarray, symbols: np.ndarray, starts: np.ndarray, infix: bool) -> np.ndarray:
    """The table's last row (N + K,); symbols (N + K,) has a -1 at each of `starts` (K,), where a string begins."""
    sizes = np.diff(np.append(starts, len(symbols)))
    places = np.arange(len(symbols)) - np.repeat(starts, sizes)
    # a string's ramp lies so far below the one before that no running minimum reaches into the next string
    ramp = places + np.repeat(np.arange(len(starts)) * (len(query) + int(sizes.max())), sizes)
    narrow = np.int32 if ramp[-1] + len(query) + len(symbols) < 2**31 else np.int64
    ramp, symbols = ramp.astype(narrow), symbols.astype(np.int32)
    row = np.zeros(len(symbols), narrow) if infix else places.astype(narrow)
    for count, token in enumerate(query.tolist(), start=1):
        best = np.empty_like(row)
        np.minimum(row[:-1] + (symbols[1:] != token), row[1:] + 1, out=best[1:])
        best[starts] = count
        row = np.minimum.accumulate(best - ramp) + ramp
    return row
