"""An archive of recordings to search by edit distance: the store on disk, and its strings in memory for the search.

>>> with pairalign.Archive.open("talks.db", tok) as archive:  # doctest: +SKIP
...     archive.add_folder("recordings/")
...     hits = archive.search("query.wav", top=10)
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pairalign.archive import search
from pairalign.archive.column import Column, pack_arrays
from pairalign.archive.errors import ArchiveError
from pairalign.archive.hit import Hit, hits_at, joined, stretch_place, window_place
from pairalign.archive.record import Model, Packed, Recording
from pairalign.archive.store import Store
from pairalign.strings import TokenString
from pairalign.windows import LONGEST_S

if TYPE_CHECKING:
    from pairalign.archive.ingest import IngestReport, Progress
    from pairalign.audio_input import Audio
    from pairalign.tokenizer import Tokenizer

DEFAULT_METHODS = ("pairalign", "vq")
MODES = search.MODES


@dataclass(frozen=True)
class MethodTotals:
    """What one method's strings add up to; `used` of `vocab_size` tokens occur, with counts (vocab_size,)."""

    windows: int
    tokens: int
    vocab_size: int
    counts: np.ndarray

    @property
    def used(self) -> int:
        """How many different tokens occur."""
        return int((self.counts > 0).sum())


@dataclass(frozen=True)
class ArchiveInfo:
    """What an archive holds."""

    path: Path
    model: Model | None
    recordings: int
    seconds: float
    size_bytes: int
    methods: dict[str, MethodTotals]


@dataclass(frozen=True)
class _Loaded:
    """The strings of one method in memory, as of a revision of the store."""

    revision: int
    packed: Packed
    column: Column


