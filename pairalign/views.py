"""Content-preserving views of speech segments, made in a batch on any device, each with its time map (method: views).

A view keeps what is said and changes how it sounds: shift, speed, vocal tract, equaliser, reverberation, noise, gain.
Training draws the parameters at random from `ViewRanges`; the app puts the same `ViewParameters` on sliders.

Shapes: B batch, T samples.
"""

from dataclasses import dataclass, fields

import torch

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.errors import PairAlignError
from pairalign.features import LogMel, length_mask, log_mel
from pairalign.speed import at_speed, fast_size

EQUALISER_POINTS = 8  # random gains at points spread evenly on a log-frequency axis, interpolated in between
REVERB_SAMPLES = 6400  # 0.4 s
INAUDIBLE_SNR_DB = 45.0


@dataclass(frozen=True)
class ViewRanges:
    """Ranges the parameters of a view are drawn from, uniformly; `*_share` is how often an effect is on at all."""

    shift_ms: tuple[float, float] = (0.0, 100.0)
    speed: tuple[float, float] = (0.9, 1.1)
    warp: tuple[float, float] = (0.88, 1.12)
    equaliser_db: float = 8.0
    t60_s: tuple[float, float] = (0.05, 0.4)
    reverb_share: float = 0.5
    snr_db: tuple[float, float] = (5.0, 30.0)
    noise_share: float = 0.8
    babble_share: float = 0.3
    gain_db: tuple[float, float] = (-12.0, 6.0)


STRONG = ViewRanges()
MILD = ViewRanges((0.0, 0.0), (1.0, 1.0), (0.97, 1.03), 2.0, (0.05, 0.1), 0.2, (20.0, 35.0), 0.5, 0.0, (-6.0, 0.0))


def scaled(ranges: ViewRanges, strength: float) -> ViewRanges:
    """Ranges whose effects are `strength` times as strong (and, up to always, as frequent); 0 changes nothing at all.

    The signal-to-noise ratio moves towards 45 dB, where noise cannot be heard.
    """
    if strength == 1.0:
        return ranges  # to the last bit

    def around(centre: float, pair: tuple[float, float]) -> tuple[float, float]:
        low, high = pair
        return centre + strength * (low - centre), centre + strength * (high - centre)

    def often(share: float) -> float:
        return min(1.0, strength * share)

    return ViewRanges(
        around(0.0, ranges.shift_ms),
        around(1.0, ranges.speed),
        around(1.0, ranges.warp),
        strength * ranges.equaliser_db,
        around(0.0, ranges.t60_s),
        often(ranges.reverb_share),
        around(INAUDIBLE_SNR_DB, ranges.snr_db),
        often(ranges.noise_share),
        often(ranges.babble_share),
        around(0.0, ranges.gain_db),
    )


