"""Compiled inner loops of the search: bit-parallel edit distances, and threads that share them.

Distances: Myers (1999) in the form of Hyyrö (2003), 64 rows of the table of dynamic programming per machine word.
`infix=False` compares the query with a whole string, `infix=True` with the substring that suits it best (Sellers 1980).
Every loop runs without the interpreter's lock over a part [first, last) of its range, so threads can share the work;
numba's own threads are not used: they may not be started from several Python threads at once.
Importing this module imports numba, which takes a second: import it where a search begins.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np

MOST_THREADS = 4
PARTS_PER_THREAD = 4  # strings differ in length: a thread that is done early takes another part
MANY_WINDOWS, MANY_STRINGS = 1 << 14, 1 << 12  # fewer to sort out or to compare are not worth a thread
LANES = 32  # strings compared side by side: 16 to 64 are about as fast, fewer are not vectorised
ZERO, ONE, ALL = np.uint64(0), np.uint64(1), np.uint64(2**64 - 1)
LAST_BIT = np.uint64(63)


def compiled(function: Callable) -> Callable:
    """numba's njit with a cache on disk, or without one where no folder can be written."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # "no locator available": neither the installation nor the user's cache folder is writable
        return numba.njit(nogil=True)(function)


def in_parts(work: Callable[[int, int], Any], count: int, smallest: int) -> list[Any]:
    """Results of work(first, last) for parts of range(count), in threads; parts start at multiples of `smallest`."""
    threads = min(MOST_THREADS, os.cpu_count() or 1, count // smallest)
    if threads <= 1:
        return [work(0, count)]
    size = -(-count // (threads * PARTS_PER_THREAD * smallest)) * smallest
    with ThreadPoolExecutor(threads) as pool:
        parts = [pool.submit(work, k, min(k + size, count)) for k in range(0, count, size)]
        return [part.result() for part in parts]


def match_masks(query: np.ndarray, vocab_size: int) -> np.ndarray:
    """Where each id stands in the query: (V, words) uint64, bit i of a row for query[i]; ids from V on are left out."""
    masks = np.zeros((vocab_size, -(-len(query) // 64)), dtype=np.uint64)
    for i, token in enumerate(query):
        if token < vocab_size:
            masks[token, i // 64] |= ONE << np.uint64(i % 64)
    return masks


@compiled
def _one_word(masks, length, tokens, starts, ends, infix, first, last, out):
    """As `_many_words`, with masks (V,): LANES strings side by side, for which compilers know vector instructions."""
    up, down, equal = np.empty(LANES, np.uint64), np.empty(LANES, np.uint64), np.empty(LANES, np.uint64)
    score, best = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    start, size = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64)
    border, end = ZERO if infix else ONE, np.uint64(length - 1)
    for base in range(first, last, LANES):
        count = min(LANES, last - base)
        size[:] = 0
        for k in range(count):
            start[k], size[k] = starts[base + k], np.int64(ends[base + k]) - np.int64(starts[base + k])
        up[:], down[:], score[:], best[:] = ALL, ZERO, length, length
        for t in range(size.max()):
            for k in range(LANES):
                equal[k] = masks[tokens[min(start[k] + t, len(tokens) - 1)]]
            for k in range(LANES):
                same, plus = equal[k], up[k]
                vertical = same | down[k]
                horizontal = (((same & plus) + plus) ^ plus) | same
                rise = down[k] | ~(horizontal | plus)
                fall = plus & horizontal
                change = np.int64((rise >> end) & ONE) - np.int64((fall >> end) & ONE)
                score[k] += change if t < size[k] else 0  # shorter strings wait for the longest
                best[k] = min(best[k], score[k])
                rise = (rise << ONE) | border
                up[k], down[k] = (fall << ONE) | ~(vertical | rise), rise & vertical
        out[base : base + count] = best[:count] if infix else score[:count]


@compiled
def _many_words(masks, length, tokens, starts, ends, infix, first, last, out):
    """Distances to the strings [first, last) into `out`: LANES strings side by side, word after word of the table."""
    words = masks.shape[1]
    up, down = np.empty((words, LANES), np.uint64), np.empty((words, LANES), np.uint64)
    plus_in, minus_in = np.empty(LANES, np.uint64), np.empty(LANES, np.uint64)
    score, best = np.empty(LANES, np.int64), np.empty(LANES, np.int64)
    start, size = np.zeros(LANES, np.int64), np.zeros(LANES, np.int64)
    token, equal = np.empty(LANES, np.int64), np.empty(LANES, np.uint64)
    border, end = ZERO if infix else ONE, np.uint64((length - 1) % 64)
    for base in range(first, last, LANES):
        count = min(LANES, last - base)
        size[:] = 0
        for k in range(count):
            start[k], size[k] = starts[base + k], np.int64(ends[base + k]) - np.int64(starts[base + k])
        up[:], down[:], score[:], best[:] = ALL, ZERO, length, length
        for t in range(size.max()):
            for k in range(LANES):
                token[k] = tokens[min(start[k] + t, len(tokens) - 1)]
            plus_in[:], minus_in[:] = border, ZERO
            for word in range(words):
                for k in range(LANES):
                    equal[k] = masks[token[k], word]
                here = end if word == words - 1 else LAST_BIT
                _append(equal, up[word], down[word], plus_in, minus_in, here)
            for k in range(LANES):  # what the last word gives on is how the distance changes
                score[k] += np.int64(plus_in[k]) - np.int64(minus_in[k]) if t < size[k] else 0
                best[k] = min(best[k], score[k])
        out[base : base + count] = best[:count] if infix else score[:count]


@compiled
def _append(equal, up, down, plus, minus, end):
    """A column of one word of the tables of L strings, in place: vertical differences `up`, `down` of +1 and -1 (L,).

    plus, minus (L,): the horizontal differences above the word; then those at its bit `end`.
    """
    for k in range(len(up)):
        vertical = equal[k] | down[k]
        same = equal[k] | minus[k]
        horizontal = (((same & up[k]) + up[k]) ^ up[k]) | same
        rise = down[k] | ~(horizontal | up[k])
        fall = up[k] & horizontal
        shifted, sunk = (rise << ONE) | plus[k], (fall << ONE) | minus[k]
        up[k], down[k] = sunk | ~(vertical | shifted), shifted & vertical
        plus[k], minus[k] = (rise >> end) & ONE, (fall >> end) & ONE


def distances(
    query: np.ndarray, vocab_size: int, tokens: np.ndarray, starts: np.ndarray, ends: np.ndarray, infix: bool
) -> np.ndarray:
    """Edit distance of the query to tokens[starts[k]:ends[k]], or to its best substring, for every k: (K,) int32."""
    masks = match_masks(query, vocab_size)
    out = np.empty(len(starts), dtype=np.int32)
    # strings compared side by side take as long as the longest; windows are of like length as they are
    order = np.argsort(np.minimum(ends - starts, 65_535).astype(np.uint16), kind="stable") if infix else slice(None)
    starts, ends = starts[order].astype(np.int64), ends[order].astype(np.int64)  # one type: loops are compiled once
    one = masks.shape[1] == 1
    masks = masks[:, 0].copy() if one else masks
    loop = _one_word if one else _many_words

    def work(first: int, last: int) -> None:
        loop(masks, len(query), tokens, starts, ends, infix, first, last, out)

    in_parts(work, len(starts), MANY_STRINGS)
    found = np.empty_like(out)
    found[order] = out
    return found


@compiled
def _trail(masks, length, string, infix, scores):
    words = masks.shape[1]
    up, down = np.full((words, 1), ALL), np.zeros((words, 1), np.uint64)
    plus, minus, equal = np.empty(1, np.uint64), np.empty(1, np.uint64), np.empty(1, np.uint64)
    scores[0] = length
    for t in range(len(string)):
        plus[0], minus[0] = ZERO if infix else ONE, ZERO
        for word in range(words):
            equal[0] = masks[string[t], word]
            end = np.uint64((length - 1) % 64) if word == words - 1 else LAST_BIT
            _append(equal, up[word], down[word], plus, minus, end)
        scores[t + 1] = scores[t] + np.int64(plus[0]) - np.int64(minus[0])


def trail(query: np.ndarray, string: np.ndarray, infix: bool) -> np.ndarray:
    """Distances (T + 1,) of the query to string[:t] for every t; infix: to the best of the substrings that end at t."""
    vocab_size = int(string.max(initial=0)) + 1
    scores = np.empty(len(string) + 1, np.int64)
    _trail(match_masks(query, vocab_size), len(query), np.ascontiguousarray(string), infix, scores)
    return scores


@compiled
def mark_presence(tokens, window_edges, row_of, presence, first, last):
    """Set bit w of presence[row_of[t]] for every token t of the windows [first, last); `first` divides by 64."""
    for window in range(first, last):
        word, bit = window >> 6, ONE << np.uint64(window & 63)
        for t in range(window_edges[window], window_edges[window + 1]):
            presence[row_of[tokens[t]], word] |= bit


@compiled
def stretches(windows, reach, window_edges, first_window):
    """Where substrings of up to `reach` tokens that begin in the given windows (rising) lie in the column.

    Returns starts, ends, recordings (K,); what overlaps within a recording is joined.
    """
    starts, ends = np.empty(len(windows), np.int64), np.empty(len(windows), np.int64)
    owners = np.empty(len(windows), np.int64)
    count, recording = 0, 0
    for window in windows:
        while first_window[recording + 1] <= window:
            recording += 1
        begin = np.int64(window_edges[window])
        end = min(np.int64(window_edges[window + 1]) - 1 + reach, np.int64(window_edges[first_window[recording + 1]]))
        if count and owners[count - 1] == recording and begin <= ends[count - 1]:
            ends[count - 1] = end
        else:
            starts[count], ends[count], owners[count] = begin, end, recording
            count += 1
    return starts[:count], ends[:count], owners[:count]
