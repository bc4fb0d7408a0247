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
    ("wav", "WAV", "ULAW", 8_000, 1, 0.5, {}),
    ("wav", "W64", "PCM_16", 16_000, 1, 0.3, {}),
    ("au", "AU", "ALAW", 8_000, 1, 0.4, {}),
)
# (container, PyAV's format and codec, rate, layout, seconds, options of the format)
_MEDIA = (
    ("mp4", "ipod", "aac", 44_100, "mono", 0.4, {}),
    ("mp4", "ipod", "alac", 16_000, "stereo", 0.3, {}),
    ("mp4", "mp4", "aac", 48_000, "stereo", 0.4, {"movflags": "frag_keyframe+empty_moov"}),
    ("mp4", "3gp", "libopencore_amrnb", 8_000, "mono", 0.6, {}),
    ("webm", "webm", "libopus", 48_000, "mono", 0.4, {}),
    ("webm", "webm", "libopus", 48_000, "mono", 0.4, {"live": "1"}),
    ("webm", "matroska", "pcm_s16le", 16_000, "mono", 0.3, {}),
    ("caf", "caf", "alac", 16_000, "mono", 0.4, {}),
    ("caf", "caf", "adpcm_ima_qt", 16_000, "mono", 0.4, {}),
    ("adts", "adts", "aac", 44_100, "stereo", 0.4, {}),
    ("amr", "amr", "libopencore_amrnb", 8_000, "mono", 0.8, {}),
)


_JOINED = ("mp3", "opus", "vorbis", "flac")


@dataclass(frozen=True)
class Seed:
    """A valid file and the container that its mutations are made for."""

    container: str
    data: bytes


def audio_seeds() -> list[Seed]:
    """One small recording of each kind, always the same."""
    plain = [Seed(kind[0], _encoded(*kind[1:])) for kind in _KINDS]
    joined = [Seed(name, data * 2) for name, data in ((seed.container, seed.data) for seed in plain) if name in _JOINED]
    return plain + joined + [Seed(kind[0], _media(*kind[1:])) for kind in _MEDIA]


def _encoded(form: str, subtype: str, rate_hz: int, channels: int, duration_s: float, more: dict) -> bytes:
    import soundfile

    memory = io.BytesIO()
    frames = np.repeat(_tone(rate_hz, duration_s)[:, None], channels, axis=1)
    soundfile.write(memory, frames, rate_hz, format=form, subtype=subtype, **more)
    # the same bytes in every run: streams of Ogg files get random numbers, and peaks of float WAVs the time
    data = bytearray(numbered(memory.getvalue(), 1) if form == "OGG" else memory.getvalue())
    if (peak := data.find(b"PEAK")) > 0:
        data[peak + 12 : peak + 16] = bytes(4)
    return bytes(data)


def _media(form: str, codec: str, rate_hz: int, layout: str, duration_s: float, options: dict[str, str]) -> bytes:
    import av

    memory = io.BytesIO()
    with av.open(memory, "w", format=form, options={"fflags": "+bitexact", **options}) as out:
        stream = out.add_stream(codec, rate=rate_hz, layout=layout)
        samples = (_tone(rate_hz, duration_s) * 32_767).astype("<i2")[None]
        whole = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        whole.sample_rate = rate_hz
        resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate_hz)
        fifo = av.AudioFifo()
        for frame in resampler.resample(whole) + resampler.resample(None):
            frame.pts = None
            fifo.write(frame)
        while fifo.samples:
            out.mux(stream.encode(fifo.read(min(stream.codec_context.frame_size or 1024, fifo.samples))))
        out.mux(stream.encode(None))
    return memory.getvalue()


def _tone(rate_hz: int, duration_s: float) -> np.ndarray:
    """A rising tone in a little noise, (T,)."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    noise = np.random.default_rng(0).normal(0, 0.02, len(time_s))
    return 0.4 * np.sin(2 * np.pi * 300 * time_s * (1 + time_s)) + noise
