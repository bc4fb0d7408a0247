"""Recordings of any length as overlapping windows, and their strings stitched back together by recovered time.

Shapes: N samples; a window is a slice of the recording, its frames are 20 ms.
"""

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
    last = -(-(samples - size) // FRAME_SAMPLES) * FRAME_SAMPLES
    starts = [*range(0, last, hop), last]
    ends = [min(start + size, samples) for start in starts]
    # cuts lie on the frame grid too, so that a code path is cut between two frames
    cuts = [
        (s + e) // 2 // FRAME_SAMPLES * FRAME_SAMPLES / SAMPLE_RATE_HZ for s, e in zip(starts[1:], ends, strict=False)
    ]
    edges = [0.0, *cuts, samples / SAMPLE_RATE_HZ]
    return [Window(*w) for w in zip(starts, ends, edges[:-1], edges[1:], strict=True)]


def stitch(windows: list[Window], pieces: list[Piece]) -> Piece:
    """One string from the windows' strings: each window gives the tokens whose middle lies in its part.

    Spans stay increasing (neighbours of a seam meet half-way), and a token told by both windows is told once.
    """
    ids: list[int] = []
    spans: list[tuple[float, float]] = []
    log_probs: list[float] = []
    for window, piece in zip(windows, pieces, strict=True):
        last = window is windows[-1]
        seam = bool(ids)
        for token, (start_s, end_s), log_prob in zip(piece.ids, piece.spans_s, piece.log_probs, strict=True):
            middle_s = (start_s + end_s) / 2
            if middle_s < window.keep_from_s or (middle_s >= window.keep_to_s and not last):
                continue
            if seam:
                seam = False
                before_s, before_e = spans[-1]
                if ids[-1] == token:
                    spans[-1] = (before_s, end_s)
                    continue
                meet_s = min(max((before_e + start_s) / 2, before_s), end_s)
                spans[-1], start_s = (before_s, meet_s), meet_s
            ids.append(token)
            spans.append((start_s, end_s))
            log_probs.append(log_prob)
    return Piece(ids, spans, log_probs)
