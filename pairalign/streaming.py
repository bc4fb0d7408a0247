"""Speech as it comes in: tokens that are final, and tokens that may still change.

A stream is cut into the windows of a recording (`pairalign.windows`: 3 s every 2 s), each decoded once when its audio
is there. Until then the part after the last of them is decoded anew with every update, from the beginning of the window
that it will become; its tokens are tentative. A token is committed when no way the stream could go on, or end, would
change it: 1.5 to 2.5 s after it was said, up to 3.4 s at the very beginning. Committed tokens therefore are the string
that `Tokenizer.tokenize` writes for the recording of the stream, without the tokens that lie in silence;
`gate.without_silence` is that rule for recordings. Windows without any sound are not decoded at all, so that a token
beside a long silence may begin or end some frames elsewhere than in the recording.

Decoding one window is many small steps: on a CPU one thread (`torch.set_num_threads(1)`) is about as fast as more, and
much faster on a machine that has other work.

>>> stream = Stream(rate_hz=48_000)  # doctest: +SKIP
>>> for chunk in microphone:  # doctest: +SKIP
...     stream.add(chunk)
...     update = stream.update(tokenizer)  # .committed: new final tokens, .tentative: those after them
>>> stream.finish(tokenizer).committed  # doctest: +SKIP

Shapes: T samples, F frames of 20 ms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein

from pairalign.arguments import is_number, is_whole
from pairalign.audio import SAMPLE_RATE_HZ, AudioError, AudioLimits, as_float
from pairalign.audio_input import as_array
from pairalign.decoding import DecodingOptions, check_options
from pairalign.errors import PairAlignError
from pairalign.gate import PAST_S, STEP_FRAMES, heard, levels_dbfs, open_frames
from pairalign.resample import Resampler
from pairalign.tokenizer import BEAM
from pairalign.windows import FRAME_SAMPLES, HOP_S, LONGEST_S, WINDOW_S, Piece, Window, cut_s, extend, last_start

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

KEPT_S = 30.0
SHORTEST_S = 0.2  # nothing is decoded before there is so much
DRAFT = DecodingOptions()  # greedy: what is tentative is decoded again half a second later
SIZE, HOP, LONGEST = (round(seconds * SAMPLE_RATE_HZ) for seconds in (WINDOW_S, HOP_S, LONGEST_S))
_GRID = STEP_FRAMES * FRAME_SAMPLES  # what is dropped from the buffer leaves the gate's steps where they are


@dataclass(frozen=True)
class LiveToken:
    """A token with its seconds of the stream; `revised` when it stands where another one was shown before."""

    id: int
    start_s: float
    end_s: float
    log_prob: float
    revised: bool = False


@dataclass(frozen=True)
class Update:
    """What changed: tokens that became final since the last update, and all tentative ones that follow them."""

    now_s: float
    committed: tuple[LiveToken, ...]
    tentative: tuple[LiveToken, ...]


@dataclass
class _Open:
    """The last complete window; its later tokens may yet be told by the next one. piece: None while it is silent."""

    window: Window
    piece: Piece | None = None


class Stream:
    """The state of one stream: the last seconds of its audio, and what of its string is not committed yet.

    A plain object without a model, of bounded size: about 2 MB for 30 s.
    """

    def __init__(
        self,
        rate_hz: int = SAMPLE_RATE_HZ,
        keep_s: float = KEPT_S,
        options: DecodingOptions = BEAM,
        draft: DecodingOptions = DRAFT,
    ) -> None:
        """rate_hz: of the samples that will be added; keep_s: how much audio to keep, at least 12 s; options: how
        windows that are complete are decoded; draft: how tentative tokens are.

        Raises: ValueError for a rate or a length that can not be.
        """
        limits = AudioLimits()
        if not (is_whole(rate_hz) and limits.min_rate_hz <= rate_hz <= limits.max_rate_hz):
            raise AudioError(
                f"the sample rate is {rate_hz!r} Hz; use whole hertz, {limits.min_rate_hz} to {limits.max_rate_hz}"
            )
        check_options(options)
        check_options(draft)
        if not (is_number(keep_s) and 12 <= keep_s <= limits.max_duration_s):
            raise PairAlignError(f"keep_s is {keep_s!r}; use 12 to {limits.max_duration_s:g} seconds.")
        self.keep_s, self.options, self.draft = keep_s, options, draft
        self.rate_hz, self.finished = int(rate_hz), False
        self.committed_count = self.shown_count = self.revised_count = 0
        self._resampler = Resampler(self.rate_hz, SAMPLE_RATE_HZ)
        self._wave, self._first = np.zeros(0, np.float32), 0  # the buffer and the place of its first sample
        self._levels = levels_dbfs(self._wave)
        self._opened = open_frames(self._levels)
        self._open: _Open | None = None
        self._anchor = Piece([], [], [])  # the last token before the open window: its end waits for the next one
        self._given = 0  # tokens of anchor and open window that are committed
        self._shown: list[int] = []  # ids that were tentative after the last update

    @property
    def samples(self) -> int:
        """How long the stream is so far, samples at 16 kHz."""
        return self._first + len(self._wave)

    @property
    def duration_s(self) -> float:
        """How long the stream is so far, seconds."""
        return self.samples / SAMPLE_RATE_HZ

    @property
    def revision_rate(self) -> float:
        """Share of tentative tokens that the update after them changed or took back."""
        return self.revised_count / self.shown_count if self.shown_count else 0.0

    def hears(self) -> bool:
        """Whether the gate is open now: what comes in is not silence."""
        return bool(self._opened[-1:].any())

    def audio(self, last_s: float) -> np.ndarray:
        """The last seconds (T,) float32 at 16 kHz, as many as are kept. Raises ValueError when there are none."""
        if not is_number(last_s) or last_s <= 0:
            raise PairAlignError(f"{last_s!r} seconds can not be kept; use a number above 0.")
        if not len(self._wave):
            raise PairAlignError("There is no sound yet: start listening first.")
        return self._wave[-round(min(last_s, self.keep_s) * SAMPLE_RATE_HZ) :].copy()

    def add(self, samples: np.ndarray) -> None:
        """Take what came in: (T,) or (T, channels), integer or float in [-1, 1]. Raises AudioError."""
        if self.finished:
            raise PairAlignError("The stream has ended; begin a new one.")
        frames = as_float(as_array(samples))
        channels = AudioLimits().max_channels
        fits = frames.ndim == 1 or (frames.ndim == 2 and 1 <= frames.shape[1] <= channels)
        if not fits or not np.isfinite(frames).all():
            raise AudioError(
                f"a chunk of a stream is (time,) or (time, channels), at most {channels} of them, all numbers finite; "
                f"this one is {frames.shape}"
            )
        mono = frames if frames.ndim == 1 else frames.mean(1)
        self._append(self._resampler.push(mono.astype(np.float32)))

    @torch.inference_mode()
    def update(self, tokenizer: Tokenizer) -> Update:
        """Decode what is new; takes as long as one window, two when a window is complete in the middle of a chunk."""
        committed = self._advance(tokenizer)
        view = self._draft(tokenizer)
        self._trim()
        return self._told(committed, self._tokens(view, self._given))

    @torch.inference_mode()
    def finish(self, tokenizer: Tokenizer) -> Update:
        """The last tokens, all of them final; nothing can be added afterwards."""
        if self.finished:
            return Update(self.duration_s, (), ())
        self._append(self._resampler.finish())
        self.finished = True
        committed = self._advance(tokenizer)
        committed += self._tokens(self._ending(tokenizer), self._given)
        return self._told(committed, [])

    def _append(self, wave: np.ndarray) -> None:
        self._wave = np.concatenate([self._wave, wave])
        new = levels_dbfs(self._wave[len(self._levels) * FRAME_SAMPLES :])
        self._levels = np.concatenate([self._levels, new])
        self._opened = open_frames(self._levels)

    def _trim(self) -> None:
        """Let go of what is older than `keep_s` and not needed for a window or the gate's floor."""
        begun = self._open.window.start if self._open else 0
        needed = min(self.samples - round(self.keep_s * SAMPLE_RATE_HZ), begun - round(PAST_S * SAMPLE_RATE_HZ))
        drop = (needed - self._first) // _GRID * _GRID
        if drop > 0:
            self._wave, self._first = self._wave[drop:], self._first + drop
            self._levels = self._levels[drop // FRAME_SAMPLES :]
            self._opened = self._opened[drop // FRAME_SAMPLES :]

    def _heard(self, start_s: float, end_s: float) -> bool:
        return heard(self._opened, start_s, end_s, self._first / SAMPLE_RATE_HZ)

    def _decode(self, tokenizer: Tokenizer, windows: list[Window], options: DecodingOptions) -> list[Piece]:
        parts = [self._wave[w.start - self._first : w.end - self._first] for w in windows]
        return tokenizer.pieces(parts, windows, options) if windows else []

    def _due(self) -> list[Window]:
        """Windows of the plan that have become complete."""
        found, start = [], self._open.window.start + HOP if self._open else 0
        while self.samples >= start + SIZE and self.samples > LONGEST:
            end = start + SIZE
            found.append(Window(start, end, cut_s(start, end - HOP) if start else 0.0, cut_s(start + HOP, end)))
            start += HOP
        return found

    def _advance(self, tokenizer: Tokenizer) -> list[LiveToken]:
        """Decode the windows that are complete; the tokens that are final with that."""
        waiting = [_Open(window) for window in self._due()]
        # a window seemed silent until a beginning at its end was recognised
        silent = [one for one in [self._open, *waiting] if one is not None and one.piece is None]
        sounding = [one for one in silent if self._heard(one.window.start_s, one.window.end_s)]
        pieces = self._decode(tokenizer, [one.window for one in sounding], self.options)
        for one, piece in zip(sounding, pieces, strict=True):
            one.piece = piece
        committed: list[LiveToken] = []
        for one in waiting:
            committed += self._turn_to(one)
        if self._open is not None and self._open.piece is not None:
            # wherever the stream ends from here on, the window that ends with it takes over no earlier than this
            window = self._open.window
            told = self._so_far(cut_s(min(last_start(self.samples), window.start + HOP), window.end))
            committed += self._tokens(told, self._given, len(told.ids) - 1)
            self._given = max(self._given, len(told.ids) - 1)
        return committed

    def _turn_to(self, following: _Open) -> list[LiveToken]:
        """Close the open window, but for its last token where the next window joins it."""
        told = self._so_far(self._open.window.keep_to_s if self._open else 0.0)
        end = len(told.ids) - (following.piece is not None)
        committed = self._tokens(told, self._given, end)
        end = max(end, 0)
        self._anchor = Piece(told.ids[end:], told.spans_s[end:], told.log_probs[end:])
        self._open, self._given = following, 0
        return committed

    def _so_far(self, until_s: float) -> Piece:
        """The anchor and the tokens of the open window whose middle is before `until_s`."""
        told = Piece(list(self._anchor.ids), list(self._anchor.spans_s), list(self._anchor.log_probs))
        if self._open is not None and self._open.piece is not None:
            extend(told, self._open.piece, self._open.window.keep_from_s, until_s)
        return told

    def _draft(self, tokenizer: Tokenizer) -> Piece:
        """Anchor, open window and what follows it up to now."""
        if self._open is None:
            window = Window(0, self.samples, 0.0, math.inf)
        else:
            start, end = self._open.window.start + HOP, self._open.window.end
            window = Window(start, self.samples, cut_s(start, end), math.inf)
            if self.samples <= end:
                return self._so_far(math.inf)
        if self.samples - window.start < SHORTEST_S * SAMPLE_RATE_HZ or not self._heard(window.start_s, window.end_s):
            return self._so_far(math.inf)
        told = self._so_far(window.keep_from_s)
        extend(told, self._decode(tokenizer, [window], self.draft)[0], window.keep_from_s, math.inf)
        return told

    def _ending(self, tokenizer: Tokenizer) -> Piece:
        """Anchor, open window and the window that ends with the stream, as the plan of a recording has it."""
        last = 0 if self._open is None else last_start(self.samples)
        if self._open is not None and last <= self._open.window.start:
            return self._so_far(math.inf)
        cut = 0.0 if self._open is None else cut_s(last, self._open.window.end)
        window, told = Window(last, self.samples, cut, math.inf), self._so_far(cut)
        if self.duration_s >= AudioLimits().min_duration_s and self._heard(window.start_s, window.end_s):
            extend(told, self._decode(tokenizer, [window], self.options)[0], cut, math.inf)
        return told

    def _tokens(self, told: Piece, start: int, end: int | None = None) -> list[LiveToken]:
        """Tokens [start, end) without those in silence."""
        rows = list(zip(told.ids, told.spans_s, told.log_probs, strict=True))[
            start : None if end is None else max(end, 0)
        ]
        return [LiveToken(token, *span, log_prob) for token, span, log_prob in rows if self._heard(*span)]

    def _told(self, committed: list[LiveToken], tentative: list[LiveToken]) -> Update:
        """Mark what stands in the place of tokens that were shown before, and keep count."""
        now = [*committed, *tentative]
        changes = Levenshtein.opcodes(self._shown, [token.id for token in now])
        for change in changes:
            self.revised_count += 0 if change.tag == "equal" else change.src_end - change.src_start
            # what is inserted behind everything shown before is new, not revised
            if change.tag != "equal" and change.src_start < len(self._shown):
                for k in range(change.dest_start, change.dest_end):
                    now[k] = replace(now[k], revised=True)
        self.shown_count += len(self._shown)
        self.committed_count += len(committed)
        self._shown = [token.id for token in tentative]
        return Update(self.duration_s, tuple(now[: len(committed)]), tuple(now[len(committed) :]))
