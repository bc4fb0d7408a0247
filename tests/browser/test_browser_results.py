"""What becomes of results on the page: they are of what is chosen, or marked; what is selected is what is saved."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from app.figures import make_figure
from app.result import Envelope, MelImage, ModelInfo, TokenizeResult
from pairalign.audio import read_audio
from pairalign.babble import babble
from pairalign.strings import TokenString
from tests.browser.looks import settle

EXAMPLES = Path(__file__).resolve().parents[2] / "app" / "examples"
OUTDATED = ".pa-results[data-outdated]"
LONG_S = 600.0
DRAW_JS = """async ([figure, document_]) => {
  const plot = document.querySelector('#pa-plot .js-plotly-plot');
  await PairAlign.drawable(document_);
  await Plotly.react(plot, figure.data, figure.layout);
}"""
ZOOM_JS = """async ([from, to]) => {
  const plot = document.querySelector('#pa-plot .js-plotly-plot');
  await Plotly.relayout(plot, {'xaxis.range': [from, to]});
  return plot.data.filter((trace) => trace.meta && trace.meta !== 'glyphs').map((trace) => ({
    type: trace.type, method: trace.meta, x: trace.x && [...trace.x], width: trace.width && [...trace.width],
    tokens: trace.type === 'bar' ? trace.customdata : null, smooth: trace.zsmooth ?? false}));
}"""


def upload(page, path: Path) -> None:
    clear = page.locator('#pa-audio button[aria-label="Clear"]')
    if clear.is_visible():
        clear.click()
    page.locator('#pa-audio button[aria-label="Upload file"]').click()
    page.locator("#pa-audio input[type=file]").first.set_input_files(str(path))
    clear.wait_for()


def tokenize_example(page, name: str = "Ten digits", file: str = "digits") -> None:
    page.locator("#pa-source").get_by_text(name).click()
    page.locator("#pa-results .pa-source").get_by_text(file).wait_for()
    settle(page)


def saved(page, tmp_path: Path) -> tuple[str, np.ndarray]:
    with page.expect_download() as download:
        page.click("#pa-save-wav")
    download.value.save_as(tmp_path / "saved.wav")
    return download.value.suggested_filename, soundfile.read(tmp_path / "saved.wav", dtype="float32")[0]


def test_wav_is_what_is_selected_by_mouse_by_range_and_by_keyboard(open_page, tmp_path):
    page = open_page()
    tokenize_example(page)
    wave = read_audio(EXAMPLES / "digits.ogg")
    chips = page.locator('#pa-strings .pa-lane[data-method="vq"] .pa-chip')

    def check(first: int, last: int) -> None:
        times = [float(chips.nth(k).get_attribute(f"data-{end}")) for k, end in ((first, "start"), (last, "end"))]
        name, sound = saved(page, tmp_path)
        assert name == f"digits_{times[0]:.2f}-{times[1]:.2f}s.wav"
        expected = wave[round(times[0] * 16_000) : round(times[1] * 16_000)]
        assert len(sound) == len(expected) and np.abs(sound - expected).max() < 1e-3

    chips.nth(10).click()
    assert page.inner_text("#pa-save-wav") == "WAV of token 11"
    check(10, 10)
    chips.nth(14).click(modifiers=["Shift"])
    assert page.inner_text("#pa-save-wav") == "WAV of tokens 11–15"
    check(10, 14)
    chips.nth(3).focus()
    page.keyboard.press("ArrowRight")
    check(4, 4)
    page.keyboard.press("Shift+Tab")
    assert page.locator("[data-action='find']").all_inner_texts() == ["Search archive"] * 3, "one token is no range"
    page.keyboard.press("Escape")
    assert page.inner_text("#pa-save-wav") == "WAV" and len(saved(page, tmp_path)[1]) == len(wave)
    chips.nth(5).click()
    tokenize_example(page, "Slow speech", "slow")
    assert page.inner_text("#pa-save-wav") == "WAV", "a new result takes the selection away"


def test_a_result_is_dimmed_when_something_else_is_chosen(open_page, speech_wav):
    page = open_page()
    tokenize_example(page)
    page.get_by_role("tab", name="Views").click()
    page.click("#pa-views")
    page.wait_for_selector("#pa-views-results .pa-chip")
    settle(page)
    assert page.locator(OUTDATED).count() == 0
    page.get_by_text("Two recordings", exact=True).click()
    page.wait_for_selector(f"#pa-views-results{OUTDATED}")
    page.get_by_text("Two views of one recording", exact=True).click()
    page.wait_for_selector(OUTDATED, state="detached")
    upload(page, speech_wav)
    page.wait_for_selector(f"#pa-views-results{OUTDATED}")
    assert "digits.ogg" in page.get_attribute("#pa-views-results", "data-outdated")
    page.get_by_role("tab", name="Tokenize").click()
    page.wait_for_selector(f"#pa-results{OUTDATED}")
    page.click("#pa-tokenize")
    page.wait_for_selector(f"#pa-results{OUTDATED}", state="detached")
    assert "speech.wav" in page.inner_text("#pa-results .pa-source")
    page.get_by_role("tab", name="Archive", exact=True).click()
    page.wait_for_selector("#pa-archive-info .pa-card")
    page.click("#pa-archive")
    page.wait_for_selector(".pa-hit")
    settle(page)
    assert page.locator(f"#pa-archive-results{OUTDATED}").count() == 0
    name = page.locator("#pa-archive-name input")
    name.fill("other")
    name.press("Enter")
    page.wait_for_selector(f"#pa-archive-results{OUTDATED}")


def test_the_example_that_was_chosen_last_is_the_one_that_is_tokenized(open_page, tmp_path):
    long = tmp_path / "long.wav"
    soundfile.write(long, np.tile(babble(30.0), 10), 16_000)
    page = open_page()
    upload(page, long)
    page.click("#pa-tokenize")
    page.wait_for_selector("#pa-tokenize-stop:visible")
    page.locator("#pa-source").get_by_text("Ten digits").click()
    page.locator("#pa-results .pa-source").get_by_text("digits").wait_for()
    settle(page)
    assert page.locator(OUTDATED).count() == 0 and page.locator(".toast-body, .pa-message").count() == 0


def test_a_message_stays_in_its_tab_until_a_later_success(open_page, tmp_path):
    # Gradio's own player complains about a file it cannot draw; that is not ours to silence
    page = open_page(allowed="Waveform load error")
    page.click("#pa-tokenize")
    page.locator("#pa-tokenize-run").get_by_text("There is no recording yet").wait_for()
    bad = tmp_path / "broken.wav"
    bad.write_bytes(b"RIFF and then nothing of use" * 30)
    upload(page, bad)
    page.click("#pa-tokenize")
    page.locator("#pa-tokenize-run").get_by_text("broken.wav:").wait_for()
    page.locator(".toast-close").first.click()
    page.wait_for_selector(".toast-body", state="detached")
    assert page.locator("#pa-tokenize-run").get_by_text("broken.wav:").is_visible()
    page.click("#pa-tokenize")
    page.wait_for_selector(".toast-body.error")
    tokenize_example(page)
    page.wait_for_selector(".toast-body", state="detached")
    assert page.locator(".pa-message").count() == 0


def long_result() -> TokenizeResult:
    """Ten minutes with as many tokens as speech has, of uneven lengths."""
    draws = np.random.default_rng(0)

    def string(method: str, count: int) -> TokenString:
        starts = np.sort(draws.uniform(0, LONG_S, count)).round(4)
        spans = list(zip(starts, [*starts[1:], LONG_S], strict=True))
        ids = draws.integers(0, 512, count)
        return TokenString(ids, spans, LONG_S, (), None, method, "ab" * 32, 512)

    times_s = np.linspace(0, LONG_S, 1_000)
    mel = MelImage(draws.integers(0, 255, (80, 1_000), dtype=np.uint8), LONG_S / 1_000)
    return TokenizeResult(
        "long.wav",
        LONG_S,
        np.zeros(0, np.int16),
        np.zeros(48_000, np.float32),
        Envelope(times_s, -np.ones(1_000), np.ones(1_000)),
        mel,
        {"pairalign": string("pairalign", 6_800), "vq": string("vq", 7_400), "viterbi": string("viterbi", 7_000)},
        9.0,
        ModelInfo("tiny", "ab" * 32, "cpu", 1, 512),
    )


@pytest.fixture(scope="module")
def long() -> TokenizeResult:
    return long_result()


def test_a_long_figure_moves_with_the_pages_and_shows_true_borders_at_every_zoom(open_page, long, tmp_path):
    path = tmp_path / "two_pages.wav"
    sound = np.zeros(65 * 16_000, np.float32)
    sound[: 2 * 16_000] = sound[-2 * 16_000 :] = babble(2.0)
    soundfile.write(path, sound, 16_000)
    page = open_page()
    upload(page, path)
    page.click("#pa-tokenize")
    page.wait_for_selector("#pa-plot .main-svg")
    shows = "(range) => document.querySelector('#pa-plot .js-plotly-plot')._fullLayout.xaxis.range.join() === range"
    page.get_by_role("button", name="Next →").click()
    page.wait_for_function(shows, arg="60,65")
    page.get_by_role("button", name="← Previous").click()
    page.wait_for_function(shows, arg="0,60")
    page.evaluate(DRAW_JS, [json.loads(make_figure(long).to_json()), long.to_document()])
    for from_s, to_s in ((300.0, 303.0), (598.5, 600.0), (0.0, 2.0)):
        lanes = page.evaluate(ZOOM_JS, [from_s, to_s])
        assert [lane["method"] for lane in lanes] == list(long.strings)
        for lane in lanes:
            spans = long.strings[lane["method"]].spans_s
            visible = [k for k, (start, end) in enumerate(spans) if end > from_s and start < to_s]
            assert lane["type"] == "bar"
            assert [number - 1 for number, _ in lane["tokens"]] == visible
            assert lane["x"] == pytest.approx([spans[k][0] for k in visible])
            assert lane["width"] == pytest.approx([max(spans[k][1] - spans[k][0], 1e-3) for k in visible], abs=1e-6)
    minute = page.evaluate(ZOOM_JS, [60.0, 120.0])
    assert {lane["type"] for lane in minute} == {"heatmap"} and not any(lane["smooth"] for lane in minute)
    starts = [start for start, end in long.strings["vq"].spans_s if end > 60 and start < 120]
    assert minute[1]["x"][:-1] == pytest.approx(starts), "an image with the borders of the tokens"
    whole = page.evaluate(ZOOM_JS, [0.0, LONG_S])
    assert all(lane["smooth"] == "best" for lane in whole), "too many to draw: how dense they lie, without borders"
