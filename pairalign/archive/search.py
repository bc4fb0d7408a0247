"""Exact search by edit distance in a packed column of token strings.

Two questions: which windows are nearest to a query (`nearest_windows`), and which recordings have a stretch that is
nearest to it, wherever it lies (`nearest_recordings`). Answers are those of comparing with everything. A lower bound is
counted for every window (see `bounds`), the most promising windows are compared, and then all whose bound does not
exceed the worst of the best k so far; an equal bound counts, because ties go by position.

That takes compiled loops: seconds of compiling, once per installation (`compile_loops`). A small column is compared in
plain NumPy instead, which needs none and is as fast as anybody notices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pairalign.archive import plain
from pairalign.archive.column import Column, checked_ids, pack_arrays
from pairalign.errors import PairAlignError

MODES = ("whole", "contains")
FIRST_LOOK = 2_000  # windows compared first: enough to know roughly how near the best k are
# about 2,500 windows, two hours of speech: some 50 ms for a query of 3 s; loading compiled loops takes over a second
SMALL_TOKENS = 100_000
MOST_SPAN = 3  # windows that a stretch may touch: more of them share nearly everything with a query, so bounds are idle


@dataclass(frozen=True)
class WindowMatch:
    """A window of the column and its edit distance to the query."""

    window: int
    distance: int


@dataclass(frozen=True)
class InfixMatch:
    """The stretch of a recording nearest to the query: its tokens first_token to last_token, both included.

    Where the distance is the query's length, nothing in the recording resembles it: the stretch is empty, and goes from
    token 0 to token -1.
    """

    recording: int
    distance: int
    first_token: int
    last_token: int


def nearest_windows(
    column: Column, query_ids: Sequence[int], top: int, allowed: np.ndarray | None = None, device: str = "cpu"
) -> list[WindowMatch]:
    """The `top` windows nearest to the query, by distance and then by position; fewer if there are fewer.

    An empty window is as far away as the query is long.

    Args:
        query_ids: at least one id from 0 to 65535; ids that are nowhere in the column match nothing.
        allowed: (R,) bool, the recordings to search in; by default all.
        device: "cpu", or a GPU as torch names it ("cuda"), on which all windows are compared.
    Raises: ValueError for a query, `top`, `allowed` or device other than that.
    """
    query = _checked(column, query_ids, allowed, top)
    mask = None if allowed is None else _window_mask(column, allowed)
    if device == "cpu" and not is_small(column):
        return _promising_windows(column, query, top, mask)
    distances = _distances(device, column, query, "whole")
    windows = np.arange(column.windows) if mask is None else np.flatnonzero(mask)
    return _window_matches(windows, distances[windows], top)


def _promising_windows(column: Column, query: np.ndarray, top: int, mask: np.ndarray | None) -> list[WindowMatch]:
    from pairalign.archive import bounds as bound  # numba takes a second to import

    bounds = bound.window_bounds(column, query)
    if mask is not None:
        bounds[~mask] = bound.OUT
    level = bound.level_of_nearest(bounds, max(top, FIRST_LOOK))
    windows = np.flatnonzero(bounds <= level)
    distances = _window_distances(column, query, windows)
    limit = min(_kth(distances, top), bound.OUT - 1)
    rest = np.flatnonzero((bounds > level) & (bounds <= limit))
    distances = np.concatenate([distances, _window_distances(column, query, rest)])
    return _window_matches(np.concatenate([windows, rest]), distances, top)


def nearest_recordings(
    column: Column, query_ids: Sequence[int], top: int, allowed: np.ndarray | None = None, device: str = "cpu"
) -> list[InfixMatch]:
    """The `top` recordings with the stretch nearest to the query, by distance and then by position.

    One match per recording: of its nearest stretches the one that ends first, and of those the shortest. A stretch may
    cross windows. Arguments and errors as for `nearest_windows`.
    """
    query = _checked(column, query_ids, allowed, top)
    if device == "cpu" and not is_small(column):
        nearest = _nearest_stretches(column, query, top, allowed)
    else:
        nearest = _distances(device, column, query, "contains")
    recordings = np.arange(column.recordings) if allowed is None else np.flatnonzero(allowed)
    chosen = recordings[_best(recordings, nearest[recordings], top)]
    return [InfixMatch(int(r), int(nearest[r]), *_locate(column, query, int(r), int(nearest[r]))) for r in chosen]


def distance_counts(
    column: Column, query_ids: Sequence[int], mode: str, allowed: np.ndarray | None = None, device: str = "cpu"
) -> np.ndarray:
    """How many windows (mode "whole") or recordings ("contains") are at distance 0, 1, 2… of the query, (D + 1,) int64.

    Everything is compared: several times the work of a search. Arguments and errors as for `nearest_windows`.
    """
    query = _checked(column, query_ids, allowed)
    if mode not in MODES:
        raise PairAlignError(f"mode is {mode!r}; use one of {', '.join(MODES)}")
    distances = _distances(device, column, query, mode)
    mask = _window_mask(column, allowed) if mode == "whole" and allowed is not None else allowed
    return np.bincount(distances if mask is None else distances[mask])


def is_small(column: Column) -> bool:
    """Whether a CPU searches it without compiled loops."""
    return len(column.tokens) <= SMALL_TOKENS


def compile_loops() -> None:
    """Have the loops of large columns compiled: seconds the first time on a machine, cached after that."""
    from pairalign.archive import kernel

    tokens = np.arange(300, dtype=np.uint16) % 7
    column = pack_arrays(tokens, np.array([0, 100, 200, 300]), np.array([0, 2, 3]))
    for query in (tokens[:3], tokens[:100]):  # strings of up to 64 tokens and longer ones have loops of their own
        _promising_windows(column, query, 1, None)
        _nearest_stretches(column, query, 1, None)
        for infix in (True, False):
            edges = column.recording_edges
            kernel.distances(query, column.vocab_size, tokens, edges[:-1], edges[1:], infix)
            kernel.trail(query, tokens, infix)


def _checked(
    column: Column, query_ids: Sequence[int], allowed: np.ndarray | None, top: int | None = None
) -> np.ndarray:
    query = checked_ids(query_ids)
    if not 1 <= len(query) < 65_535:
        raise PairAlignError(f"the query has {len(query)} tokens; allowed: 1 to 65534")
    if top is not None and (isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1):
        raise PairAlignError(f"top is {top!r}; it must be a whole number of at least 1")
    if allowed is not None and (np.asarray(allowed).dtype != bool or np.shape(allowed) != (column.recordings,)):
        raise PairAlignError(f"allowed must be an array of {column.recordings} truth values, one per recording")
    return query


def _window_mask(column: Column, allowed: np.ndarray) -> np.ndarray:
    """(W,) bool from (R,) bool."""
    return np.repeat(allowed, np.diff(column.first_window))


def _distances(device: str, column: Column, query: np.ndarray, mode: str) -> np.ndarray:
    """Distances of all windows (W,), or to the nearest stretch of all recordings (R,)."""
    if device != "cpu":
        return _distances_on(device, column, query, mode)
    edges = column.window_edges if mode == "whole" else column.recording_edges
    if is_small(column):
        return plain.distances(query, column.tokens, edges, infix=mode == "contains")
    from pairalign.archive import kernel

    return kernel.distances(query, column.vocab_size, column.tokens, edges[:-1], edges[1:], infix=mode == "contains")


def _window_distances(column: Column, query: np.ndarray, windows: np.ndarray) -> np.ndarray:
    from pairalign.archive import kernel

    starts, ends = column.window_edges[windows], column.window_edges[windows + 1]
    return kernel.distances(query, column.vocab_size, column.tokens, starts, ends, infix=False)


def _nearest_stretches(column: Column, query: np.ndarray, top: int, allowed: np.ndarray | None) -> np.ndarray:
    """Distances (R,) to the nearest stretch of each recording; exact for the best `top`, for others never too low."""
    from pairalign.archive import bounds as bound
    from pairalign.archive import kernel

    reach = _reach(query)
    if bound.span_of(column, reach) > MOST_SPAN:
        return _distances("cpu", column, query, "contains")
    nearest = np.full(column.recordings, len(query), dtype=np.int32)  # an empty stretch costs that, so none costs more

    def compare(windows: np.ndarray) -> None:
        starts, ends, owners = kernel.stretches(windows, reach, column.window_edges, column.first_window)
        distances = kernel.distances(query, column.vocab_size, column.tokens, starts, ends, infix=True)
        np.minimum.at(nearest, owners, distances)

    bounds = bound.stretch_bounds(column, query, reach)
    if allowed is not None:
        bounds[~_window_mask(column, allowed)] = bound.OUT
    level = min(bound.level_of_nearest(bounds, max(top, FIRST_LOOK)), len(query) - 1)
    compare(np.flatnonzero(bounds <= level))
    limit = min(_kth(nearest if allowed is None else nearest[allowed], top), len(query) - 1)
    compare(np.flatnonzero((bounds > level) & (bounds <= limit)))
    return nearest


def _kth(distances: np.ndarray, k: int) -> int:
    """The k-th smallest distance; if there are fewer, more than any distance can be."""
    if len(distances) < k:
        return np.iinfo(np.int32).max
    return int(np.searchsorted(np.cumsum(np.bincount(distances)), k))


def _best(places: np.ndarray, distances: np.ndarray, top: int) -> np.ndarray:
    """Which `top` of the candidates (C,) come first by (distance, place)."""
    near = np.flatnonzero(distances <= _kth(distances, top))
    return near[np.lexsort((places[near], distances[near]))[:top]]


def _window_matches(windows: np.ndarray, distances: np.ndarray, top: int) -> list[WindowMatch]:
    return [WindowMatch(int(windows[k]), int(distances[k])) for k in _best(windows, distances, top)]


def _locate(column: Column, query: np.ndarray, recording: int, distance: int) -> tuple[int, int]:
    """First and last token of the shortest substring at that distance of those that end first."""
    string, trail = column.recording_ids(recording), plain.trail
    if not is_small(column):
        from pairalign.archive import kernel

        trail = kernel.trail
    end = int(np.argmax(trail(query, string, infix=True) == distance))
    backwards = trail(query[::-1], string[:end][::-1], infix=False)
    return end - int(np.argmax(backwards == distance)), end - 1


def _distances_on(device: str, column: Column, query: np.ndarray, mode: str) -> np.ndarray:
    """Distances of all windows (W,) or to the nearest stretch of all recordings (R,), compared by torch."""
    import torch

    from pairalign.archive import kernel_torch

    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch that was built without CUDA
        raise PairAlignError(f"device is {device!r}, which torch cannot use here; use cpu") from error
    if mode == "whole":
        return kernel_torch.window_distances(column, query, device)
    return kernel_torch.stretch_distances(column, query, _reach(query), device)


def _reach(query: np.ndarray) -> int:
    """The most tokens that a nearest stretch can have: an empty one costs len(query), a longer one has to cost less."""
    return 2 * len(query) - 1
