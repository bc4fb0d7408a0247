"""Searching an archive from the page: what is asked, what was found by each kind of string, and the sound of a hit."""

from __future__ import annotations

import base64
import io
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from app.archives import Archives
from app.services import Progress, to_int16
from app.typed_tokens import typed_ids
from pairalign.archive import search
from pairalign.archive.archive import Archive
from pairalign.archive.decoder import LIMITS
from pairalign.archive.hit import Hit
from pairalign.archive.naming import containing
from pairalign.archive.query import MODES, mode_for
from pairalign.audio import SAMPLE_RATE_HZ, slice_audio
from pairalign.errors import PairAlignError
from pairalign.excerpt import read_excerpt
from pairalign.strings import TokenString
from pairalign.windows import LONGEST_S

MOST_HITS = 30
LONGEST_QUERY_S = 30.0
USUAL_QUERY_S = 3.0
MAX_PATTERN = 200
CONTEXT_S = 1.0
LONGEST_CLIP_S = 12.0
_WAIT_S = 0.2


@dataclass(frozen=True)
class Options:
    """How to search. pattern: a part of the file's path; with a *, a pattern such as *talks/*.wav; empty for all."""

    mode: str = "contains"
    top: int = 10
    pattern: str = ""

    def checked(self) -> Options:
        """The same, or ValueError for values that a browser should not have sent."""
        if self.mode not in MODES:
            raise PairAlignError(f"mode is {str(self.mode)[:40]!r}; use one of {', '.join(MODES)}.")
        if not isinstance(self.top, int) or not 1 <= self.top <= MOST_HITS:
            raise PairAlignError(f"top is {str(self.top)[:40]}; ask for 1 to {MOST_HITS} hits.")
        if len(self.pattern) > MAX_PATTERN:
            raise PairAlignError(f"The name to look for has more than {MAX_PATTERN} characters. Shorten it.")
        return self

    def chosen(self, archive: Archive) -> list[int] | None:
        """Ids of the recordings to search in; None for all."""
        text = self.pattern.strip()
        if not text:
            return None
        return [one.id for one in containing(archive.recordings(), text, archive.store.path.parent)]


@dataclass(frozen=True)
class Answer:
    """What one kind of strings found, and in which mode; elapsed_ms is the search alone, nothing loaded or compiled."""

    query: TokenString
    hits: tuple[Hit, ...]
    searched_windows: int
    elapsed_ms: float
    mode: str


@dataclass(frozen=True)
class Found:
    """The answers by method, and the sound (T,) that was looked for: none for a typed string."""

    archive: str
    options: Options
    answers: dict[str, Answer]
    wave: np.ndarray | None = None

    def to_document(self, method: str) -> dict[str, Any]:
        """As `python -m pairalign search --json` prints it, with the hits' names under "file" (see app/result.py)."""
        answer = self.answers[method]
        hits = [
            {
                "file": hit.path.name,
                "start_s": hit.start_s,
                "end_s": hit.end_s,
                "distance": hit.distance,
                "normalized": hit.normalized,
                **({"missing": True} if hit.missing else {}),
            }
            for hit in answer.hits
        ]
        return {
            "archive": self.archive,
            "mode": answer.mode,
            "method": method,
            "query": answer.query.to_dict(),
            "hits": hits,
            "searched_windows": answer.searched_windows,
            "elapsed_ms": answer.elapsed_ms,
        }


class WarmUp:
    """Compiles the loops that large archives need, in the background: seconds the first time, cached after that."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._started = threading.Lock()

    def start(self) -> None:
        """Begin, once."""
        if self._started.acquire(blocking=False):
            threading.Thread(target=self._work, daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether searches are fast now."""
        return self._ready.is_set()

    def wait(self, check: Progress) -> None:
        """Until it is done; `check` may raise to give up."""
        self.start()
        while not self._ready.wait(_WAIT_S):
            check(0.0)

    def _work(self) -> None:
        try:
            search.compile_loops()
        finally:
            self._ready.set()


