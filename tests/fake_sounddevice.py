"""A stand-in for sounddevice: this machine's microphones, without a machine."""

from types import SimpleNamespace

from tests.conftest import babble

DEVICES = [
    {"name": "Speakers", "max_input_channels": 0, "default_samplerate": 48_000.0},
    {"name": "Built-in", "max_input_channels": 2, "default_samplerate": 48_000.0},
    {"name": "Headset", "max_input_channels": 1, "default_samplerate": 16_000.0},
]


class PortAudioError(Exception):
    """As in sounddevice."""


def make_sounddevice(devices=DEVICES, wave=None, busy=False):
    """A stand-in for the module: a stream that hands over a wave at once, in blocks, when it starts."""
    made = SimpleNamespace(PortAudioError=PortAudioError, CallbackStop=StopIteration, streams=[])

    class InputStream:
        def __init__(self, **asked):
            if busy:
                raise PortAudioError("Device unavailable")
            self.asked, self.open = asked, True
            made.streams.append(self)

        def start(self):
            sound = babble(4.0) if wave is None else wave  # an empty one: a device that never delivers
            for start in range(0, len(sound), 1_600):
                block = sound[start : start + 1_600, None]
                self.asked["callback"](block, len(block), None, None)

        def stop(self):
            pass

        def close(self):
            self.open = False

    made.query_devices = lambda: devices
    made.default = SimpleNamespace(device=[2, 0])
    made.InputStream = InputStream
    return made
