"""The Views tab: two views of one recording, or two recordings, and how their strings differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import figures, parts, view_pair
from app.alignment import alignment_html, alignment_numbers
from app.runs import Cancelled, Report
from app.services import Services
from app.tabs import runs, view_inputs
from app.tabs.view_inputs import QUICK, Inputs
from app.tokens import model_mark_html
from app.view_html import EMPTY_HTML, likelihood_html, side_html
from app.view_pair import Side, ViewPair
from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.errors import PairAlignError
from pairalign.windows import WINDOW_S

PROGRESS = gr.Progress()
KEPT_S = 1_800  # the likelihood table may be opened that long after a run


@dataclass(frozen=True)
class _Output:
    empty: gr.HTML
    filled: gr.Column
    numbers: gr.HTML
    aligned: gr.HTML
    titles: tuple[gr.HTML, gr.HTML]
    players: tuple[gr.Audio, gr.Audio]
    plots: tuple[gr.Plot, gr.Plot]
    likelihood: gr.Accordion
    table: gr.HTML
    document: gr.JSON


def build(services: Services, audio: gr.Audio) -> dict[str, gr.components.Component]:
    """Lay out the tab inside the current Blocks and wire its events; `audio` is the page's recording.

    Returns: the controls that a lesson may set, by name.
    """
    inputs, bar = view_inputs.lay_out(services, audio)
    out = _lay_out_output()
    result = gr.State(None, time_to_live=KEPT_S)

    def run(values: dict[Any, Any], request: gr.Request, progress: gr.Progress = PROGRESS) -> tuple[Any, ...]:
        report = Report(progress, "Comparing")
        own = parts.of_page(services, request)
        try:
            pair = parts.readably(lambda: _compare(own, inputs, values, report, own.run(bar.name), values[result]))
        except Cancelled:
            return (gr.skip(),) * 5
        return pair, *_draw_alignment(pair)

    asked = {result, inputs.mode, inputs.method, inputs.audio, inputs.audio_b, inputs.start, inputs.start_b}
    for panel in inputs.panels:
        asked |= set(panel.controls.values())
    model = {"api_visibility": "private", **parts.MODEL}
    # a slider that moves during a run is heard when that run has ended;
    # the alignment, which one waits for, comes before the figures, which take the browser longer
    first = [result, out.empty, out.filled, out.numbers, out.aligned]
    runs.watch("views", bar.start, [inputs.audio, inputs.mode, inputs.audio_b])
    started = bar.start.click(run, asked, first, show_progress_on=bar.status, trigger_mode="always_last", **model)
    drawing = [*out.titles, *out.players, *out.plots, inputs.start, inputs.start_b, out.document]
    drawn = started.success(_draw_sides, result, drawing, **QUICK)
    runs.ends("views", started)
    runs.stops(parts.wire_stop(services, bar, [started]), "views")
    view_inputs.wire(inputs)
    _wire_likelihood(services, out, result, drawn, model)
    _publish(services, inputs)
    return inputs.named()


def _compare(
    services: Services, inputs: Inputs, values: dict[Any, Any], report: Any, run_id: str, before: ViewPair | None
) -> ViewPair:
    """Run the comparison that the page's controls describe; two recordings are compared as they are."""
    shared = {"method": values[inputs.method], "start_s": values[inputs.start], "before": before}
    shared |= {"progress": report, "run_id": run_id}
    if values[inputs.mode] == view_inputs.ONE:
        views = [{name: values[item] for name, item in panel.controls.items()} for panel in inputs.panels]
        return view_pair.compare(services, values[inputs.audio], *views, **shared)
    if not values[inputs.audio_b]:
        raise PairAlignError("There is no second recording yet: record or upload one, or choose the example pair.")
    others = {"audio_b": values[inputs.audio_b], "start_b_s": values[inputs.start_b]}
    return view_pair.compare(services, values[inputs.audio], **shared, **others)


