"""The Views tab as a person uses it."""

from __future__ import annotations

import re

import pytest

from tests.browser.looks import check_accessible, check_fits
from tests.browser.test_browser_tokenize import upload

RESULTS = "#pa-views-results"
DISTANCE_JS = "document.querySelector('#pa-views-results .pa-pair').innerHTML"
CHANGED_JS = f"(before) => {DISTANCE_JS} !== before"
PLAYED_JS = (
    "([side, span]) => document.querySelector(`#pa-views-results .pa-lane[data-side=${side}]`).dataset.played === span"
)


def open_views(page, path) -> None:
    upload(page, path)
    page.get_by_role("tab", name="Views").click()
    page.click("#pa-views")
    page.wait_for_selector(f"{RESULTS} .pa-chip")
    page.wait_for_selector("#pa-views-plot-b .main-svg")
    page.wait_for_selector("#pa-views-player-b audio", state="attached")


def span(chip) -> str:
    return "-".join(f"{float(chip.get_attribute(name)):.3f}" for name in ("data-start", "data-end"))


@pytest.fixture
def compared(open_page, speech_wav):
    page = open_page()
    open_views(page, speech_wav)
    return page


def test_upload_compare_and_read_the_alignment(compared):
    page = compared
    lengths = re.findall(r"\d+", page.locator(f"{RESULTS} .pa-card dd").first.inner_text())
    for side, length in zip("ab", lengths, strict=True):
        chips = page.locator(f"{RESULTS} .pa-lane[data-side={side}] .pa-chip")
        assert chips.count() == int(length)
        said = chips.first.get_attribute("aria-label")
        assert re.match(rf"{side.upper()} token 1, id \d+, \d\.\d\d–\d\.\d\d s, \w+", said)
    assert "speech.wav" in page.locator(".pa-side").first.inner_text()
    assert "pink noise" in page.locator(".pa-side").nth(1).inner_text()
    for row in ("a", "b"):
        tops = page.locator(f".pa-lane[data-side={row}] .pa-row > *").evaluate_all(
            "(cells) => cells.slice(0, 4).map((cell) => Math.round(cell.getBoundingClientRect().left))"
        )
        assert tops == sorted(set(tops)), "columns stand beside each other"


def test_sliders_presets_and_surprises_compare_again_by_themselves(compared):
    page = compared
    before = page.evaluate(DISTANCE_JS)
    slider = page.locator("#pa-views-b input[type=range]").nth(1)
    slider.focus()
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(CHANGED_JS, arg=before)
    page.locator(".pa-side").nth(1).get_by_text("1.14 ×").wait_for()
    preset = page.locator("#pa-views-b input").first
    assert preset.input_value() == "Your own"
    preset.click()
    page.get_by_role("option", name="Telephone").click()
    page.get_by_text("codec telephone").wait_for()
    seed = page.locator("#pa-views-b").get_by_label("Seed")
    before = seed.input_value()
    page.locator("#pa-views-b").get_by_role("button", name="Surprise me").click()
    page.get_by_text("codec telephone").wait_for(state="detached")
    assert seed.input_value() != before and "equaliser" in page.locator(".pa-side").nth(1).inner_text()


def test_a_column_plays_in_a_and_then_in_b(compared):
    page = compared
    column = page.locator(f'{RESULTS} .pa-link[data-op="match"], {RESULTS} .pa-link[data-op="sub"]').first
    number = column.get_attribute("data-column")
    chips = page.locator(f'{RESULTS} .pa-chip[data-column="{number}"]')
    column.click()
    for index, side in enumerate("ab"):
        page.wait_for_function(PLAYED_JS, arg=[side, span(chips.nth(index))])
    page.wait_for_selector(".pa-chip[data-playing]", state="detached")


def test_keyboard_walks_a_string_and_plays_a_column(compared):
    page = compared
    chips = page.locator(f"{RESULTS} .pa-lane[data-side=b] .pa-chip")
    chips.first.focus()
    for _ in range(50):  # a figure that is still being drawn loses its marks
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        if page.locator(".pa-band").count():
            break
        page.wait_for_timeout(100)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("B token 2,")
    assert page.locator("#pa-views-plot-b .pa-band").count() == 1, "its span is shaded in the figure of B"
    assert page.locator("#pa-views-plot-a .pa-band").count() == 0
    page.keyboard.press("Shift+Enter")
    page.wait_for_function(PLAYED_JS, arg=["b", span(chips.nth(1))])
    page.keyboard.press("Escape")
    page.wait_for_selector(".pa-chip[data-playing]", state="detached")


def test_two_recordings_and_likelihoods(open_page):
    page = open_page()
    page.get_by_role("tab", name="Views").click()
    page.get_by_text("Two recordings", exact=True).click()
    page.get_by_text("Same sentence, two voices").click()
    page.wait_for_selector(f"{RESULTS} .pa-chip")
    assert page.locator(f"{RESULTS} .pa-lane-head h3").all_inner_texts() == ["Recording A", "Recording B"]
    assert "Timing" not in page.inner_text(f"{RESULTS} .pa-figures")
    page.get_by_text("How likely is each string").click()
    page.wait_for_selector(".pa-likelihood")
    assert page.locator(".pa-likelihood td[style]").count() == 25


def test_a_missing_second_recording_is_told(open_page, speech_wav):
    page = open_page()
    upload(page, speech_wav)
    page.get_by_role("tab", name="Views").click()
    page.get_by_text("Two recordings", exact=True).click()
    page.wait_for_selector("#pa-audio-b")
    page.click("#pa-views")
    page.locator(".pa-message").get_by_text("There is no second recording yet").wait_for()


def test_a_longer_recording_gets_a_start(open_page):
    page = open_page()
    page.get_by_role("tab", name="Views").click()
    assert not page.locator("#pa-views-start").is_visible()
    page.get_by_text("Slow speech").click()
    start = page.locator("#pa-views-start input[type=range]")
    start.wait_for()
    assert 1.2 < float(start.get_attribute("max")) < 1.6
    start.fill("1")
    page.get_by_text("1.00–4.00 s").wait_for()
    page.get_by_text("Same sentence, voice B").first.click()
    page.get_by_text("0.00–2.64 s").wait_for()


def test_nothing_serious_for_axe_and_no_overflow_on_a_phone(open_page, speech_wav):
    page = open_page(width=390, height=844)
    open_views(page, speech_wav)
    page.get_by_text("How likely is each string").click()
    page.wait_for_selector(".pa-likelihood")
    page.get_by_text("Edit script as a table").click()
    check_fits(page)
    for theme in ("light", "dark"):
        page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
        check_accessible(page)
