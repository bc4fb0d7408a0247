"""Byte-pair encoding of token strings (Gage 1994; Sennrich et al. 2016): frequent neighbours become one token.

Ids below `first_id` are the original tokens; merge m of a list of merges (left, right) makes the token `first_id + m`.
Shapes: N tokens of a string or of many strings one after another, M merges.
"""

from collections.abc import Iterator, Sequence

import numpy as np

_GAP = -1  # between two strings of a flat array: never part of a pair
_FEWEST = 2  # a pair that occurs once is no pattern


def flatten(strings: Sequence[Sequence[int]]) -> np.ndarray:
    """Strings of ids as one array (N,), with a place that never merges after each."""
    parts = [np.append(np.asarray(ids, dtype=np.int64), _GAP) for ids in strings]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


def token_count(flat: np.ndarray) -> int:
    """Tokens of all strings of a flat array (N,)."""
    return int((flat != _GAP).sum())


def learn_merges(strings: Sequence[Sequence[int]], first_id: int) -> Iterator[tuple[int, int]]:
    """Merges in the order they are learned, without end until no pair occurs twice.

    The most frequent pair comes first; of equally frequent ones that with the lowest ids.

    >>> from itertools import islice
    >>> list(islice(learn_merges([(0, 0, 0, 1, 3, 0, 0, 0, 1, 0, 2)], 4), 3))  # aaabdaaabac: aa, ab, then both
    [(0, 0), (0, 1), (4, 5)]
    """
    flat, new = flatten(strings), first_id
    while True:
        inside = (flat[:-1] != _GAP) & (flat[1:] != _GAP)
        pairs, counts = np.unique(flat[:-1][inside] * new + flat[1:][inside], return_counts=True)
        if not len(pairs) or counts.max() < _FEWEST:
            return
        left, right = divmod(int(pairs[counts.argmax()]), new)
        yield left, right
        flat = merge_pair(flat, left, right, new)
        new += 1


def merge_pair(flat: np.ndarray, left: int, right: int, new: int) -> np.ndarray:
    """Every `left` `right`, from the left and without overlap, becomes `new`: (N,) -> (fewer,)."""
    at = np.flatnonzero((flat[:-1] == left) & (flat[1:] == right))
    if left == right:  # in a run of n equal tokens only every second place starts a pair
        first = np.flatnonzero(np.diff(at, prepend=-2) != 1)
        since = np.arange(len(at)) - np.repeat(first, np.diff(np.append(first, len(at))))
        at = at[since % 2 == 0]
    merged = flat.copy()
    merged[at] = new
    return np.delete(merged, at + 1)


def apply_merges(ids: Sequence[int], merges: np.ndarray, first_id: int) -> np.ndarray:
    """The string (N,) after all merges (M, 2), those learned first first."""
    flat = np.asarray(ids, dtype=np.int64)
    size = first_id + len(merges)
    keys = merges[:, 0].astype(np.int64) * size + merges[:, 1]
    order = np.argsort(keys)
    keys = keys[order]
    while len(flat) > 1 and len(keys):
        wanted = flat[:-1] * size + flat[1:]
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = order[place[keys[place] == wanted]]
        if not len(found):
            break
        # merging makes only pairs with a new token, which were learned later: the lowest rank is always next
        rank = int(found.min())
        left, right = merges[rank].tolist()
        flat = merge_pair(flat, left, right, first_id + rank)
    return flat


def expand(ids: Sequence[int], merges: np.ndarray, first_id: int) -> list[int]:
    """The original tokens of a merged string, merges (M, 2): the inverse of `apply_merges`."""
    stack, original = list(map(int, reversed(ids))), []
    while stack:
        token = stack.pop()
        if token < first_id:
            original.append(token)
        else:
            left, right = merges[token - first_id].tolist()
            stack += [right, left]
    return original


def widths(merges: np.ndarray, first_id: int) -> np.ndarray:
    """How many original tokens each token stands for: (first_id + M,)."""
    counts = [1] * first_id
    for left, right in merges.tolist():
        counts.append(counts[left] + counts[right])
    return np.array(counts)
