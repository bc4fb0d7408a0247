"""Decoding by libsndfile."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from pairalign.errors import AudioError
from pairalign.formats import READABLE
from pairalign.layout import Raw, View

if TYPE_CHECKING:
    from collections.abc import Iterator

# the decoder's names; checked after it opened the file, in case it read the header another way than we do
_ALLOWED_CODINGS = {
    "nist": {"PCM_S8", "PCM_16", "PCM_24", "PCM_32", "ULAW", "ALAW"},
    "flac": {"PCM_S8", "PCM_16", "PCM_24"},
    "ogg": {"VORBIS", "OPUS", "PCM_16", "PCM_24"},
    "mp3": {"MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"},
}
_UNKNOWN_FRAMES = 2**62  # from here on it is the decoder's way to say that it does not know
_SKIP_FRAMES = 480_000


class SndfileDecoder:
    """One stream: rate, channels, the frames that its header promises (0: it does not say), and its samples."""

    def __init__(self, view: View, kind: str, raw: Raw | None = None) -> None:
        import soundfile

        class ForwardOnly(soundfile.SoundFile):
            # soundfile seeks after every read, which fails at the end of a FLAC of unknown length and costs time
            def seekable(self) -> bool:
                return False

        self._kind = kind
        with _readable():
            if raw is None:
                self._sound = ForwardOnly(view)
            else:
                self._sound = ForwardOnly(view, "r", raw.rate_hz, raw.channels, raw.coding, raw.endian, format="RAW")
        if raw is None and self._sound.subtype not in _ALLOWED_CODINGS[kind]:
            codec = self._sound.subtype
            self._sound.close()
            raise AudioError(f"the codec {codec} is not supported. Allowed: {READABLE}. Convert it to FLAC")
        self.rate_hz: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        self.frames: int = max(0, self._sound.frames) if self._sound.frames < _UNKNOWN_FRAMES else 0

    def skip_to(self, frame: int) -> None:
        """Before the first `read`: go to a frame, or to the end when there are fewer. Raises: AudioError."""
        if self._kind != "ogg":
            with _readable():
                self._sound.seek(min(max(0, frame), self._sound.frames))
            return
        # seeking in an Ogg file with damaged pages crashes libsndfile 1.2.2: what comes before is decoded instead
        while frame > 0 and len(block := self.read(min(frame, _SKIP_FRAMES))):
            frame -= len(block)

    def read(self, frames: int) -> np.ndarray:
        """The next samples (time, channels) float32, fewer or none at the end. Raises: AudioError."""
        with _readable():
            return self._sound.read(frames, dtype="float32", always_2d=True)

    def count(self) -> int:
        """All frames as far as the header says; 0 when it does not."""
        return self.frames

    def close(self) -> None:
        """Free the decoder."""
        self._sound.close()


@contextmanager
def _readable() -> Iterator[None]:
    """The decoder's errors become AudioError."""
    import soundfile

    try:
        yield
    except soundfile.SoundFileError as error:
        reason = str(getattr(error, "error_string", "")).strip().rstrip(".")
        if not reason or "not exist" in reason:  # the decoder's words for data in which it finds no frame
            reason = "no audio found"
        raise AudioError(damaged(reason)) from None


def damaged(reason: str) -> str:
    """The message for data that a decoder does not take."""
    kind = f"the file is damaged, cut off or of an unsupported kind (decoder: {reason})"
    return f"{kind}. Copy it again or convert it to WAV"
