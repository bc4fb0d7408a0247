"""The Train tab as a person uses it: a minute of fine-tuning that outlives the page, and a class that is recorded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.training_runs import TrainingRuns
from tests.browser.conftest import ROOT
from tests.browser.looks import check_accessible, check_fits

EXAMPLES = [str(path) for path in sorted((ROOT / "app" / "examples").glob("*.ogg"))]
POINTS_JS = (
    "() => (document.querySelector('#pa-train-plot .js-plotly-plot')?.data ?? [])"
    ".reduce((sum, trace) => sum + (trace.x?.length ?? 0), 0)"
)
STATUS = "#pa-train-status .pa-train-status"


@pytest.fixture(autouse=True)
def no_run_left_behind() -> Iterator[None]:
    yield
    runs = TrainingRuns()
    for name in runs.names():
        look = runs.look(name)
        if look.active and look.status.pid:
            os.kill(look.status.pid, signal.SIGKILL)


def open_train(open_page, **options):
    page = open_page(**options)
    page.get_by_role("tab", name="Train").click()
    page.get_by_role("tab", name="Fine-tune").wait_for()
    return page


def wait_state(page, state: str, seconds: float = 240) -> None:
    page.wait_for_selector(f'{STATUS}[data-state="{state}"]', timeout=1000 * seconds)


def drawn_points(page) -> int:
    """Points of the curves that the page shows now."""
    return page.evaluate(f"({POINTS_JS})()")


def test_a_minute_of_fine_tuning_is_watched_left_stopped_resumed_and_used(open_page, tmp_path: Path):
    page = open_train(open_page)
    page.locator("#pa-train-files input[type=file]").set_input_files(EXAMPLES)
    page.locator("#pa-train-files").get_by_text("slow").wait_for(state="attached")
    page.locator("#pa-train-init input").click()
    page.get_by_role("option", name="tiny").click()
    page.locator("#pa-train-name input, #pa-train-name textarea").first.fill("browser")
    page.locator("#pa-train-minutes input[type=number]").fill("1")
    page.get_by_role("button", name="Advanced").click()
    page.locator("#pa-train-batch input").fill("6")
    page.locator("#pa-train-start").click()
    wait_state(page, "running")
    page.wait_for_function(f"Number(document.querySelector('{STATUS}')?.dataset.step) >= 3")
    page.wait_for_function("document.querySelectorAll('#pa-train-plot .scatterlayer .trace').length === 7")
    points = drawn_points(page)
    page.reload()
    page.wait_for_selector("#pa-tokenize")
    page.get_by_role("tab", name="Train").click()
    wait_state(page, "running")  # attached again, without a word
    page.wait_for_function(f"(before) => ({POINTS_JS})() > before", arg=points)
    page.click("#pa-train-stop")
    wait_state(page, "stopped")
    page.click("#pa-train-resume")
    wait_state(page, "running")
    wait_state(page, "done")
    page.wait_for_selector("#pa-train-compared table")
    assert page.locator("#pa-train-strings .pa-lane").count() == 2
    check_accessible(page)
    with page.expect_download() as download:
        page.click("#pa-train-download")
    download.value.save_as(tmp_path / "browser.zip")
    assert "MODEL_CARD.md" in zipfile.ZipFile(tmp_path / "browser.zip").namelist()
    page.click("#pa-train-use")
    page.locator("#pa-header .pa-facts").get_by_text("browser").wait_for()
    page.get_by_role("tab", name="Tokenize").click()
    page.get_by_role("button", name="Ten digits").click()
    page.wait_for_selector("#pa-strings .pa-lane")
    assert "browser" in page.inner_text("#pa-results .pa-source")
    page.get_by_role("tab", name="Train").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#pa-train-delete")  # of the very checkpoint that this page uses
    page.locator("#pa-header .pa-facts").get_by_text("tiny").wait_for()
    page.locator(".toast-body").get_by_text("This page uses tiny again").wait_for()
    page.get_by_role("tab", name="Tokenize").click()
    use_again(page)


def use_again(page) -> None:
    """Back to the checkpoint of the other tests; what is shown of the last one is marked and set aside."""
    page.locator("#pa-checkpoint input").click()
    page.get_by_role("option", name="tiny (file)").or_(page.get_by_role("option", name="tiny")).first.click()
    page.locator("#pa-results[data-stale]").wait_for()
    assert page.evaluate("document.querySelector('#pa-results').inert") is True
    page.click("#pa-tokenize")
    page.locator("#pa-results:not([data-stale])").wait_for()


def test_how_long_it_takes_is_told_and_an_archive_can_be_learned_from(open_page):
    page = open_train(open_page)
    page.locator("#pa-train-init input").click()
    page.get_by_role("option", name="tiny").click()
    page.get_by_role("button", name="How long will it take?").click()
    page.locator("#pa-train-told").get_by_text("One step takes").wait_for()
    page.get_by_label("An archive").check()
    page.locator("#pa-train-archive input").wait_for()
    assert page.locator("#pa-train-files").count() == 0, "one source at a time"
    page.locator("#pa-train-name input, #pa-train-name textarea").first.fill("from-demo")
    page.locator("#pa-train-start").click()
    page.click("#pa-train-stop")
    wait_state(page, "stopped")
    assert TrainingRuns().look("from-demo").settings.data.endswith("recordings.csv")


def test_a_class_is_recorded_searched_and_handed_to_training(open_page, speech_wav: Path):
    page = open_train(open_page)
    page.get_by_role("tab", name="Record a class").click()
    page.locator("#pa-class-words textarea").fill("harbour\ngarden")
    page.locator("#pa-class-name input, #pa-class-name textarea").first.fill("year-7")
    page.click("#pa-class-make")
    page.get_by_text("0 takes by 0 speakers").wait_for()
    for speaker in ("ann", "ben"):
        who = page.locator("#pa-class-speaker input, #pa-class-speaker textarea").first
        who.fill(speaker)
        who.press("Enter")
        page.get_by_text(f"{speaker}: 0 of 2 recorded").wait_for()
        for done in (1, 2):
            page.locator("#pa-class-take").get_by_label("Record", exact=False).first.wait_for()
            page.get_by_label("Upload file").last.click()
            page.locator("#pa-class-take input[type=file]").set_input_files(str(speech_wav))
            page.wait_for_selector("#pa-class-take audio, #pa-class-take .waveform-container", state="attached")
            page.click("#pa-class-save")
            page.get_by_text(f"{speaker}: {done} of 2 recorded").wait_for()
    page.get_by_text("4 takes by 2 speakers").wait_for()
    page.click("#pa-class-search")
    page.wait_for_selector("#pa-class-found table")
    check_accessible(page)
    page.click("#pa-class-train")
    page.locator("#pa-train-class input").wait_for()
    assert page.locator("#pa-train-class input").input_value() == "year-7"
    page.locator("#pa-train-name input, #pa-train-name textarea").first.fill("a b")
    page.locator("#pa-train-start").click()
    page.get_by_text("is no name for a checkpoint").wait_for()


@pytest.mark.parametrize(("theme", "width"), [("dark", 390), ("light", 800)])
def test_small_screens(open_page, theme: str, width: int):
    page = open_train(open_page, theme=theme, width=width, height=844)
    for name in ("Fine-tune", "Record a class"):
        page.get_by_role("tab", name=name).click()
        check_fits(page)
        check_accessible(page)


def test_a_public_app_shows_why_it_does_not_train(browser, tiny_checkpoint: Path):
    from tests.browser.conftest import _wait_for

    port = 7_000 + os.getpid() % 900
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--public", "--device", "cpu"]
    server = subprocess.Popen([*command, "--checkpoint", str(tiny_checkpoint)], env=dict(os.environ))
    try:
        _wait_for(f"http://127.0.0.1:{port}/", server)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_role("tab", name="Train").click()
        page.get_by_text("Not on this server").wait_for()
        assert page.locator("#pa-train-start").count() == 0 and page.locator("#pa-checkpoint").count() == 0
        page.close()
    finally:
        server.terminate()
        server.wait(20)
