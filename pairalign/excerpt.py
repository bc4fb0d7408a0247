"""A stretch out of a long recording, and how long one is by its header: without decoding everything.

The same checks as in `audio.read_audio` come before any decoder sees the file.
"""

from __future__ import annotations

import math

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ, AudioError, within_one
from pairalign.downmix import Downmix
from pairalign.resample import resample_blocks
from pairalign.sound_file import AudioLimits, opened
from pairalign.source import AudioSource


def header_duration_s(path: AudioSource, limits: AudioLimits | None = None) -> float:
    """Seconds by the header or the packets, 0 when they do not say. Raises: AudioError for a file not to be decoded."""
    with opened(path, limits or AudioLimits()) as sound:
        return sound.frames() / sound.rate_hz


def read_excerpt(path: AudioSource, start_s: float, end_s: float, limits: AudioLimits | None = None) -> np.ndarray:
    """The sound between two times, (T,) float32 at 16 kHz, channels averaged; shorter where the recording ends.

    Raises: AudioError for a file that is not to be decoded, or cannot be, and for times that are no numbers.
    """
    if not (math.isfinite(start_s) and math.isfinite(end_s)):
        raise AudioError(f"a stretch needs two times in seconds, not {start_s} and {end_s}")
    with opened(path, limits or AudioLimits()) as sound:
        first, end = round(start_s * sound.rate_hz), round(end_s * sound.rate_hz)
        blocks = Downmix()(sound.stretch(first, end - first))
        parts = resample_blocks(blocks, sound.rate_hz, SAMPLE_RATE_HZ)
        return within_one(np.concatenate([np.zeros(0, np.float32), *parts]))
