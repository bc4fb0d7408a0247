"""The Archive tab as a person uses it."""

from __future__ import annotations

import uuid
from pathlib import Path

from tests.browser.looks import check_accessible, check_fits

DEMO = Path(__file__).resolve().parents[2] / "app" / "examples" / "archive"
PLAYED_JS = """([rank, from]) =>
  document.querySelector(`[data-sound=pa-hit-${rank}]`)?.dataset.played?.startsWith(from)"""


def open_archive(page) -> None:
    tab = page.get_by_role("tab", name="Archive", exact=True)
    if not tab.is_visible():
        page.locator(".overflow-menu > button").click()
        tab = page.locator(".overflow-dropdown button", has_text="Archive")
    tab.click()
    page.wait_for_selector("#pa-archive-info .pa-card")


def upload(page, path: Path) -> None:
    page.locator('#pa-audio button[aria-label="Upload file"]').click()
    page.locator("#pa-audio input[type=file]").first.set_input_files(str(path))
    page.wait_for_selector('#pa-audio button[aria-label="Clear"]')


def record(page) -> None:
    page.locator('#pa-audio button[aria-label="Record audio"]').click()
    page.locator("#pa-audio .record-button").click()
    page.wait_for_timeout(1_500)
    page.locator("#pa-audio .stop-button").click()
    page.wait_for_selector('#pa-audio [aria-label="Play"]')


def search(page) -> None:
    page.click("#pa-archive")
    page.wait_for_selector(".pa-hit")
    page.wait_for_selector("#pa-archive-distances .main-svg")


