"""Recordings in and out: any usual speech file becomes mono float32 at 16 kHz, or a clear `AudioError`.

A file is refused when it holds less than its header promises (WAV, FLAC, AIFF, NIST): tokenizing half a recording
unnoticed would spoil a corpus. Two exceptions decode what is there: WAVs written to a pipe, whose length was never
filled in, and Ogg and MP3, which are streams without a reliable length.
"""

from __future__ import annotations

import io
import math
import os
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pairalign.containers import ALLOWED_SUBTYPES, READABLE, AudioError, Container, inspect
from pairalign.downmix import Downmix
from pairalign.resample import resample_blocks

__all__ = [
    "SAMPLE_RATE_HZ",
    "AudioError",
    "AudioLimits",
    "as_float",
    "open_regular",
    "read_audio",
    "read_parts",
    "slice_audio",
    "wave_from_array",
    "write_audio",
]

SAMPLE_RATE_HZ = 16_000
_BLOCK_S = 10
_PROMISE_SLACK_FRAMES = 32
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


def read_audio(path: str | os.PathLike[str], limits: AudioLimits | None = None) -> np.ndarray:
    """The recording at `path`: mono float32, 16 kHz, in [-1, 1]. Channels are averaged, a peak above 1 scaled down."""
    limits = limits or AudioLimits()
    with _decoded(path, limits) as (blocks, rate_hz):
        return _finish(blocks, rate_hz, limits)


def read_parts(path: str | os.PathLike[str], part_s: float, limits: AudioLimits | None = None) -> Iterator[np.ndarray]:
    """The recording at `path` in parts of `part_s` seconds, so that memory stays bounded; as `read_audio` otherwise.

    Up to half a second of remainder belongs to the last part. A peak above 1 is scaled down in its own part. What only
    the whole recording can tell (silence, a file cut off) is raised after the last part.
    """
    limits = limits or AudioLimits()
    size, remainder = round(part_s * SAMPLE_RATE_HZ), round(0.5 * SAMPLE_RATE_HZ)
    with _decoded(path, limits) as (blocks, rate_hz):
        mix, held = Downmix(), np.zeros(0, np.float32)
        for block in resample_blocks(mix(blocks), rate_hz, SAMPLE_RATE_HZ):
            held = np.concatenate([held, block])
            while len(held) > size + remainder:
                yield _within_one(held[:size])
                held = held[size:]
        mix.check(rate_hz, limits.min_duration_s)
        yield _within_one(held)


def wave_from_array(samples: np.ndarray, rate_hz: int, limits: AudioLimits | None = None) -> np.ndarray:
    """Samples in memory, (T,) or (T, channels), integer or float: the same checks and result as `read_audio`."""
    limits = limits or AudioLimits()
    samples = np.asarray(samples)
    if isinstance(rate_hz, bool) or not float(rate_hz).is_integer():
        raise AudioError(f"a sample rate is a whole number of hertz, not {rate_hz!r}")
    rate_hz = int(rate_hz)
    if samples.ndim not in (1, 2):
        raise AudioError(f"samples have shape {samples.shape}; allowed: (time,) or (time, channels)")
    frames = samples[:, None] if samples.ndim == 1 else samples
    _check_format(rate_hz, frames.shape[1], len(frames), limits)
    step = _BLOCK_S * rate_hz
    blocks = (as_float(frames[start : start + step]) for start in range(0, len(frames), step))
    return _finish(blocks, rate_hz, limits)


def slice_audio(wave: np.ndarray, start_s: float, end_s: float) -> np.ndarray:
    """The part of a 16 kHz wave between two times; what lies outside the recording is left out."""
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s < end_s):
        raise AudioError(f"a slice needs a start before its end, not {start_s} s to {end_s} s")
    part = wave[max(0, round(start_s * SAMPLE_RATE_HZ)) : max(0, round(end_s * SAMPLE_RATE_HZ))]
    if not len(part):
        duration_s = len(wave) / SAMPLE_RATE_HZ
        raise AudioError(f"{start_s:g} s to {end_s:g} s lies outside the recording of {duration_s:.2f} s")
    return part


def write_audio(path: str | os.PathLike[str], wave: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ) -> None:
    """Write 16-bit WAV or FLAC, as the extension says; the file appears whole or not at all."""
    import soundfile

    from pairalign.checkpoint import atomic_write_bytes

    formats = {".wav": "WAV", ".flac": "FLAC"}
    kind = formats.get(Path(path).suffix.lower())
    if kind is None:
        raise AudioError(f"{_shown(path)}: can write {' and '.join(formats)} only. Choose one of these extensions")
    if not np.isfinite(wave).all():
        raise AudioError(f"{_shown(path)}: the samples hold NaN or infinite values; nothing was written")
    memory = io.BytesIO()
    soundfile.write(memory, np.clip(wave, -1.0, 1.0), rate_hz, format=kind, subtype="PCM_16")
    atomic_write_bytes(Path(path), memory.getvalue())


