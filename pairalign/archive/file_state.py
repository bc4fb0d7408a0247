"""What a file holds just now. It is read whole: after a swap or an overwrite, size and time of change may be the same.

Only regular files are ever opened: a pipe would wait for a writer, and a device has no end.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import BinaryIO

from pairalign.archive.decoder import IDLE_S, LIMITS
from pairalign.archive.errors import ArchiveError
from pairalign.archive.record import Recording

CHANGED = "it changed while it was read. Index it again when it is finished"
_READ_BYTES = 1 << 20
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class NoRecording(ArchiveError):
    """What lies there is surely no recording, whatever it was before."""


@dataclass(frozen=True)
class FileState:
    """Content, size and time of change of a file, and a stamp that changes whenever the file does."""

    sha256: str
    size_bytes: int
    modified_ns: int
    stamp: tuple[int, ...]

    def recording(self, path: Path) -> Recording:
        """The same as a recording that has no id and no length yet."""
        return Recording(0, path, self.sha256, 0.0, self.size_bytes, self.modified_ns)


def read_state(path: Path, stopped: threading.Event | None = None) -> FileState:
    """What the file holds; `stopped` ends the reading.

    Raises: ArchiveError with the reason why it cannot be read; NoRecording where it is nothing to index.
    """
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        raise ArchiveError("its name is not valid text; rename it") from None
    try:
        _require_regular(os.stat(path))
        # what it is may have changed since: O_NONBLOCK keeps a pipe from waiting for a writer
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(fd, "rb") as file:
            before = os.fstat(fd)
            _require_regular(before)
            sha256 = _digest(file, before.st_size, stopped)
            if sha256 is None or _stamp(os.fstat(fd)) != _stamp(before):
                raise ArchiveError(CHANGED)
    except ArchiveError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ArchiveError(_reason(path, error)) from None
    return FileState(sha256, before.st_size, before.st_mtime_ns, _stamp(before))


def is_unchanged(path: Path, state: FileState) -> bool:
    """Whether the file still holds what it held then."""
    try:
        # a stamp also changes with a permission or a further link
        return _stamp(os.stat(path)) == state.stamp or read_state(path).sha256 == state.sha256
    except (OSError, ArchiveError):
        return False


def is_gone(path: Path) -> bool:
    """Whether there is surely no such file any more; False where a folder refuses to tell."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def read_states(paths: Iterable[Path], idle: Callable[[], None]) -> Iterator[tuple[Path, FileState | ArchiveError]]:
    """The state of each file, or why there is none.

    They are read in a thread of its own: while a disk does not answer, `idle` is called again and again and may raise.
    """
    answers: SimpleQueue[tuple[Path, FileState | ArchiveError | Exception]] = SimpleQueue()
    stopped, listed = threading.Event(), list(paths)

    def work() -> None:
        for path in listed:
            if stopped.is_set():
                return
            try:
                answers.put((path, read_state(path, stopped)))
            except Exception as error:
                answers.put((path, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        for _ in listed:
            path, answer = _waited_for(answers, idle)
            if isinstance(answer, Exception) and not isinstance(answer, ArchiveError):
                raise answer
            yield path, answer
    finally:
        stopped.set()


def _waited_for(answers: SimpleQueue, idle: Callable[[], None]) -> tuple[Path, FileState | ArchiveError | Exception]:
    while True:
        try:
            return answers.get(timeout=IDLE_S)
        except Empty:
            idle()


def _digest(file: BinaryIO, size: int, stopped: threading.Event | None) -> str | None:
    """The sha256 of the `size` bytes of a file; None when there are fewer. What is appended meanwhile is not read."""
    digest = hashlib.sha256()
    while size and not (stopped and stopped.is_set()) and (block := file.read(min(size, _READ_BYTES))):
        digest.update(block)
        size -= len(block)
    return None if size else digest.hexdigest()


def _require_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise NoRecording(f"this is {kind}, not a regular file. Only audio files can be added")
    if status.st_size == 0:
        raise NoRecording("the file is empty (0 bytes). Copy or record it again")
    if status.st_size > LIMITS.max_bytes:
        size, most = status.st_size / 1e9, LIMITS.max_bytes / 1e9
        raise NoRecording(f"the file has {size:.0f} GB; at most {most:g} GB are allowed. Cut it or save it as FLAC")


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _reason(path: Path, error: OSError | ValueError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.ELOOP:
        return "this link leads back to itself. Remove it, or let it name a file"
    if number == errno.ENOENT and os.path.islink(path):
        return "this link leads nowhere. Remove it, or restore the file that it names"
    return f"cannot be read ({getattr(error, 'strerror', None) or error}). Check the path and its permissions"
