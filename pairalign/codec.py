"""Speech through a codec: the telephone network, MP3 and Opus, each at its worst.

Content stays and stays where it is; band and detail are lost. Not a part of `views`, which run in batches and on any
device: MP3 and Opus are encoders of other people, fed one recording at a time.

Shapes: T samples at 16 kHz.
"""

import io
import math

import numpy as np
import torch
from torchaudio.functional import highpass_biquad, resample

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.errors import PairAlignError

CODECS = ("none", "telephone", "mp3", "opus")
TELEPHONE_RATE_HZ = 8000
TELEPHONE_BAND_HZ = (300.0, 3400.0)
MU = 255  # of the mu-law, with a sign and seven bits for the size: 8 bits in all
FILTER_WIDTH = 64  # of resampling: steep, so that nothing is left above the band

# arguments of soundfile for the lowest bitrate there is. MP3 takes no level of 1, and has no room at a constant bitrate
# of 8 kbit/s to note its own delay; on average 12 kbit/s has, and the decoder takes the delay off
_WORST = {
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "AVERAGE", "compression_level": 0.99},
    "opus": {"format": "OGG", "subtype": "OPUS", "compression_level": 1.0},
}


def through_codec(wave: np.ndarray, codec: str) -> np.ndarray:
    """What is left of a recording after a codec, aligned with it in time.

    Args:
        wave: (T,) at 16 kHz, in [-1, 1]; codecs clip what lies beyond.
        codec: "none", "telephone" (300 to 3400 Hz, G.711 mu-law), "mp3" (12 kbit/s) or "opus" (9 kbit/s).
    Returns: (T,) float32.
    Raises: ValueError for an unknown codec, or samples that are not (T,) of finite numbers.
    """
    if codec not in CODECS:
        raise PairAlignError(f"codec is {codec!r}; use one of {', '.join(CODECS)}.")
    wave = np.asarray(wave, dtype=np.float32)
    if wave.ndim != 1 or not len(wave) or not np.isfinite(wave).all():
        raise PairAlignError(f"a codec takes finite samples of shape (time,), at least one; these are {wave.shape}.")
    if codec == "none":
        return wave
    clipped = wave.clip(-1.0, 1.0)
    return _telephone(clipped) if codec == "telephone" else _round_trip(clipped, codec)


def mu_law(wave: torch.Tensor) -> torch.Tensor:
    """Samples (T,) rounded to 8 bits on the companded scale of G.711; 0 stays 0, unlike with torchaudio's mu-law."""
    size = torch.log1p(MU * wave.abs().clamp(max=1.0)) / math.log1p(MU)
    return wave.sign() * torch.expm1((size * 127).round() / 127 * math.log1p(MU)) / MU


def _telephone(wave: np.ndarray) -> np.ndarray:
    low_hz, high_hz = TELEPHONE_BAND_HZ
    rolloff = high_hz / (TELEPHONE_RATE_HZ / 2)
    line = resample(torch.from_numpy(wave), SAMPLE_RATE_HZ, TELEPHONE_RATE_HZ, FILTER_WIDTH, rolloff)
    for _ in range(2):  # forward and backward: the delays cancel
        line = highpass_biquad(line, TELEPHONE_RATE_HZ, low_hz).flip(0)
    heard = resample(mu_law(line), TELEPHONE_RATE_HZ, SAMPLE_RATE_HZ, FILTER_WIDTH)
    return heard[: len(wave)].numpy()


def _round_trip(wave: np.ndarray, codec: str) -> np.ndarray:
    import soundfile

    memory = io.BytesIO()
    soundfile.write(memory, wave, SAMPLE_RATE_HZ, **_WORST[codec])
    memory.seek(0)
    heard, _ = soundfile.read(memory, dtype="float32")
    return heard
