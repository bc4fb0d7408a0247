"""An archive of recordings to search by edit distance: the store on disk, and its strings in memory for the search.

>>> with pairalign.Archive.open("talks.db", tok) as archive:  # doctest: +SKIP
...     archive.add_folder("recordings/")
...     hits = archive.search("query.wav", top=10)
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pairalign.archive import search
from pairalign.archive.column import Column, pack_arrays
from pairalign.archive.errors import ArchiveError
from pairalign.archive.file_state import is_gone
from pairalign.archive.hit import Hit, hits_at, joined, stretch_place, window_place
from pairalign.archive.naming import named
from pairalign.archive.prune import gone_below
from pairalign.archive.query import check_mode, check_query, mode_for
from pairalign.archive.record import ArchiveInfo, MethodTotals, Model, Packed, Recording
from pairalign.archive.report import IngestReport, Progress
from pairalign.archive.scan import Listing, find_recordings
from pairalign.archive.store import Store
from pairalign.strings import TokenString

if TYPE_CHECKING:
    from pairalign.audio_input import Audio
    from pairalign.tokenizer import Tokenizer

DEFAULT_METHODS = ("pairalign", "vq")


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
        Raises: ArchiveError when the file is damaged, not an archive, or of another model; TokenizerError for a method
            that the tokenizer has not.
        """
        if tokenizer is not None and create and not os.path.exists(path):
            for method in methods:  # before there is a file
                tokenizer.check_method(method)
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

        Afterwards every recording of these files fits its file again: renamed, swapped and overwritten ones are
        followed by their content. Those whose file is gone stay until `prune`.
        Raises: ArchiveError, and DataError when there are no recordings.
        """
        return self.add_listing(find_recordings(folder, split), workers, progress)

    def add_listing(
        self, listing: Listing, workers: int | None = None, progress: Callable[[Progress], None] | None = None
    ) -> IngestReport:
        """Add the recordings of a listing; what it leaves out is in the report, too."""
        report = self.add_files(listing.paths, workers, progress)
        return replace(report, skipped=(*listing.skipped, *report.skipped), ignored=listing.ignored)

    def add_files(
        self,
        paths: Sequence[str | os.PathLike[str]],
        workers: int | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> IngestReport:
        """Add recordings; what is in the archive already is passed over, bad files are skipped and reported."""
        from pairalign.archive.ingest import add_recordings

        return add_recordings(self.store, self._needed(), paths, self.methods, workers, progress=progress)

    def prune(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Take out the recordings below a folder whose files are gone; returns where they were.

        Raises: ArchiveError when the folder is missing or empty: then its disk may be away.
        """
        with self.store.writer():
            gone = gone_below(self.store.recordings(), folder)
            self.store.remove([one.id for one in gone])
        return [one.path for one in gone]

    def remove(self, ids: Sequence[int]) -> None:
        """Take recordings out; their audio files stay where they are."""
        with self.store.writer():
            self.store.remove(ids)

    def vacuum(self) -> None:
        """Give the space of removed recordings back to the disk."""
        with self.store.writer():
            self.store.vacuum()

    # --- looking ------------------------------------------------------------------------------------------------------

    def recordings(self, name: str | None = None) -> list[Recording]:
        """Recordings by path: all, or those that a path, a name or a pattern such as *talks/*.wav stands for."""
        recordings = self.store.recordings()
        return recordings if name is None else named(recordings, name, self.store.path.parent)

    def missing(self) -> list[Recording]:
        """Recordings whose files are not where they were: deleted, or moved by themselves. Looks for every file."""
        return [one for one in self.store.recordings() if is_gone(one.path)]

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
        mode: str = "auto",
        method: str = "pairalign",
        recordings: str | Sequence[int] | None = None,
        min_duration_s: float = 0.0,
        max_duration_s: float = float("inf"),
        *,
        sample_rate: int | None = None,
    ) -> list[Hit]:
        """What is nearest to the query by edit distance: exactly what comparing with everything would give.

        Args:
            query: a recording as `Tokenizer.tokenize` takes it, or a token string of the archive's model.
            mode: "whole" compares with every window of about 3 s, "contains" finds each recording's nearest stretch.
                "auto" is "whole" for a query that fits a window, else "contains"; each hit says which it was.
            method: the kind of strings that are compared.
            recordings: only these: ids, or a path, a name or a pattern such as *talks/*.wav.
            min_duration_s, max_duration_s: only recordings that last so long.
            sample_rate: hertz of samples that come without a rate; 16,000 when it is None.
        Equal distances are told in the order of path and time.
        Raises: ArchiveError (ValueError) for a query or option that cannot be served, AudioError for bad audio.
        """
        string = self.query(query, method, mode, sample_rate)
        mode = mode_for(string, mode)
        loaded = self._load(method)
        allowed = self._allowed(loaded, recordings, min_duration_s, max_duration_s)
        if mode == "whole":
            near = search.nearest_windows(loaded.column, string.ids, top, allowed, self._device())
            places = [window_place(loaded.packed, match) for match in near]
        else:
            stretches = search.nearest_recordings(loaded.column, string.ids, top, allowed, self._device())
            places = [stretch_place(loaded.packed, match) for match in stretches]
        return hits_at(self.store, loaded.packed, self._model_of(method), string, places, mode)

    def prepare(self, method: str = "pairalign") -> int:
        """Do what the first search would: load the strings, compile the loops; returns how many windows there are."""
        self._model_of(method)
        column = self._load(method).column
        if self._compiles(column):
            search.compile_loops()
        return column.windows

    def needs_compiling(self) -> bool:
        """Whether it is searched by loops that are compiled once per installation, which takes seconds."""
        return any(self._compiles(self._load(method).column) for method in self.methods)

    def _compiles(self, column: Column) -> bool:
        return self._device() == "cpu" and not search.is_small(column)

    def query(self, query: Audio | TokenString, method: str, mode: str, sample_rate: int | None = None) -> TokenString:
        """The token string that a query stands for, checked; arguments and errors as for `search`."""
        self._model_of(method)
        check_mode(mode)
        if isinstance(query, TokenString):
            string = query
        else:
            string = self._needed().tokenize(query, method=method, sample_rate=sample_rate)
        self.store.require(string.model_sha256)
        check_query(string, method, mode)
        return string

    def distance_counts(self, query: TokenString, mode: str = "whole") -> np.ndarray:
        """How many windows (or recordings, for "contains") are at distance 0, 1, 2, … of the query, (D + 1,)."""
        string = self.query(query, query.method, mode)
        mode = mode_for(string, mode)
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

    def _allowed(
        self, loaded: _Loaded, wanted: str | Sequence[int] | None, least_s: float, most_s: float
    ) -> np.ndarray | None:
        packed = loaded.packed
        if not all(isinstance(limit_s, Real) for limit_s in (least_s, most_s)):
            raise ArchiveError(f"a recording cannot last {least_s!r} to {most_s!r}; use seconds.")
        if wanted is None and least_s <= 0 and most_s == float("inf"):
            return None
        allowed = (packed.durations_s >= least_s) & (packed.durations_s <= most_s)
        if wanted is not None:
            chosen = [one.id for one in self.recordings(wanted)] if isinstance(wanted, str) else list(wanted)
            allowed &= np.isin(packed.recording_ids, np.array(chosen, np.int64))
        return allowed
