"""A recording opened for decoding: checked before a decoder sees it, and held to its limits while it is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from pairalign.containers import inspect
from pairalign.decode_client import RemoteDecoder
from pairalign.errors import AudioError
from pairalign.layout import Container, Part, View
from pairalign.resample import resample_blocks
from pairalign.sndfile import SndfileDecoder
from pairalign.source import AudioSource, opened_source, source_name

_BLOCK_S = 10
_BLOCK_SAMPLES = 2_000_000  # of all channels: many of them at a high rate would make ten seconds large
_PROMISE_SLACK_FRAMES = 32
_LOCAL_KINDS = ("pcm", "flac", "ogg", "nist")  # the rest is decoded in a process of its own

_Decoder = SndfileDecoder | RemoteDecoder


@dataclass(frozen=True)
class AudioLimits:
    """What a recording may be. Size and header are checked before decoding, the rest while decoding."""

    max_duration_s: float = 1800.0
    min_duration_s: float = 0.1
    max_bytes: int = 500_000_000
    max_channels: int = 8
    min_rate_hz: int = 4_000
    max_rate_hz: int = 192_000


class Sound:
    """An open recording: the rate of its first part, a remark about the file (or ""), and its samples."""

    def __init__(self, file: BinaryIO, container: Container, limits: AudioLimits) -> None:
        self.note = container.note
        self._file, self._parts, self._kind, self._limits = file, container.parts, container.kind, limits
        self._decoder: _Decoder | None = None
        self._unread: Part | None = None  # what the decoder is at the start of
        self.rate_hz = self._decoder_of(self._parts[0]).rate_hz

    def frames(self) -> int:
        """Frames by the headers, or by the packets, at the first part's rate; 0 when one of the parts does not say."""
        counts = []
        for part in self._parts:
            decoder = self._decoder_of(part)
            self._unread = None
            counts.append(decoder.count() * self.rate_hz // decoder.rate_hz)
        return sum(counts) if all(counts) else 0

    def blocks(self) -> Iterator[np.ndarray]:
        """All in blocks (time, channels) float32. Raises: AudioError past the limit or when the end is missing."""
        done = 0
        for part in self._parts:
            for block in self._at_one_rate(self._decoder_of(part), self._whole(part)):
                done += len(block)
                if done > self._limits.max_duration_s * self.rate_hz:
                    raise _too_long(None, self._limits)
                yield block

    def stretch(self, first: int, frames: int) -> Iterator[np.ndarray]:
        """Blocks (time, channels) float32 of up to so many frames from frame `first` on, as far as the file goes."""
        first = max(0, first)
        for part in self._parts:
            decoder = self._decoder_of(part)
            length = self._length(decoder)
            if len(self._parts) > 1 and length and first >= length:
                first -= length
                continue
            if first and (length or len(self._parts) == 1):
                decoder.skip_to(round(first * decoder.rate_hz / self.rate_hz))
                first = 0
            for block in self._at_one_rate(decoder, self._read(decoder)):
                if frames <= 0:
                    return
                first, block = max(0, first - len(block)), block[first:][:frames]
                frames -= len(block)
                if len(block):
                    yield block

    def close(self) -> None:
        """Free the decoder."""
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = self._unread = None

    def _decoder_of(self, part: Part) -> _Decoder:
        """A decoder at the start of a part, after the checks of what its header says."""
        if self._decoder is not None and self._unread is part:
            return self._decoder
        self.close()
        if part.raw is not None:
            check_format(part.raw.rate_hz, part.raw.channels, 0, self._limits)
        view, kind = View(self._file, part), self._kind
        decoder = SndfileDecoder(view, kind, part.raw) if kind in _LOCAL_KINDS else RemoteDecoder(view, kind)
        self._decoder, self._unread = decoder, part
        check_format(decoder.rate_hz, decoder.channels, decoder.frames, self._limits)
        return decoder

    def _length(self, decoder: _Decoder) -> int:
        """The frames of a part at the first part's rate, 0 when its header does not say."""
        return decoder.frames if decoder.rate_hz == self.rate_hz else decoder.frames * self.rate_hz // decoder.rate_hz

    def _read(self, decoder: _Decoder) -> Iterator[np.ndarray]:
        self._unread = None
        while len(block := decoder.read(max(1, min(_BLOCK_S * decoder.rate_hz, _BLOCK_SAMPLES // decoder.channels)))):
            yield block

    def _whole(self, part: Part) -> Iterator[np.ndarray]:
        """All samples of a part; raises in the end when its header promised more."""
        decoder, done = self._decoder_of(part), 0
        for block in self._read(decoder):
            done += len(block)
            yield block
        if part.frames is not None and done < part.frames - _PROMISE_SLACK_FRAMES:
            raise AudioError(
                f"the file is cut off: its header promises {part.frames / decoder.rate_hz:.2f} s, "
                f"{done / decoder.rate_hz:.2f} s could be decoded. "
                "Copy it again, or open and save it in an audio editor to accept what is left"
            )

    def _at_one_rate(self, decoder: _Decoder, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The blocks of a part at the first part's rate; one of another rate becomes one channel."""
        if decoder.rate_hz == self.rate_hz:
            yield from blocks
            return
        mono = (block.mean(axis=1, dtype=np.float32) for block in blocks)
        for block in resample_blocks(mono, decoder.rate_hz, self.rate_hz):
            if len(block):
                yield block[:, None]


@contextmanager
def opened(source: AudioSource, limits: AudioLimits) -> Iterator[Sound]:
    """The recording at a path, in a file object or in bytes, after the checks that need no decoding.

    Raises: AudioError, here and while it is read, that names the file and says in one line what is wrong with it.
    """
    try:
        with opened_source(source, limits.max_bytes) as (file, size):
            sound = Sound(file, inspect(file, size), limits)
            try:
                yield sound
            finally:
                sound.close()
    except AudioError as error:
        raise AudioError(f"{source_name(source)}: {error}") from None


def check_format(rate_hz: int, channels: int, frames: int, limits: AudioLimits) -> None:
    """Raises: AudioError unless rate, number of channels and length are within the limits."""
    if not limits.min_rate_hz <= rate_hz <= limits.max_rate_hz:
        allowed = f"{limits.min_rate_hz} to {limits.max_rate_hz} Hz"
        raise AudioError(f"the sample rate is {rate_hz} Hz; allowed: {allowed}. Convert it to 16000 Hz")
    if not 1 <= channels <= limits.max_channels:
        allowed = f"1 to {limits.max_channels} (arrays are (time, channels))"
        raise AudioError(f"{channels} channels; allowed: {allowed}. Export a single channel")
    if frames > limits.max_duration_s * rate_hz:
        raise _too_long(frames / rate_hz, limits)


def _too_long(seconds: float | None, limits: AudioLimits) -> AudioError:
    found = "the recording is longer" if seconds is None else f"the recording lasts {seconds / 60:.1f} min, more"
    return AudioError(f"{found} than the {limits.max_duration_s / 60:g} min allowed. Split it into shorter files")
