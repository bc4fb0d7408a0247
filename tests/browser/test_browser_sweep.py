"""The Sweep tab as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.browser.looks import check_accessible, check_fits

CHOSEN_JS = "(text) => document.querySelector('.pa-step[aria-pressed=true]')?.textContent === text"
PLAYED_JS = """([side, span]) =>
  document.querySelector(`#pa-sweep-results .pa-lane[data-side=${side}]`)?.dataset.played === span"""


def upload(page, path: Path) -> None:
    page.locator('#pa-audio button[aria-label="Upload file"]').click()
    page.locator("#pa-audio input[type=file]").first.set_input_files(str(path))
    page.wait_for_selector('#pa-audio button[aria-label="Clear"]')


def sweep(page, step: str = "20") -> None:
    page.get_by_label("Step (ms)").fill(step)
    page.click("#pa-sweep")
    page.wait_for_selector(".pa-ribbon-row")
    page.wait_for_selector("#pa-sweep-plot .main-svg")
    page.wait_for_selector("#pa-sweep-results .pa-pair .pa-chip")


@pytest.fixture
def swept(open_page, speech_wav):
    page = open_page()
    page.get_by_role("tab", name="Sweep").click()
    upload(page, speech_wav)
    sweep(page)
    return page


def test_a_sweep_shows_charts_ribbon_and_numbers(swept):
    page = swept
    assert page.locator(".pa-ribbon-row").count() == 6
    assert page.locator("#pa-sweep-plot .cartesianlayer .subplot").count() == 3
    legend = page.locator("#pa-sweep-plot .legendtext").all_text_contents()
    assert legend == ["PairAlign", "VQ", "Viterbi-VQ", "content floor"]
    assert page.locator("#pa-sweep-results .pa-readings li").count() == 3
    assert "100 ms" in page.inner_text(".pa-step[aria-pressed=true]")
    check_accessible(page)


def test_a_click_on_a_point_is_heard_and_aligned(swept):
    page = swept
    page.locator("#pa-sweep-plot").hover()
    trace = page.locator("#pa-sweep-plot .scatterlayer .trace").nth(1)  # VQ in the first panel
    trace.locator(".point").nth(2).click(force=True)
    page.wait_for_function(CHOSEN_JS, arg="40 ms")
    page.get_by_text("VQ at 0 ms (A) and at 40 ms (B)").wait_for()
    assert page.locator(".pa-ribbon").get_attribute("data-method") == "vq"
    chip = page.locator('#pa-sweep-results .pa-lane[data-side="b"] .pa-chip').first
    span = f"{float(chip.get_attribute('data-start')):.3f}-{float(chip.get_attribute('data-end')):.3f}"
    chip.click()
    page.wait_for_function(PLAYED_JS, arg=["b", span])


def test_rows_can_be_walked_and_chosen_with_the_keyboard(swept):
    page = swept
    page.locator('.pa-step[tabindex="0"]').focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function(CHOSEN_JS, arg="20 ms")
    page.get_by_text("PairAlign at 0 ms (A) and at 20 ms (B)").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "20 ms"
    page.locator("#pa-sweep-step input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(CHOSEN_JS, arg="40 ms")
    page.get_by_text("PairAlign at 0 ms (A) and at 40 ms (B)").wait_for()


def test_another_method_draws_its_own_ribbon(swept):
    page = swept
    page.locator("#pa-sweep-method").get_by_text("VQ", exact=True).click()
    page.wait_for_selector('.pa-ribbon[data-method="vq"]')
    page.wait_for_function(CHOSEN_JS, arg="100 ms")


def test_another_kind_brings_its_own_numbers(swept, tmp_path):
    page = swept
    page.get_by_text("Noise", exact=True).click()
    page.get_by_label("Down to (dB)").wait_for()
    page.get_by_label("Step (dB)").fill("20")
    page.click("#pa-sweep")
    page.wait_for_function("document.querySelectorAll('.pa-ribbon-row').length === 3")
    assert page.locator(".pa-step").all_inner_texts() == ["40 dB", "20 dB", "0 dB"]
    page.locator(".pa-step").nth(1).click()
    page.get_by_text("PairAlign at 40 dB (A) and at 20 dB (B)").wait_for()
    with page.expect_download() as download:
        page.click("#pa-sweep-download")
    assert download.value.suggested_filename == "speech.sweep.json"
    download.value.save_as(tmp_path / "sweep.json")
    assert json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))["values"] == [40, 20, 0]


def test_an_impossible_step_keeps_the_old_result(swept):
    page = swept
    page.get_by_label("Step (ms)").fill("0")
    page.click("#pa-sweep")
    page.locator(".pa-message").get_by_text("use a number above 0").wait_for()
    assert page.locator(".pa-ribbon-row").count() == 6


def test_the_examples_and_an_archive_give_an_average(open_page):
    page = open_page()
    page.get_by_role("tab", name="Sweep").click()
    page.get_by_label("Step (ms)").fill("50")
    page.get_by_role("button", name="Average over several recordings").click()
    page.locator("#pa-average-archive input").click()
    page.get_by_role("option", name="demo").click()
    page.click("#pa-average")
    page.wait_for_selector("#pa-average-plot .main-svg")
    assert "Mean of 30 recordings" in page.inner_text("#pa-sweep-results")


def test_a_phone_in_the_dark(open_page, speech_wav):
    page = open_page(theme="dark", width=390, height=844)
    page.get_by_role("tab", name="Sweep").click()
    upload(page, speech_wav)
    sweep(page, "50")
    check_fits(page)
    inside = "(box) => box.scrollWidth > box.clientWidth"
    assert page.locator(".pa-ribbon-scroll").evaluate(inside), "the ribbon scrolls inside itself"
    check_accessible(page)


def test_a_lesson_sets_the_sweep_and_starts_it(open_page):
    page = open_page()
    page.get_by_role("tab", name="Sweep").click()
    page.get_by_text("Noise", exact=True).click()
    page.get_by_label("Down to (dB)").wait_for()
    page.get_by_role("tab", name="Learn").click()
    page.get_by_label("3. Slide the window").check()
    page.click("#pa-try")
    page.wait_for_selector(".pa-ribbon-row")
    assert page.locator(".pa-ribbon-row").count() == 21
    assert page.get_by_label("Up to (ms)").input_value() == "100"
    assert "slow.ogg" in page.inner_text("#pa-sweep-results .pa-source")
