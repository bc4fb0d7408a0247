"""From what windows say to the token strings of recordings: windows are stitched, passages stand one after the other.

Shapes: T samples, F frames (20 ms) of a window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.framewise import frame_tokens, join_windows, merge_tokens
from pairalign.gate import passages
from pairalign.windows import Piece, Window, plan_windows, stitch


@dataclass(frozen=True)
class WindowOutput:
    """What one window became: a generated piece, or codes (F,) with their log scores (F,), (0,) for MFCC."""

    piece: Piece
    chose_eos: bool
    path: np.ndarray
    fit: np.ndarray


@dataclass(frozen=True)
class Passage:
    """A stretch of a recording between silence, as samples (T,) at 16 kHz that are tokenized for themselves."""

    recording: int
    start_s: float
    wave: np.ndarray
    plan: list[Window]


@dataclass(frozen=True)
class Written:
    """The tokens of a recording with its seconds, and whether every window ended by itself."""

    piece: Piece
    chose_eos: bool


def cut_passages(waves: Sequence[np.ndarray]) -> list[Passage]:
    """The passages of recordings (T,) in order; a recording of nothing but silence has none."""
    return [
        Passage(number, begin / SAMPLE_RATE_HZ, wave[begin:end], plan_windows(end - begin))
        for number, wave in enumerate(waves)
        for begin, end in passages(wave)
    ]


def assemble(
    recordings: int,
    cut: Sequence[Passage],
    outputs: Sequence[WindowOutput],
    method: str,
    merges: np.ndarray | None = None,
    first_id: int = 0,
) -> list[Written]:
    """The tokens of each recording from its windows' outputs, in the order of passages and windows.

    merges: byte pairs (M, 2) of method "bpe", the first of which has id `first_id`. Tokens are not joined over silence:
    neither equal codes nor byte pairs nor the two windows of a seam.
    """
    written = [Written(Piece([], [], []), True) for _ in range(recordings)]
    rest: Iterator[WindowOutput] = iter(outputs)
    for passage in cut:
        own = [next(rest) for _ in passage.plan]
        piece = _piece(passage, own, method)
        if merges is not None:
            piece = merge_tokens(piece, merges, first_id)
        so_far = written[passage.recording]
        _append(so_far.piece, piece, passage.start_s)
        chose_eos = so_far.chose_eos and all(output.chose_eos for output in own)
        written[passage.recording] = Written(so_far.piece, chose_eos)
    return written


def _piece(passage: Passage, outputs: list[WindowOutput], method: str) -> Piece:
    if method == "pairalign":
        return stitch(passage.plan, [output.piece for output in outputs])
    path, fit = (join_windows(passage.plan, [getattr(output, name) for output in outputs]) for name in ("path", "fit"))
    return frame_tokens(path, fit, len(passage.wave) / SAMPLE_RATE_HZ, collapse=method != "vq_raw")


def _append(so_far: Piece, piece: Piece, start_s: float) -> None:
    so_far.ids.extend(piece.ids)
    so_far.spans_s.extend(shifted(piece.spans_s, start_s))
    so_far.log_probs.extend(piece.log_probs)


def shifted(spans_s: Sequence[tuple[float, float]], start_s: float) -> list[tuple[float, float]]:
    """Spans in seconds of a passage that begins at `start_s`, as seconds of its recording."""
    return [(start_s + begin_s, start_s + end_s) for begin_s, end_s in spans_s]
