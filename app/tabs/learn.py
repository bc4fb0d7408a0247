"""The Learn tab: six lessons that drive the other tabs, and answers computed by the loaded model."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import parts, tokens
from app.answers import Answer, answer
from app.lessons import LESSONS, Lesson, lesson
from app.runs import Report
from app.services import Services
from app.tabs import runs
from pairalign.audio import SAMPLE_RATE_HZ

PLAYER_ID = "pa-learn-player"
# a tab is put on the page when it is first opened: its start button may take a moment to appear
START_JS = """async () => {
  const all = () => [...document.querySelectorAll(':is(.pa-start, .pa-stop):not(#pa-reveal)')];
  const shown = () => all().find((one) => one.offsetParent);
  for (let waited = 0; !shown() && waited < 10_000; waited += 100) await new Promise((done) => setTimeout(done, 100));
  await new Promise((done) => setTimeout(done, 300));
  window.PairAlign.start();
}"""
Controls = Mapping[str, Mapping[str, gr.components.Component]]


def build(services: Services, audio: gr.Audio, tabs: gr.Tabs, controls: Controls) -> None:
    """Lay out the lessons; `controls[tab][name]` are the components that a lesson's settings set."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=260):
            chosen = gr.Radio(
                [(f"{k}. {one.title}", one.name) for k, one in enumerate(LESSONS, start=1)],
                value=LESSONS[0].name,
                label="Lesson",
                elem_id="pa-lessons",
            )
        with gr.Column(scale=5, min_width=320):
            text = gr.HTML(question_html(LESSONS[0]), apply_default_css=False)
            guess = gr.Radio(_choices(LESSONS[0]), label="(1) What do you expect?", type="value", elem_id="pa-guess")
            with gr.Row():
                attempt = gr.Button("(2) Try it yourself", size="lg", elem_id="pa-try")
                reveal = gr.Button(
                    "(3) Ask the model", variant="primary", size="lg", elem_id="pa-reveal", elem_classes="pa-start"
                )
            status = gr.HTML(elem_id="pa-learn-run", elem_classes="pa-run", min_height=30, apply_default_css=False)
            with gr.Column(elem_classes="pa-results"):
                found = gr.HTML(apply_default_css=False, elem_id="pa-answer")
                sound = parts.player(PLAYER_ID, "Clips of the answer", visible=False)

    def show(name: str) -> tuple[Any, ...]:
        one = lesson(name)
        return question_html(one), gr.update(choices=_choices(one), value=None), ""

    def ask(
        name: str,
        guessed: int | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> tuple[Any, ...]:
        own = parts.of_page(services, request)

        def work() -> Answer:
            with own.running(own.run("learn"), Report(progress, "The model listens")) as report:
                report(0.1)
                return answer(own, name, parts.read_examples())

        told = parts.to_the_end(work)
        shown = answer_html(lesson(name), told, guessed) + tokens.model_mark_html(own.tokenizer().sha256)
        return shown, (SAMPLE_RATE_HZ, told.samples()) if told.clips else None

    def drive(name: str) -> list[Any]:
        """The recording, the tab and the controls of a lesson; controls of other tabs stay as they are."""
        one = lesson(name)
        files = {Path(entry["file"]).name: entry["file"] for entry in parts.read_examples()}

        def setting(key: str) -> Any:
            value = one.settings.get(key)
            return files.get(value, value) if isinstance(value, str) else value  # an example by its name

        settings = [
            gr.skip() if value is None else gr.update(value=value)
            for tab, named in controls.items()
            for value in (setting(key) if tab == one.tab else None for key in named)
        ]
        return [files.get(one.example, gr.skip()), gr.Tabs(selected=one.tab), *settings]

    private = {"api_visibility": "private", "show_progress": "hidden"}
    chosen.change(show, chosen, [text, guess, found], **private)
    runs.watch("reveal", reveal, [])
    options = {"show_progress_on": status, "api_visibility": "private", **parts.MODEL}
    asked = reveal.click(ask, [chosen, guess], [found, sound], **options)
    runs.ends("reveal", asked)
    driven = [component for named in controls.values() for component in named.values()]
    moved = attempt.click(drive, chosen, [audio, tabs, *driven], **private)
    moved.success(None, js=START_JS, api_visibility="private")


def question_html(one: Lesson) -> str:
    """Title, question and what to look for."""
    return (
        f'<div class="pa-lesson"><h2>{escape(one.title)}</h2><p>{escape(one.question)}</p>'
        f'<p class="pa-note"><b>Try it:</b> opens the {escape(one.tab.title())} tab with a recording. '
        f"{escape(one.hint)}</p></div>"
    )


def answer_html(one: Lesson, told: Answer, guessed: int | None) -> str:
    """What the model says, beside what the person guessed; clips as chips to play."""
    right = escape(one.guesses[told.right])
    if guessed is None:
        verdict = f"The model says: <b>{right}</b>"
    elif guessed == told.right:
        verdict = f"✓ As you expected: <b>{right}</b>"
    else:
        verdict = f"✗ You expected: {escape(one.guesses[guessed])}. The model says: <b>{right}</b>"
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in told.sentences)
    table = tokens.plain_table_html(told.columns, told.rows, one.title) if told.rows else ""
    return (
        f'<div class="pa-lesson" role="status"><p class="pa-verdict">{verdict}</p>{sentences}{_clips_html(told)}{table}'
        f'<p class="pa-note">Computed just now by the loaded checkpoint from the shipped recordings (synthetic voices).'
        "</p></div>"
    )


def _clips_html(told: Answer) -> str:
    if not told.clips:
        return ""
    chips = "".join(
        f'<button type="button" class="pa-chip pa-clip" data-start="{start:.4f}" data-end="{end:.4f}"'
        f' tabindex="{0 if k == 0 else -1}" aria-label="play {escape(clip.label)}">▶ {escape(clip.label)}</button>'
        for k, (clip, (start, end)) in enumerate(zip(told.clips, told.spans_s(), strict=True))
    )
    return (
        f'<section class="pa-lane" data-sound="{PLAYER_ID}" data-figure="">'
        f'<div class="pa-clips" role="group" aria-label="Clips to hear">{chips}</div></section>'
    )


def _choices(one: Lesson) -> list[tuple[str, int]]:
    return [(guess, k) for k, guess in enumerate(one.guesses)]
