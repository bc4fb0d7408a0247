"""The model card as a person opens it: a card, not a scroll of figures, and its files."""

from __future__ import annotations

import json
from pathlib import Path

from tests.browser.looks import check_accessible, check_fits

TALLEST_PX = 1_600


def test_the_card_is_short_and_its_json_can_be_saved(open_page):
    page = open_page(theme="dark")
    page.locator(".pa-modelcard > summary").click()
    page.get_by_role("button", name="Download JSON").wait_for()
    assert page.locator(".pa-modelcard").bounding_box()["height"] < TALLEST_PX
    check_accessible(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download JSON").click()
    content = json.loads(Path(saved.value.path()).read_text(encoding="utf-8"))
    assert saved.value.suggested_filename == f"{content['name']}.json"
    assert content["sha256"] in page.inner_text(".pa-modelcard")


def test_the_card_fits_a_phone(open_page):
    page = open_page(width=390, height=844)
    page.locator(".pa-modelcard > summary").click()
    page.get_by_role("button", name="Download JSON").wait_for()
    check_fits(page)
