"""The microphone of this machine and `listen`, with a sounddevice that plays a recording."""

import builtins
import json
import sys
import time

import numpy as np
import pytest
import torch

from pairalign import cli
from pairalign.microphone import Capture, MicrophoneError, find_microphone, microphones
from tests.conftest import babble
from tests.fake_sounddevice import DEVICES, make_sounddevice


@pytest.fixture(autouse=True)
def threads():
    """`listen` computes with one thread; the other tests go on with theirs."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def sounddevice(monkeypatch):
    def use(**options):
        made = make_sounddevice(**options)
        monkeypatch.setitem(sys.modules, "sounddevice", made)
        return made

    return use


def test_microphones_are_the_devices_with_inputs(sounddevice):
    sounddevice()
    assert [(one.index, one.name, one.rate_hz, one.default) for one in microphones()] == [
        (1, "Built-in", 48_000, False),
        (2, "Headset", 16_000, True),
    ]
    assert find_microphone().name == "Headset" and find_microphone(1).name == "Built-in"


def test_a_number_that_is_no_microphone_is_told_with_those_that_are(sounddevice):
    sounddevice()
    with pytest.raises(MicrophoneError, match=r"no microphone 0; use one of 1 \(Built-in\), 2 \(Headset\)"):
        find_microphone(0)
    sounddevice(devices=DEVICES[:1])
    with pytest.raises(MicrophoneError, match="has no microphone"):
        find_microphone()


@pytest.mark.parametrize(
    ("error", "help_with"), [(OSError("PortAudio library not found"), "libportaudio2"), (ImportError(), "pip install")]
)
def test_what_is_missing_is_told_with_how_to_install_it(monkeypatch, error, help_with):
    real = builtins.__import__

    def refuse(name, *rest, **options):
        if name == "sounddevice":
            raise error
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ValueError, match=help_with):
        microphones()


def test_a_capture_gives_all_that_came_in_once(sounddevice):
    wave = babble(1.0)
    made = sounddevice(wave=wave)
    with Capture(find_microphone(2)) as capture:
        np.testing.assert_array_equal(capture.read(), wave)
        assert len(capture.read()) == 0
    assert not made.streams[0].open
    assert made.streams[0].asked["device"] == 2 and made.streams[0].asked["samplerate"] == 16_000


def test_a_capture_that_nobody_reads_stops(sounddevice):
    sounddevice(wave=np.zeros(11 * 16_000, np.float32))
    with pytest.raises(StopIteration):  # what tells PortAudio to stop
        Capture(find_microphone(2))


def test_a_microphone_in_use_is_told(sounddevice):
    sounddevice(busy=True)
    with pytest.raises(MicrophoneError, match="Close other programs"):
        Capture(find_microphone(2))


def listen(tiny_checkpoint, capsys, *flags):
    status = cli.main(["listen", "--checkpoint", str(tiny_checkpoint), "--device", "cpu", *flags])
    out, err = capsys.readouterr()
    return status, out, err


def test_listen_lists_devices(sounddevice, tiny_checkpoint, capsys):
    sounddevice()
    status, out, _ = listen(tiny_checkpoint, capsys, "--list-devices")
    assert status == 0 and "1  Built-in, 48000 Hz" in out and "2  Headset, 16000 Hz, default" in out


def test_listen_writes_the_string_of_what_it_heard(sounddevice, tiny_checkpoint, tiny_tokenizer, capsys, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)
    sounddevice()
    status, out, _ = listen(tiny_checkpoint, capsys, "--seconds", "4", "--json")
    found = json.loads(out)
    assert status == 0 and found["duration_s"] == 4.0 and found["microphone"] == "Headset"
    wanted = tiny_tokenizer.tokenize(babble(4.0))
    assert found["text"] in wanted.text and len(found["ids"]) == len(found["spans_s"]) > 0.9 * len(wanted)
    status, out, err = listen(tiny_checkpoint, capsys, "--seconds", "4")
    assert out.startswith(found["text"] + "\n") and "Ctrl-C" in err


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only while the command sleeps: half a second a round."""
    passed = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: passed[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: passed.__setitem__(0, passed[0] + seconds))
    return passed


@pytest.mark.parametrize(("flags", "ended_s"), [(["--seconds", "3"], 5.0), (["--seconds", "60"], 10.5), ([], 10.5)])
def test_a_device_that_never_delivers_ends_listening_with_a_sentence(
    sounddevice, tiny_checkpoint, capsys, clock, flags, ended_s
):
    made = sounddevice(wave=np.zeros(0, np.float32))
    status, out, err = listen(tiny_checkpoint, capsys, *flags, "--json")
    assert status == 2 and out == "" and f"no sound came from Headset in {ended_s:.0f} s. Check" in err
    assert clock[0] == ended_s and not made.streams[0].open


@pytest.mark.parametrize(("flags", "ended_s"), [(["--seconds", "6"], 8.0), (["--seconds", "60"], 10.5)])
def test_a_device_that_stops_delivering_does_not_prolong_listening(
    sounddevice, tiny_checkpoint, capsys, clock, flags, ended_s
):
    sounddevice(wave=babble(4.0))
    status, out, _ = listen(tiny_checkpoint, capsys, *flags, "--json")
    assert status == 0 and json.loads(out)["duration_s"] == 4.0 and clock[0] == ended_s


@pytest.mark.parametrize(("flags", "said"), [(["--seconds", "-1"], "--seconds"), (["--microphone", "7"], "7")])
def test_listen_refuses_in_one_line(sounddevice, tiny_checkpoint, capsys, flags, said):
    sounddevice()
    status, out, err = listen(tiny_checkpoint, capsys, *flags)
    assert status == 2 and out == "" and said in err and err.count("\n") == 1
