"""The Compare tab: every method of the checkpoint on the same small set of recordings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import methods, parts, score_words
from app.runs import Cancelled, Report
from app.scoreboard import Scoreboard, compare
from app.services import Services
from app.tabs import runs
from app.tokens import model_mark_html
from pairalign.formats import AUDIO_SUFFIXES

PROGRESS = gr.Progress()
HINT = "With the recording above, if there is one."
DOWNLOAD_JS = "(doc) => { window.PairAlign.saveScores(doc); }"  # save.js


@dataclass(frozen=True)
class _Output:
    empty: gr.HTML
    filled: gr.Column
    source: gr.HTML
    bars: gr.HTML
    sentences: gr.HTML
    table: gr.HTML
    document: gr.JSON
    download: gr.Button


def build(services: Services, audio: gr.Audio) -> None:
    """Lay out the tab inside the current Blocks and wire its events; `audio` is the page's recording."""
    chosen, examples, files = _lay_out_settings(services)
    bar = parts.run_bar("compare", "Compare methods", HINT)
    out = _lay_out_output()
    result = gr.State(None, time_to_live=parts.RESULT_TTL_S)

    def run(
        audio: str | None,
        methods: list[str],
        examples: bool,
        files: list[str] | None,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[dict[str, Any], Scoreboard | None]:
        sources, own = parts.sources(audio, examples, files), parts.of_page(services, request)

        report = Report(progress, "Comparing")
        try:
            board = parts.readably(lambda: compare(own, sources, methods, report, own.run(bar.name)))
        except Cancelled:
            return gr.skip(), None  # the old result stays
        return board.to_document(), board

    model = {"show_progress_on": bar.status, **parts.MODEL}
    inputs = [audio, chosen, examples, files]
    runs.watch("compare", bar.start, [audio, examples, files])
    started = bar.start.click(run, inputs, [out.document, result], api_visibility="private", **model)
    drawn = [out.empty, out.filled, out.source, out.bars, out.sentences, out.table, result]
    started.success(_draw, result, drawn, show_progress="hidden", api_visibility="private")
    runs.ends("compare", started)
    runs.stops(parts.wire_stop(services, bar, [started]), "compare")
    out.download.click(None, inputs=out.document, js=DOWNLOAD_JS, api_visibility="private")


def _lay_out_settings(services: Services) -> tuple[gr.CheckboxGroup, gr.Checkbox, gr.File]:
    found = methods.available(services)
    with gr.Row():
        with gr.Column(scale=3, min_width=280):
            chosen = gr.CheckboxGroup(
                [(methods.LOOKS[name].label, name) for name in found],
                value=[name for name in found if name != "vq_raw"],  # VQ before its repeats are collapsed
                label="Methods",
            )
            examples = gr.Checkbox(True, label="The shipped examples")
        files = gr.File(
            label="More recordings",
            file_count="multiple",
            file_types=sorted(AUDIO_SUFFIXES),
            height=130,
            scale=2,
            min_width=260,
        )
    return chosen, examples, files


def _lay_out_output() -> _Output:
    with gr.Column(elem_id="pa-compare-results", elem_classes="pa-results"):
        empty = gr.HTML(score_words.EMPTY_HTML, apply_default_css=False)
        with gr.Column(visible=False) as filled:
            source = gr.HTML(apply_default_css=False)
            bars = gr.HTML(apply_default_css=False)
            sentences = gr.HTML(apply_default_css=False)
            table = gr.HTML(apply_default_css=False)
            with gr.Accordion("JSON", open=False):
                document = gr.JSON(label="document", show_label=False, max_height=360)
            download = gr.Button("Download CSV", size="sm", elem_id="pa-compare-download")
    return _Output(empty, filled, source, bars, sentences, table, document, download)


def _draw(board: Scoreboard | None) -> tuple[Any, ...]:
    """Values for the outputs of `build`, in their order; the last one empties the state."""
    if board is None:
        return (gr.skip(),) * 7
    return (
        gr.update(visible=False),
        gr.update(visible=True),
        score_words.source_html(board) + model_mark_html(board.model.sha256),
        score_words.bars_html(board),
        score_words.sentences_html(board),
        score_words.table_html(board),
        None,
    )
