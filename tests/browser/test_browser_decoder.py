"""The Tokenize tab beyond its first result: linked strings, the decoder's reading, writing again, files, pages."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import numpy as np
import pytest
import soundfile

from tests.browser.looks import check_accessible, check_fits, settle
from tests.browser.test_browser_tokenize import tokenize, upload

LANES_TOP_JS = "document.querySelector('.pa-lane').getBoundingClientRect().top + window.scrollY"


@pytest.fixture
def tokenized(open_page, speech_wav):
    def make(**options):
        page = open_page(**options)
        upload(page, speech_wav)
        tokenize(page)
        return page

    return make


def open_panels(page) -> None:
    """Everything the tab can show, at once."""
    page.get_by_text("How the decoder read the audio").click()
    page.wait_for_selector("#pa-attention .main-svg")
    page.locator("#pa-rewriting").get_by_text("Write it again").first.click()
    settle(page)  # a field that has just appeared forgets what is typed at once
    page.locator("#pa-rewriting input[type=number]").first.fill("12")
    page.locator("#pa-rewriting input[type=number]").first.press("Tab")
    page.click("#pa-rewrite")
    page.wait_for_selector(".pa-verdict")


def spans(page, selector: str) -> list[tuple[float, float]]:
    chips = page.locator(selector)
    return [tuple(pair) for pair in chips.evaluate_all("all => all.map(c => [+c.dataset.start, +c.dataset.end])")]


def test_a_token_in_hand_is_marked_everywhere_and_told_in_one_place(tokenized):
    page = tokenized()
    place = page.locator("[data-readout]")
    before = page.evaluate(LANES_TOP_JS)
    lane = page.locator('.pa-lane[data-method="pairalign"]')
    lane.locator(".pa-chip").nth(1).hover()
    ((start, end),) = spans(page, '.pa-lane[data-method="pairalign"] .pa-chip:nth-child(2)')
    marked = spans(page, ".pa-chip[data-linked]")
    every = spans(page, '.pa-lane:not([data-method="pairalign"]) .pa-chip')
    assert marked == [(s, e) for s, e in every if s < end and start < e] and marked
    assert "PairAlign" in place.inner_text() and "token 2, id" in place.inner_text()
    assert "probability" in place.inner_text()
    assert page.locator("#pa-plot .pa-band").count() == 1
    assert page.evaluate(LANES_TOP_JS) == before, "nothing jumps"


def test_keys_walk_between_strings_and_play_them(tokenized):
    page = tokenized()
    ours = page.locator('.pa-lane[data-method="pairalign"]')
    ours.locator(".pa-chip").nth(1).focus()
    start, end = spans(page, '.pa-lane[data-method="pairalign"] .pa-chip')[1]
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.pa-lane').dataset.method") == "vq"
    below = page.evaluate("[+document.activeElement.dataset.start, +document.activeElement.dataset.end]")
    assert below[0] < end and start < below[1], "the token below sounds at the same time"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.pa-lane').dataset.method") == "viterbi", "and stays there"
    page.keyboard.press("Space")
    lane = page.locator('.pa-lane[data-method="viterbi"]')
    page.wait_for_selector('.pa-lane[data-method="viterbi"][data-playing="all"]')
    assert "Pause" in lane.locator('[data-action="play"]').inner_text()
    page.wait_for_timeout(400)
    page.keyboard.press("Space")
    page.wait_for_selector('.pa-lane[data-playing="all"]', state="detached")
    page.keyboard.press("Space")
    page.wait_for_selector('.pa-lane[data-playing="all"]')
    assert float(lane.get_attribute("data-played").split("-")[0]) > 0.2, "it goes on where it was paused"
    page.keyboard.press("Escape")


def test_chosen_methods_are_the_lanes_and_the_figures_follow(tokenized):
    page = tokenized()
    height = page.locator("#pa-plot").bounding_box()["height"]
    page.locator("#pa-methods label", has_text="PairAlign").click()
    page.locator("#pa-methods label", has_text="Viterbi-VQ").click()
    page.click("#pa-tokenize")
    page.wait_for_function("document.querySelectorAll('.pa-lane').length === 1")
    assert "VQ tokens" in page.inner_text(".pa-figures") and "choose a second string" in page.inner_text(".pa-figures")
    page.wait_for_function("document.querySelectorAll('#pa-plot .cartesianlayer .subplot').length === 3")
    assert page.locator("#pa-plot").bounding_box()["height"] < height
    page.locator("#pa-methods label", has_text="VQ").first.click()
    page.click("#pa-tokenize")
    page.locator(".pa-message").get_by_text("Choose one or more of").wait_for()


def test_the_decoders_reading_and_writing_again(tokenized):
    page = tokenized()
    assert page.locator("#pa-attention .main-svg").count() == 0, "it costs nothing before it is opened"
    open_panels(page)
    tokens = page.locator('.pa-strings .pa-lane[data-method="pairalign"] .pa-chip').count()
    page.get_by_text("Attention as a table").click()
    assert page.locator("#pa-decoder tbody tr").count() == tokens
    page.locator(".pa-strings .pa-chip").first.focus()
    assert page.locator("#pa-attention .pa-band").count() == 1, "the span shows in this figure too"
    again = page.locator("#pa-rewritten .pa-lane")
    assert [again.nth(k).locator(".pa-chip").count() for k in range(2)] == [tokens, 12]
    assert "12 tokens" in page.inner_text(".pa-verdict")
    again.nth(1).locator(".pa-chip").nth(3).click()
    page.wait_for_selector('#pa-rewritten .pa-lane[data-side="b"][data-played]')
    page.click("#pa-tokenize")
    page.wait_for_selector(".pa-verdict", state="detached")
    page.wait_for_selector("#pa-attention .main-svg")


def test_files_to_save(tokenized, speech_wav, tmp_path):
    page = tokenized()

    def saved(kind: str):
        with page.expect_download() as download:
            page.click(f"#pa-save-{kind}")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        return path

    empty_box = page.locator('[aria-label="Empty value"]:visible')
    assert empty_box.count() == 0, "what hands the files over does not show"
    rows = list(csv.DictReader(io.StringIO(saved("csv").read_text(encoding="utf-8"))))
    assert empty_box.count() == 0
    assert len(rows) == page.locator(".pa-chip").count()
    with zipfile.ZipFile(saved("zip")) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["speech.TextGrid", "speech.csv", "speech.pairalign.json", "speech.wav"]
        assert json.loads(archive.read("speech.pairalign.json"))["files"][0]["file"] == "speech.wav"
        whole, rate_hz = soundfile.read(io.BytesIO(archive.read("speech.wav")), dtype="int16")
    original, _ = soundfile.read(speech_wav, dtype="int16")
    assert rate_hz == 16_000 and whole.size == original.size
    assert np.abs(whole.astype(int) - original).max() <= 1
    chip = page.locator(".pa-chip").nth(2)
    chip.focus()
    start, end = (float(chip.get_attribute(f"data-{edge}")) for edge in ("start", "end"))
    assert page.inner_text("#pa-save-wav") == "WAV of token 3"
    part = saved("wav")
    assert part.name == f"speech_{start:.2f}-{end:.2f}s.wav"
    assert soundfile.read(part)[0].size == pytest.approx((end - start) * 16_000, abs=2)
    page.keyboard.press("Escape")
    assert page.inner_text("#pa-save-wav") == "WAV"
    assert saved("wav").name == "speech.wav"


def test_a_long_recording_is_shown_in_pages(open_page, speech_wav, tmp_path):
    wave, rate_hz = soundfile.read(speech_wav, dtype="float32")
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(wave, 21), rate_hz)  # 65 s
    page = open_page()
    upload(page, path)
    tokenize(page)
    assert page.inner_text(".pa-place") == "0:00–1:00 of 1:05"
    assert max(start for start, _ in spans(page, ".pa-chip")) < 60
    page.get_by_text("Next →").click()
    page.get_by_text("1:00–1:05 of 1:05").wait_for()
    shown = spans(page, ".pa-chip")
    assert shown and min(start for start, _ in shown) >= 60
    page.locator(".pa-chip").first.focus()
    assert page.locator("#pa-plot .pa-band").count() == 1
    page.get_by_text("← Previous").click()
    page.get_by_text("0:00–1:00 of 1:05").wait_for()
    page.get_by_text("How the decoder read the audio").click()
    page.get_by_text("Only the first 3 s.").wait_for()


def test_nobody_is_left_out(tokenized):
    page = tokenized()
    open_panels(page)
    page.get_by_text("Tokens as a table").click()
    page.locator(".pa-modelcard > summary").click()
    page.locator(".pa-strings .pa-chip").nth(2).focus()
    for theme in ("light", "dark"):
        page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
        check_accessible(page)


def test_phone_width_has_no_overflow_with_everything_open(tokenized):
    page = tokenized(width=390, height=844)
    open_panels(page)
    check_fits(page)
