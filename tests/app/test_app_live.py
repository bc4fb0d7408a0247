"""Listening as the page's script meets it: streams by name, base64 in, plain objects out."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import app.live as live_module
from app.live import LiveStreams
from app.live_html import panel_html
from app.services import Services
from pairalign.microphone import Capture
from tests.fake_sounddevice import make_sounddevice

ROOT = Path(__file__).resolve().parents[2]


def encoded(wave: np.ndarray) -> str:
    return base64.b64encode(np.round(wave * 32_767).astype("<i2").tobytes()).decode()


@pytest.fixture
def live(services) -> LiveStreams:
    return LiveStreams(services)


def listen(live: LiveStreams, wave: np.ndarray, rate_hz: int = 16_000) -> tuple[str, list[dict]]:
    """Feed a wave by half seconds: the stream's name and all answers, with that of its end."""
    name = live.open(rate_hz)["stream"]
    size = rate_hz // 2
    answers = [live.feed(name, encoded(wave[start : start + size])) for start in range(0, len(wave), size)]
    return name, [*answers, live.finish(name)]


def test_the_final_tokens_are_the_string_of_what_was_sent(live, services, speech):
    name, answers = listen(live, speech)
    sent = live.keep(name, 30)
    heard = sent.astype(np.float32) / 32_767
    wanted = services.tokenizer().tokenize(heard)
    rows = [row for answer in answers for row in answer["committed"]]
    assert [row[0] for row in rows] == list(wanted.ids)
    assert "".join(row[1] for row in rows) == wanted.text
    assert answers[-1]["tentative"] == [] and answers[-1]["now_s"] == pytest.approx(len(speech) / 16_000)


def test_the_picture_has_a_column_for_every_10_ms(live, speech):
    wave = np.concatenate([speech, speech])
    _, answers = listen(live, wave)
    at = 0
    for answer in answers:
        assert answer["mel"]["first"] == at
        at += len(base64.b64decode(answer["mel"]["values"])) // 80
    assert len(wave) // 160 - 3 <= at <= len(wave) // 160


def test_the_picture_of_silence_is_dark_and_of_speech_is_not(live, speech):
    def brightest(wave):
        return max(max(base64.b64decode(one["mel"]["values"]), default=0) for one in listen(live, wave)[1])

    assert brightest(np.zeros(32_000, np.float32)) == 0
    assert brightest(speech) > 200


def test_a_late_page_sends_more_at_once_and_loses_nothing(live, speech):
    name = live.open(16_000)["stream"]
    wave = np.tile(speech, 4)
    answer = live.feed(name, encoded(wave))
    assert answer["now_s"] == len(wave) / 16_000 and len(answer["committed"]) > 10
    with pytest.raises(ValueError, match="30 seconds"):
        live.feed(name, encoded(np.zeros(31 * 16_000, np.float32)))


def test_the_last_seconds_are_kept_after_the_end(live, speech):
    name, _ = listen(live, speech)
    kept = live.keep(name, 1)
    np.testing.assert_allclose(kept, np.round(speech[-16_000:] * 32_767), atol=1.01)
    live.close(name)
    with pytest.raises(ValueError, match="no longer"):
        live.keep(name, 1)
    with pytest.raises(ValueError, match="press Start"):
        live.keep("", 1)


def test_streams_decode_with_one_thread_and_nobody_else_does(live):
    before = torch.get_num_threads()
    assert live._decoding.submit(torch.get_num_threads).result() == 1
    assert torch.get_num_threads() == before
    with ThreadPoolExecutor(1) as other:
        assert other.submit(torch.get_num_threads).result() == before


@pytest.mark.parametrize("name", [None, "", "nobody", 3, ["a"]])
def test_only_the_names_of_streams_open_them(live, name):
    with pytest.raises(ValueError, match="press Start|Press Start"):
        live.feed(name, "")


