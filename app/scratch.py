"""The temporary folder of this process: uploads, files to download. It goes with the process, however that ends.

A process that was killed cannot remove its folder; the next one that starts does. Whether a folder is still in use is
told by the lock beside it, which the system gives up when its process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from filelock import FileLock, Timeout

from pairalign.errors import PairAlignError

PREFIX = "pairalign-uploads-"
OLD_S = 86_400.0  # folders without a lock are of an earlier version, of which one may still run
_held: list[FileLock] = []


@lru_cache(maxsize=1)
def folder() -> Path:
    """The folder, made on first use; what processes that ended have left is removed then.

    Raises: ValueError when there is no place for temporary files.
    """
    sweep()
    try:
        number, lock = tempfile.mkstemp(prefix=PREFIX, suffix=".lock")
        os.close(number)
        _held.append(FileLock(lock))
        _held[-1].acquire(timeout=1)
        path = Path(lock.removesuffix(".lock"))  # it is made when the lock is held, so nobody sweeps it
        path.mkdir(mode=0o700)
    except (OSError, Timeout) as error:
        raise PairAlignError(
            f"no temporary folder can be made ({error}). Make room on the disk, or set TMPDIR to a folder that can be "
            "written"
        ) from None
    atexit.register(remove)
    return path


def remove() -> None:
    """Remove the folder of this process with all that is in it."""
    if not folder.cache_info().currsize:
        return
    shutil.rmtree(folder(), ignore_errors=True)
    folder.cache_clear()
    while _held:
        lock = _held.pop()
        lock.release()
        with contextlib.suppress(OSError):
            os.unlink(lock.lock_file)


def sweep(place: Path | None = None) -> list[Path]:
    """Remove the folders of processes that are no more; returns them. place: where temporary files are."""
    place = Path(tempfile.gettempdir()) if place is None else place
    gone = []
    for path in place.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another process sweeps too
            if _is_own_folder(path) and _left_behind(path):
                shutil.rmtree(path, ignore_errors=True)
                path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
                gone.append(path)
    return gone


def write(kind: str, name: str, make: Callable[[Path], None]) -> Path:
    """A file to download, replacing an earlier one of that kind and name. make: writes the path it is given.

    Raises: OSError, and what `make` raises; nothing is left then.
    """
    target = folder() / "downloads" / kind / name
    target.parent.mkdir(parents=True, exist_ok=True)
    number, part = tempfile.mkstemp(dir=target.parent, prefix=".part-")
    os.close(number)
    try:
        make(Path(part))
        os.replace(part, target)
    finally:
        Path(part).unlink(missing_ok=True)
    return target


def _is_own_folder(path: Path) -> bool:
    """Not a link, and of this user: others may write where temporary files are."""
    about = path.lstat()
    return stat.S_ISDIR(about.st_mode) and (not hasattr(os, "getuid") or about.st_uid == os.getuid())


def _left_behind(path: Path) -> bool:
    lock = path.with_name(f"{path.name}.lock")
    if not lock.is_file():
        return time.time() - path.stat().st_mtime > OLD_S
    try:
        with FileLock(lock).acquire(timeout=0):
            return True
    except Timeout:
        return False
