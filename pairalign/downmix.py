"""Channels to one, block by block, with the checks that need to have seen the whole recording."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from pairalign.errors import AudioError

SILENCE_PEAK_DBFS = -70.0
CANCELLATION_DB = -40.0
# float files that carry 32-bit integers unscaled are still audio; values beyond that are something else
_LARGEST_SAMPLE = 2.0**32


class Downmix:
    """Mean of the channels block by block, keeping the few numbers that tell whether this is sound at all."""

    def __init__(self) -> None:
        self.frames, self.low, self.high = 0, math.inf, -math.inf
        self.channel_energy = self.mono_energy = 0.0

    def __call__(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """(time, channels) float blocks in, (time,) float32 out; AudioError for samples that are no numbers."""
        for block in blocks:
            if not np.isfinite(block).all():
                raise AudioError("the samples hold NaN or infinite values. Save it again as 16-bit WAV or FLAC")
            if np.abs(block).max() > _LARGEST_SAMPLE:
                raise AudioError("sample values are far beyond the range of audio. Save it again as 16-bit WAV or FLAC")
            mono = block.mean(axis=1, dtype=np.float64)
            self.frames += len(mono)
            self.low, self.high = min(self.low, mono.min()), max(self.high, mono.max())
            self.channel_energy += float(np.square(block, dtype=np.float64).mean(axis=1).sum())
            self.mono_energy += float(np.square(mono).sum())
            yield mono.astype(np.float32)

    def check(self, rate_hz: int, min_duration_s: float) -> None:
        """After the last block: AudioError when there was too little, silence, or channels that cancel."""
        if self.frames < max(2, min_duration_s * rate_hz):
            found = {0: "no samples", 1: "a single sample"}.get(self.frames, f"{self.frames / rate_hz:.3f} s of sound")
            raise AudioError(f"the recording holds {found}; at least {min_duration_s:g} s are needed")
        if self.channel_energy > 0 and self.mono_energy < self.channel_energy * 10 ** (CANCELLATION_DB / 10):
            raise AudioError("the channels cancel when mixed: one is the inverse of another. Export a single channel")
        # half the range rather than the peak: a constant offset is silence too
        if (self.high - self.low) / 2 < 10 ** (SILENCE_PEAK_DBFS / 20):
            raise AudioError(f"the recording is silent (all below {SILENCE_PEAK_DBFS:g} dBFS). Check the microphone")
