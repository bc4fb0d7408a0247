"""Playing a recording faster or slower: band-limited resampling at any speed, a different one for every row of a batch.

What would lie above the Nyquist frequency after a change is taken out first, or it would come back as another tone.
The rows are doubled in rate through the frequency domain, where that filter costs one product; values between the dense
samples are sums over ten of them with a Kaiser-windowed sinc, whose images stay below -70 dB at every frequency.

Shapes: B batch, T samples in, N samples out, P phases, K taps.
"""

import math

import torch

TRANSITION = 0.04  # the filter falls from 1 to 0 over this share below the new Nyquist frequency
_DENSITY = 2
_MARGIN = 1024  # samples of silence in which the filter rings out
_TAPS = 10
_PHASES = 4096  # between two dense samples
_BETA = 7.86  # of the window: 80 dB


def at_speed(wave: torch.Tensor, first: torch.Tensor, speed: torch.Tensor, size: int) -> torch.Tensor:
    """The values at samples first, first + speed, first + 2 speed, … of every row.

    Args: wave (B, T) float, 0 beyond its ends; first (B,) samples; speed (B,) above 0, 2 is twice as fast; size N.
    Returns: (B, N) on the device of `wave`.
    """
    kernels = _kernels(wave)
    rows = 1 if wave.device.type == "cpu" else len(wave)  # one row fits a CPU's cache: twice as fast
    parts = zip(wave.split(rows), first.split(rows), speed.split(rows), strict=True)
    return torch.cat([_at_speed(*part, size, kernels) for part in parts])


def _at_speed(
    wave: torch.Tensor, first: torch.Tensor, speed: torch.Tensor, size: int, kernels: torch.Tensor
) -> torch.Tensor:
    dense = _dense(wave, speed)
    steps = torch.arange(size, device=wave.device, dtype=torch.float64)  # float32 is off by .004 samples after 3 s
    position = _DENSITY * (steps[None] * speed.double()[:, None] + first.double()[:, None])
    whole = position.floor()
    index = whole.long().clamp(max=dense.shape[1] - _TAPS)  # of the first tap, see `_dense`
    index = index + dense.shape[1] * torch.arange(len(wave), device=wave.device)[:, None]
    phase = ((position - whole) * _PHASES).round().long()
    taps = dense.flatten().unfold(0, _TAPS, 1).index_select(0, index.flatten())
    return (taps * kernels.index_select(0, phase.flatten())).sum(1).view(len(wave), size)


def fast_size(size: int) -> int:
    """The next multiple of 4096: sizes with small prime factors transform fast."""
    return -(-size // 4096) * 4096


def _dense(wave: torch.Tensor, speed: torch.Tensor) -> torch.Tensor:
    """(B, 2 T and more) without what is too high for the speed; the taps around sample t begin at index 2 t."""
    size = fast_size(wave.shape[1] + _MARGIN)
    spectrum = torch.fft.rfft(wave, size)
    frequency = torch.linspace(0, 1, spectrum.shape[1], device=wave.device)[None]  # of the Nyquist frequency
    below = (1 - frequency * speed[:, None]).div(TRANSITION).clamp(0, 1)
    gain = torch.where(speed[:, None] > 1, (1 - (math.pi * below).cos()) / 2, 1.0)  # slower needs no filter
    gain = torch.cat([gain[:, :-1], gain[:, -1:] / 2], 1)  # the last bin is its own mirror image
    dense = torch.fft.irfft(spectrum * (_DENSITY * gain).to(wave.dtype), _DENSITY * size)
    return torch.cat([dense[:, 1 - _TAPS // 2 :], dense, dense[:, : _TAPS // 2]], 1)


def _kernels(like: torch.Tensor) -> torch.Tensor:
    """(P + 1, K) weights of the samples -4 to 5 around a place between 0 and 1, which sum to 1."""
    place = torch.linspace(0, 1, _PHASES + 1, dtype=torch.float64)[:, None]
    taps = torch.arange(1 - _TAPS // 2, _TAPS // 2 + 1, dtype=torch.float64)[None]
    distance = place - taps
    window = torch.i0(_BETA * (1 - (distance / (_TAPS / 2)).square()).clamp(min=0).sqrt())
    kernels = torch.sinc(distance) * window
    return (kernels / kernels.sum(1, keepdim=True)).to(like)
