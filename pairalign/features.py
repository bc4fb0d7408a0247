"""Log-mel features: the one definition that training and inference share.

Shapes: B batch, T samples, M mel frames (10 ms), F mel bands.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache

import torch
from torchaudio.functional import melscale_fbanks

from pairalign.audio import SAMPLE_RATE_HZ

WINDOW_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms
FFT_SAMPLES = 512
MEL_BANDS = 80
MEL_RATE_HZ = SAMPLE_RATE_HZ / HOP_SAMPLES
LOG_RANGE_NATS = 11.5  # 50 dB below the loudest band of the segment: quieter than that is noise floor
ACTIVE_RANGE_NATS = 6.9  # a frame within 30 dB of the loudest one counts as speech
MIN_STD_NATS = 0.5  # a constant band must not be blown up to unit variance


@dataclass(frozen=True)
class FeatureOptions:
    """What a checkpoint records about its features, so that a mismatch is noticed at loading."""

    sample_rate_hz: int = SAMPLE_RATE_HZ
    window_samples: int = WINDOW_SAMPLES
    hop_samples: int = HOP_SAMPLES
    mel_bands: int = MEL_BANDS
    log_range_nats: float = LOG_RANGE_NATS
    normalisation: str = "per-segment mean and variance"

    def to_dict(self) -> dict:
        """As the sidecar holds it."""
        return asdict(self)


@dataclass(frozen=True)
class LogMel:
    """Normalised log-mel of a padded batch.

    mel: (B, F, M) float32, zero mean and unit variance per band over each segment, 0 in the padding.
    lengths: (B,) valid mel frames.
    active: (B, M) bool, frames with speech energy.
    """

    mel: torch.Tensor
    lengths: torch.Tensor
    active: torch.Tensor


@lru_cache(maxsize=4)
def _filterbank(device: str) -> torch.Tensor:
    """(FFT/2 + 1, F) triangular mel filters."""
    bank = melscale_fbanks(
        FFT_SAMPLES // 2 + 1, 20.0, SAMPLE_RATE_HZ / 2, MEL_BANDS, SAMPLE_RATE_HZ, mel_scale="slaney"
    )
    return bank.to(device)


def mel_frames(samples: torch.Tensor) -> torch.Tensor:
    """Number of mel frames of segments of that many samples, (B,) -> (B,), at least 1."""
    return torch.clamp(samples // HOP_SAMPLES, min=1)


def raw_log_mel(wave: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-mel energies before normalisation.

    Args: wave (B, T) float32; lengths (B,) samples.
    Returns: log energies (B, F, M) in nats, and the number of valid frames (B,).

    Samples past a segment's length are zeroed first, so a frame at the end of a segment is the same in any padding.
    """
    wave = wave * length_mask(lengths, wave.shape[1])
    frames = mel_frames(lengths)
    # frame m is centred on the middle of its hop: samples 160 m + 80
    left = (WINDOW_SAMPLES - HOP_SAMPLES) // 2
    wave = torch.nn.functional.pad(wave, (left, WINDOW_SAMPLES))
    pieces = wave.unfold(1, WINDOW_SAMPLES, HOP_SAMPLES)[:, : int(frames.max())]
    window = torch.hann_window(WINDOW_SAMPLES, device=wave.device)
    power = torch.view_as_real(torch.fft.rfft(pieces * window, n=FFT_SAMPLES)).square().sum(-1)
    energy = power @ _filterbank(str(wave.device))
    return torch.log(energy + 1e-10).transpose(1, 2), frames


def log_mel(wave: torch.Tensor, lengths: torch.Tensor, warp: torch.Tensor | None = None) -> LogMel:
    """Normalised log-mel features.

    Args:
        wave: (B, T) float32 at 16 kHz; lengths: (B,) samples.
        warp: (B,) vocal-tract-length factors (1 = as recorded): band f is read at ``f * warp`` of the mel axis.
    """
    with torch.autocast(wave.device.type, enabled=False):  # bf16 is too coarse for energies
        energies, frames = raw_log_mel(wave.float(), lengths)
    valid = length_mask(frames, energies.shape[2])
    if warp is not None:
        energies = warp_bands(energies, warp)
    hidden = energies.masked_fill(~valid[:, None], -torch.inf)
    energies = torch.maximum(energies, hidden.amax(dim=(1, 2), keepdim=True) - LOG_RANGE_NATS)
    count = frames[:, None, None].float()
    mean = (energies * valid[:, None]).sum(2, keepdim=True) / count
    centred = (energies - mean) * valid[:, None]
    std = (centred.square().sum(2, keepdim=True) / count).sqrt()
    loudness = hidden.logsumexp(1)
    active = loudness > loudness.amax(1, keepdim=True) - ACTIVE_RANGE_NATS
    return LogMel(centred / std.clamp(min=MIN_STD_NATS), frames, active & valid)


def length_mask(lengths: torch.Tensor, size: int) -> torch.Tensor:
    """(B, size) bool, True inside each segment."""
    return torch.arange(size, device=lengths.device)[None] < lengths[:, None]


def warp_bands(energies: torch.Tensor, warp: torch.Tensor) -> torch.Tensor:
    """Read band f at position ``f * warp`` by linear interpolation, energies (B, F, M)."""
    bands = energies.shape[1]
    position = (torch.arange(bands, device=energies.device)[None] * warp[:, None]).clamp(0, bands - 1)
    low = position.floor().long().clamp(max=bands - 2)
    weight = (position - low)[:, :, None]
    index = low[:, :, None].expand(-1, -1, energies.shape[2])
    return torch.gather(energies, 1, index) * (1 - weight) + torch.gather(energies, 1, index + 1) * weight
