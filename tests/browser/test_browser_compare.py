"""The Compare tab as a person uses it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.looks import check_accessible, check_fits


def compare(page) -> None:
    page.get_by_role("tab", name="Compare").click()
    page.click("#pa-compare")
    page.wait_for_selector("#pa-compare-results .pa-measures")


def test_the_examples_fill_bars_sentences_and_table(open_page, tmp_path: Path):
    page = open_page()
    compare(page)
    assert page.locator(".pa-bar-panel").count() == 9
    assert page.locator(".pa-bar-panel").first.locator("li").count() == 3
    heads = page.locator("#pa-compare-results .pa-measures thead th").all_inner_texts()
    assert heads == ["Measure", "PairAlign", "VQ", "Viterbi-VQ"]
    assert "6 recordings" in page.inner_text("#pa-compare-results .pa-source")
    assert "tokens a second" in page.inner_text("#pa-compare-results .pa-readings")
    with page.expect_download() as download:
        page.click("#pa-compare-download")
    download.value.save_as(tmp_path / "scores.csv")
    lines = (tmp_path / "scores.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "measure,pairalign,vq,viterbi" and len(lines) == 14
    assert all(float(cell) >= -1 for line in lines[1:] for cell in line.split(",")[1:])
    check_accessible(page)


def test_one_uploaded_recording_alone_cannot_be_told_apart(open_page, speech_wav: Path):
    page = open_page()
    page.get_by_role("tab", name="Compare").click()
    panel = page.get_by_role("tabpanel").filter(has=page.locator("#pa-compare"))
    panel.get_by_label("The shipped examples").uncheck()
    page.click("#pa-compare")
    page.locator(".pa-message").get_by_text("There is no recording").wait_for()
    panel.locator("input[type=file]").first.set_input_files(str(speech_wav))
    panel.get_by_text("speech.wav").wait_for()
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#pa-compare-results .pa-measures")
    assert "needs at least two recordings" in page.inner_text("#pa-compare-results .pa-source")


@pytest.mark.parametrize("width", [390, 800])
def test_small_screens_in_the_dark(open_page, width: int):
    page = open_page(theme="dark", width=width, height=844)
    compare(page)
    check_fits(page)
    check_accessible(page)
