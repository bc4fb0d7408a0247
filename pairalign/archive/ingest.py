"""Recordings into an archive: compared with what it holds, decoded, tokenized in batches and stored one by one.

What is in the archive already is passed over, so an interrupted run is simply started again. Long recordings are
decoded and tokenized in parts, so that memory stays bounded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pairalign.archive.decoder import Decoders
from pairalign.archive.errors import ArchiveError
from pairalign.archive.file_state import CHANGED, FileState, NoRecording, is_unchanged, read_state, read_states
from pairalign.archive.reconcile import NOTHING, plan
from pairalign.archive.record import Model, Recording
from pairalign.archive.report import IngestReport, Progress, Skipped
from pairalign.archive.scan import find_recordings
from pairalign.archive.store import Store
from pairalign.archive.transcriber import BATCH_WINDOWS, Transcriber, Transcript
from pairalign.errors import PairAlignError

if TYPE_CHECKING:
    from pairalign.tokenizer import Tokenizer

UNANSWERED = "the decoder ended without an answer. Convert it to WAV"


def audio_files(source: str | os.PathLike[str], split: str | None = None) -> list[Path]:
    """The recordings that a folder (with everything below it), a manifest or a single file stands for.

    Raises: ValueError (DataError) when there are none, or no such file.
    """
    return list(find_recordings(source, split).paths)


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
        run.find_new(list(dict.fromkeys(Path(os.path.abspath(path)) for path in paths)))
        count = workers or min(4, max(1, (os.cpu_count() or 2) // 2))
        transcriber = Transcriber(tokenizer, methods, batch_windows)
        with Decoders([new.path for new in run.news], count, run.tell) as decoders:
            for part in decoders:
                run.take(transcriber.take(part))
            run.take(transcriber.finish())
        return run.total()


def model_of(tokenizer: Tokenizer, methods: Sequence[str]) -> Model:
    """Who writes the strings that this tokenizer adds."""
    return Model(tokenizer.name, tokenizer.sha256, {method: tokenizer.vocabulary(method) for method in methods})


@dataclass(frozen=True)
class _New:
    """A content to add: the file that is read for it, and others that hold the same."""

    path: Path
    state: FileState
    copies: tuple[Path, ...]


class _Run:
    """One call of `add_recordings`."""

    def __init__(self, store: Store, progress: Callable[[Progress], None] | None) -> None:
        self.store, self.progress = store, progress
        self.report = IngestReport()
        self.news: list[_New] = []
        self._waiting: set[int] = set()  # those of `news` that nothing came of so far
        self._vacated: set[Path] = set()  # where a recording was taken out
        self._files = self._files_done = self._bytes = self._bytes_done = self._checked = 0
        self._started = time.perf_counter()

    def elapsed_s(self) -> float:
        return time.perf_counter() - self._started

    def find_new(self, paths: Sequence[Path]) -> None:
        """Sort out what is in the archive already, by content, and let each of its recordings fit its file again."""
        self._files = len(paths)
        states: dict[Path, FileState] = {}
        others: list[Recording] = []  # what is there is no recording, whatever the archive has of it
        for path, state in read_states(paths, self.tell):
            self._checked += 1
            if isinstance(state, ArchiveError):
                self._skip(path, str(state))
                others += [Recording(0, path, NOTHING, 0.0, 0, 0)] if isinstance(state, NoRecording) else []
            else:
                states[path] = state
            self.tell()
        files = [state.recording(path) for path, state in states.items()]
        changes = plan(self.store.recordings(), files + others, _holds)
        self.store.apply(changes)
        self.report = replace(self.report, moved=changes.moved)
        self._vacated = {recording.path for recording in changes.removals}
        self.news = [
            _New(first.path, states[first.path], tuple(copy.path for copy in copies))
            for first, *copies in changes.fresh
        ]
        self._waiting = set(range(len(self.news)))
        self._bytes = sum(new.state.size_bytes for new in self.news)
        self._pass_over(len(states) - sum(1 + len(new.copies) for new in self.news))
        self.tell()

    def take(self, transcripts: Sequence[Transcript]) -> None:
        """Store what became whole, skip what cannot be read."""
        for one in transcripts:
            self._settle(one.file, one)
        self.tell()

    def total(self) -> IngestReport:
        """The report of the run; a file that nothing came of is skipped, too."""
        for number in sorted(self._waiting):
            self._settle(number, Transcript(number, error=UNANSWERED))
        removed = tuple(sorted(map(str, self._vacated)))
        return replace(self.report, removed=removed, elapsed_s=self.elapsed_s())

    def _settle(self, number: int, one: Transcript) -> None:
        new = self.news[number]
        self._waiting.discard(number)
        error = one.error
        if not error and not is_unchanged(new.path, new.state):
            error = CHANGED
        self._bytes_done += new.state.size_bytes
        if error:
            for path in (new.path, *new.copies):
                self._skip(path, error.removeprefix(f"{new.path.name}: "))
        else:
            self._store(new, one)
            self._pass_over(len(new.copies))

    def _store(self, new: _New, one: Transcript) -> None:
        self.store.add(replace(new.state.recording(new.path), duration_s=one.duration_s), one.windows)
        counted = next(iter(one.windows.values()))
        self.report = replace(
            self.report,
            recordings=self.report.recordings + 1,
            windows=self.report.windows + len(counted),
            tokens=self.report.tokens + sum(len(window.ids) for window in counted),
            seconds=self.report.seconds + one.duration_s,
            replaced=self.report.replaced + (new.path in self._vacated),
        )
        self._vacated.discard(new.path)
        self._files_done += 1

    def _pass_over(self, files: int) -> None:
        self.report = replace(self.report, known=self.report.known + files)
        self._files_done += files

    def _skip(self, path: Path, reason: str) -> None:
        self.report = replace(self.report, skipped=(*self.report.skipped, Skipped(str(path), reason)))
        self._files_done += 1

    def tell(self) -> None:
        """Report the progress, which may raise to end the run."""
        if self.progress:
            files, size = (self._files_done, self._files), (self._bytes_done, self._bytes)
            self.progress(Progress(*files, *size, self.report.seconds, self.elapsed_s(), self._checked))


def _holds(recording: Recording, _: Recording) -> bool:
    """Whether the file of a recording still has its content; where that cannot be told it is better off elsewhere."""
    try:
        return read_state(recording.path).sha256 == recording.sha256
    except ArchiveError:
        return False
