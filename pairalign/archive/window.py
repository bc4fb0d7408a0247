"""A recording's token string cut into windows of about 3 s, as the archive keeps it, and put together again.

Windows lie side by side on a grid of WINDOW_S; a token belongs to the window that its middle lies in, so the windows'
tokens one after the other are the whole string. Edges are hundredths of a second after the start of the window (frames
last two of them). Where tokens follow each other without gaps, U tokens have U + 1: where each begins and the last one
ends. Where there is silence between them they have 2 U: where each begins and ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pairalign.strings import TokenString
from pairalign.windows import LONGEST_S, WINDOW_S


@dataclass(frozen=True)
class ArchiveWindow:
    """Tokens ids (U,) uint16 between start_s and end_s of a recording, with edges_cs (U + 1,) or (2 U,) int16."""

    start_s: float
    end_s: float
    ids: np.ndarray
    edges_cs: np.ndarray

    @property
    def spans_s(self) -> tuple[tuple[float, float], ...]:
        """Start and end of each token in seconds of the recording."""
        edges = (self.start_s + self.edges_cs / 100).tolist()
        if len(edges) == len(self.ids) + 1:
            return tuple(zip(edges[:-1], edges[1:], strict=True))
        return tuple(zip(edges[::2], edges[1::2], strict=True))


def fits(tokens: int, edges: int) -> bool:
    """Whether a window of so many tokens can have so many edges; without tokens it has none."""
    return edges in (tokens + 1, 2 * tokens) if tokens else edges == 0


def grid(duration_s: float) -> list[tuple[float, float]]:
    """Starts and ends of the windows of a recording; a remainder too short for a window of its own joins the last."""
    count = max(1, int(-(-(duration_s - (LONGEST_S - WINDOW_S)) // WINDOW_S)))
    starts = [k * WINDOW_S for k in range(count)]
    return list(zip(starts, [*starts[1:], duration_s], strict=True))


def cut(string: TokenString) -> list[ArchiveWindow]:
    """The windows of a string; where spans have silence between them, it is kept with the token before it."""
    windows = []
    middles = np.array([(start + end) / 2 for start, end in string.spans_s])
    cells = grid(string.duration_s)
    bounds = [0, *np.searchsorted(middles, [start for start, _ in cells[1:]]).tolist(), len(string.ids)]
    for (start_s, end_s), first, last in zip(cells, bounds[:-1], bounds[1:], strict=True):
        edges_cs = _edges(string.spans_s[first:last], start_s)
        windows.append(ArchiveWindow(start_s, end_s, np.array(string.ids[first:last], np.uint16), edges_cs))
    return windows


def _edges(spans: Sequence[tuple[float, float]], start_s: float) -> np.ndarray:
    """(U + 1,) or (2 U,) int16."""
    edges_cs = np.rint((np.array(spans).reshape(-1, 2) - start_s) * 100).astype(np.int16)
    if (edges_cs[1:, 0] == edges_cs[:-1, 1]).all():
        return np.append(edges_cs[:, 0], edges_cs[-1:, 1])
    return edges_cs.ravel()


def spans_of(windows: Sequence[ArchiveWindow]) -> tuple[tuple[float, float], ...]:
    """Start and end in seconds of every token of some neighbouring windows."""
    return tuple(span for window in windows for span in window.spans_s)
