"""Recordings in and out: any usual speech file becomes mono float32 at 16 kHz, or a clear `AudioError`.

A file is refused when it holds less than its header promises (WAV, FLAC, AIFF, NIST): tokenizing half a recording
unnoticed would spoil a corpus. Two exceptions decode what is there: WAVs written to a pipe, whose length was never
filled in, and Ogg and MP3, which are streams without a reliable length.
"""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from pairalign.downmix import Downmix
from pairalign.errors import AudioError
from pairalign.resample import resample_blocks
from pairalign.sound_file import AudioLimits, check_format, opened
from pairalign.source import STDIN, AudioSource, source_name

__all__ = [
    "SAMPLE_RATE_HZ",
    "AudioError",
    "AudioLimits",
    "as_float",
    "read_audio",
    "read_parts",
    "slice_audio",
    "wave_from_array",
    "write_audio",
]

SAMPLE_RATE_HZ = 16_000
_BLOCK_S = 10


def read_audio(source: AudioSource, limits: AudioLimits | None = None, notes: list[str] | None = None) -> np.ndarray:
    """A recording: mono float32, 16 kHz, in [-1, 1]. Channels are averaged, a peak above 1 scaled down.

    Args:
        source: a path, "-" for standard input, a binary file object (read from its start), or the bytes of a file.
        notes: a list to which a remark on a file that was read, but is unusual, is appended.
    Raises: AudioError that names the recording, for what cannot be read or is not within the limits.
    """
    limits = limits or AudioLimits()
    if isinstance(source, str) and source == STDIN:
        source = sys.stdin.buffer
    with opened(source, limits) as sound:
        if sound.note and notes is not None:
            notes.append(f"{source_name(source)}: {sound.note}")
        return _finish(sound.blocks(), sound.rate_hz, limits)


def read_parts(source: AudioSource, part_s: float, limits: AudioLimits | None = None) -> Iterator[np.ndarray]:
    """A recording in parts of `part_s` seconds, so that memory stays bounded; as `read_audio` otherwise.

    Up to half a second of remainder belongs to the last part. A peak above 1 is scaled down in its own part. What only
    the whole recording can tell (silence, a file cut off) is raised after the last part.
    """
    limits = limits or AudioLimits()
    size, remainder = round(part_s * SAMPLE_RATE_HZ), round(0.5 * SAMPLE_RATE_HZ)
    with opened(source, limits) as sound:
        mix, held = Downmix(), np.zeros(0, np.float32)
        for block in resample_blocks(mix(sound.blocks()), sound.rate_hz, SAMPLE_RATE_HZ):
            held = np.concatenate([held, block])
            while len(held) > size + remainder:
                yield within_one(held[:size])
                held = held[size:]
        mix.check(sound.rate_hz, limits.min_duration_s)
        yield within_one(held)


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
    check_format(rate_hz, frames.shape[1], len(frames), limits)
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
        raise AudioError(f"{source_name(path)}: can write {' and '.join(formats)} only. Choose one of these extensions")
    if not np.isfinite(wave).all():
        raise AudioError(f"{source_name(path)}: the samples hold NaN or infinite values; nothing was written")
    memory = io.BytesIO()
    soundfile.write(memory, np.clip(wave, -1.0, 1.0), rate_hz, format=kind, subtype="PCM_16")
    atomic_write_bytes(Path(path), memory.getvalue())


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
    return within_one(np.concatenate(parts))


def within_one(wave: np.ndarray) -> np.ndarray:
    """The wave itself, scaled down in place where its peak is above 1: half an hour is large."""
    peak = max(float(wave.max(initial=0.0)), -float(wave.min(initial=0.0)))
    if peak > 1:
        wave /= np.float32(peak)
    return wave