def make_archive(page) -> str:
    """A new empty archive, opened, with the panel for adding unfolded."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    page.get_by_role("button", name="Add recordings, or make an archive").click()
    page.locator("#pa-archive-fresh textarea, #pa-archive-fresh input").fill(name)
    page.click("#pa-archive-create")
    page.get_by_text(f"{name} is empty").wait_for()
    return name


def test_add_files_search_by_microphone_and_play_the_first_hit(open_page, tmp_path):
    page = open_page()
    open_archive(page)
    make_archive(page)
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"this is no recording" * 40)
    files = [DEMO / f"harbour_{rest}.ogg" for rest in ("boat_a", "light_b", "gulls_c")]
    page.locator("#pa-archive-files input[type=file]").set_input_files([str(path) for path in (*files, bad)])
    page.locator("#pa-archive-files").get_by_text("bad").first.wait_for()
    page.click("#pa-archive-add")
    page.locator("#pa-archive-added .progress-text, #pa-archive-added .pending").first.wait_for()
    page.get_by_text("Added 3 recordings").wait_for()
    assert "bad.wav" in page.inner_text("#pa-archive-added table")
    page.wait_for_function("document.querySelector('#pa-archive-info dd')?.textContent === '3'")
    record(page)
    search(page)
    assert page.locator(".pa-hit").count() == 3
    button = page.get_by_role("button", name="Play hit 1", exact=True)
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(PLAYED_JS, arg=["1", f"{float(button.get_attribute('data-play').split()[0]):.3f}-"])
    page.wait_for_selector("[data-sounding]", state="detached")
    page.get_by_role("button", name="Play hit 1 in context").click()
    page.wait_for_function(PLAYED_JS, arg=["1", "0.000-"])
    page.keyboard.press("Escape")


def test_cancel_keeps_what_was_added(open_page):
    page = open_page()
    open_archive(page)
    make_archive(page)
    page.locator("#pa-archive-folder textarea, #pa-archive-folder input").fill(str(DEMO))
    page.click("#pa-archive-add")
    page.click("#pa-archive-cancel")
    page.get_by_text("had been added and stay").wait_for()
    assert page.is_visible("#pa-archive-add")


def test_an_archive_of_ones_own_is_deleted_after_asking(open_page):
    page = open_page()
    open_archive(page)
    name = make_archive(page)
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.click("#pa-archive-delete")
    page.get_by_text(f"{name} is empty").wait_for()
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.click("#pa-archive-delete")
    page.get_by_text(f"{name} is deleted").wait_for()
    page.wait_for_function("document.querySelector('#pa-archive-name input').value === 'demo'")
    page.wait_for_selector("#pa-archive-info .pa-card")
    assert len(asked) == 2 and name in asked[0]


def test_an_archive_is_opened_by_its_path_and_a_wrong_one_says_why(open_page, own_home, tiny_tokenizer):
    from pairalign import Archive

    with Archive.open(own_home / "typed.db", tiny_tokenizer) as archive:
        archive.add_files([DEMO / "garden_tea_a.ogg"], workers=1)
    page = open_page()
    open_archive(page)
    chosen = page.locator("#pa-archive-name input")
    chosen.fill(str(own_home / "none.db"))
    chosen.press("Enter")
    page.get_by_text("no such archive").wait_for()
    chosen.fill(str(own_home / "typed.db"))
    chosen.press("Enter")
    page.wait_for_function("document.querySelector('#pa-archive-info dd')?.textContent === '1'")


def test_switch_to_vq_and_read_the_alignment_and_the_histogram(open_page, speech_wav):
    page = open_page()
    open_archive(page)
    upload(page, speech_wav)
    search(page)
    assert page.locator(".pa-hit").count() == 10
    assert "PairAlign tokens" in page.inner_text("#pa-archive-summary")
    page.locator(".pa-hit-script > summary").first.click()
    chip = page.locator('.pa-hit .pa-lane[data-side="b"] .pa-chip').first
    start = chip.get_attribute("data-start")
    chip.click()
    page.wait_for_function(
        """(from) => document.querySelector('.pa-hit .pa-lane[data-side=b]').dataset.played?.startsWith(from)""",
        arg=f"{float(start):.3f}-",
    )
    page.locator("#pa-archive-method").get_by_text("VQ", exact=True).click()
    page.locator("#pa-archive-summary").get_by_text("VQ tokens").wait_for()
    assert page.locator(".pa-hit").count() == 10
    check_accessible(page)


def test_tokens_selected_in_the_tokenize_tab_are_searched_for(open_page, speech_wav):
    page = open_page()
    upload(page, speech_wav)
    page.click("#pa-tokenize")
    lane = page.locator('#pa-strings .pa-lane[data-method="vq"]')
    lane.locator(".pa-chip").nth(5).click()
    lane.locator(".pa-chip").nth(12).click(modifiers=["Shift"])
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_function("document.querySelectorAll('.pa-chip[data-chosen]').length === 7")
    text = "".join(lane.locator(".pa-chip[data-chosen] b").all_inner_texts())
    lane.get_by_role("button", name="Search archive for 7").click()
    page.wait_for_selector(".pa-hit")
    assert page.locator("#pa-archive-text textarea, #pa-archive-text input").input_value() == text
    assert "7 VQ tokens" in page.inner_text("#pa-archive-summary")


def test_on_a_phone_a_whole_string_is_handed_over(open_page, speech_wav):
    page = open_page(width=390, height=844)
    upload(page, speech_wav)
    page.click("#pa-tokenize")
    page.locator("#pa-strings [data-action='find']").first.click()
    page.wait_for_selector(".pa-hit")
    check_fits(page)


def test_what_is_no_token_is_named(open_page):
    page = open_page()
    open_archive(page)
    page.locator("#pa-archive-source").get_by_text("A token string").click()
    page.locator("#pa-archive-text textarea, #pa-archive-text input").fill("ab☃")
    page.click("#pa-archive")
    page.locator(".pa-message").get_by_text("Character 3, “☃”").wait_for()


def test_a_phone_in_the_dark(open_page, speech_wav):
    page = open_page(theme="dark", width=390, height=844)
    upload(page, speech_wav)
    open_archive(page)
    page.get_by_role("button", name="More about this archive").click()
    search(page)
    page.locator(".pa-hit-script > summary").first.click()
    check_fits(page)
    check_accessible(page)
