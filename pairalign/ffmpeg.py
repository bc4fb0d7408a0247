"""Decoding by FFmpeg, through PyAV; only ever in a process of its own (`decode_worker`).

FFmpeg reads hundreds of formats and opens what files name. Here it gets one demuxer that was chosen by the file's
content, a short list of decoders, and no way to open anything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from pairalign.audio import as_float
from pairalign.errors import AudioError
from pairalign.media import DEMUXERS
from pairalign.sndfile import damaged

CODECS = (
    *("aac", "alac", "mp3", "mp3float", "mp2", "mp2float", "opus", "libopus", "vorbis", "flac", "speex", "libspeex"),
    *("amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb", "wmav1", "wmav2", "wmapro", "wmavoice"),
    *("ac3", "eac3", "adpcm_ima_qt", "pcm_alaw", "pcm_mulaw", "pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be"),
    *("pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"),
)
_SEEK_FROM_S = 30.0  # nearer, what comes before is decoded
_SETTLE_S = 1.0  # a decoder needs some frames after a jump
_NO_LENGTHS = ("amr", "adts")  # FFmpeg would guess


class FfmpegDecoder:
    """The first audio stream of a file: rate, channels, the frames that its header promises (0: it does not say)."""

    def __init__(self, file: BinaryIO, kind: str) -> None:
        import av

        demuxer, name = DEMUXERS[kind]
        options = {"codec_whitelist": ",".join(CODECS), "protocol_whitelist": "none"}
        with _readable():
            self._container = av.open(
                file, "r", format=demuxer, container_options=options, io_open=_open_nothing, metadata_errors="replace"
            )
        streams = self._container.streams.audio
        if not streams:
            raise AudioError(f"this {name} file holds no sound that can be read. Export its sound as WAV or FLAC")
        self._stream: Any = streams[0]
        context = self._stream.codec_context
        codec = context.codec.name if context is not None else "unknown"
        if codec not in CODECS:
            raise AudioError(f"{name} with the codec {codec} is not supported. Convert it to WAV or FLAC")
        context.thread_type, context.thread_count = "NONE", 1
        self.rate_hz = 0  # until the first frame: the decoder knows the rate better than the header does
        self._frames = self._decode()
        self._held = self._next()
        if self._held is None:
            raise AudioError(damaged("no audio found"))
        self._start = self._pts or 0  # of the first sample, as the clock of the file has it
        self.channels = self._held.shape[1]
        self.frames = 0 if kind in _NO_LENGTHS else self._promised()

    def skip_to(self, frame: int) -> None:
        """Before the first `read`: go to a frame, or to the end when there are fewer. Raises: AudioError."""
        if frame > _SEEK_FROM_S * self.rate_hz and self._stream.time_base:
            frame -= self._jump(frame)
        while frame > 0 and len(block := self.read(frame)):
            frame -= len(block)

    def read(self, frames: int) -> np.ndarray:
        """The next samples (time, channels) float32, fewer only at a joint, none at the end. Raises: AudioError."""
        parts: list[np.ndarray] = []
        count = 0
        while count < frames and self._held is not None:
            if parts and parts[0].shape[1] != self._held.shape[1]:
                break
            part, rest = self._held[: frames - count], self._held[frames - count :]
            parts.append(part)
            count += len(part)
            self._held = rest if len(rest) else self._next()
        return np.concatenate(parts) if parts else np.zeros((0, self.channels), np.float32)

    def count(self) -> int:
        """All frames, where the header does not say by the packets, without decoding them; nothing is read after it."""
        if self.frames or self._held is None:
            return self.frames
        count = float(len(self._held))
        with _readable():
            for packet in self._container.demux(self._stream):
                count += (packet.duration or 0) * packet.time_base * self.rate_hz
        return round(count)

    def close(self) -> None:
        """Free the decoder."""
        self._container.close()

    def _decode(self) -> Iterator[Any]:
        for packet in self._container.demux(self._stream):
            if packet.is_corrupt:
                raise AudioError(damaged("a packet is not whole"))
            yield from packet.decode()

    def _next(self) -> np.ndarray | None:
        """The samples of the next frame, (time, channels) float32."""
        with _readable():
            frame = next((one for one in self._frames if one.samples), None)
            if frame is None:
                return None
            rate_hz, channels = frame.sample_rate, frame.layout.nb_channels
            samples = frame.to_ndarray()
        if self.rate_hz and rate_hz != self.rate_hz:
            raise AudioError(f"the sample rate changes from {self.rate_hz} to {rate_hz} Hz. Convert it to WAV or FLAC")
        self.rate_hz, self._pts = rate_hz, frame.pts
        samples = samples.T if frame.format.is_planar else samples.reshape(-1, channels)
        return as_float(samples).astype(np.float32)

    def _promised(self) -> int:
        stream, container = self._stream, self._container
        if stream.duration and stream.time_base:
            return round(stream.duration * stream.time_base * self.rate_hz)
        alone = len(container.streams) == 1  # a video may be longer than its sound
        return round(container.duration / 1e6 * self.rate_hz) if container.duration and alone else 0

    def _jump(self, frame: int) -> int:
        """Go near a frame; returns how many frames lie before the next sample."""
        stream = self._stream
        clock = int((frame / self.rate_hz - _SETTLE_S) / stream.time_base)
        with _readable():
            self._container.seek(self._start + clock, stream=stream, backward=True)
        self._frames = self._decode()
        self._held = self._next()
        if self._held is None or self._pts is None:
            return frame
        return max(0, round((self._pts - self._start) * stream.time_base * self.rate_hz))


def _open_nothing(*_: object) -> None:
    raise PermissionError("files are not followed to others")


@contextmanager
def _readable() -> Iterator[None]:
    """Whatever PyAV raises for data that FFmpeg does not take becomes AudioError."""
    try:
        yield
    except AudioError:
        raise
    except MemoryError:
        raise AudioError(damaged("it asks for too much memory")) from None
    except Exception as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise AudioError(damaged(str(reason))) from None