class Archive:
    """Recordings that can be added, searched and removed. One may be used from several threads."""

    def __init__(self, store: Store, tokenizer: Tokenizer | None, methods: Sequence[str]) -> None:
        self.store = store
        self.tokenizer = tokenizer
        kept = store.model()
        self.methods: tuple[str, ...] = tuple(methods) if kept is None else tuple(kept.methods)
        self._loaded: dict[str, _Loaded] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        tokenizer: Tokenizer | None = None,
        methods: Sequence[str] = DEFAULT_METHODS,
        create: bool = True,
    ) -> Archive:
        """Open an archive, or begin one.

        Args:
            tokenizer: needed to add recordings and to search for audio; its model must be the archive's.
            methods: the kinds of strings a new archive keeps. An archive keeps to those it began with.
        Raises: ArchiveError when the file is damaged, not an archive, or of another model.
        """
        store = Store(path, create)
        if tokenizer is not None:
            store.require(tokenizer.sha256)
        return cls(store, tokenizer, methods)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back. The file needs no closing: whatever was added is on disk."""
        self._loaded.clear()

    # --- adding and removing ------------------------------------------------------------------------------------------

    def add_folder(
        self,
        folder: str | os.PathLike[str],
        split: str | None = None,
        workers: int | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> IngestReport:
        """Add all recordings below a folder, of a manifest (perhaps only one split), or a single one.

        Raises: ArchiveError, and DataError when there are no recordings.
        """
        from pairalign.archive.ingest import audio_files

        return self.add_files(audio_files(folder, split), workers, progress)

    def add_files(
        self,
        paths: Sequence[str | os.PathLike[str]],
        workers: int | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> IngestReport:
        """Add recordings; what is in the archive already is passed over, bad files are skipped and reported."""
        from pairalign.archive.ingest import add_recordings

        return add_recordings(self.store, self._needed(), paths, self.methods, workers, progress=progress)

    def remove(self, ids: Sequence[int]) -> None:
        """Take recordings out; their audio files stay where they are."""
        with self.store.writer():
            self.store.remove(ids)

    def vacuum(self) -> None:
        """Give the space of removed recordings back to the disk."""
        with self.store.writer():
            self.store.vacuum()

    # --- looking ------------------------------------------------------------------------------------------------------

    def recordings(self, pattern: str | None = None) -> list[Recording]:
        """Recordings by path: all, or those whose stored path fits a pattern such as *talks/*.wav."""
        return self.store.recordings(pattern=pattern)

    def string(self, recording_id: int, method: str = "pairalign") -> TokenString:
        """The whole string of one recording. Raises: ArchiveError when it is not there."""
        model = self._model_of(method)
        found = self.store.recordings([recording_id])
        if not found:
            raise ArchiveError(f"{self.store.path.name} has no recording {recording_id} any more.")
        windows = self.store.windows(recording_id, method)
        return joined(model, method, windows, found[0].duration_s)

    def info(self) -> ArchiveInfo:
        """Totals, from the strings in memory."""
        model = self.store.model()
        methods, packed = {}, None
        for name, size in (model.methods if model else {}).items():
            packed = self._load(name).packed
            counts = np.bincount(packed.tokens, minlength=size)
            methods[name] = MethodTotals(len(packed.window_edges) - 1, len(packed.tokens), size, counts)
        recordings = 0 if packed is None else len(packed.recording_ids)
        seconds = 0.0 if packed is None else float(packed.durations_s.sum(dtype=np.float64))
        return ArchiveInfo(self.store.path, model, recordings, seconds, self.store.path.stat().st_size, methods)

    def search(
        self,
        query: Audio | TokenString,
        top: int = 10,
        mode: str = "whole",
        method: str = "pairalign",
        recordings: str | None = None,
        min_duration_s: float = 0.0,
        max_duration_s: float = float("inf"),
        *,
        sample_rate: int | None = None,
    ) -> list[Hit]:
        """What is nearest to the query by edit distance: exactly what comparing with everything would give.

        Args:
            query: a recording as `Tokenizer.tokenize` takes it, or a token string of the archive's model.
            mode: "whole" compares with every window of about 3 s, "contains" finds each recording's nearest stretch.
            method: the kind of strings that are compared.
            recordings: only those whose stored path fits a pattern such as *talks/*.wav.
            min_duration_s, max_duration_s: only recordings that last so long.
            sample_rate: hertz of samples that come without a rate; 16,000 when it is None.
        Equal distances are told in the order of path and time.
        Raises: ArchiveError (ValueError) for a query or option that cannot be served, AudioError for bad audio.
        """
        string = self.query(query, method, mode, sample_rate)
        loaded = self._load(method)
        allowed = self._allowed(loaded, recordings, min_duration_s, max_duration_s)
        if mode == "whole":
            near = search.nearest_windows(loaded.column, string.ids, top, allowed, self._device())
            places = [window_place(loaded.packed, match) for match in near]
        else:
            stretches = search.nearest_recordings(loaded.column, string.ids, top, allowed, self._device())
            places = [stretch_place(loaded.packed, match) for match in stretches]
        return hits_at(self.store, loaded.packed, self._model_of(method), string, places)

    def prepare(self, method: str = "pairalign") -> int:
        """Bring the strings of a method into memory, as the first search would; returns how many windows there are."""
        self._model_of(method)
        return self._load(method).column.windows

    def query(self, query: Audio | TokenString, method: str, mode: str, sample_rate: int | None = None) -> TokenString:
        """The token string that a query stands for, checked; arguments and errors as for `search`."""
        self._model_of(method)
        if mode not in MODES:
            raise ArchiveError(f"mode is {mode!r}; use one of {', '.join(MODES)}.")
        if isinstance(query, TokenString):
            string = query
        else:
            string = self._needed().tokenize(query, method=method, sample_rate=sample_rate)
        self.store.require(string.model_sha256)
        if string.method != method:
            raise ArchiveError(f"the query is a {string.method} string, compared are {method} strings. Use one method.")
        if not string.ids:
            raise ArchiveError(
                "the query has no tokens: nothing was heard in it. Say something, or choose another part."
            )
        if mode == "whole" and string.duration_s > LONGEST_S:
            raise ArchiveError(
                f"the query lasts {string.duration_s:.1f} s, and windows about 3 s. Search with mode 'contains', or "
                f"use a part of at most {LONGEST_S:g} s."
            )
        return string

    def distance_counts(self, query: TokenString, mode: str = "whole") -> np.ndarray:
        """How many windows (or recordings, for "contains") are at distance 0, 1, 2, … of the query, (D + 1,)."""
        string = self.query(query, query.method, mode)
        return search.distance_counts(self._load(query.method).column, string.ids, mode, device=self._device())

    # --- parts --------------------------------------------------------------------------------------------------------

    def _needed(self) -> Tokenizer:
        if self.tokenizer is None:
            raise ArchiveError(
                "this archive was opened without a tokenizer: open it with Archive.open(path, tokenizer)."
            )
        return self.tokenizer

    def _device(self) -> str:
        return "cpu" if self.tokenizer is None else self.tokenizer.device

    def _model_of(self, method: str) -> Model:
        """The model of the archive's strings. Raises: ArchiveError when there are none of this method."""
        kept = self.store.model()
        if kept is None:
            raise ArchiveError(f"{self.store.path.name} is empty. Add recordings first.")
        if not isinstance(method, str) or method not in kept.methods:
            raise ArchiveError(f"{self.store.path.name} keeps no {method!r} strings; it has {', '.join(kept.methods)}.")
        return kept

    def _load(self, method: str) -> _Loaded:
        """The strings of a method, read anew when the file has changed since."""
        with self._lock:
            revision = self.store.revision()
            loaded = self._loaded.get(method)
            if loaded is None or loaded.revision != revision:
                packed = self.store.packed(method)
                column = pack_arrays(packed.tokens, packed.window_edges, packed.first_window)
                loaded = self._loaded[method] = _Loaded(revision, packed, column)
            return loaded

    def _allowed(self, loaded: _Loaded, pattern: str | None, least_s: float, most_s: float) -> np.ndarray | None:
        packed = loaded.packed
        if not all(isinstance(limit_s, Real) for limit_s in (least_s, most_s)):
            raise ArchiveError(f"a recording cannot last {least_s!r} to {most_s!r}; use seconds.")
        if pattern is None and least_s <= 0 and most_s == float("inf"):
            return None
        allowed = (packed.durations_s >= least_s) & (packed.durations_s <= most_s)
        if pattern is not None:
            chosen = [recording.id for recording in self.store.recordings(pattern=pattern)]
            allowed &= np.isin(packed.recording_ids, chosen)
        return allowed
