"""Recordings as phones and browsers make them, encoded in memory by PyAV."""

import tempfile

import av
import numpy as np


def encode(wave, container, codec, rate_hz=48_000, layout="mono", video=False, **options):
    """The bytes of a file that holds `wave` (T,) at `rate_hz`, behind some frames of video if asked for."""
    with tempfile.NamedTemporaryFile() as file:  # an index is moved to the front by reading the file again
        _write(file.name, wave, container, codec, rate_hz, layout, video, options)
        return file.read()


def _write(name, wave, container, codec, rate_hz, layout, video, options):
    with av.open(name, "w", format=container, options=options) as out:
        pictures = out.add_stream("mpeg4", rate=10) if video else None
        stream = out.add_stream(codec, rate=rate_hz, layout=layout)
        if pictures is not None:
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuv420p"
            for _ in range(5):
                picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                out.mux(pictures.encode(picture))
            out.mux(pictures.encode(None))
        for frame in _frames(wave, stream.codec_context, rate_hz, layout):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def _frames(wave, context, rate_hz, layout):
    """The sound in the format and the frame size that the encoder takes."""
    samples = (wave * 32767).astype("<i2")[None]
    whole = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    whole.sample_rate = rate_hz
    resampler, fifo = av.AudioResampler(context.format.name, layout, rate_hz), av.AudioFifo()
    for frame in resampler.resample(whole) + resampler.resample(None):
        frame.pts = None
        fifo.write(frame)
    while fifo.samples:
        yield fifo.read(min(context.frame_size or 1024, fifo.samples))