def _publish(services: Services, inputs: Inputs) -> None:
    """The comparison for programs: an event whose inputs are plain values, none of them on the page."""

    def views(
        request: gr.Request,
        audio: str | None,
        view_a: dict[str, Any] | None,
        view_b: dict[str, Any] | None,
        method: str,
        start_s: float,
        audio_b: str | None = None,
        start_b_s: float = 0.0,
    ) -> dict[str, Any]:
        """Make two views of one recording of speech, or of two recordings, and align their token strings.

        A view is an object with any of shift_ms (0 to 300), speed (0.8 to 1.25), warp (vocal tract, 0.85 to 1.15),
        equaliser_db (0 to 12), t60_s (reverberation, 0 to 0.4), noise (none, white, pink, brown), snr_db (0 to 40),
        gain_db (-12 to 6), codec (none, telephone, mp3, opus) and seed; {} leaves the recording as it is.

        Args:
            audio: a recording (any common audio file).
            view_a: the first view; by default {}, the recording as it is.
            view_b: the second view, such as {"speed": 1.1, "noise": "pink", "snr_db": 10}; by default {}.
            method: pairalign, vq, viterbi, or bpe where the checkpoint has it.
            start_s: where the at most 3 seconds that are compared begin; /align compares whole recordings.
            audio_b: a second recording for view B, by default the first one.
            start_b_s: where they begin in the second recording.
        Returns:
            checkpoint, model_sha256, device, version, options, method, recordings (of a and b: file and seconds used as
            in tokenize), the strings a and b (times are those of the views), views, distance, normalized, jaccard, lcs,
            apart_ms (mean distance of matched tokens in time of the source) and edits (op, a, b).
        """
        own = parts.of_page(services, request)
        how = {"audio_b": audio_b, "start_b_s": start_b_s, "run_id": own.run("api")}
        return parts.to_the_end(
            lambda: view_pair.compare(own, audio, view_a, view_b, method, start_s, **how).to_document()
        )

    with gr.Column(visible=False):
        view_a, view_b = gr.JSON({}, label="View A"), gr.JSON({}, label="View B")
        start_s, start_b_s = gr.Number(0.0, label="Start, s"), gr.Number(0.0, label="Start of B, s")
        answer, button = gr.JSON(label="Alignment"), gr.Button("Compare")
    asked = [inputs.audio, view_a, view_b, inputs.method, start_s, inputs.audio_b, start_b_s]
    button.click(views, asked, answer, api_name="views", **parts.MODEL)


def _lay_out_output() -> _Output:
    with gr.Column(elem_id="pa-views-results", elem_classes="pa-results"):
        empty = gr.HTML(EMPTY_HTML, apply_default_css=False)
        with gr.Column(visible=False) as filled:
            numbers = gr.HTML(apply_default_css=False)
            aligned = gr.HTML(apply_default_css=False)
            titles, players, plots = [], [], []
            for side in "ab":
                titles.append(gr.HTML(apply_default_css=False))
                players.append(parts.player(f"pa-views-player-{side}", f"Sound of {side.upper()}"))
                plots.append(parts.plot(f"pa-views-plot-{side}", f"Waveform, log-mel and tokens of {side.upper()}"))
            with gr.Accordion("How likely is each string under each recording?", open=False) as likelihood:
                table = gr.HTML(apply_default_css=False, min_height=60, elem_id="pa-views-likelihood")
            with gr.Accordion("JSON", open=False):
                document = gr.JSON(label="document", show_label=False, max_height=360)
    return _Output(
        empty, filled, numbers, aligned, tuple(titles), tuple(players), tuple(plots), likelihood, table, document
    )


def _wire_likelihood(services: Services, out: _Output, result: gr.State, drawn: Any, model: dict[str, Any]) -> None:
    """The table costs as much as a run, so it is only made while it can be seen, and after the strings are drawn."""
    opened = gr.State(False)

    def tell(pair: ViewPair | None, is_open: bool, request: gr.Request) -> Any:
        if not is_open:
            return ""
        if pair is None:
            return '<p class="pa-note">Press Compare: this result is no longer kept.</p>'
        if pair.method != "pairalign":
            return '<p class="pa-note">Only PairAlign writes strings with probabilities: choose PairAlign tokens.</p>'
        others, own = view_pair.unrelated(parts.read_examples(), pair), parts.of_page(services, request)
        work = lambda: view_pair.cross_likelihood(own, pair, others, own.run("likelihood"))  # noqa: E731
        try:
            return likelihood_html(parts.readably(work))
        except Cancelled:
            return gr.skip()

    told = {"fn": tell, "inputs": [result, opened], "outputs": out.table, **model}
    drawn.success(**told)
    out.likelihood.expand(lambda: True, None, opened, **QUICK).then(**told)
    out.likelihood.collapse(lambda: False, None, opened, **QUICK)


def _draw_alignment(pair: ViewPair) -> tuple[Any, ...]:
    """Values for empty, filled, numbers and aligned."""
    a, b = pair.a.string, pair.b.string
    label_a, label_b = ("View A", "View B") if pair.same_source else ("Recording A", "Recording B")
    sounds = ("pa-views-player-a", "pa-views-player-b")
    return (
        gr.update(visible=False),
        gr.update(visible=True),
        alignment_numbers(a, b, pair.apart_ms) + model_mark_html(pair.model.sha256),
        alignment_html(a, b, label_a, label_b, *sounds, "pa-views-plot"),
    )


def _draw_sides(pair: ViewPair | None) -> tuple[Any, ...]:
    """Values for the outputs of the drawing step in `build`, in their order."""
    if pair is None:
        return (gr.skip(),) * 9
    drawables = [side.drawable(pair.model) for side in (pair.a, pair.b)]
    return (
        side_html(pair, "A"),
        side_html(pair, "B"),
        *((SAMPLE_RATE_HZ, drawable.samples) for drawable in drawables),
        *(figures.make_figure(drawable) for drawable in drawables),
        _start_update(pair.a),
        _start_update(pair.b),
        pair.to_document(),
    )


def _start_update(side: Side) -> dict[str, Any]:
    """A slider for the start, where there is anything to choose from."""
    latest_s = side.source.duration_s - WINDOW_S
    return gr.update(visible=latest_s > 0.2, maximum=max(round(latest_s, 1), 0.1))
