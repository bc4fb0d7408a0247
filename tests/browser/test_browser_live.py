"""The Live tab as a person uses it: Chromium's fake microphone plays a shipped recording over and over."""

from __future__ import annotations

import re

import pytest

from pairalign.strings import edit_distance
from tests.browser.conftest import launched
from tests.browser.looks import check_accessible, check_fits

FINAL_JS = "(count) => document.querySelectorAll('.pa-live-chip[data-final]').length >= count"
REFUSED_JS = """() => { navigator.mediaDevices.getUserMedia =
  () => Promise.reject(new DOMException('Permission denied', 'NotAllowedError')); }"""


# a sounddevice whose microphone plays a WAV over and over, as fast as it was said
SOUNDDEVICE = """
import os, threading, time
import soundfile

class PortAudioError(Exception):
    pass

class CallbackStop(Exception):
    pass

class default:
    device = [0, -1]

def query_devices():
    return [{"name": "Lectern <b>", "max_input_channels": 1, "default_samplerate": 16000.0}]

class InputStream:
    def __init__(self, callback, **asked):
        self.callback, self.open = callback, True

    def start(self):
        threading.Thread(target=self.play, daemon=True).start()

    def play(self):
        wave, _ = soundfile.read(os.environ["FAKE_MICROPHONE"], dtype="float32", always_2d=True)
        while self.open:
            for start in range(0, len(wave) - 1600, 1600):
                time.sleep(0.1)
                if self.open:
                    self.callback(wave[start : start + 1600], 1600, None, None)

    def stop(self):
        self.open = False

    close = stop
"""


def open_live(page):
    page.get_by_role("tab", name="Live").click()
    page.wait_for_selector("#pa-live-start")
    return page


def final_ids(page) -> list[int]:
    return [int(chip.get_attribute("data-id")) for chip in page.locator(".pa-live-chip[data-final]").all()]


def stop(page) -> None:
    page.click("#pa-live-start")
    page.get_by_text("All tokens are final").wait_for()


def kept_string(page, seconds: int) -> tuple[list[int], float]:
    """Use the last seconds in the Tokenize tab; the ids that it writes, and how long the recording is."""
    page.locator("#pa-live-seconds input[type=number]").fill(str(seconds))
    page.locator("#pa-live-seconds input[type=number]").press("Tab")
    page.click("#pa-live-use")
    page.wait_for_selector('#pa-audio button[aria-label="Clear"]')
    page.get_by_role("tab", name="Tokenize").click()
    page.click("#pa-tokenize")
    page.wait_for_selector('.pa-lane[data-method="pairalign"] .pa-chip')
    lane = page.locator('#pa-strings .pa-lane[data-method="pairalign"]')
    seconds = float(re.search(r"([\d.]+) s of audio", page.inner_text("#pa-results .pa-source")).group(1))
    return [int(one) for one in lane.get_attribute("data-ids").split()], seconds


def test_chips_grow_while_one_speaks_and_the_final_ones_are_the_offline_string(open_page):
    page = open_live(open_page())
    page.click("#pa-live-start")
    page.wait_for_selector(".pa-live-chip:not([data-final])")
    assert page.locator(".pa-live-box:not([data-final])").count() > 1, "tentative tokens stand below the log-mel"
    page.wait_for_function(FINAL_JS, arg=10)
    before = final_ids(page)
    page.wait_for_function(FINAL_JS, arg=len(before) + 20)
    during = final_ids(page)
    assert during[: len(before)] == before, "final tokens never change"
    assert page.locator(".pa-live-strip canvas").count() >= 1
    assert int(page.inner_text('[data-meter="latency"]')) > 0
    assert re.fullmatch(r"\d+ %", page.inner_text('[data-meter="revised"]'))
    stop(page)
    live = final_ids(page)
    assert live[: len(during)] == during
    assert page.locator(".pa-live-chip:not([data-final])").count() == 0
    offline, _ = kept_string(page, 30)
    assert edit_distance(live, offline) <= 0.05 * len(offline)


def test_the_last_seconds_become_the_recording_of_every_tab(open_page):
    page = open_live(open_page())
    page.click("#pa-live-start")
    page.wait_for_function(FINAL_JS, arg=12)
    page.click("#pa-live-freeze")
    page.get_by_text("Frozen").wait_for()
    page.wait_for_timeout(700)  # what was on its way arrives
    frozen = page.locator(".pa-live-chip").count()
    page.wait_for_timeout(1_500)
    assert page.locator(".pa-live-chip").count() == frozen, "nothing is heard while frozen"
    _, seconds = kept_string(page, 2)
    assert seconds == pytest.approx(2.0, abs=0.01)
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Go on").click()
    page.wait_for_function("(count) => document.querySelectorAll('.pa-live-chip').length > count + 5", arg=frozen)
    page.click("#pa-live-clear")
    assert page.locator(".pa-live-chip").count() == 0
    page.get_by_role("button", name="Start", exact=True).wait_for()


def test_keeping_before_anything_was_heard_is_told(open_page):
    page = open_live(open_page())
    page.click("#pa-live-use")
    page.get_by_text("press Start and say something first").wait_for()


def test_a_refused_microphone_is_told_with_what_to_do(open_page):
    page = open_live(open_page())
    page.evaluate(REFUSED_JS)
    page.click("#pa-live-start")
    page.get_by_text("Allow it with the icon beside the page's address").wait_for()
    assert page.inner_text("#pa-live-start") == "Start"


def test_chips_are_walked_with_the_keyboard_and_say_what_they_are(open_page):
    page = open_live(open_page())
    page.click("#pa-live-start")
    page.wait_for_function(FINAL_JS, arg=12)
    stop(page)
    chips = page.locator(".pa-live-chip")
    assert re.fullmatch(r"token \d+, [\d.]+–[\d.]+ s, final", chips.first.get_attribute("aria-label"))
    assert page.locator('.pa-live-chip[tabindex="0"]').count() == 1
    page.locator('.pa-live-chip[tabindex="0"]').focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement === document.querySelectorAll('.pa-live-chip')[1]")
    page.keyboard.press("Enter")
    page.wait_for_selector(".pa-live-chip[data-played]")
    check_accessible(page)


def test_a_phone_in_the_dark(open_page):
    page = open_live(open_page(theme="dark", width=390, height=844))
    page.click("#pa-live-start")
    page.wait_for_function(FINAL_JS, arg=8)
    stop(page)
    check_fits(page)
    check_accessible(page)


def test_the_microphone_of_this_machine(open_page, tiny_checkpoint, speech_wav, tmp_path):
    (tmp_path / "sounddevice.py").write_text(SOUNDDEVICE)
    environment = {"PYTHONPATH": str(tmp_path), "FAKE_MICROPHONE": str(speech_wav)}
    with launched("--mic", "--checkpoint", str(tiny_checkpoint), **environment) as url:
        page = open_live(open_page(url=url))
        page.get_by_label("Microphone").select_option(label="Lectern <b>")
        page.evaluate(REFUSED_JS)  # the browser's own is not asked for
        page.click("#pa-live-start")
        page.get_by_text("microphone of this machine").wait_for()
        page.wait_for_function(FINAL_JS, arg=12)
        stop(page)
        page.locator(".pa-live-chip").nth(3).click()
        page.wait_for_selector(".pa-live-chip[data-played]")
        live = final_ids(page)
        offline, _ = kept_string(page, 30)
        assert edit_distance(live, offline) <= 0.05 * len(offline)
        page.close()  # before the server goes, or it would complain
