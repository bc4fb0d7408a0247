"""An audio file opened for decoding: checked before a decoder sees it, and held to its limits while it is decoded."""

from __future__ import annotations

import io
import os
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pairalign.containers import ALLOWED_SUBTYPES, AudioError, Container, inspect
from pairalign.formats import READABLE

if TYPE_CHECKING:
    import soundfile

_BLOCK_S = 10
_BLOCK_SAMPLES = 2_000_000  # of all channels: many of them at a high rate would make ten seconds large
_PROMISE_SLACK_FRAMES = 32
_UNKNOWN_FRAMES = 2**62  # from here on it is the decoder's way to say that it does not know
_stderr_lock = threading.Lock()


@dataclass(frozen=True)
class AudioLimits:
    """What a recording may be. Size and header are checked before decoding, the rest while decoding."""

    max_duration_s: float = 1800.0
    min_duration_s: float = 0.1
    max_bytes: int = 500_000_000
    max_channels: int = 8
    min_rate_hz: int = 4_000
    max_rate_hz: int = 192_000


class Sound:
    """An open recording: rate_hz, the frames that its header promises (0: it does not say), and its samples."""

    def __init__(self, decoder: soundfile.SoundFile, container: Container, limits: AudioLimits) -> None:
        self._decoder, self._container, self._limits = decoder, container, limits
        self.rate_hz: int = decoder.samplerate
        self.frames: int = max(0, decoder.frames) if decoder.frames < _UNKNOWN_FRAMES else 0
        check_format(self.rate_hz, decoder.channels, self.frames, limits)

    def blocks(self) -> Iterator[np.ndarray]:
        """All in blocks (time, channels) float32. Raises: AudioError past the limit or when the end is missing."""
        done = 0
        while len(block := self._read(self._block_frames())):
            done += len(block)
            if done > self._limits.max_duration_s * self.rate_hz:
                raise _too_long(None, self._limits)
            yield block
        promised = self._container.promised_frames
        if promised is not None and done < promised - _PROMISE_SLACK_FRAMES:
            raise AudioError(
                f"the file is cut off: its header promises {promised / self.rate_hz:.2f} s, "
                f"{done / self.rate_hz:.2f} s could be decoded. "
                "Copy it again, or open and save it in an audio editor to accept what is left"
            )

    def stretch(self, first: int, frames: int) -> Iterator[np.ndarray]:
        """Blocks (time, channels) float32 of up to so many frames from frame `first` on, as far as the file goes."""
        if self._container.kind == "ogg":
            # seeking in an Ogg file with damaged pages crashes libsndfile 1.2.2: what comes before is decoded instead
            while first > 0:
                block = self._read(min(first, self._block_frames()))
                if not len(block):
                    return
                first -= len(block)
        else:
            with _quiet_stderr(self._container.kind == "mp3"):
                self._decoder.seek(min(max(0, first), self._decoder.frames))
        while frames > 0 and len(block := self._read(min(frames, self._block_frames()))):
            frames -= len(block)
            yield block

    def _block_frames(self) -> int:
        return max(1, min(_BLOCK_S * self.rate_hz, _BLOCK_SAMPLES // self._decoder.channels))

    def _read(self, frames: int) -> np.ndarray:
        with _quiet_stderr(self._container.kind == "mp3"):
            return self._decoder.read(frames, dtype="float32", always_2d=True)


@contextmanager
def opened(path: str | os.PathLike[str], limits: AudioLimits) -> Iterator[Sound]:
    """The recording at `path`, after the checks that need no decoding.

    Raises: AudioError, here and while it is read, that names the file and says in one line what is wrong with it.
    """
    try:
        with _open_regular(path, limits) as file:
            container = inspect(file, os.fstat(file.fileno()).st_size)
            file.seek(0)
            with _decoder(file, container) as decoder:
                yield Sound(decoder, container, limits)
    except AudioError as error:
        raise AudioError(f"{shown_name(path)}: {error}") from None


def check_format(rate_hz: int, channels: int, frames: int, limits: AudioLimits) -> None:
    """Raises: AudioError unless rate, number of channels and length are within the limits."""
    if not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
        allowed = f"{limits.min_rate_hz} to {limits.max_rate_hz} Hz"
        raise AudioError(f"the sample rate is {rate_hz} Hz; allowed: {allowed}. Convert it to 16000 Hz")
    if not 1 <= channels <= limits.max_channels:
        allowed = f"1 to {limits.max_channels} (arrays are (time, channels))"
        raise AudioError(f"{channels} channels; allowed: {allowed}. Export a single channel")
    if frames > limits.max_duration_s * rate_hz:
        raise _too_long(frames / rate_hz, limits)


def _too_long(seconds: float | None, limits: AudioLimits) -> AudioError:
    found = "the recording is longer" if seconds is None else f"the recording lasts {seconds / 60:.1f} min, more"
    return AudioError(f"{found} than the {limits.max_duration_s / 60:g} min allowed. Split it into shorter files")


def shown_name(path: str | os.PathLike[str]) -> str:
    """A file name fit for one line of a message: no line breaks or control characters, not endless."""
    name = os.fspath(path)
    name = os.path.basename(name.rstrip("/")) or name
    return "".join(c if c.isprintable() else "?" for c in name)[:120] or "(no name)"


def _open_regular(path: str | os.PathLike[str], limits: AudioLimits) -> io.BufferedReader:
    """Open after the checks that need no decoder; by descriptor, so that what was checked is what is read."""
    if not os.fspath(path):
        raise AudioError("no file name given")
    try:
        if os.path.isdir(path):
            raise AudioError("this is a folder; name one audio file in it")
        # without O_NONBLOCK opening a named pipe would wait for a writer
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise AudioError("no such file. Check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise AudioError(f"cannot be opened ({reason}). Check the path and its permissions") from None
    file = os.fdopen(fd, "rb")
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise AudioError("this is not a regular file; name an audio file")
        if status.st_size == 0:
            raise AudioError("the file is empty (0 bytes). Copy or record it again")
        if status.st_size > limits.max_bytes:
            size, most = status.st_size / 1e6, limits.max_bytes / 1e6
            raise AudioError(f"the file has {size:.0f} MB; at most {most:g} MB are allowed. Cut it or save it as FLAC")
    except AudioError:
        file.close()
        raise
    return file


class _Source:
    """What the decoder sees of a file: no name to guess a format from, no error where a bad header leads astray."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self.read, self.readinto, self.tell = file.read, file.readinto, file.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._size}[whence]
        return self._file.seek(min(max(0, start + offset), self._size))


@contextmanager
def _decoder(file: io.BufferedReader, container: Container) -> Iterator[soundfile.SoundFile]:
    """The opened decoder; its own errors become AudioError."""
    import soundfile

    class ForwardOnly(soundfile.SoundFile):
        # soundfile seeks after every read, which fails at the end of a FLAC of unknown length and costs time elsewhere
        def seekable(self) -> bool:
            return False

    try:
        with _quiet_stderr(container.kind == "mp3"):
            sound = ForwardOnly(_Source(file))
        with sound:
            if sound.subtype not in ALLOWED_SUBTYPES[container.kind]:
                raise AudioError(f"the codec {sound.subtype} is not supported. Allowed: {READABLE}. Convert it to FLAC")
            yield sound
    except soundfile.SoundFileError as error:
        reason = str(getattr(error, "error_string", "")).strip().rstrip(".")
        if not reason or "not exist" in reason:  # the decoder's words for data in which it finds no frame
            reason = "no audio found"
        raise AudioError(
            f"the file is damaged, cut off or of an unsupported kind (decoder: {reason}). "
            "Copy it again or convert it to WAV"
        ) from None


@contextmanager
def _quiet_stderr(active: bool) -> Iterator[None]:
    """The MP3 decoder prints its warnings to the process's stderr from C, where nothing else can catch them."""
    if not active:
        yield
        return
    with _stderr_lock:
        try:
            saved = os.dup(2)
        except OSError:  # no stderr at all, as in a windowed application
            saved = -1
        if saved >= 0:
            if sys.stderr is not None:
                sys.stderr.flush()
            with open(os.devnull, "wb") as null:
                os.dup2(null.fileno(), 2)
        try:
            yield
        finally:
            if saved >= 0:
                os.dup2(saved, 2)
                os.close(saved)
