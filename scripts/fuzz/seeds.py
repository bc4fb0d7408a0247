"""Valid recordings of every kind that the reader takes: what the fuzzer starts from."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from scripts.fuzz.frame_mutations import numbered

# (container, soundfile's format, subtype, rate, channels, seconds, more options)
_KINDS = (
    ("wav", "WAV", "PCM_U8", 16_000, 1, 0.3, {}),
    ("wav", "WAV", "PCM_16", 16_000, 1, 0.4, {}),
    ("wav", "WAV", "PCM_24", 44_100, 2, 0.3, {}),
    ("wav", "WAV", "FLOAT", 16_000, 2, 0.3, {}),
    ("wav", "WAV", "DOUBLE", 16_000, 1, 0.3, {}),
    ("wav", "WAVEX", "PCM_16", 16_000, 2, 0.3, {}),
    ("wav", "WAVEX", "FLOAT", 16_000, 1, 0.3, {}),
    ("wav", "RF64", "PCM_16", 16_000, 1, 0.3, {}),
    ("wav", "WAV", "PCM_16", 16_000, 1, 0.3, {"endian": "BIG"}),
    ("flac", "FLAC", "PCM_16", 16_000, 1, 0.6, {}),
    ("flac", "FLAC", "PCM_24", 48_000, 2, 0.2, {}),
    ("flac", "FLAC", "PCM_S8", 16_000, 1, 0.3, {}),
    ("opus", "OGG", "OPUS", 16_000, 1, 0.5, {}),
    ("opus", "OGG", "OPUS", 48_000, 2, 0.3, {}),
    ("vorbis", "OGG", "VORBIS", 16_000, 1, 0.5, {}),
    ("vorbis", "OGG", "VORBIS", 44_100, 2, 0.3, {}),
    ("mp3", "MP3", "MPEG_LAYER_III", 16_000, 1, 0.5, {}),
    ("mp3", "MP3", "MPEG_LAYER_III", 44_100, 2, 0.4, {}),
    ("nist", "NIST", "PCM_16", 16_000, 1, 0.3, {}),
    ("nist", "NIST", "ULAW", 16_000, 1, 0.3, {}),
    ("aiff", "AIFF", "PCM_16", 16_000, 1, 0.3, {}),
    ("aiff", "AIFF", "PCM_24", 44_100, 2, 0.2, {}),
)


@dataclass(frozen=True)
class Seed:
    """A valid file and the container that its mutations are made for."""

    container: str
    data: bytes


def audio_seeds() -> list[Seed]:
    """One small recording of each kind, always the same."""
    return [Seed(kind[0], _encoded(*kind[1:])) for kind in _KINDS]


def _encoded(form: str, subtype: str, rate_hz: int, channels: int, duration_s: float, more: dict) -> bytes:
    import soundfile

    rng = np.random.default_rng(0)
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    tone = 0.4 * np.sin(2 * np.pi * 300 * time_s * (1 + time_s)) + rng.normal(0, 0.02, len(time_s))
    memory = io.BytesIO()
    frames = np.repeat(tone[:, None], channels, axis=1)
    soundfile.write(memory, frames, rate_hz, format=form, subtype=subtype, **more)
    # the same bytes in every run: streams of Ogg files get random numbers, and peaks of float WAVs the time
    data = bytearray(numbered(memory.getvalue(), 1) if form == "OGG" else memory.getvalue())
    if (peak := data.find(b"PEAK")) > 0:
        data[peak + 12 : peak + 16] = bytes(4)
    return bytes(data)
