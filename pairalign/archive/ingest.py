"""Recordings into an archive: found, decoded, tokenized in batches and stored, one recording at a time.

What is in the archive already is passed over, so an interrupted run is simply started again. Recordings longer than
PART_S are tokenized in parts of that length, so that memory stays bounded.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pairalign.archive.decoder import Decoders, Part
from pairalign.archive.record import Model, Recording
from pairalign.archive.store import Store
from pairalign.archive.window import ArchiveWindow, cut
from pairalign.audio import SAMPLE_RATE_HZ, AudioError, wave_from_array
from pairalign.strings import TokenString
from pairalign.training.corpora import AUDIO_SUFFIXES, of_split, read_manifest
from pairalign.windows import HOP_S, WINDOW_S

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

BATCH_WINDOWS = 32
_BATCHES_AT_ONCE = 2  # windows of like length share a batch: a few batches are sorted together
_READ_BYTES = 1 << 20


@dataclass(frozen=True)
class Progress:
    """How far an ingest has come: files and bytes dealt with, seconds of audio tokenized, time since the start."""

    files_done: int
    files: int
    bytes_done: int
    bytes: int
    audio_s: float
    elapsed_s: float

    @property
    def rate(self) -> float:
        """Seconds of audio per second."""
        return self.audio_s / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        """Seconds still to go, by the bytes of the files; None while nothing is done."""
        left = self.bytes - self.bytes_done
        return self.elapsed_s * left / self.bytes_done if self.bytes_done else None


@dataclass(frozen=True)
class Skipped:
    """A file that was not added, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class IngestReport:
    """What one ingest added. `known` recordings were in the archive already, `replaced` ones had changed."""

    recordings: int = 0
    windows: int = 0
    tokens: int = 0
    seconds: float = 0.0
    known: int = 0
    replaced: int = 0
    skipped: tuple[Skipped, ...] = ()
    elapsed_s: float = 0.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of audio added per second."""
        return self.seconds / self.elapsed_s if self.elapsed_s > 0 else 0.0


def audio_files(source: str | os.PathLike[str], split: str | None = None) -> list[Path]:
    """The recordings that a folder (with everything below it), a manifest or a single file stands for.

    Raises: ValueError (DataError) when there are none, or no such file.
    """
    path = Path(source)
    if path.is_file() and path.suffix.lower() in AUDIO_SUFFIXES:
        return [path]
    utterances = read_manifest(path)
    chosen = range(len(utterances)) if split is None else of_split(utterances, split)
    return [utterances[i].path for i in chosen]


def add_recordings(
    store: Store,
    tokenizer: Tokenizer,
    paths: Sequence[str | os.PathLike[str]],
    methods: Sequence[str],
    workers: int | None = None,
    batch_windows: int = BATCH_WINDOWS,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Add recordings; bad files are skipped with a reason. An exception from `progress` ends the run: nothing is lost.

    Args:
        methods: the kinds of strings to keep; the first one's windows and tokens are those that the report counts.
        workers: decoding processes; by default one for every two cores, at most four.
    Raises: ArchiveError when the archive is another model's, or somebody else is adding to it.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers is {workers}; use 1 or more.")
    for method in methods:
        tokenizer.check_method(method)
    with store.writer():
        store.claim(model_of(tokenizer, methods))
        run = _Run(store, tokenizer, list(methods), batch_windows, progress)
        run.find_new([Path(os.path.abspath(path)) for path in paths])
        count = workers or min(4, max(1, (os.cpu_count() or 2) // 2))
        with Decoders([new.path for new in run.news], count) as decoders:
            for part in decoders:
                run.take(part)
            run.tokenize()
        return replace(run.report, elapsed_s=run.elapsed_s())


def model_of(tokenizer: Tokenizer, methods: Sequence[str]) -> Model:
    """Who writes the strings that this tokenizer adds."""
    return Model(tokenizer.name, tokenizer.sha256, {method: tokenizer.vocabulary(method) for method in methods})


@dataclass
class _New:
    """A file to add: its parts' strings as they come in, until `left` parts are missing no more."""

    path: Path
    sha256: str
    size_bytes: int
    modified_ns: int
    replaces: bool
    strings: list[dict[str, TokenString]] = field(default_factory=list)
    complete: bool = False
    waiting: int = 0


