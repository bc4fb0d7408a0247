"""What a search found, as its user sees it: which recording, when, how far away, and the tokens there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairalign.archive.errors import ArchiveError
from pairalign.archive.file_state import is_gone
from pairalign.archive.record import Model, Packed
from pairalign.archive.search import InfixMatch, WindowMatch
from pairalign.archive.store import Store
from pairalign.archive.window import ArchiveWindow, spans_of
from pairalign.strings import TokenString


@dataclass(frozen=True)
class Hit:
    """A stretch of a recording near the query: start_s to end_s of `path`, its tokens, and how far away it is.

    `normalized` is the distance over the longer of the two strings. The string's times are seconds of the recording.
    `mode` is how it was looked for, "whole" or "contains"; `missing` when the file is no longer at `path`.
    """

    path: Path
    recording_id: int
    start_s: float
    end_s: float
    distance: int
    normalized: float
    string: TokenString
    mode: str = "whole"
    missing: bool = False


@dataclass(frozen=True)
class Place:
    """Tokens [first_token, end_token) of the windows [first_window, end_window) of the recording in row `row`."""

    row: int
    distance: int
    first_window: int
    end_window: int
    first_token: int = 0
    end_token: int | None = None


def window_place(packed: Packed, match: WindowMatch) -> Place:
    """The whole window that was found."""
    row = int(np.searchsorted(packed.first_window, match.window, side="right")) - 1
    number = match.window - int(packed.first_window[row])
    return Place(row, match.distance, number, number + 1)


def stretch_place(packed: Packed, match: InfixMatch) -> Place:
    """The stretch that was found, and the windows that it touches: no others have to be read."""
    first, end = packed.first_window[match.recording : match.recording + 2]
    edges = packed.window_edges[first : end + 1] - packed.window_edges[first]
    # a recording may have windows without tokens, and no others
    first_window = min(max(0, int(np.searchsorted(edges, match.first_token, side="right")) - 1), len(edges) - 2)
    end_window = max(first_window + 1, int(np.searchsorted(edges, match.last_token + 1, side="left")))
    before = int(edges[first_window])
    tokens = match.first_token - before, match.last_token + 1 - before
    return Place(match.recording, match.distance, first_window, end_window, *tokens)


def hits_at(
    store: Store, packed: Packed, model: Model, query: TokenString, places: Sequence[Place], mode: str
) -> list[Hit]:
    """What lies at these places. Raises: ArchiveError when a recording has been removed meanwhile."""
    ids = [int(packed.recording_ids[place.row]) for place in places]
    recordings = {recording.id: recording for recording in store.recordings(ids)}
    cells = [(number, p.first_window, p.end_window) for number, p in zip(ids, places, strict=True)]
    hits = []
    for number, place, windows in zip(ids, places, store.windows_of(cells, query.method), strict=True):
        if number not in recordings or not windows:
            raise ArchiveError("the archive has changed during the search. Search again.")
        recording = recordings[number]
        tokens = slice(place.first_token, place.end_token)
        string = joined(model, query.method, windows, recording.duration_s, tokens)
        if place.end_token is None:
            start_s, end_s = windows[0].start_s, windows[-1].end_s
        else:  # a stretch without tokens lies at 0
            start_s, end_s = (string.spans_s[0][0], string.spans_s[-1][1]) if string.ids else (0.0, 0.0)
        normalized = place.distance / max(len(string), len(query))
        found = (recording.path, number, start_s, end_s, place.distance, normalized, string)
        hits.append(Hit(*found, mode, missing=is_gone(recording.path)))
    return hits


def joined(
    model: Model, method: str, windows: Sequence[ArchiveWindow], duration_s: float, tokens: slice = slice(None)
) -> TokenString:
    """Neighbouring windows of a recording that lasts duration_s, or some of their tokens, as one string.

    Raises: ArchiveError for tokens that the model has not, or times that run backwards: the file is damaged.
    """
    ids = [int(token) for window in windows for token in window.ids][tokens]
    spans_s = spans_of(windows)[tokens]
    try:
        return TokenString(tuple(ids), spans_s, duration_s, (), None, method, model.sha256, model.methods[method])
    except ValueError as error:
        raise ArchiveError(f"the archive is damaged ({error}). Restore a copy, or index anew.") from None
