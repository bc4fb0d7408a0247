"""One passage of a stream as it comes in: windows are decoded when they are complete, the rest is drafted.

The passage is cut into the windows of a recording (`pairalign.windows`: 3 s every 2 s). A token is final when no way
the passage could go on, or end, would change it. `pairalign.streaming` finds the passages and says when one has ended.

Times are seconds of the stream. Shapes: T samples at 16 kHz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pairalign.assembly import shifted
from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.decoding import DecodingOptions
from pairalign.gate import SHORTEST_S
from pairalign.windows import HOP_S, LONGEST_S, WINDOW_S, Piece, Window, cut_s, extend, last_start

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

SHORTEST_DRAFT_S = 0.2
SIZE, HOP, LONGEST = (round(seconds * SAMPLE_RATE_HZ) for seconds in (WINDOW_S, HOP_S, LONGEST_S))


@dataclass(frozen=True)
class _Open:
    """The last complete window; its later tokens may yet be written by the next one."""

    window: Window
    piece: Piece


class PassageStream:
    """The audio of a passage that is still needed, and what of its string is not final yet."""

    def __init__(self, start_s: float, options: DecodingOptions, draft: DecodingOptions) -> None:
        """start_s: of the passage in its stream; options: how complete windows are decoded; draft: how the rest is."""
        self.start_s, self.options, self.draft_options = start_s, options, draft
        self._wave, self._first = np.zeros(0, np.float32), 0  # the buffer and the place of its first sample
        self._open: _Open | None = None
        self._anchor = Piece([], [], [])  # the last token before the open window: its end waits for the next one
        self._given = 0  # tokens of anchor and open window that are final

    @property
    def samples(self) -> int:
        """How long the passage is so far, samples at 16 kHz."""
        return self._first + len(self._wave)

    def add(self, wave: np.ndarray) -> None:
        """Take what follows, (T,) float32."""
        self._wave = np.concatenate([self._wave, wave])

    def advance(self, tokenizer: Tokenizer) -> Piece:
        """Decode the windows that are complete; the tokens that are final with that."""
        due = self._due()
        final = Piece([], [], [])
        for window, piece in zip(due, self._decode(tokenizer, due, self.options), strict=True):
            self._turn_to(_Open(window, piece), final)
        if self._open is not None:
            # wherever the passage ends from here on, the window that ends with it takes over no earlier than this
            window = self._open.window
            so_far = self._so_far(cut_s(min(last_start(self.samples), window.start + HOP), window.end))
            self._give(so_far, max(len(so_far.ids) - 1, self._given), final)
        self._trim()
        return self._placed(final, 0)

    def draft(self, tokenizer: Tokenizer) -> Piece:
        """The tokens after the final ones as they look now: anchor, open window and what follows it up to now."""
        if self._open is None:
            window = Window(0, self.samples, 0.0, math.inf)
        else:
            start, end = self._open.window.start + HOP, self._open.window.end
            window = Window(start, self.samples, cut_s(start, end), math.inf)
            if self.samples <= end:
                return self._placed(self._so_far(math.inf), self._given)
        if self.samples - window.start < SHORTEST_DRAFT_S * SAMPLE_RATE_HZ:
            return self._placed(self._so_far(math.inf), self._given)
        so_far = self._so_far(window.keep_from_s)
        extend(so_far, self._decode(tokenizer, [window], self.draft_options)[0], window.keep_from_s, math.inf)
        return self._placed(so_far, self._given)

    def finish(self, tokenizer: Tokenizer) -> Piece:
        """The last tokens: those of anchor, open window and the window that ends with the passage."""
        last = 0 if self._open is None else last_start(self.samples)
        if self._open is not None and last <= self._open.window.start:
            return self._placed(self._so_far(math.inf), self._given)
        cut = 0.0 if self._open is None else cut_s(last, self._open.window.end)
        window, so_far = Window(last, self.samples, cut, math.inf), self._so_far(cut)
        if self.samples >= SHORTEST_S * SAMPLE_RATE_HZ:
            extend(so_far, self._decode(tokenizer, [window], self.options)[0], cut, math.inf)
        return self._placed(so_far, self._given)

    def _decode(self, tokenizer: Tokenizer, windows: list[Window], options: DecodingOptions) -> list[Piece]:
        parts = [self._wave[w.start - self._first : w.end - self._first] for w in windows]
        return tokenizer.pieces(parts, windows, options) if windows else []

    def _due(self) -> list[Window]:
        """Windows of the plan that have become complete."""
        due, start = [], self._open.window.start + HOP if self._open else 0
        while self.samples >= start + SIZE and self.samples > LONGEST:
            end = start + SIZE
            due.append(Window(start, end, cut_s(start, end - HOP) if start else 0.0, cut_s(start + HOP, end)))
            start += HOP
        return due

    def _turn_to(self, following: _Open, final: Piece) -> None:
        """Close the open window, but for its last token where the next window joins it."""
        so_far = self._so_far(self._open.window.keep_to_s if self._open else 0.0)
        end = max(len(so_far.ids) - 1, 0)
        self._give(so_far, end, final)
        self._anchor = Piece(so_far.ids[end:], so_far.spans_s[end:], so_far.log_probs[end:])
        self._open, self._given = following, 0

    def _give(self, so_far: Piece, end: int, final: Piece) -> None:
        """Add tokens up to `end` to the final ones, but for those that were given before."""
        final.ids.extend(so_far.ids[self._given : end])
        final.spans_s.extend(so_far.spans_s[self._given : end])
        final.log_probs.extend(so_far.log_probs[self._given : end])
        self._given = max(self._given, end)

    def _so_far(self, until_s: float) -> Piece:
        """The anchor and the tokens of the open window whose middle is before `until_s`."""
        so_far = Piece(list(self._anchor.ids), list(self._anchor.spans_s), list(self._anchor.log_probs))
        if self._open is not None:
            extend(so_far, self._open.piece, self._open.window.keep_from_s, until_s)
        return so_far

    def _placed(self, piece: Piece, first: int) -> Piece:
        """The tokens from `first` on, with seconds of the stream."""
        return Piece(piece.ids[first:], shifted(piece.spans_s[first:], self.start_s), piece.log_probs[first:])

    def _trim(self) -> None:
        """Let go of what no window needs any more."""
        drop = (self._open.window.start if self._open else 0) - self._first
        if drop > 0:
            self._wave, self._first = self._wave[drop:], self._first + drop
