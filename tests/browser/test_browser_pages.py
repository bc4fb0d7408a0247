"""Two open pages: each says what its own results were made with."""

from __future__ import annotations


def choose(page, name: str) -> None:
    page.locator("#pa-checkpoint input").click()
    page.get_by_role("option", name=name, exact=True).click()


def loaded(page) -> str:
    return page.inner_text("#pa-header .pa-facts dd >> nth=0")


def test_results_of_another_checkpoint_are_set_aside_until_it_is_chosen_again(open_page):
    page, other = open_page(), open_page()
    for one in (page, other):
        one.get_by_role("button", name="Ten digits").click()
        one.wait_for_selector("#pa-strings .pa-lane")
    choose(page, "base")
    page.locator("#pa-header .pa-facts").get_by_text("base").wait_for()
    page.locator("#pa-results[data-stale]").wait_for()
    assert page.evaluate("document.querySelector('#pa-results').inert") is True
    assert loaded(other) == "tiny" and other.locator("#pa-results[data-stale]").count() == 0
    choose(page, "tiny (file)")
    page.locator("#pa-results:not([data-stale])").wait_for()
    assert page.evaluate("document.querySelector('#pa-results').inert") is False
    other.reload()
    other.wait_for_selector("#pa-tokenize")
    assert loaded(other) == "tiny"


def test_a_place_in_the_queue_is_told_in_words(open_page):
    page = open_page()
    # as Gradio's own tracker writes it, anew and when the place changes
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<p id=place><span>queue: 3/7 |</span></p>')")
    page.locator("#place").get_by_text("3 runs are ahead of yours |", exact=True).wait_for()
    page.evaluate("document.querySelector('#place span').firstChild.nodeValue = 'queue: 1/5 | '")
    page.locator("#place").get_by_text("1 run is ahead of yours |").wait_for()