class _Run:
    """One call of `add_recordings`."""

    def __init__(
        self,
        store: Store,
        tokenizer: Tokenizer,
        methods: list[str],
        batch_windows: int,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.store, self.tokenizer, self.methods, self.batch_windows = store, tokenizer, methods, batch_windows
        self.progress = progress
        self.report = IngestReport()
        self.news: list[_New] = []
        self._parts: list[Part] = []
        self._files = self._files_done = self._bytes = self._bytes_done = 0
        self._started = time.perf_counter()

    def elapsed_s(self) -> float:
        return time.perf_counter() - self._started

    def find_new(self, paths: Sequence[Path]) -> None:
        """Sort out what is in the archive already: by size and time of change, else by content."""
        self._files = len(paths)
        kept = self.store.recordings()
        by_path = {recording.path: recording for recording in kept}
        by_content = {recording.sha256: recording for recording in kept}
        contents: set[str] = set()
        for path in paths:
            try:
                size, changed = path.stat().st_size, path.stat().st_mtime_ns
                before = by_path.get(path)
                if before and (before.size_bytes, before.modified_ns) == (size, changed):
                    self._pass_over()
                    continue
                sha256 = _content(path)
            except OSError as error:
                self._skip(path, f"cannot be read ({error.strerror})", 0)
                continue
            same = by_content.get(sha256)
            if same is not None and (same.path == path or not same.path.exists()):
                self.store.touch(same.id, path, size, changed)  # touched, or renamed: followed
            if same is not None or sha256 in contents:
                self._pass_over()
                continue
            contents.add(sha256)
            self._bytes += size
            self.news.append(_New(path, sha256, size, changed, before is not None))
            self._tell()

    def take(self, part: Part) -> None:
        """Take in a decoded part, and tokenize when there are enough."""
        new = self.news[part.file]
        new.complete = part.last
        if part.wave is None:
            new.strings.clear()
            self._parts = [waiting for waiting in self._parts if waiting.file != part.file]
            self._skip(new.path, part.error, new.size_bytes)
            return
        new.waiting += 1
        self._parts.append(part)
        if sum(_windows(part) for part in self._parts) >= self.batch_windows * _BATCHES_AT_ONCE:
            self.tokenize()

    def tokenize(self) -> None:
        """Tokenize the parts taken in so far, and store the recordings that are complete with them."""
        parts, self._parts = self._parts, []
        if not parts:
            return
        told = self._strings([part.wave for part in parts])
        for part, strings in zip(parts, told, strict=True):
            new = self.news[part.file]
            new.strings.append(strings)
            new.waiting -= 1
            if new.complete and not new.waiting:
                self._store(new)
        self._tell()

    def _strings(self, waves: list[np.ndarray]) -> list[dict[str, TokenString]]:
        """The strings of each wave by method; a silent part of a long recording has empty ones."""
        told: list[dict[str, TokenString]] = []
        heard = [wave for wave in waves if _is_sound(wave)]
        found = self.tokenizer.tokenize_methods(heard, self.methods, self.batch_windows) if heard else {}
        rows = iter(zip(*found.values(), strict=True))
        for wave in waves:
            if _is_sound(wave):
                told.append(dict(zip(self.methods, next(rows), strict=True)))
            else:
                told.append({method: self._silence(len(wave), method) for method in self.methods})
        return told

    def _silence(self, samples: int, method: str) -> TokenString:
        sizes = self.tokenizer.vocabulary(method)
        return TokenString((), (), samples / SAMPLE_RATE_HZ, (), "eos", method, self.tokenizer.sha256, sizes)

    def _store(self, new: _New) -> None:
        windows: dict[str, list[ArchiveWindow]] = {method: [] for method in self.methods}
        offset_s = 0.0
        for strings in new.strings:
            for method, string in strings.items():
                windows[method] += [
                    replace(window, start_s=offset_s + window.start_s, end_s=offset_s + window.end_s)
                    for window in cut(string)
                ]
            offset_s += next(iter(strings.values())).duration_s
        new.strings.clear()
        self.store.add(Recording(0, new.path, new.sha256, offset_s, new.size_bytes, new.modified_ns), windows)
        counted = windows[self.methods[0]]
        self.report = replace(
            self.report,
            recordings=self.report.recordings + 1,
            windows=self.report.windows + len(counted),
            tokens=self.report.tokens + sum(len(window.ids) for window in counted),
            seconds=self.report.seconds + offset_s,
            replaced=self.report.replaced + new.replaces,
        )
        self._files_done += 1
        self._bytes_done += new.size_bytes

    def _pass_over(self) -> None:
        self.report = replace(self.report, known=self.report.known + 1)
        self._files_done += 1
        self._tell()

    def _skip(self, path: Path, reason: str, size: int) -> None:
        reason = reason.removeprefix(f"{path.name}: ")
        self.report = replace(self.report, skipped=(*self.report.skipped, Skipped(str(path), reason)))
        self._files_done += 1
        self._bytes_done += size
        self._tell()

    def _tell(self) -> None:
        if self.progress:
            self.progress(
                Progress(
                    self._files_done,
                    self._files,
                    self._bytes_done,
                    self._bytes,
                    self.report.seconds,
                    self.elapsed_s(),
                )
            )


def _windows(part: Part) -> int:
    """About how many windows the tokenizer makes of a part."""
    return 1 + max(0, round((len(part.wave) / SAMPLE_RATE_HZ - WINDOW_S) / HOP_S))


def _is_sound(wave: np.ndarray) -> bool:
    try:
        wave_from_array(wave, SAMPLE_RATE_HZ)
    except AudioError:
        return False
    return True


def _content(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
