"""Recordings into an archive: found, decoded, tokenized in batches and stored, one recording at a time.

What is in the archive already is passed over, so an interrupted run is simply started again. Long recordings are
decoded and tokenized in parts, so that memory stays bounded.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pairalign.archive.decoder import Decoders
from pairalign.archive.record import Model, Recording
from pairalign.archive.store import Store
from pairalign.archive.transcriber import BATCH_WINDOWS, Transcriber, Transcript
from pairalign.errors import PairAlignError
from pairalign.formats import AUDIO_SUFFIXES
from pairalign.training.corpora import of_split, read_manifest

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

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
    if os.path.isfile(path) and path.suffix.lower() in AUDIO_SUFFIXES:
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
        raise PairAlignError(f"workers is {workers}; use 1 or more.")
    for method in methods:
        tokenizer.check_method(method)
    with store.writer():
        store.claim(model_of(tokenizer, methods))
        run = _Run(store, progress)
        run.find_new([Path(os.path.abspath(path)) for path in paths])
        count = workers or min(4, max(1, (os.cpu_count() or 2) // 2))
        transcriber = Transcriber(tokenizer, methods, batch_windows)
        with Decoders([new.path for new in run.news], count) as decoders:
            for part in decoders:
                run.take(transcriber.take(part))
            run.take(transcriber.finish())
        return replace(run.report, elapsed_s=run.elapsed_s())


def model_of(tokenizer: Tokenizer, methods: Sequence[str]) -> Model:
    """Who writes the strings that this tokenizer adds."""
    return Model(tokenizer.name, tokenizer.sha256, {method: tokenizer.vocabulary(method) for method in methods})


@dataclass(frozen=True)
class _New:
    """A file to add."""

    path: Path
    sha256: str
    size_bytes: int
    modified_ns: int
    replaces: bool


class _Run:
    """One call of `add_recordings`."""

    def __init__(self, store: Store, progress: Callable[[Progress], None] | None) -> None:
        self.store, self.progress = store, progress
        self.report = IngestReport()
        self.news: list[_New] = []
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
                sha256 = content_sha256(path)
            except (OSError, ValueError) as error:  # ValueError: a NUL in the name
                self._skip(path, f"cannot be read ({getattr(error, 'strerror', error)})", 0)
                continue
            same = by_content.get(sha256)
            if same is not None and (same.path == path or not os.path.exists(same.path)):
                self.store.touch(same.id, path, size, changed)  # touched, or renamed: followed
            if same is not None or sha256 in contents:
                self._pass_over()
                continue
            contents.add(sha256)
            self._bytes += size
            self.news.append(_New(path, sha256, size, changed, before is not None))
            self._tell()

    def take(self, transcripts: Sequence[Transcript]) -> None:
        """Store what became whole, skip what cannot be read."""
        for one in transcripts:
            new = self.news[one.file]
            if one.error:
                self._skip(new.path, one.error, new.size_bytes)
            else:
                self._store(new, one)
        self._tell()

    def _store(self, new: _New, one: Transcript) -> None:
        recording = Recording(0, new.path, new.sha256, one.duration_s, new.size_bytes, new.modified_ns)
        self.store.add(recording, one.windows)
        counted = next(iter(one.windows.values()))
        self.report = replace(
            self.report,
            recordings=self.report.recordings + 1,
            windows=self.report.windows + len(counted),
            tokens=self.report.tokens + sum(len(window.ids) for window in counted),
            seconds=self.report.seconds + one.duration_s,
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


def content_sha256(path: Path) -> str:
    """Tells whether two files hold the same. Raises: OSError for a file that cannot be read, or named in an archive."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        raise OSError(errno.EILSEQ, "its name is not valid text; rename it") from None
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_READ_BYTES):
            digest.update(block)
    return digest.hexdigest()
