"""A stretch out of a long recording, and how long one is by its header: without decoding everything.

The same checks of the container as in `audio.read_audio` come before any decoder sees the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ, AudioError, AudioLimits, open_regular
from pairalign.containers import ALLOWED_SUBTYPES, inspect
from pairalign.resample import resample_blocks

if TYPE_CHECKING:
    import soundfile


def header_duration_s(path: str | os.PathLike[str], limits: AudioLimits | None = None) -> float:
    """Seconds that the header promises. Raises: AudioError for a file that is not to be decoded."""
    with _opened(path, limits or AudioLimits()) as sound:
        return sound.frames / sound.samplerate


def read_excerpt(
    path: str | os.PathLike[str], start_s: float, end_s: float, limits: AudioLimits | None = None
) -> np.ndarray:
    """The sound between two times, (T,) float32 at 16 kHz, channels averaged; shorter where the recording ends.

    Raises: AudioError for a file that is not to be decoded, or cannot be.
    """
    with _opened(path, limits or AudioLimits()) as sound:
        sound.seek(min(round(start_s * sound.samplerate), sound.frames))
        frames = sound.read(round((end_s - start_s) * sound.samplerate), dtype="float32", always_2d=True)
        blocks = resample_blocks(iter([frames.mean(axis=1)]), sound.samplerate, SAMPLE_RATE_HZ)
        return np.concatenate([np.zeros(0, np.float32), *blocks])


@contextmanager
def _opened(path: str | os.PathLike[str], limits: AudioLimits) -> Iterator[soundfile.SoundFile]:
    import soundfile

    with open_regular(path, limits) as file:
        container = inspect(file, os.fstat(file.fileno()).st_size)
        file.seek(0)
        try:
            with soundfile.SoundFile(file) as sound:
                if sound.subtype not in ALLOWED_SUBTYPES[container.kind]:
                    raise AudioError(f"the codec {sound.subtype} is not supported. Convert the file to FLAC")
                yield sound
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError("the file is damaged or of an unsupported kind. Copy it again") from error
