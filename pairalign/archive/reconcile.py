"""What has to change in an archive so that every recording fits its file again, and what is new.

The archive has one recording for each content, at one path. Files may have been renamed, swapped, overwritten or copied
since: their contents tell, not their names. A recording keeps to its path as long as the file there holds its content;
else it goes where its content lies now; where that is nowhere and its file holds something else, it is taken out.
A recording whose file is merely gone stays, as its disk may be away: `prune` takes it out.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pairalign.archive.record import Recording

NOTHING = ""  # stands for the content of a file that is no recording


@dataclass(frozen=True)
class Plan:
    """Recordings of the archive with a new path, size or time; those to take out; and new contents.

    moved: how many of the updates go to another path. fresh: for each new content the files that hold it.
    """

    updates: tuple[Recording, ...]
    removals: tuple[Recording, ...]
    fresh: tuple[tuple[Recording, ...], ...]
    moved: int


class Places:
    """Files by path, however their folder is spelled: two links may lead to one folder."""

    def __init__(self, files: Sequence[Recording]) -> None:
        self._folders: dict[Path, str] = {}
        self._files = {self.key(one.path): one for one in files}
        self._alike = {_plain(key): one for key, one in self._files.items()}

    def key(self, path: Path) -> str:
        """The path with the links among its folders followed."""
        if path.parent not in self._folders:
            self._folders[path.parent] = os.path.realpath(path.parent)
        return os.path.join(self._folders[path.parent], path.name)

    def at(self, path: Path) -> Recording | None:
        """The file at this path, if it is one of them."""
        key = self.key(path)
        file = self._files.get(key)
        if file is None and (alike := self._alike.get(_plain(key))) is not None and _same(path, alike.path):
            return alike  # the disk ignores case, and the file was renamed so
        return file


def plan(kept: Sequence[Recording], files: Sequence[Recording], holds: Callable[[Recording, Recording], bool]) -> Plan:
    """What to do about `kept`, the archive's recordings, now that `files`, one for each path, hold what they hold.

    holds: whether the file of a recording, none of `files`, still has its content, which is at a second file, too.
    """
    places = Places(files)
    copies: dict[str, list[Recording]] = {}
    for file in files:
        if file.sha256 != NOTHING:
            copies.setdefault(file.sha256, []).append(file)
    updates, removals, moved = [], [], 0
    for recording in kept:
        here, there = places.at(recording.path), copies.pop(recording.sha256, None)
        if there is None:
            removals += [recording] if here is not None else []
            continue
        if here is not None and here.sha256 == recording.sha256:
            same_name = places.key(here.path) == places.key(recording.path)
            goal = replace(here, path=recording.path) if same_name else here
        elif here is None and holds(recording, there[0]):
            continue
        else:
            goal = there[0]
        goal = replace(goal, id=recording.id, duration_s=recording.duration_s)
        moved += goal.path != recording.path
        updates += [goal] if goal != recording else []
    return Plan(tuple(updates), tuple(removals), tuple(map(tuple, copies.values())), moved)


def _plain(key: str) -> str:
    return unicodedata.normalize("NFC", key).casefold()


def _same(path: Path, other: Path) -> bool:
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False
