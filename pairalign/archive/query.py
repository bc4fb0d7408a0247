"""What is searched for: how, and whether it can be."""

from __future__ import annotations

from pairalign.archive import search
from pairalign.archive.errors import ArchiveError
from pairalign.strings import TokenString
from pairalign.windows import LONGEST_S

MODES = (*search.MODES, "auto")


def mode_for(query: TokenString, mode: str) -> str:
    """What "auto" stands for: "whole" for a query that fits a window, else "contains", also for one without times."""
    if mode != "auto":
        return mode
    return "whole" if 0 < query.duration_s <= LONGEST_S else "contains"


def check_mode(mode: str) -> None:
    """Raises: ArchiveError for an unknown mode."""
    if mode not in MODES:
        raise ArchiveError(f"mode is {mode!r}; use one of {', '.join(MODES)}.")


def check_query(query: TokenString, method: str, mode: str) -> None:
    """Raises: ArchiveError for a string that cannot be looked for among strings of this method, in this mode."""
    if query.method != method:
        raise ArchiveError(f"the query is a {query.method} string, compared are {method} strings. Use one method.")
    if not query.ids:
        raise ArchiveError("the query has no tokens: nothing was heard in it. Say something, or choose another part.")
    if mode == "whole" and query.duration_s > LONGEST_S:
        raise ArchiveError(
            f"the query lasts {query.duration_s:.1f} s, and windows about 3 s. Search with mode 'contains', or "
            f"use a part of at most {LONGEST_S:g} s."
        )
