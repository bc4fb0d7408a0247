"""Which recordings of an archive have lost their files for good, as far as that can be told."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pairalign.archive.errors import ArchiveError
from pairalign.archive.file_state import is_gone
from pairalign.archive.record import Recording
from pairalign.home import one_line


def gone_below(recordings: Sequence[Recording], folder: str | os.PathLike[str]) -> list[Recording]:
    """The recordings below a folder whose files are gone.

    Raises: ArchiveError when the folder is missing or empty: then its disk may be away.
    """
    root = Path(os.path.abspath(folder))
    try:
        with os.scandir(root) as entries:
            there = any(entries)
    except OSError as error:
        raise ArchiveError(
            f"{one_line(root)}: no folder to look into ({error.strerror}). Nothing was taken out."
        ) from None
    if not there:
        raise ArchiveError(
            f"{one_line(root)} is empty, so its disk may be away. Nothing was taken out; to take out what was below "
            "it: index --archive DB --remove FOLDER."
        )
    return [one for one in recordings if _is_below(one.path, root) and is_gone(one.path)]


def _is_below(path: Path, folder: Path) -> bool:
    """Whether a path leads into a folder, however both are spelled."""
    return path.is_relative_to(folder) or Path(os.path.realpath(path.parent)).is_relative_to(os.path.realpath(folder))
