"""Recordings of any length as overlapping windows, and their strings stitched back together by recovered time.

Shapes: N samples; a window is a slice of the recording, its frames are 20 ms.
"""

import math
from dataclasses import dataclass

from pairalign.audio import SAMPLE_RATE_HZ

WINDOW_S = 3.0
LONGEST_S = 3.4  # the longest view of a 3 s segment in training (speed 0.9): up to here one window does
HOP_S = 2.0
FRAME_SAMPLES = 320


@dataclass(frozen=True)
class Window:
    """Samples [start, end) of a recording; its tokens count between keep_from_s and keep_to_s of the recording."""

    start: int
    end: int
    keep_from_s: float
    keep_to_s: float

    @property
    def start_s(self) -> float:
        """Start, seconds of the recording."""
        return self.start / SAMPLE_RATE_HZ

    @property
    def end_s(self) -> float:
        """End, seconds of the recording."""
        return self.end / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class Piece:
    """Tokens with seconds of the recording."""

    ids: list[int]
    spans_s: list[tuple[float, float]]
    log_probs: list[float]


def whole(samples: int) -> Window:
    """One window over everything."""
    return Window(0, samples, 0.0, samples / SAMPLE_RATE_HZ)


def plan_windows(samples: int) -> list[Window]:
    """Windows of WINDOW_S every HOP_S, on the frame grid; the last one ends with the recording.

    Where two windows overlap, the earlier one counts up to the middle of the overlap and the later one from there.
    """
    size, hop = round(WINDOW_S * SAMPLE_RATE_HZ), round(HOP_S * SAMPLE_RATE_HZ)
    if samples <= LONGEST_S * SAMPLE_RATE_HZ:
        return [whole(samples)]
    last = last_start(samples)
    starts = [*range(0, last, hop), last]
    ends = [min(start + size, samples) for start in starts]
    cuts = [cut_s(start, end) for start, end in zip(starts[1:], ends, strict=False)]
    edges = [0.0, *cuts, samples / SAMPLE_RATE_HZ]
    return [Window(*w) for w in zip(starts, ends, edges[:-1], edges[1:], strict=True)]


def last_start(samples: int) -> int:
    """First sample of the last window of a recording that is longer than one window."""
    return -(-(samples - round(WINDOW_S * SAMPLE_RATE_HZ)) // FRAME_SAMPLES) * FRAME_SAMPLES


def cut_s(start: int, end: int) -> float:
    """Where a window that begins with sample `start` takes over from one that ends at `end`, seconds."""
    # cuts lie on the frame grid too, so that a code path is cut between two frames
    return (start + end) // 2 // FRAME_SAMPLES * FRAME_SAMPLES / SAMPLE_RATE_HZ


def stitch(windows: list[Window], pieces: list[Piece]) -> Piece:
    """One string from the windows' strings: each window gives the tokens whose middle lies in its part.

    Spans stay increasing (neighbours of a seam meet half-way), and a token told by both windows is told once.
    """
    told = Piece([], [], [])
    for window, piece in zip(windows, pieces, strict=True):
        extend(told, piece, window.keep_from_s, math.inf if window is windows[-1] else window.keep_to_s)
    return told


def extend(told: Piece, piece: Piece, keep_from_s: float, keep_to_s: float) -> None:
    """Put the tokens of the next window whose middle lies in [keep_from_s, keep_to_s) behind what is told so far."""
    seam = bool(told.ids)
    for token, (start_s, end_s), log_prob in zip(piece.ids, piece.spans_s, piece.log_probs, strict=True):
        if not keep_from_s <= (start_s + end_s) / 2 < keep_to_s:
            continue
        if seam:
            seam = False
            before_s, before_e = told.spans_s[-1]
            if told.ids[-1] == token:
                told.spans_s[-1] = (before_s, end_s)
                continue
            meet_s = min(max((before_e + start_s) / 2, before_s), end_s)
            told.spans_s[-1], start_s = (before_s, meet_s), meet_s
        told.ids.append(token)
        told.spans_s.append((start_s, end_s))
        told.log_probs.append(log_prob)