def part_of(wave: np.ndarray, start_s: float, length_s: float) -> np.ndarray:
    """The part of a recording to look for; all of one that the model hears in one go.

    Raises: ValueError when the part is empty, outside, or longer than LONGEST_QUERY_S.
    """
    if len(wave) <= LONGEST_S * SAMPLE_RATE_HZ:
        return wave
    if not length_s <= LONGEST_QUERY_S:
        raise PairAlignError(f"The part lasts {length_s:g} s; search for {LONGEST_QUERY_S:g} s or less.")
    return slice_audio(wave, start_s, start_s + length_s)


def typed_string(archive: Archive, text: str, method: str) -> TokenString:
    """The token string that was typed or pasted, as glyphs or as ids: without times or duration.

    Raises: ValueError saying what is no token of the archive's model, or may have been meant otherwise.
    """
    model = archive.store.model()
    if model is None or method not in model.methods:
        kept = ", ".join(model.methods) if model else "nothing yet"
        raise PairAlignError(f"This archive has no {str(method)[:40]} strings; it keeps {kept}.")
    size = model.methods[method]
    ids = typed_ids(text, size)
    return TokenString(ids, ((0.0, 0.0),) * len(ids), 0.0, (), None, method, model.sha256, size)


def search_audio(
    archives: Archives, name: str, wave: np.ndarray, methods: Sequence[str], options: Options, report: Progress
) -> Found:
    """Search for a sound (T,) with each of `methods`; none stands for all that the archive keeps.

    Raises: ValueError when the archive, the sound or the options do not fit.
    """
    options, archive = options.checked(), archives.open(name)
    methods = methods or archive.methods
    answers = {}
    for index, method in enumerate(methods):
        report(0.1 + 0.8 * index / len(methods))
        answers[method] = _answer(archive, archive.query(wave, method, options.mode), options)
    return Found(name, options, answers, wave)


def search_text(archives: Archives, name: str, text: str, method: str, options: Options) -> Found:
    """Search for a typed token string. Raises: as above, and for a character that is no token."""
    options, archive = options.checked(), archives.open(name)
    return Found(name, options, {method: _answer(archive, typed_string(archive, text, method), options)})


def _answer(archive: Archive, query: TokenString, options: Options) -> Answer:
    windows = archive.prepare(query.method)  # loads and compiles, which is no part of the search
    chosen, mode = options.chosen(archive), mode_for(query, options.mode)
    started = time.perf_counter()
    hits = archive.search(query, options.top, mode, query.method, chosen)
    return Answer(query, tuple(hits), windows, 1000 * (time.perf_counter() - started), mode)


@dataclass(frozen=True)
class Clip:
    """The sound of a hit with up to a second around it, beginning at begins_s of the recording; or why there is none.

    wave: (T,) at 16 kHz.
    """

    begins_s: float = 0.0
    wave: np.ndarray | None = None
    problem: str = ""

    @property
    def url(self) -> str:
        """The sound as a FLAC data URL."""
        return sound_url(self.wave)


def hit_clip(hit: Hit) -> Clip:
    """Read only that stretch of the recording, which may be hours long."""
    if not os.path.isfile(hit.path):
        return Clip(problem=f"The audio file is no longer at {hit.path}, so this hit cannot be played.")
    begins_s = max(0.0, hit.start_s - CONTEXT_S)
    ends_s = min(hit.end_s + CONTEXT_S, begins_s + LONGEST_CLIP_S)
    try:
        wave = read_excerpt(hit.path, begins_s, ends_s, LIMITS)
    except (OSError, ValueError) as error:
        return Clip(problem=f"The audio file cannot be read any more ({type(error).__name__}).")
    if not len(wave):
        return Clip(problem="The audio file is shorter than when it was added.")
    return Clip(begins_s, wave)


def sound_url(wave: np.ndarray) -> str:
    """A wave (T,) at 16 kHz as a FLAC data URL: lossless, and every browser plays it."""
    memory = io.BytesIO()
    soundfile.write(memory, to_int16(wave), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(memory.getvalue()).decode()}"


def shown_name(path: Path) -> str:
    """A file name for the page, which escapes it: printable and not endless."""
    return "".join(char if char.isprintable() else "?" for char in path.name)[:120]
