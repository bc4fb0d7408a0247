"""The Tokenize tab: one recording in, its token strings on one time axis out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np

from app import figures, parts, tokens
from app.archives import Archives
from app.result import TokenizeResult, still_kept
from app.runs import Cancelled, Report
from app.services import Services
from app.tabs import decoder_panel, public_api, rewriting_panel, runs, saving
from pairalign.audio import SAMPLE_RATE_HZ

PROGRESS = gr.Progress()
METHODS = ("pairalign", "vq", "viterbi", "bpe")  # those offered, where the checkpoint can make them
CHOSEN = METHODS[:3]
METHODS_HINT = "VQ names every 20 ms; Viterbi-VQ avoids changes that do not last; BPE joins frequent neighbours."
KEPT_S = 3_600  # the accordions, the pager and the files need the result; its sound is in the page
FIGURE_IDS = f"pa-plot {decoder_panel.PLOT_ID}"
DRAWABLE_JS = "(document) => { window.PairAlign.drawable(document); }"  # zoom.js
PART_JS = "(place) => { window.PairAlign.showPart(place); }"  # zoom.js


@dataclass(frozen=True)
class _Output:
    empty: gr.HTML
    filled: gr.Column
    numbers: gr.HTML
    player: gr.Audio
    plot: gr.Plot
    strings: gr.HTML
    pager: gr.Row
    place: gr.HTML
    table: gr.HTML
    document: gr.JSON


def build(services: Services, audio: gr.Audio, archives: Archives) -> None:
    """Lay out the tab inside the current Blocks and wire its events; `audio` is the page's recording."""
    methods = _method_choice(services)
    bar = parts.run_bar("tokenize", "Tokenize")
    kept = gr.State(None, time_to_live=KEPT_S)
    page = gr.State(0)
    with gr.Column(elem_id="pa-results", elem_classes="pa-results"):
        empty = gr.HTML(tokens.EMPTY_HTML, apply_default_css=False)
        with gr.Column(visible=False) as filled:
            out = _lay_out_output(empty, filled, kept, page)
            follow = [decoder_panel.build(services, kept), rewriting_panel.build(services, kept)]
    shown = [*vars(out).values(), kept, page]
    runs.watch("tokenize", bar.start, [audio])
    started = bar.start.click(
        _runner(services, len(shown)),
        [audio, methods],
        shown,
        show_progress_on=bar.status,
        api_visibility="private",
        **parts.MODEL,
    )
    started.success(None, out.document, js=DRAWABLE_JS, api_visibility="private")
    for event in follow:
        started.success(**event)
    runs.ends("tokenize", started)
    runs.stops(parts.wire_stop(services, bar, [started]), "tokenize")
    public_api.build(services, audio, archives)


def _runner(services: Services, outputs: int) -> Callable[..., tuple[Any, ...]]:
    """What Tokenize does: values for all `outputs`, or none of them when it was stopped."""

    def run(
        audio: str | None, methods: list[str], request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> tuple[Any, ...]:
        own, report = parts.of_page(services, request), Report(progress, "Tokenizing")
        try:
            found = parts.readably(lambda: own.tokenize(audio, methods, progress=report, run_id=own.run("tokenize")))
        except Cancelled:
            return (gr.skip(),) * outputs  # the old result stays
        return *_draw(found), replace(found, samples=np.empty(0, np.int16)), 0

    return run


def _method_choice(services: Services) -> gr.CheckboxGroup:
    offered = [method for method in METHODS if method in services.methods()]
    return gr.CheckboxGroup(
        [(figures.METHOD_LABELS[method], method) for method in offered],
        value=list(CHOSEN),
        label="Token strings",
        info=METHODS_HINT,
        elem_id="pa-methods",
    )


def _lay_out_output(empty: gr.HTML, filled: gr.Column, kept: gr.State, page: gr.State) -> _Output:
    numbers = gr.HTML(apply_default_css=False)
    player = parts.player("pa-player", "What was tokenized")  # the sound exactly as it was tokenized
    plot = parts.plot("pa-plot", "Waveform, log-mel and tokens")
    with gr.Row(visible=False, elem_id="pa-pager") as pager:
        previous = gr.Button("← Previous", size="sm")
        place = gr.HTML(apply_default_css=False)
        following = gr.Button("Next →", size="sm")
    strings = gr.HTML(apply_default_css=False, elem_id="pa-strings")
    saving.build(kept)
    with gr.Accordion("Tokens as a table", open=False):
        table = gr.HTML(apply_default_css=False)
    with gr.Accordion("JSON", open=False):
        document = gr.JSON(show_label=False, max_height=360)
    for button, step in ((previous, -1), (following, 1)):
        turned = button.click(
            _turner(step),
            [kept, page],
            [strings, place, table, page],
            show_progress="hidden",
            api_visibility="private",
        )
        turned.success(None, place, js=PART_JS, api_visibility="private")
    return _Output(empty, filled, numbers, player, plot, strings, pager, place, table, document)


def _turner(step: int) -> Callable[..., tuple[Any, ...]]:
    """What goes `step` pages on, and stays where there is none."""

    def turn(found: TokenizeResult | None, page: int) -> tuple[Any, ...]:
        found = parts.readably(lambda: still_kept(found))
        to = min(max(page + step, 0), tokens.page_count(found.duration_s) - 1)
        return (*_page(found, to), to)

    return turn


def _page(found: TokenizeResult, page: int) -> tuple[str, str, str]:
    return (
        tokens.strings_html(found, page, FIGURE_IDS),
        tokens.place_html(page, found.duration_s),
        tokens.table_html(found, page),
    )


def _draw(found: TokenizeResult) -> tuple[Any, ...]:
    """Values for the fields of `_Output`, in their order."""
    strings, place, table = _page(found, 0)
    return (
        gr.update(visible=False),
        gr.update(visible=True),
        tokens.figures_html(found) + tokens.model_mark_html(found.model.sha256),
        (SAMPLE_RATE_HZ, found.samples),
        figures.make_figure(found),
        strings,
        gr.update(visible=tokens.page_count(found.duration_s) > 1),
        place,
        table,
        found.to_document(),
    )
