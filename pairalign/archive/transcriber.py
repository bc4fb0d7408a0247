"""Decoded parts in, windows of token strings out: parts of many recordings share batches, recordings come out whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from pairalign.archive.decoder import Part
from pairalign.archive.window import ArchiveWindow, cut
from pairalign.audio import SAMPLE_RATE_HZ, AudioError, wave_from_array
from pairalign.strings import TokenString
from pairalign.windows import HOP_S, WINDOW_S

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

BATCH_WINDOWS = 12
_BATCHES_AT_ONCE = 8  # windows of like length share a batch, and a CPU works on several batches at a time


@dataclass(frozen=True)
class Transcript:
    """File number `file` as windows by method, or why it cannot be read (then there are none)."""

    file: int
    duration_s: float = 0.0
    windows: dict[str, list[ArchiveWindow]] = field(default_factory=dict)
    error: str = ""


@dataclass
class _Open:
    """A file whose parts are coming in: it is whole when the last has come and none waits any more."""

    strings: list[dict[str, TokenString]] = field(default_factory=list)
    complete: bool = False
    waiting: int = 0


class Transcriber:
    """Takes the parts of files as `Decoders` hands them out, and tokenizes when there are enough for a few batches."""

    def __init__(self, tokenizer: Tokenizer, methods: Sequence[str], batch_windows: int = BATCH_WINDOWS) -> None:
        self.tokenizer, self.methods, self.batch_windows = tokenizer, list(methods), batch_windows
        self._open: dict[int, _Open] = {}
        self._parts: list[tuple[int, np.ndarray]] = []  # of files by number

    def take(self, part: Part) -> list[Transcript]:
        """Take in a decoded part; returns the files that are whole with it, or with what was tokenized along."""
        if part.wave is None:
            self._open.pop(part.file, None)
            self._parts = [(file, wave) for file, wave in self._parts if file != part.file]
            return [Transcript(part.file, error=part.error)]
        opened = self._open.setdefault(part.file, _Open())
        opened.complete = part.last
        opened.waiting += 1
        self._parts.append((part.file, part.wave))
        enough = sum(_windows(wave) for _, wave in self._parts) >= self.batch_windows * _BATCHES_AT_ONCE
        return self.finish() if enough else []

    def finish(self) -> list[Transcript]:
        """Tokenize the parts taken in so far; returns the files that are whole with them."""
        parts, self._parts = self._parts, []
        done = []
        for (file, _), strings in zip(parts, self._strings([wave for _, wave in parts]), strict=True):
            opened = self._open[file]
            opened.strings.append(strings)
            opened.waiting -= 1
            if opened.complete and not opened.waiting:
                done.append(self._transcript(file, self._open.pop(file).strings))
        return done

    def _transcript(self, file: int, parts: list[dict[str, TokenString]]) -> Transcript:
        windows: dict[str, list[ArchiveWindow]] = {method: [] for method in self.methods}
        offset_s = 0.0
        for strings in parts:
            for method, string in strings.items():
                windows[method] += [
                    replace(window, start_s=offset_s + window.start_s, end_s=offset_s + window.end_s)
                    for window in cut(string)
                ]
            offset_s += next(iter(strings.values())).duration_s
        return Transcript(file, offset_s, windows)

    def _strings(self, waves: list[np.ndarray]) -> list[dict[str, TokenString]]:
        """The strings of each wave by method; a silent part of a long recording has empty ones."""
        sounds = [_is_sound(wave) for wave in waves]
        heard = [wave for wave, sound in zip(waves, sounds, strict=True) if sound]
        found = self.tokenizer.tokenize_methods(heard, self.methods, self.batch_windows) if heard else {}
        rows = iter(zip(*found.values(), strict=True))
        return [
            dict(zip(self.methods, next(rows), strict=True))
            if sound
            else {method: self._silence(len(wave), method) for method in self.methods}
            for wave, sound in zip(waves, sounds, strict=True)
        ]

    def _silence(self, samples: int, method: str) -> TokenString:
        sizes = self.tokenizer.vocabulary(method)
        return TokenString((), (), samples / SAMPLE_RATE_HZ, (), None, method, self.tokenizer.sha256, sizes)


def _windows(wave: np.ndarray) -> int:
    """About how many windows the tokenizer makes of a part."""
    return 1 + max(0, round((len(wave) / SAMPLE_RATE_HZ - WINDOW_S) / HOP_S))


def _is_sound(wave: np.ndarray) -> bool:
    try:
        wave_from_array(wave, SAMPLE_RATE_HZ)
    except AudioError:
        return False
    return True
