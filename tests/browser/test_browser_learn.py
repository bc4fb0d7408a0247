"""The Learn tab as a class uses it: guess, try, ask the model."""

from __future__ import annotations

import pytest

from tests.browser.looks import check_accessible, check_fits


def open_lesson(page, title: str) -> None:
    page.get_by_role("tab", name="Learn").click()
    page.get_by_role("radio", name=title).check()
    page.locator(".pa-lesson h2", has_text=title.split(". ")[1]).wait_for()


def test_a_guess_is_set_beside_what_the_model_says(open_page):
    page = open_page()
    open_lesson(page, "1. Why does VQ repeat itself?")
    page.get_by_label("Between one and three in five").check()
    page.click("#pa-reveal")
    page.locator(".pa-verdict").wait_for()
    assert page.inner_text(".pa-verdict").startswith(("✓", "✗"))
    assert page.locator("#pa-answer table tbody tr").count() == 3
    clip = page.locator("#pa-answer .pa-clip").first
    span = f"{float(clip.get_attribute('data-start')):.3f}-{float(clip.get_attribute('data-end')):.3f}"
    page.wait_for_selector("#pa-learn-player audio", state="attached")
    clip.click()
    page.wait_for_function("(span) => document.querySelector('#pa-answer .pa-lane').dataset.played === span", arg=span)
    open_lesson(page, "3. Slide the window")
    assert page.locator(".pa-verdict").count() == 0, "an answer goes with its lesson"


def test_try_it_opens_the_tab_with_the_recording_and_runs(open_page):
    page = open_page()
    open_lesson(page, "2. What does a token mean?")
    page.click("#pa-try")
    page.wait_for_selector("#pa-results .pa-chip:visible")
    assert page.get_by_role("tab", name="Tokenize").get_attribute("aria-selected") == "true"
    assert "digits" in page.inner_text("#pa-results .pa-source")


def test_try_it_sets_the_controls_of_the_tab(open_page):
    page = open_page()
    open_lesson(page, "5. Two speakers, one word")
    page.click("#pa-try")
    page.wait_for_selector("#pa-views-results .pa-chip:visible")
    # the sides are drawn after the alignment
    for k, file in enumerate(("garden_first", "garden_last")):
        page.locator("#pa-views-results .pa-side").nth(k).get_by_text(file).wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_grave_accessibility_violation(open_page, theme):
    page = open_page(theme=theme)
    open_lesson(page, "6. Find it again")
    page.click("#pa-reveal")
    page.locator(".pa-verdict").wait_for()
    check_accessible(page)


def test_phone_width_has_no_overflow(open_page):
    page = open_page(width=390, height=844)
    open_lesson(page, "4. Noise against voice")
    page.click("#pa-reveal")
    page.locator(".pa-verdict").wait_for()
    check_fits(page)
