"""Where a recording comes from: a path, a file object, bytes, standard input. What cannot be sought is held first."""

from __future__ import annotations

import io
import os
import re
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from pairalign.errors import AudioError

AudioSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO

_STDIN = "-"
_HELD_BYTES = 16_000_000  # more of a stream goes to a temporary file
_BLOCK_BYTES = 1 << 20
# what a shell's <(command) stands for: an open pipe, unlike a named one that nobody may ever write to
_OPEN_PIPE = re.compile(r"/dev/stdin|/(dev|proc/self)/fd/\d+")
_LONGEST_NAME = 4096


@contextmanager
def opened_source(source: AudioSource, max_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    """The bytes of a recording as a file that can be sought, and their number.

    Raises: AudioError when it cannot be opened, is empty, or has more than `max_bytes`.
    """
    if isinstance(source, str) and source == _STDIN:
        with _held(_stdin(), max_bytes) as held:
            yield held
    elif isinstance(source, (bytes, bytearray, memoryview)) and not _is_name(source):
        with io.BytesIO(source) as memory:
            yield memory, _checked(len(source), max_bytes)
    elif isinstance(source, (str, bytes, os.PathLike)):
        with _open(source) as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                yield file, _checked(os.fstat(file.fileno()).st_size, max_bytes)
            else:
                with _held(file, max_bytes) as held:
                    yield held
    elif getattr(source, "closed", False):
        raise AudioError("the file object is closed; open it again")
    elif hasattr(source, "read"):
        if isinstance(source, (io.BufferedReader, io.BufferedRandom, io.BytesIO)) and source.seekable():
            before = source.tell()
            try:
                yield source, _checked(source.seek(0, os.SEEK_END), max_bytes)
            finally:
                source.seek(before)
        else:
            with _held(source, max_bytes) as held:  # type: ignore[arg-type]  # has `read`
                yield held
    else:
        raise AudioError(
            f"a recording is a path, an open binary file or the bytes of a file, not {type(source).__name__}"
        )


def source_name(source: AudioSource) -> str:
    """A name fit for one line of a message: no line breaks or control characters, not endless."""
    if isinstance(source, str) and source == _STDIN:
        return "standard input"
    if isinstance(source, (bytes, bytearray, memoryview)) and not _is_name(source):
        return "the recording in memory"
    if isinstance(source, (str, bytes, os.PathLike)):
        name = os.fsdecode(source)
    else:
        given: Any = getattr(source, "name", None)
        if not isinstance(given, str):
            return "the recording in memory"
        name = given
    name = os.path.basename(name.rstrip("/")) or name
    return "".join(c if c.isprintable() else "?" for c in name)[:120] or "(no name)"


def _is_name(data: bytes | bytearray | memoryview) -> bool:
    """Whether bytes name a file rather than being one; the header of every recording has a zero byte."""
    return isinstance(data, bytes) and 0 < len(data) <= _LONGEST_NAME and b"\0" not in data and os.path.exists(data)


def _open(path: str | bytes | os.PathLike[str]) -> BinaryIO:
    """Open by descriptor, so that what was checked is what is read; never waits for a named pipe or a device."""
    name = os.fsdecode(path)
    if not name:
        raise AudioError("no file name given")
    if os.path.isdir(name):
        raise AudioError("this is a folder; name one audio file in it")
    piped = _OPEN_PIPE.fullmatch(name) is not None
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | (0 if piped else getattr(os, "O_NONBLOCK", 0))
    try:
        file = os.fdopen(os.open(name, flags), "rb")
    except FileNotFoundError:
        raise AudioError("no such file. Check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"cannot be opened ({reason}). Check the path and its permissions") from None
    mode = os.fstat(file.fileno()).st_mode
    if not (stat.S_ISREG(mode) or (piped and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)))):
        file.close()
        raise AudioError("this is not a regular file; name an audio file")
    return file


def _stdin() -> BinaryIO:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise AudioError("there is no standard input; name a file")
    return stream


@contextmanager
def _held(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[BinaryIO, int]]:
    """All of a stream, in memory or in a temporary file."""
    if getattr(stream, "isatty", bool)():
        raise AudioError("this is a terminal; send a recording through a pipe, or name a file")
    with tempfile.SpooledTemporaryFile(_HELD_BYTES) as held:
        size = 0
        try:
            if not isinstance(stream, io.RawIOBase | io.BufferedIOBase) and _can_seek(stream):
                stream.seek(0)
            while block := stream.read(_BLOCK_BYTES):
                if not isinstance(block, bytes):
                    raise AudioError("the file object gives text; open it in binary mode, 'rb'")
                size += len(block)
                _checked(size, max_bytes)
                held.write(block)
        except (OSError, ValueError) as error:
            if isinstance(error, AudioError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise AudioError(f"cannot be read ({reason})") from None
        yield held, _checked(size, max_bytes)  # type: ignore[misc]  # has all that is asked of a file


def _can_seek(stream: BinaryIO) -> bool:
    # before Python 3.11 a SpooledTemporaryFile can be sought and does not say so
    return isinstance(stream, tempfile.SpooledTemporaryFile) or bool(getattr(stream, "seekable", bool)())


def _checked(size: int, max_bytes: int) -> int:
    if size == 0:
        raise AudioError("the file is empty (0 bytes). Copy or record it again")
    if size > max_bytes:
        shown, most = size / 1e6, max_bytes / 1e6
        raise AudioError(f"the file has {shown:.0f} MB; at most {most:g} MB are allowed. Cut it or save it as FLAC")
    return size
