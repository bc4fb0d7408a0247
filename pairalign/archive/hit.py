"""What a search found, as its user sees it: which recording, when, how far away, and the tokens there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairalign.archive.errors import ArchiveError
from pairalign.archive.record import Packed, Recording
from pairalign.archive.search import InfixMatch, WindowMatch
from pairalign.archive.store import Store
from pairalign.archive.window import ArchiveWindow, spans_of
from pairalign.strings import TokenString


@dataclass(frozen=True)
class Hit:
    """A stretch of a recording near the query: start_s to end_s of `path`, its tokens, and how far away it is.

    `normalized` is the distance over the longer of the two strings. The string's times are seconds of the recording.
    """

    path: Path
    recording_id: int
    start_s: float
    end_s: float
    distance: int
    normalized: float
    string: TokenString


def window_hit(store: Store, packed: Packed, query: TokenString, match: WindowMatch) -> Hit:
    """The window that was found. Raises: ArchiveError when its recording has been removed meanwhile."""
    row = int(np.searchsorted(packed.first_window, match.window, side="right")) - 1
    recording = _recording(store, packed, row)
    number = match.window - int(packed.first_window[row])
    windows = store.windows(recording.id, query.method, number, number + 1)
    string = joined(store, query.method, windows, recording.duration_s)
    return _hit(recording, windows[0].start_s, windows[0].end_s, match.distance, query, string)


def stretch_hit(store: Store, packed: Packed, query: TokenString, match: InfixMatch) -> Hit:
    """The stretch that was found, with the times of its tokens; one without tokens lies at 0. Errors as above."""
    recording = _recording(store, packed, match.recording)
    first, end = packed.first_window[match.recording : match.recording + 2]
    edges = packed.window_edges[first : end + 1] - packed.window_edges[first]
    # only the windows that the stretch touches are read
    first_window = max(0, int(np.searchsorted(edges, match.first_token, side="right")) - 1)
    end_window = max(first_window + 1, int(np.searchsorted(edges, match.last_token + 1, side="left")))
    windows = store.windows(recording.id, query.method, first_window, end_window)
    chosen = slice(match.first_token - int(edges[first_window]), match.last_token + 1 - int(edges[first_window]))
    string = joined(store, query.method, windows, recording.duration_s, chosen)
    start_s, end_s = (string.spans_s[0][0], string.spans_s[-1][1]) if string.ids else (0.0, 0.0)
    return _hit(recording, start_s, end_s, match.distance, query, string)


def joined(
    store: Store, method: str, windows: Sequence[ArchiveWindow], duration_s: float, chosen: slice = slice(None)
) -> TokenString:
    """Neighbouring windows of a recording that lasts duration_s, or some of their tokens, as one string."""
    model = store.model()
    ids = [int(token) for window in windows for token in window.ids][chosen]
    spans_s = spans_of(windows)[chosen]
    return TokenString(tuple(ids), spans_s, duration_s, (), "eos", method, model.sha256, model.methods[method])


def _recording(store: Store, packed: Packed, row: int) -> Recording:
    found = store.recordings([int(packed.recording_ids[row])])
    if not found:
        raise ArchiveError("the archive has changed during the search. Search again.")
    return found[0]


def _hit(
    recording: Recording, start_s: float, end_s: float, distance: int, query: TokenString, string: TokenString
) -> Hit:
    normalized = distance / max(len(string), len(query))
    return Hit(recording.path, recording.id, start_s, end_s, distance, normalized, string)
