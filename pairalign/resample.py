"""Band-limited resampling to the model's rate, block by block, so that memory stays flat for long recordings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import numpy as np

# Odd rates are met by a ratio of whole numbers up to this: a drift of some milliseconds in half an hour at most.
_RATIO_TERM = 2000
_FILTER_CROSSINGS = 32
_ROLLOFF = 0.9475937167399596


def _ratio(from_hz: int, to_hz: int) -> tuple[int, int]:
    """Whole numbers (old, new) close to from : to, kept small: the filter bank has about old x new entries."""
    if from_hz >= to_hz:
        ratio = Fraction(to_hz, from_hz).limit_denominator(_RATIO_TERM)
        return ratio.denominator, ratio.numerator
    ratio = Fraction(from_hz, to_hz).limit_denominator(_RATIO_TERM)
    return ratio.numerator, ratio.denominator


class Resampler:
    """Takes a recording block by block, as it comes; the parts it gives joined equal resampling all of it at once."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._old, self._new = _ratio(from_hz, to_hz)
        # blocks and their context are whole multiples of `old`, so that each maps onto whole multiples of `new`
        self._context = math.ceil(_FILTER_CROSSINGS * max(self._old / self._new, 1.0) / self._old / _ROLLOFF) + 1
        self._held = np.zeros(self._context * self._old, np.float32)
        self._frames = self._written = 0

    def push(self, block: np.ndarray) -> np.ndarray:
        """What can be told after a block (T,) float32; the last fraction of a second waits for what follows."""
        self._frames += len(block)
        if self._old == self._new:
            return block
        self._held = np.concatenate([self._held, block])
        whole, context = len(self._held) // self._old, self._context
        if whole <= 2 * context:
            return np.zeros(0, np.float32)
        part = _convolve(self._held[: whole * self._old], self._old, self._new)
        part = part[context * self._new : (whole - context) * self._new]
        self._written += len(part)
        self._held = self._held[(whole - 2 * context) * self._old :]
        return part

    def finish(self) -> np.ndarray:
        """The rest, after the last block."""
        if self._old == self._new:
            return np.zeros(0, np.float32)
        total = math.ceil(self._frames * self._new / self._old)
        tail = np.concatenate([self._held, np.zeros((self._context + 1) * self._old, np.float32)])
        return _convolve(tail, self._old, self._new)[self._context * self._new :][: total - self._written]


def resample_blocks(blocks: Iterable[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Mono float32 blocks (T,) in, resampled parts (T,) out; joined they equal resampling the joined input at once."""
    resampler = Resampler(from_hz, to_hz)
    for block in blocks:
        if len(part := resampler.push(block)):
            yield part
    yield resampler.finish()


def _convolve(wave: np.ndarray, old: int, new: int) -> np.ndarray:
    import torch
    from torchaudio.functional import resample

    # the published settings of a Kaiser-windowed resampler: pass band to 0.95 of Nyquist, stop band below -100 dB
    return resample(
        torch.from_numpy(wave),
        old,
        new,
        lowpass_filter_width=_FILTER_CROSSINGS,
        rolloff=_ROLLOFF,
        resampling_method="sinc_interp_kaiser",
        beta=14.769656459379492,
    ).numpy()
