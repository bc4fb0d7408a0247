"""Speech as it comes in: tokens that are final, and tokens that may still change.

What comes in is cut into passages of sound between silence (`pairalign.gate`), and each passage into the windows of a
recording (`pairalign.passage_stream`), decoded once when their audio is there. Until then the part after the last of
them is decoded anew with every update, from the beginning of the window that it will become; its tokens are tentative.
A token is committed when no way the stream could go on, or end, would change it: about a second after speech has
stopped, else 1.5 to 2.5 s after it was said, up to 3.4 s at the very beginning (a second more at most while a sound or
a pause lasts that may yet prove to be silence). Committed tokens therefore are the string that `Tokenizer.tokenize`
writes for the recording of the stream. Silence is not decoded.

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
from pairalign.gate import EDGE_FRAMES, Gate, levels_dbfs, open_frames, passage_bounds, runs
from pairalign.passage_stream import PassageStream
from pairalign.resample import Resampler
from pairalign.tokenizer import BEAM
from pairalign.windows import FRAME_SAMPLES, Piece

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

KEPT_S = 30.0
DRAFT = DecodingOptions()  # greedy: what is tentative is decoded again half a second later


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


class Stream:
    """The state of one stream: the last seconds of its audio, and the passage that goes on.

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
        self._gate = Gate.of(self._levels)
        self._passage: PassageStream | None = None
        self._taken = 0  # up to this sample passages have been taken from the stream
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
        return bool(self._gate.opened[-1:].any())

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
        committed = self._advance(tokenizer, self._gate.opened[: self._gate.certain])
        tentative = self._passage.draft(tokenizer) if self._passage else _NOTHING
        self._trim()
        return self._told(committed, _tokens(tentative))

    @torch.inference_mode()
    def finish(self, tokenizer: Tokenizer) -> Update:
        """The last tokens, all of them final; nothing can be added afterwards."""
        if self.finished:
            return Update(self.duration_s, (), ())
        self._append(self._resampler.finish())
        self.finished = True
        opened = open_frames(self._levels)
        committed = self._advance(tokenizer, opened)
        self._gate = Gate(opened, self._gate.digital, len(opened))
        return self._told(committed, [])

    def _append(self, wave: np.ndarray) -> None:
        self._wave = np.concatenate([self._wave, wave])
        new = levels_dbfs(self._wave[len(self._levels) * FRAME_SAMPLES :])
        self._levels = np.concatenate([self._levels, new])
        self._gate = Gate.of(self._levels)

    def _trim(self) -> None:
        """Let go of what is older than `keep_s`: many times as long as the gate looks back."""
        drop = (len(self._wave) - round(self.keep_s * SAMPLE_RATE_HZ)) // FRAME_SAMPLES
        if drop > 0:
            self._wave, self._first = self._wave[drop * FRAME_SAMPLES :], self._first + drop * FRAME_SAMPLES
            self._levels = self._levels[drop:]
            self._gate = Gate.of(self._levels)

    def _advance(self, tokenizer: Tokenizer, opened: np.ndarray) -> list[LiveToken]:
        """Take in the passages of frames that are certain, `opened` (F,); the tokens that are final with that."""
        committed: list[LiveToken] = []
        for first, end in runs(opened):
            if self._first + end * FRAME_SAMPLES <= self._taken:
                continue
            ended = self.finished or end < len(opened)
            begin_sample, end_sample = self._bounds(first, end, ended)
            if end_sample <= max(begin_sample, self._taken) and not ended:
                continue
            if self._passage is None:
                self._passage = PassageStream(begin_sample / SAMPLE_RATE_HZ, self.options, self.draft)
            self._passage.add(self._between(max(begin_sample, self._taken), end_sample))
            self._taken = max(self._taken, end_sample)
            committed += _tokens(self._passage.advance(tokenizer))
            if ended:
                committed += _tokens(self._passage.finish(tokenizer))
                self._passage, self._taken = None, self._first + end * FRAME_SAMPLES
        if self._passage is None:
            # the frame before a passage is looked at once more, for where exactly digital silence ends
            self._taken = max(self._taken, self._first + (len(opened) - 1) * FRAME_SAMPLES)
        return committed

    def _bounds(self, first: int, end: int, ended: bool) -> tuple[int, int]:
        """First and end sample, in the stream, of what can be taken of the passage of frames [first, end)."""
        sound = first + np.flatnonzero(~self._gate.digital[first:end])
        if not len(sound):
            return self._taken, self._taken
        begin_sample, end_sample = passage_bounds(self._wave, self._gate.digital, first, end)
        if not ended:
            # should the passage end with these frames, its last sample is in the last ones that sound, or just after
            end_sample = (int(sound[-1]) + 1 - EDGE_FRAMES) * FRAME_SAMPLES
        return self._first + begin_sample, self._first + end_sample

    def _between(self, begin_sample: int, end_sample: int) -> np.ndarray:
        return self._wave[max(0, begin_sample - self._first) : max(0, end_sample - self._first)]

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


_NOTHING = Piece([], [], [])


def _tokens(piece: Piece) -> list[LiveToken]:
    rows = zip(piece.ids, piece.spans_s, piece.log_probs, strict=True)
    return [LiveToken(token, *span, log_prob) for token, span, log_prob in rows]
