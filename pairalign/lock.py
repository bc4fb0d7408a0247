"""One training at a time: a lock that the system gives up when its process ends, however it ends.

A process id in a file would not do: after a crash the id may belong to another program.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pairalign.errors import PairAlignError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_TRY_EVERY_S = 0.05


class LockedError(PairAlignError):
    """Somebody else holds the lock."""


@contextmanager
def exclusive(path: Path, owner: str = "", wait_s: float = 2.0) -> Iterator[None]:
    """Hold the lock file `path`, which then says who `owner` is.

    Raises: LockedError when it stays taken for `wait_s`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + wait_s  # somebody who just looks (`holder`) has it for a moment
        while not _take(file):
            if time.monotonic() > deadline:
                raise LockedError(f"{path.name} is held by {_read(file) or 'another process'}.")
            time.sleep(_TRY_EVERY_S)
        file.truncate(0)
        file.write(owner)
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def holder(path: Path) -> str | None:
    """The owner that holds the lock file now; None when nobody does."""
    if not path.is_file():
        return None
    with path.open("a+", encoding="utf-8") as file:
        return None if _take(file) else _read(file)


def _take(file: IO[str]) -> bool:
    """Lock until the file is closed; False when it is taken."""
    try:
        if sys.platform == "win32":
            file.seek(1 << 30)  # far behind the text, which others must be able to read
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