@pytest.mark.parametrize("pcm", [None, 5, "not base64!", "AAAA", {"a": 1}])
def test_damaged_sound_is_refused(live, pcm):
    name = live.open(16_000)["stream"]
    with pytest.raises(ValueError):
        live.feed(name, pcm)


@pytest.mark.parametrize("rate_hz", [None, "48000", True, 0, float("nan"), 1e9])
def test_impossible_rates_are_refused(live, rate_hz):
    with pytest.raises(ValueError):
        live.open(rate_hz)


def test_streams_that_nobody_feeds_make_room(live, monkeypatch):
    monkeypatch.setattr(live_module, "MAX_STREAMS", {False: 2, True: 2})
    first = live.open(16_000)["stream"]
    live.open(16_000)
    with pytest.raises(ValueError, match="Too many pages"):
        live.open(16_000)
    live._streams[first].used -= live_module.IDLE_S + 1
    live.open(16_000)
    with pytest.raises(ValueError, match="no longer"):
        live.feed(first, "")


def test_a_stream_that_nobody_asks_for_soon_holds_no_slot_and_can_still_be_kept(live, speech, monkeypatch):
    monkeypatch.setattr(live_module, "MAX_STREAMS", {False: 2, True: 2})
    first, second = (live.open(16_000)["stream"] for _ in range(2))
    live.feed(first, encoded(speech))
    live._streams[first].used -= live_module.SLOT_S + 1
    third = live.open(16_000)["stream"]
    assert len(live.keep(first, 1)) == 16_000, "its sound is there"
    live._streams[first].used -= live_module.SLOT_S + 1
    with pytest.raises(ValueError, match="Too many pages"):
        live.feed(first, encoded(speech))
    live.finish(second)
    assert live.feed(first, encoded(speech))["now_s"] == 2 * len(speech) / 16_000, "it goes on when there is room"
    with pytest.raises(ValueError, match="Too many pages"):
        live.open(16_000)
    live.close(third)
    live.open(16_000)


def test_a_stream_that_has_ended_holds_no_slot_and_few_are_kept(live, monkeypatch):
    monkeypatch.setattr(live_module, "MAX_STREAMS", {False: 2, True: 2})
    names = []
    for _ in range(6):
        names.append(live.open(16_000)["stream"])
        live.finish(names[-1])
    assert list(live._streams)[-3:] == names[-3:] and len(live._streams) == 3


def test_a_closed_page_leaves_its_streams(live, monkeypatch):
    monkeypatch.setattr(live_module, "MAX_STREAMS", {False: 2, True: 2})
    one, other = (live.open(16_000, page)["stream"] for page in ("one", "other"))
    live.leave("one")
    live.open(16_000, "third")
    assert live.feed(other, "")["now_s"] == 0
    with pytest.raises(ValueError, match="no longer has this stream"):
        live.feed(one, "")


def test_in_public_listening_ends_after_a_while(tiny_checkpoint, speech):
    public = LiveStreams(Services(str(tiny_checkpoint), device="cpu", public=True))
    public.limit_s = 4.0
    name = public.open(16_000)["stream"]
    assert "ended" not in public.feed(name, encoded(speech))
    answer = public.feed(name, encoded(speech))
    assert "Press Start" in answer["ended"] and answer["tentative"] == []
    assert public.feed(name, encoded(speech))["now_s"] == answer["now_s"], "nothing is heard after the end"


def test_the_servers_microphone_is_off_unless_asked_for(live):
    assert live.microphones() == []
    with pytest.raises(ValueError, match="--mic"):
        live.open_microphone(0)


def test_the_servers_microphone(tiny_checkpoint, speech, monkeypatch):
    made = make_sounddevice(wave=speech)
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    live = LiveStreams(Services(str(tiny_checkpoint), device="cpu", microphone=True))
    assert live.microphones() == [(1, "Built-in"), (2, "Headset")]
    opened = live.open_microphone(2)
    assert opened["rate_hz"] == 16_000
    answer = live.poll(opened["stream"])
    assert answer["tentative"] and len(base64.b64decode(answer["pcm"])) == 2 * len(speech)
    with pytest.raises(ValueError, match="from the browser"):
        live.poll(live.open(16_000)["stream"])
    live.finish(opened["stream"])
    assert not made.streams[0].open, "the microphone is off when the stream ends"