@dataclass(frozen=True)
class ViewParameters:
    """One number per segment and effect, all (B,) except equaliser_db (B, EQUALISER_POINTS).

    speed > 1 is faster; warp > 1 reads the mel axis further up; t60_s 0 means dry; snr_db infinite means no noise;
    noise_slope 0 is white, 1 pink, 2 brown; babble is 1 where the noise is other speech of the batch.
    """

    shift_ms: torch.Tensor
    speed: torch.Tensor
    warp: torch.Tensor
    equaliser_db: torch.Tensor
    t60_s: torch.Tensor
    snr_db: torch.Tensor
    noise_slope: torch.Tensor
    babble: torch.Tensor
    gain_db: torch.Tensor

    @staticmethod
    def neutral(batch: int) -> "ViewParameters":
        """The view that changes nothing."""
        zero, one = torch.zeros(batch), torch.ones(batch)
        equaliser_db = torch.zeros(batch, EQUALISER_POINTS)
        return ViewParameters(zero, one, one, equaliser_db, zero, torch.full((batch,), torch.inf), zero, zero, zero)

    def to(self, device: str | torch.device) -> "ViewParameters":
        """The same parameters on another device."""
        return ViewParameters(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass(frozen=True)
class TimeMap:
    """Where content goes: second t of the source is second ``(t - shift_s) / speed`` of the view; both (B,)."""

    shift_s: torch.Tensor
    speed: torch.Tensor

    def to_view(self, source_s: torch.Tensor) -> torch.Tensor:
        """Seconds of the source (B, N) -> seconds of the view (B, N)."""
        return (source_s - self.shift_s[:, None]) / self.speed[:, None]

    def to_source(self, view_s: torch.Tensor) -> torch.Tensor:
        """Seconds of the view (B, N) -> seconds of the source (B, N)."""
        return view_s * self.speed[:, None] + self.shift_s[:, None]


@dataclass(frozen=True)
class View:
    """wave (B, T') zero-padded, lengths (B,) samples, warp (B,) for `log_mel`, and the time map from the source."""

    wave: torch.Tensor
    lengths: torch.Tensor
    warp: torch.Tensor
    time_map: TimeMap

    def log_mel(self) -> LogMel:
        """Features of the view; the vocal-tract warp is applied here, on the mel axis."""
        return log_mel(self.wave, self.lengths, self.warp)


def draw_parameters(ranges: ViewRanges, batch: int, generator: torch.Generator) -> ViewParameters:
    """Draw the parameters of `batch` views (on the CPU, so that a seed means the same on every device)."""

    def uniform(low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(batch, generator=generator)

    def sometimes(share: float) -> torch.Tensor:
        return torch.rand(batch, generator=generator) < share

    equaliser = (2 * torch.rand(batch, EQUALISER_POINTS, generator=generator) - 1) * ranges.equaliser_db
    t60_s = torch.where(sometimes(ranges.reverb_share), uniform(*ranges.t60_s), 0.0)
    snr_db = torch.where(sometimes(ranges.noise_share), uniform(*ranges.snr_db), torch.inf)
    return ViewParameters(
        uniform(*ranges.shift_ms),
        uniform(*ranges.speed),
        uniform(*ranges.warp),
        equaliser,
        t60_s,
        snr_db,
        uniform(0.0, 2.0),
        sometimes(ranges.babble_share).float(),
        uniform(*ranges.gain_db),
    )


def make_view(
    wave: torch.Tensor, lengths: torch.Tensor, ranges: ViewRanges | ViewParameters, generator: torch.Generator
) -> View:
    """One view of every segment of a batch.

    Args:
        wave: (B, T) float32 at 16 kHz, zero-padded; lengths: (B,) samples.
        ranges: what to draw from, or the drawn `ViewParameters`.
        generator: a CPU generator; the same seed gives the same view.
    Raises: ValueError when a shift would leave nothing of a segment.
    """
    drawn = ranges if isinstance(ranges, ViewParameters) else draw_parameters(ranges, len(wave), generator)
    p = drawn.to(wave.device)
    if not bool(((p.speed >= SPEEDS[0]) & (p.speed <= SPEEDS[1])).all()):
        raise PairAlignError(f"a view's speed must be from {SPEEDS[0]:g} to {SPEEDS[1]:g}.")
    shift = (p.shift_ms / 1000 * SAMPLE_RATE_HZ).round()
    remaining = ((lengths - shift) / p.speed).floor().long()
    if bool((remaining < HOP_MINIMUM).any()):
        raise PairAlignError(
            "A view's shift leaves less than 20 ms of a segment; use a smaller shift or a longer segment."
        )
    moved = _resample(wave, shift, p.speed, remaining)
    heard = _colour(moved, remaining, p, generator)
    return View(heard, remaining, p.warp, TimeMap(shift / SAMPLE_RATE_HZ, p.speed))


HOP_MINIMUM = 320  # samples, 20 ms: one encoder frame
SPEEDS = (0.25, 4.0)


def _resample(wave: torch.Tensor, shift: torch.Tensor, speed: torch.Tensor, remaining: torch.Tensor) -> torch.Tensor:
    """Start `shift` whole samples later and play `speed` times faster, (B, T')."""
    size = int(remaining.max())
    index = torch.arange(size, device=wave.device)[None] + shift.long()[:, None]
    moved = torch.gather(wave, 1, index.clamp(max=wave.shape[1] - 1))
    if bool((speed != 1).any()):
        moved = torch.where(speed[:, None] == 1, moved, at_speed(wave, shift, speed, size))
    return moved * length_mask(remaining, size)


def _colour(wave: torch.Tensor, lengths: torch.Tensor, p: ViewParameters, generator: torch.Generator) -> torch.Tensor:
    """Reverberation, equaliser, noise and gain in one pass through the frequency domain, (B, T) -> (B, T)."""
    batch, size = wave.shape
    fft_size = fast_size(size + REVERB_SAMPLES)
    spectrum = torch.fft.rfft(wave, fft_size)
    noise = _noise_spectrum(spectrum, size, p, generator)
    if bool((p.t60_s > 0).any()):
        spectrum = spectrum * torch.fft.rfft(_impulse_response(p.t60_s, generator), fft_size)
    spectrum = spectrum * _equaliser(p.equaliser_db, spectrum.shape[1])
    clean = torch.fft.irfft(spectrum, fft_size)[:, :size]
    valid = length_mask(lengths, size)
    if noise is not None:
        hiss = torch.fft.irfft(noise, fft_size)[:, :size] * valid
        signal_rms = (clean * valid).square().sum(1).div(lengths).sqrt()
        hiss_rms = hiss.square().sum(1).div(lengths).sqrt().clamp(min=1e-8)
        clean = clean + hiss * (signal_rms / hiss_rms * 10 ** (-p.snr_db / 20))[:, None]
    return clean * (10 ** (p.gain_db / 20))[:, None] * valid


def _noise_spectrum(
    spectrum: torch.Tensor, size: int, p: ViewParameters, generator: torch.Generator
) -> torch.Tensor | None:
    """Spectrum of coloured noise or babble (three other segments of the batch), None when nobody wants any."""
    if not bool(torch.isfinite(p.snr_db).any()):
        return None
    batch, bins = spectrum.shape
    fft_size = 2 * (bins - 1)
    white = torch.randn(batch, size, generator=generator).to(spectrum.device)
    frequency = torch.arange(bins, device=spectrum.device) / bins
    slope = frequency.clamp(min=0.01)[None] ** (-p.noise_slope[:, None] / 2)
    coloured = torch.fft.rfft(white, fft_size) * slope
    if not bool((p.babble > 0).any()) or batch < 2:
        return coloured
    babble = sum(spectrum.roll(k, 0) for k in range(1, min(4, batch)))
    return torch.where(p.babble[:, None] > 0, babble, coloured)


def _impulse_response(t60_s: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """(B, REVERB_SAMPLES): a direct path and an exponentially decaying noise tail; no tail when T60 is 0."""
    time_s = torch.arange(REVERB_SAMPLES, device=t60_s.device)[None] / SAMPLE_RATE_HZ
    noise = torch.randn(len(t60_s), REVERB_SAMPLES, generator=generator).to(t60_s.device)
    tail = noise * torch.exp(-6.9 * time_s / t60_s.clamp(min=1e-3)[:, None])
    tail[:, :32] = 0  # 2 ms gap between the direct path and the first reflection
    energy = tail.square().sum(1, keepdim=True).sqrt().clamp(min=1e-8)
    response = tail / energy * (t60_s > 0)[:, None] * (t60_s / 0.4).sqrt()[:, None]
    response[:, 0] = 1.0
    return response


def _equaliser(gains_db: torch.Tensor, bins: int) -> torch.Tensor:
    """(B, bins) smooth gain curve through EQUALISER_POINTS points on a log-frequency axis from 60 Hz to 8 kHz."""
    frequency_hz = torch.linspace(0, SAMPLE_RATE_HZ / 2, bins, device=gains_db.device).clamp(min=60.0)
    position = torch.log2(frequency_hz / 60) / torch.log2(torch.tensor(8000 / 60)) * (EQUALISER_POINTS - 1)
    low = position.long().clamp(0, EQUALISER_POINTS - 2)
    weight = position - low
    curve_db = gains_db[:, low] * (1 - weight) + gains_db[:, low + 1] * weight
    return 10 ** (curve_db / 20)