def _shown(path: str | os.PathLike[str]) -> str:
    """A file name fit for one line of a message: no line breaks or control characters, not endless."""
    name = os.fspath(path)
    name = os.path.basename(name.rstrip("/")) or name
    return "".join(c if c.isprintable() else "?" for c in name)[:120] or "(no name)"


def open_regular(path: str | os.PathLike[str], limits: AudioLimits) -> io.BufferedReader:
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
def _decoded(path: str | os.PathLike[str], limits: AudioLimits) -> Iterator[tuple[Iterator[np.ndarray], int]]:
    """Blocks (time, channels) of the recording at `path` and their rate; errors inside name the file."""
    try:
        with open_regular(path, limits) as file:
            container = inspect(file, os.fstat(file.fileno()).st_size)
            file.seek(0)
            with _decoder(file, container) as sound:
                claimed = sound.frames if sound.frames < 2**62 else 0  # the decoder's way to say that it does not know
                _check_format(sound.samplerate, sound.channels, claimed, limits)
                yield _blocks(sound, container, limits), sound.samplerate
    except AudioError as error:
        raise AudioError(f"{_shown(path)}: {error}") from None


@contextmanager
def _decoder(file: io.BufferedReader, container: Container) -> Iterator[Any]:
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
    except (soundfile.SoundFileError, RuntimeError) as error:
        reason = str(getattr(error, "error_string", "")).strip().rstrip(".")
        if not reason or "not exist" in reason:  # the decoder's words for data in which it finds no frame
            reason = "no audio found"
        raise AudioError(
            f"the file is damaged, cut off or of an unsupported kind (decoder: {reason}). "
            "Copy it again or convert it to WAV"
        ) from None


def _blocks(sound, container: Container, limits: AudioLimits) -> Iterator[np.ndarray]:
    """Decoded blocks of shape (time, channels); stops with an error past the limit, whatever the header said."""
    done, rate = 0, sound.samplerate
    while True:
        with _quiet_stderr(container.kind == "mp3"):
            block = sound.read(_BLOCK_S * rate, dtype="float32", always_2d=True)
        if not len(block):
            break
        done += len(block)
        if done > limits.max_duration_s * rate:
            raise _too_long(None, limits)
        yield block
    promised = container.promised_frames
    if promised is not None and done < promised - _PROMISE_SLACK_FRAMES:
        raise AudioError(
            f"the file is cut off: its header promises {promised / rate:.2f} s, {done / rate:.2f} s could be decoded. "
            "Copy it again, or open and save it in an audio editor to accept what is left"
        )


def _too_long(seconds: float | None, limits: AudioLimits) -> AudioError:
    found = "the recording is longer" if seconds is None else f"the recording lasts {seconds / 60:.1f} min, more"
    return AudioError(f"{found} than the {limits.max_duration_s / 60:g} min allowed. Split it into shorter files")


def _check_format(rate_hz: int, channels: int, frames: int, limits: AudioLimits) -> None:
    if not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
        allowed = f"{limits.min_rate_hz} to {limits.max_rate_hz} Hz"
        raise AudioError(f"the sample rate is {rate_hz} Hz; allowed: {allowed}. Convert it to 16000 Hz")
    if not 1 <= channels <= limits.max_channels:
        allowed = f"1 to {limits.max_channels} (arrays are (time, channels))"
        raise AudioError(f"{channels} channels; allowed: {allowed}. Export a single channel")
    if frames > limits.max_duration_s * rate_hz:
        raise _too_long(frames / rate_hz, limits)


def as_float(block: np.ndarray) -> np.ndarray:
    """Integer samples to [-1, 1); 8-bit audio is unsigned around 128."""
    if np.issubdtype(block.dtype, np.floating):
        return block.astype(np.float64) if block.dtype.itemsize > 4 else block.astype(np.float32)
    if block.dtype == np.uint8:
        return (block.astype(np.float32) - 128) / 128
    if block.dtype in (np.int8, np.int16, np.int32):
        return (block / float(-np.iinfo(block.dtype).min)).astype(np.float32)
    raise AudioError(f"samples of type {block.dtype} are not audio; allowed: float, int16, int32, uint8")


def _finish(blocks: Iterable[np.ndarray], rate_hz: int, limits: AudioLimits) -> np.ndarray:
    mix = Downmix()
    parts = list(resample_blocks(mix(blocks), rate_hz, SAMPLE_RATE_HZ))
    mix.check(rate_hz, limits.min_duration_s)
    return _within_one(np.concatenate(parts))


def _within_one(wave: np.ndarray) -> np.ndarray:
    peak = float(np.abs(wave).max(initial=0.0))
    return wave / np.float32(peak) if peak > 1 else wave


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
