"""The Tokenize tab as a person uses it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.browser.looks import check_fits
from tests.conftest import babble
from tests.unit.encoders import encode

# chips remember the span they played last; see data-played in page.js
PLAYED_JS = "(span) => document.querySelector('.pa-lane').dataset.played === span"


def upload(page, path: Path) -> None:
    page.locator('#pa-audio button[aria-label="Upload file"]').click()
    page.locator("#pa-audio input[type=file]").first.set_input_files(str(path))
    page.wait_for_selector('#pa-audio button[aria-label="Clear"]')


def tokenize(page) -> None:
    page.click("#pa-tokenize")
    page.wait_for_selector(".pa-chip")
    page.wait_for_selector("#pa-plot .main-svg")
    page.wait_for_selector("#pa-player audio", state="attached")


@pytest.fixture
def tokenized(open_page, speech_wav):
    page = open_page()
    upload(page, speech_wav)
    tokenize(page)
    return page


def test_upload_tokenize_and_read_the_result(tokenized):
    page = tokenized
    big = page.locator(".pa-card dd:not(.pa-note)").all_inner_texts()
    assert len(big) == 4 and big[0].isdigit() and big[3].endswith("%")
    for method in ("pairalign", "vq"):
        chips = page.locator(f'.pa-lane[data-method="{method}"] .pa-chip')
        label = chips.first.get_attribute("aria-label")
        assert re.fullmatch(r"token 1, id \d+, \d\.\d\d–\d\.\d\d s", label)
    assert page.locator('.pa-lane[data-method="pairalign"] .pa-chip').count() == int(big[0])
    assert page.locator("#pa-plot .cartesianlayer .subplot").count() == 5, "wave, log-mel and three strings"
    assert "speech.wav" in page.inner_text(".pa-source")
    assert page.inner_text("#pa-header").count("cpu") == 1


def test_what_the_browser_calls_video_is_taken_for_its_sound(open_page, tmp_path):
    (tmp_path / "note.webm").write_bytes(encode(babble(2.0, rate_hz=48_000), "webm", "libopus"))
    page = open_page()
    upload(page, tmp_path / "note.webm")
    tokenize(page)
    assert "note.webm" in page.inner_text(".pa-source")


def test_clicking_a_chip_plays_exactly_its_span(tokenized):
    page = tokenized
    chip = page.locator(".pa-chip").nth(2)
    start, end = float(chip.get_attribute("data-start")), float(chip.get_attribute("data-end"))
    chip.click()
    page.wait_for_function(PLAYED_JS, arg=f"{start:.3f}-{end:.3f}")
    page.wait_for_selector(".pa-chip[data-playing]", state="detached")
    assert page.locator(".pa-head").count() == 0, "the line in the figure goes when the sound ends"


def test_play_all_lights_chip_after_chip_and_stops(tokenized):
    page = tokenized
    page.locator('[data-action="play"]').first.click()
    page.wait_for_selector('.pa-lane[data-playing="all"] .pa-chip[data-playing]')
    first = page.locator(".pa-chip[data-playing]").first.get_attribute("data-start")
    page.wait_for_function(
        "(first) => { const lit = document.querySelector('.pa-chip[data-playing]');"
        " return lit && lit.dataset.start !== first }",
        arg=first,
    )
    assert page.locator(".pa-head").count() == 1
    page.keyboard.press("Escape")
    page.wait_for_selector(".pa-chip[data-playing]", state="detached")


def test_keyboard_walks_chips_and_plays(tokenized):
    page = tokenized
    page.locator(".pa-chip").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("token 2,")
    assert page.locator(".pa-band").count() == 1, "the focused chip's span is shaded in the figure"
    page.keyboard.press("Enter")
    chip = page.locator(".pa-chip").nth(1)
    span = f"{float(chip.get_attribute('data-start')):.3f}-{float(chip.get_attribute('data-end')):.3f}"
    page.wait_for_function(PLAYED_JS, arg=span)
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement === document.activeElement.parentElement.lastElementChild")


def test_copy_and_download(tokenized, tmp_path):
    page = tokenized
    page.context.grant_permissions(["clipboard-read", "clipboard-write", "microphone"])
    page.locator('[data-action="copy-text"]').first.click()
    page.wait_for_function("document.querySelector('[data-status]').textContent === 'Copied'")
    string = page.locator(".pa-lane").first.get_attribute("data-text")
    assert page.evaluate("navigator.clipboard.readText()") == string
    with page.expect_download() as download:
        page.click("#pa-save-json")
    assert download.value.suggested_filename == "speech.pairalign.json"
    download.value.save_as(tmp_path / "strings.json")
    document = json.loads((tmp_path / "strings.json").read_text(encoding="utf-8"))
    assert document["files"][0]["strings"]["pairalign"]["text"] == string


def test_examples_are_one_click(open_page):
    page = open_page()
    page.get_by_text("Ten digits").click()
    page.wait_for_selector(".pa-chip")
    assert "digits" in page.inner_text(".pa-source")


def test_record_from_the_microphone(open_page):
    page = open_page()
    page.locator('#pa-audio button[aria-label="Record audio"]').click()
    page.locator("#pa-audio .record-button").click()
    page.wait_for_timeout(1_500)
    page.locator("#pa-audio .stop-button").click()
    page.wait_for_selector('#pa-audio [aria-label="Play"]')
    tokenize(page)
    seconds = float(re.search(r"([\d.]+) s of audio", page.inner_text(".pa-source")).group(1))
    assert 0.8 < seconds < 4


def test_dark_mode_and_phone_width(open_page, speech_wav):
    page = open_page(theme="dark", width=390, height=844)
    assert page.evaluate("document.body.classList.contains('dark')")
    upload(page, speech_wav)
    tokenize(page)
    check_fits(page)
    dark = page.evaluate("getComputedStyle(document.querySelector('.pa-chip')).backgroundColor")
    page.evaluate("document.body.classList.remove('dark')")
    assert dark != page.evaluate("getComputedStyle(document.querySelector('.pa-chip')).backgroundColor")


def test_tablet_width_has_no_overflow(open_page, speech_wav):
    page = open_page(width=800)
    upload(page, speech_wav)
    tokenize(page)
    check_fits(page)


def test_errors_are_readable_and_keep_the_old_result(open_page, speech_wav, tmp_path):
    # Gradio's own player complains about a file it cannot draw; that is not ours to silence
    page = open_page(allowed="Waveform load error")
    page.keyboard.press("Control+Enter")
    page.locator(".pa-message").get_by_text("There is no recording yet").wait_for()
    upload(page, speech_wav)
    tokenize(page)
    before = page.inner_text(".pa-source")
    bad = tmp_path / "broken.wav"
    bad.write_bytes(b"RIFF and then nothing of use" * 30)
    page.locator('#pa-audio button[aria-label="Clear"]').click()
    upload(page, bad)
    page.click("#pa-tokenize")
    page.locator(".pa-message").get_by_text("broken.wav:").wait_for()
    assert "Traceback" not in page.inner_text("body")
    assert page.inner_text(".pa-source") == before


def test_nothing_is_fetched_from_elsewhere(open_page, app_url, speech_wav):
    asked: list[str] = []
    page = open_page(asked=asked)
    upload(page, speech_wav)
    tokenize(page)
    assert asked and [url for url in asked if not url.startswith((app_url, "data:", "blob:"))] == []
