"""What a caller may give as a recording: a file, or samples in memory in the shapes that common libraries have them.

Shapes: T samples, C channels.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import IO, Any, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from pairalign.arguments import is_number, is_whole
from pairalign.audio import SAMPLE_RATE_HZ, AudioError, read_audio, wave_from_array

File: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes]
Audio: TypeAlias = File | ArrayLike | tuple[int, ArrayLike] | tuple[ArrayLike, int] | Mapping[str, Any]

# the keys under which data sets of Hugging Face have a decoded recording
_RATE_KEY, _SAMPLES_KEYS = "sampling_rate", ("array", "raw")
_ACCEPTED = "a path, the bytes of an audio file, a file opened in binary mode, samples, or (sample rate, samples)"


def load_wave(audio: Audio, sample_rate: int | None = None) -> np.ndarray:
    """A recording as the tokenizer takes it: (T,) float32, mono, 16 kHz, in [-1, 1].

    Args:
        audio: a file (path, bytes or an object with `read`); samples as array, tensor or list, (T,), (T, C) or (C, T),
            float in [-1, 1] or integers; or samples with their rate: (rate, samples), (samples, rate), or a mapping
            with "array" and "sampling_rate". Of two axes the longer one is time.
        sample_rate: hertz of samples that come without a rate; 16,000 when it is None. Files have their own.
    Raises: AudioError for audio that cannot be used, or a `sample_rate` beside another one.
    """
    if isinstance(audio, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(audio, "read"):
        if sample_rate is not None:
            raise AudioError("sample_rate describes samples, and a file has its own. Leave it out for files")
        return read_audio(cast(Any, bytes(audio) if isinstance(audio, (bytearray, memoryview)) else audio))
    samples, own_rate = _split(audio)
    if own_rate is not None and sample_rate is not None and own_rate != sample_rate:
        raise AudioError(
            f"the samples come with {own_rate} Hz, and sample_rate is {sample_rate!r}. Leave one of them out"
        )
    rate = own_rate if own_rate is not None else SAMPLE_RATE_HZ if sample_rate is None else sample_rate
    if not is_whole(rate):
        raise AudioError(f"the sample rate is {rate!r}; use a whole number of hertz, such as 44100")
    return wave_from_array(_frames(samples), int(rate))


def load_waves(audio: Sequence[Audio], sample_rate: int | None = None) -> list[np.ndarray]:
    """`load_wave` of every recording of a list. Raises: AudioError, also for a single recording in place of a list."""
    single = isinstance(audio, (str, os.PathLike, bytes, bytearray, Mapping)) or hasattr(audio, "read")
    if single or getattr(audio, "ndim", 2) < 2:
        raise AudioError("a single recording was given where a list of them is needed. Put it in a list")
    try:
        every = list(audio)
    except TypeError:
        raise AudioError(f"a list of recordings is needed, not a value of type {type(audio).__name__}") from None
    return [load_wave(one, sample_rate) for one in every]


def as_array(samples: ArrayLike) -> np.ndarray:
    """Samples as an array of at least one axis, their values untouched; a tensor may be on any device.

    Raises: AudioError for what is no array of samples.
    """
    if isinstance(samples, (list, tuple)) and not all(map(is_number, samples)):
        raise AudioError(
            "a list must hold the numbers of one recording. Give channels as an array, and several recordings to "
            "tokenize_batch"
        )
    try:
        frames = np.asarray(_from_tensor(samples))
    except (TypeError, ValueError, RuntimeError, NotImplementedError):  # such as a tensor without values
        raise AudioError(f"samples of type {type(samples).__name__} cannot be read; use {_ACCEPTED}") from None
    if frames.dtype.kind in "USO" or frames.ndim == 0:
        raise AudioError(f"a value of type {type(samples).__name__} is no recording; use {_ACCEPTED}")
    return frames


def _frames(samples: ArrayLike) -> np.ndarray:
    """(T,) or (T, C): of two axes the longer one is time."""
    frames = as_array(samples)
    if frames.ndim > 2:
        raise AudioError(f"samples have shape {frames.shape}; use (time,), (time, channels) or (channels, time)")
    if not frames.size:
        raise AudioError("the recording holds no samples")
    return frames.T if frames.ndim == 2 and frames.shape[0] < frames.shape[1] else frames


def _from_tensor(samples: Any) -> Any:
    """A torch tensor as what NumPy can hold: without a gradient, on the CPU, and not in bfloat16; all else as it is."""
    if not hasattr(samples, "detach"):
        return samples
    values = samples.detach().cpu()
    return values.float() if values.is_floating_point() and values.element_size() < 4 else values.numpy()


def _split(audio: Any) -> tuple[Any, Any]:
    """Samples, and the rate that comes with them or None."""
    if isinstance(audio, Mapping):
        key = next((key for key in _SAMPLES_KEYS if key in audio), None)
        if key is None or _RATE_KEY not in audio:
            raise AudioError(f"a recording as a mapping needs the keys 'array' and {_RATE_KEY!r}")
        return audio[key], audio[_RATE_KEY]
    if isinstance(audio, (tuple, list)) and len(audio) == 2:
        first, second = (_is_single(one) for one in audio)
        if first != second:
            return (audio[1], _single(audio[0])) if first else (audio[0], _single(audio[1]))
    return audio, None


def _is_single(value: Any) -> bool:
    """Whether a value is one number or text, as a rate is, and not samples."""
    return isinstance(value, (str, bytes, Real)) or getattr(value, "ndim", None) == 0


def _single(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
