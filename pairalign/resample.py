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


def resample_blocks(blocks: Iterable[np.ndarray], from_hz: int, to_hz: int) -> Iterator[np.ndarray]:
    """Mono float32 blocks in, resampled parts out; joined they equal resampling the joined input at once."""
    if from_hz == to_hz:
        yield from blocks
        return
    old, new = _ratio(from_hz, to_hz)
    # blocks and their context are whole multiples of `old`, so that each maps onto whole multiples of `new`
    context = math.ceil(_FILTER_CROSSINGS * max(old / new, 1.0) / old / _ROLLOFF) + 1
    held, frames, written = np.zeros(context * old, np.float32), 0, 0
    for block in blocks:
        frames += len(block)
        held = np.concatenate([held, block])
        if (whole := len(held) // old) > 2 * context:
            part = _convolve(held[: whole * old], old, new)[context * new : (whole - context) * new]
            written += len(part)
            yield part
            held = held[(whole - 2 * context) * old :]
    total = math.ceil(frames * new / old)
    tail = np.concatenate([held, np.zeros((context + 1) * old, np.float32)])
    yield _convolve(tail, old, new)[context * new :][: total - written]


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
