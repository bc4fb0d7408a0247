"""The microphone of this machine, through sounddevice (PortAudio). Imported when it is used: it is optional."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from pairalign.errors import PairAlignError

UNREAD_S = 10.0  # a microphone that nobody reads any more stops by itself


@dataclass(frozen=True)
class Microphone:
    """An input device; `index` is what `--microphone` takes."""

    index: int
    name: str
    rate_hz: int
    default: bool


class MicrophoneError(PairAlignError):
    """The microphone can not be used; the message says what to do."""


def microphones() -> list[Microphone]:
    """The input devices of this machine. Raises MicrophoneError when there is no PortAudio."""
    sound = _sounddevice()
    try:
        devices, chosen = sound.query_devices(), _default_input(sound)
    except sound.PortAudioError as error:
        raise MicrophoneError(
            f"the sound devices can not be listed ({error}). Check the system's sound settings"
        ) from None
    return [
        Microphone(index, str(one["name"]), round(one["default_samplerate"]), index == chosen)
        for index, one in enumerate(devices)
        if one["max_input_channels"] > 0
    ]


def find_microphone(index: int | None = None) -> Microphone:
    """The device of that number, or the system's own choice. Raises MicrophoneError when there is none."""
    found = microphones()
    if not found:
        raise MicrophoneError("this machine has no microphone. Plug one in, or tokenize a recording")
    if index is None:
        return next((one for one in found if one.default), found[0])
    for one in found:
        if one.index == index:
            return one
    numbers = ", ".join(f"{one.index} ({one.name})" for one in found)
    raise MicrophoneError(f"there is no microphone {index}; use one of {numbers}")


class Capture:
    """Sound from a microphone, from `with` to its end; mono float32 at `rate_hz`. delivered: samples so far."""

    def __init__(self, microphone: Microphone) -> None:
        """Raises MicrophoneError when the device can not be opened."""
        self.rate_hz = microphone.rate_hz
        self._blocks: queue.Queue[np.ndarray] = queue.Queue()
        self._unread = self.delivered = 0
        sound = _sounddevice()

        def take(block: np.ndarray, frames: int, time: Any, status: Any) -> None:
            self._blocks.put(block[:, 0].copy())
            self._unread += frames
            self.delivered += frames
            if self._unread > UNREAD_S * self.rate_hz:
                raise sound.CallbackStop

        try:
            self._stream = sound.InputStream(
                samplerate=self.rate_hz, device=microphone.index, channels=1, dtype="float32", callback=take
            )
            self._stream.start()
        except sound.PortAudioError as error:
            raise MicrophoneError(
                f"the microphone {microphone.name!r} can not be opened ({error}). Close other programs that use it, or "
                "choose another one"
            ) from None

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> np.ndarray:
        """All that came in since the last time (T,), nothing if nothing did."""
        self._unread = 0
        blocks = []
        while True:
            try:
                blocks.append(self._blocks.get_nowait())
            except queue.Empty:
                return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    def close(self) -> None:
        """Let go of the device."""
        self._stream.stop()
        self._stream.close()


def _sounddevice() -> ModuleType:
    try:
        import sounddevice
    except ImportError:
        raise MicrophoneError("the package sounddevice is missing. Install it: pip install sounddevice") from None
    except OSError:  # its wheels hold PortAudio for macOS and Windows only
        raise MicrophoneError(
            "the library PortAudio is missing. Install it: apt install libportaudio2 (Debian, Ubuntu), "
            "dnf install portaudio (Fedora), or pip install --force-reinstall sounddevice (macOS, Windows)"
        ) from None
    return sounddevice


def _default_input(sound: ModuleType) -> int:
    return int(sound.default.device[0])
