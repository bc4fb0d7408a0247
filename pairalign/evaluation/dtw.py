"""Dynamic time warping of frame features: what strings made from these frames could reach at best.

Evaluation only: nothing here is a token string. One query meets many documents at a time, along the anti-diagonals of
their cost matrices (the cells of a diagonal do not depend on each other), in float32.

Shapes: I query frames, J document frames (padded), B documents of one batch, D feature size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pairalign.errors import PairAlignError

BATCH = 192  # documents at a time: 500 x 500 segments of 3 s then take 20 s of one core


def whole_distances(queries: Sequence[np.ndarray], documents: Sequence[np.ndarray]) -> np.ndarray:
    """DTW distance of every query (I, D) to every document (J, D), cosine distance of frames: (Q, documents) float32.

    The symmetric form of Sakoe & Chiba (1978): a diagonal step counts twice, so that every path has the length I + J,
    by which the sum is divided.
    """
    return _distances(queries, documents, anywhere=False)


def subsequence_distances(queries: Sequence[np.ndarray], documents: Sequence[np.ndarray]) -> np.ndarray:
    """Lowest DTW cost of each query against any stretch of each document, over the query's frames: (Q, documents).

    Start and end in the document are free; steps are unweighted; frames are compared by cosine distance.
    """
    return _distances(queries, documents, anywhere=True)


def _distances(queries: Sequence[np.ndarray], documents: Sequence[np.ndarray], anywhere: bool) -> np.ndarray:
    if any(not len(frames) for frames in (*queries, *documents)):
        raise PairAlignError("a recording without frames cannot be warped; leave it out.")
    result = np.empty((len(queries), len(documents)), dtype=np.float32)
    unit = [_unit(query) for query in queries]
    by_length = sorted(range(len(documents)), key=lambda k: len(documents[k]))  # little padding in a batch
    for start in range(0, len(by_length), BATCH):
        chosen = by_length[start : start + BATCH]
        lengths = np.array([len(documents[k]) for k in chosen])
        padded = np.zeros((documents[chosen[0]].shape[1], lengths.max(), len(chosen)), dtype=np.float32)
        for column, k in enumerate(chosen):
            padded[:, : lengths[column], column] = _unit(documents[k]).T
        inside = np.arange(lengths.max())[:, None] < lengths
        for q, query in enumerate(unit):
            cost = 1.0 - np.tensordot(query, padded, axes=1)
            ends = _accumulate(cost, anywhere)
            if anywhere:
                result[q, chosen] = np.where(inside, ends, np.inf).min(0) / len(query)
            else:
                result[q, chosen] = ends[lengths - 1, np.arange(len(chosen))] / (len(query) + lengths)
    return result


def _accumulate(cost: np.ndarray, anywhere: bool) -> np.ndarray:
    """Lowest sums of costs (I, J, B) over paths that end in the last query frame, (J, B).

    With `anywhere` a path may start at any document frame and all steps weigh the same; otherwise it starts at the
    first one, and diagonal steps weigh twice.
    """
    size_i, size_j, batch = cost.shape
    cost = np.ascontiguousarray(cost)
    # cell (i, d - i) lies size_j - 1 rows of B behind cell (i - 1, d - i + 1): a diagonal is a view, not a copy
    step_i, step_j, step_b = cost.strides
    ends = np.empty((size_j, batch), dtype=np.float32)
    # row i + 1 of a diagonal holds query frame i; row 0 is what lies before the first one
    before, last, here = (np.full((size_i + 1, batch), np.inf, dtype=np.float32) for _ in range(3))
    for diagonal in (before, last, here):
        diagonal[0] = 0.0 if anywhere else np.inf
    before[0] = 0.0
    buffer = np.empty((size_i, batch), dtype=np.float32)
    for d in range(size_i + size_j - 1):
        low, high = max(0, d - size_j + 1), min(size_i, d + 1)
        corner = cost[low, d - low :]
        now = np.lib.stride_tricks.as_strided(corner, (high - low, batch), (step_i - step_j, step_b))
        best = here[low + 1 : high + 1]
        np.minimum(last[low:high], last[low + 1 : high + 1], out=best)
        if anywhere:
            np.minimum(best, before[low:high], out=best)
        else:
            np.minimum(best, np.add(before[low:high], now, out=buffer[: high - low]), out=best)
        best += now
        if high == size_i:
            ends[d - size_i + 1] = here[size_i]
        if d == 0 and not anywhere:
            before[0] = np.inf  # only the first cell has nothing before it
        before, last, here = last, here, before
    return ends


def _unit(frames: np.ndarray) -> np.ndarray:
    frames = np.asarray(frames, dtype=np.float32)
    return frames / np.maximum(np.linalg.norm(frames, axis=1, keepdims=True), 1e-9)
