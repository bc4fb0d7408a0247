"""One training at a time: a lock that the system gives up when its process ends, however it ends.

A process id in a file would not do: after a crash the id may belong to another program. Who holds the lock is written
into a file beside it, which may outlive its writer and is therefore believed only while the lock is taken. A second
lock guards the moments of taking and of looking: two processes that just look would else take each other for the owner.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from pairalign.checkpoint import atomic_write_bytes
from pairalign.errors import PairAlignError
from pairalign.home import HOME_VARIABLE, one_line

_TRY_EVERY_S = 0.05
_GUARD_S = 5.0  # the guard is held for milliseconds; who holds it for longer is frozen
_UNKNOWN = "another process"


class LockedError(PairAlignError):
    """Somebody else holds the lock, or it cannot be made here."""


@contextmanager
def exclusive(path: Path, owner: str = "", wait_s: float = 2.0) -> Iterator[None]:
    """Hold the lock file `path`; the file beside it then says who `owner` is.

    Raises: LockedError when it stays taken for `wait_s`, or when its folder cannot be written to.
    """
    lock, deadline = FileLock(path), time.monotonic() + wait_s
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while not _take(lock, path, owner):
            if time.monotonic() > deadline:
                raise LockedError(f"{path.name} is held by {one_line(_owner(path) or _UNKNOWN)}.")
            time.sleep(_TRY_EVERY_S)
    except (OSError, NotImplementedError) as error:
        lock.release()
        reason = getattr(error, "strerror", None) or error
        raise LockedError(
            f"The lock file {one_line(path)} cannot be made ({reason}). Make room on the disk, check the permissions "
            f"of its folder, or choose another folder with {HOME_VARIABLE}."
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):
            _owner_file(path).unlink(missing_ok=True)
        lock.release()


def holder(path: Path) -> str | None:
    """The owner that holds the lock file now; None when nobody does."""
    if not os.path.isfile(_owner_file(path)):  # written by everybody who takes the lock
        return None
    try:
        with FileLock(_guard_file(path), timeout=_GUARD_S), FileLock(path, timeout=0):
            _owner_file(path).unlink(missing_ok=True)  # its writer was killed
    except Timeout:
        return _owner(path)
    except OSError:  # a folder that cannot be written to: nobody trains there
        return None
    return None


def _take(lock: FileLock, path: Path, owner: str) -> bool:
    """Take the lock and write down its owner, in one go for those who look; False when it is taken."""
    try:
        with FileLock(_guard_file(path), timeout=_GUARD_S):
            lock.acquire(timeout=0)
            atomic_write_bytes(_owner_file(path), os.fsencode(owner))
    except Timeout:
        return False
    return True


def _guard_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.guard")


def _owner_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.owner")


def _owner(path: Path) -> str | None:
    """Who is written down; None when nobody is, as while a lock is given up."""
    with suppress(OSError):
        return os.fsdecode(_owner_file(path).read_bytes()) or _UNKNOWN
    return None
