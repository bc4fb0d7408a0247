"""Strings that have one symbol per 20 ms frame behind them: windows cut at their seams, runs collapsed, pairs merged.

Shapes: T frames of a window or of a whole recording, D features, M merges.
"""

import numpy as np

from pairalign.model.bpe import apply_merges, widths
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.windows import Piece, Window


def join_windows(plan: list[Window], frames: list[np.ndarray]) -> np.ndarray:
    """What the windows of a recording say of their frames, (T,) or (T, D) each, cut at the seams and put together."""
    parts = []
    for window, told in zip(plan, frames, strict=True):
        first = round((window.keep_from_s - window.start_s) * FRAME_RATE_HZ)
        last = len(told) if window is plan[-1] else round((window.keep_to_s - window.start_s) * FRAME_RATE_HZ)
        parts.append(told[first:last])
    return np.concatenate(parts)


def frame_tokens(path: np.ndarray, fit: np.ndarray, duration_s: float, collapse: bool = True) -> Piece:
    """The string of a path of codes (T,): one token per run of equal codes, or per frame without `collapse`.

    fit: (T,) log scores of the codes, averaged over a token's frames; (0,) when there are none.
    """
    starts = np.flatnonzero(np.diff(path, prepend=-1) != 0) if collapse else np.arange(len(path))
    edges = [*starts.tolist(), len(path)]
    spans = [
        (min(s / FRAME_RATE_HZ, duration_s), min(e / FRAME_RATE_HZ, duration_s))
        for s, e in zip(edges[:-1], edges[1:], strict=True)
    ]
    scores = [float(np.mean(fit[s:e])) for s, e in zip(edges[:-1], edges[1:], strict=True)] if len(fit) else []
    return Piece(path[starts].tolist(), spans, scores)


def merge_tokens(piece: Piece, merges: np.ndarray, first_id: int) -> Piece:
    """Byte-pair merges (M, 2) on a string; a merged token spans its parts and has their mean log score."""
    ids = apply_merges(piece.ids, merges, first_id)
    ends = np.cumsum(widths(merges, first_id)[ids]).tolist()
    edges = [0, *ends]
    spans = [(piece.spans_s[s][0], piece.spans_s[e - 1][1]) for s, e in zip(edges[:-1], ends, strict=True)]
    scores = [float(np.mean(piece.log_probs[s:e])) for s, e in zip(edges[:-1], ends, strict=True)]
    return Piece(ids.tolist(), spans, scores)