@pytest.mark.parametrize("how", ["close", "finish", "leave"])
def test_the_servers_microphone_is_not_closed_while_it_is_read(how, tiny_checkpoint, speech, monkeypatch):
    made = make_sounddevice(wave=speech)
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    live = LiveStreams(Services(str(tiny_checkpoint), device="cpu", microphone=True))
    name = live.open_microphone(2, "page")["stream"]
    reading, go_on = threading.Event(), threading.Event()
    real, open_then = Capture.read, []

    def read(capture):
        reading.set()
        go_on.wait(10)
        open_then.append(made.streams[0].open)
        return real(capture)

    monkeypatch.setattr(Capture, "read", read)
    act = {"close": lambda: live.close(name), "finish": lambda: live.finish(name), "leave": lambda: live.leave("page")}
    with ThreadPoolExecutor(2) as threads:
        polled = threads.submit(live.poll, name)
        assert reading.wait(10)
        ended = threads.submit(act[how])
        time.sleep(0.05)
        assert not ended.done()
        go_on.set()
        assert len(base64.b64decode(polled.result(10)["pcm"])) == 2 * len(speech)
        ended.result(10)
    assert open_then == [True] and not made.streams[0].open
    if how == "finish":
        assert live.poll(name)["pcm"] == "", "one that has ended has nothing new to say, and is still the server's"


def test_while_paused_the_servers_microphone_is_not_heard(tiny_checkpoint, speech, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", make_sounddevice(wave=speech))
    live = LiveStreams(Services(str(tiny_checkpoint), device="cpu", microphone=True))
    answer = live.poll(live.open_microphone(2)["stream"], paused=True)
    assert answer["now_s"] == 0 and answer["pcm"] == ""


def test_names_of_microphones_are_escaped():
    assert "<script>" not in panel_html([(1, "<script>alert(1)</script>")])
    assert "<select" not in panel_html([]), "there is nothing to choose"


@pytest.mark.parametrize("flags", [["--host", "0.0.0.0"], ["--share"], ["--public"]])
def test_the_servers_microphone_is_never_offered_to_others(flags):
    run = subprocess.run(
        [sys.executable, "app.py", "--mic", *flags], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 2 and "--mic" in run.stderr and len(run.stderr.strip().splitlines()) == 1


def test_nor_on_spaces():
    run = subprocess.run(
        [sys.executable, "app.py", "--mic"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env=dict(os.environ, SPACE_ID="a/b"),
    )
    assert run.returncode == 2 and "--mic" in run.stderr


def test_the_page_calls_the_functions_and_mistakes_are_answers(app_url):
    """As Gradio's own client does it: a POST to the component's functions."""
    import json
    import re

    page = urllib.request.urlopen(app_url).read().decode()
    config = json.loads(re.search(r"window\.gradio_config = (\{.*?\});</script>", page).group(1))
    panel = next(one for one in config["components"] if one["props"].get("elem_id") == "pa-live")

    def call(function: str, data: object) -> dict:
        body = {"data": data, "component_id": panel["id"], "fn_name": function, "session_hash": "s"}
        request = urllib.request.Request(
            f"{app_url}gradio_api/component_server/",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        return json.loads(urllib.request.urlopen(request).read())

    stream = call("open_stream", {"rate_hz": 16_000})["stream"]
    assert call("feed", {"stream": stream, "pcm": encoded(np.zeros(8_000))})["now_s"] == 0.5
    assert "no longer" in call("feed", {"stream": "x", "pcm": ""})["error"]
    assert "sample rate" in call("open_stream", ["nonsense"])["error"]
    assert "--mic" in call("open_microphone", {"index": 0})["error"]
    assert call("close", {"stream": stream}) == {}
