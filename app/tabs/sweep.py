"""The Sweep tab: the sound changes step by step, and one sees, reads and hears how far its string moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import methods, parts, ribbon, sweep_figures, sweep_words
from app.alignment import alignment_html
from app.archives import Archives
from app.parts import PRIVATE
from app.recordings import expected_duration_s
from app.runs import Cancelled, Report
from app.services import Services
from app.tabs import runs, sweep_average
from app.tokens import model_mark_html
from app.trajectories import DEFAULT_METHODS, STEPS, SweepResult, SweepSettings, sweep_one
from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.sweeps.sweep import KINDS
from pairalign.windows import WINDOW_S

PROGRESS = gr.Progress()
KEPT_S = 3_600  # a sweep's steps can be listened to for that long
KIND_LABELS = {"Shift in time": "shift", "Noise": "snr", "Speed": "speed", "Vocal tract": "warp"}
FIRST_SOUND, STEP_SOUND = "pa-sweep-first", "pa-sweep-sound"
MARK_JS = "() => window.PairAlign.markStep?.()"  # sweep.js
GONE = "This sweep is no longer kept on the server. Press Sweep again."
DOWNLOAD_JS = "(doc) => { window.PairAlign.saveDocument(doc, '.sweep.json'); }"  # save.js


@dataclass(frozen=True)
class _Settings:
    kind: gr.Radio
    stop: gr.Number
    step: gr.Number
    start: gr.Slider
    methods: gr.CheckboxGroup


@dataclass(frozen=True)
class _Output:
    """What shows a sweep, in the order in which it is laid out."""

    empty: gr.HTML
    filled: gr.Column
    source: gr.HTML
    plot: gr.Plot
    table: gr.HTML
    statistics: gr.HTML
    method: gr.Radio
    ribbon: gr.HTML
    step: gr.Slider
    heading: gr.HTML
    first: gr.Audio
    sound: gr.Audio
    pair: gr.HTML
    document: gr.JSON
    download: gr.Button

    @property
    def drawn(self) -> list[Any]:
        """Outputs of `_draw`."""
        shown = [self.empty, self.filled, self.source, self.plot, self.table, self.statistics]
        return [*shown, self.method, self.ribbon, self.step, *self.listened]

    @property
    def listened(self) -> list[Any]:
        """Outputs of `_listen`."""
        return [self.heading, self.first, self.sound, self.pair]


def build(services: Services, audio: gr.Audio, archives: Archives) -> dict[str, gr.components.Component]:
    """Lay out the tab inside the current Blocks and wire its events; `audio` is the page's recording.

    Returns: the controls that a lesson may set, by name.
    """
    settings = _lay_out_settings(services)
    bar = parts.run_bar("sweep", "Sweep")
    many = sweep_average.lay_out_inputs(archives)
    with gr.Column(elem_id="pa-sweep-results", elem_classes="pa-results"):
        out = _lay_out_output()
        mean = sweep_average.lay_out_output()
    result = gr.State(None, time_to_live=KEPT_S)
    model = {"show_progress_on": bar.status, **parts.MODEL}
    numbers = [settings.kind, settings.stop, settings.step]
    inputs = [audio, *numbers, settings.start, settings.methods]
    runs.watch("sweep", bar.start, [audio])
    runs.watch("average", many.start, [audio, many.examples, many.archive, many.files])
    outputs = [out.document, result]
    swept = bar.start.click(_event(services), inputs, outputs, api_visibility="private", **model)
    drawn = swept.success(_draw, [result, out.method], [mean.filled, *out.drawn], **PRIVATE)
    drawn.then(None, js=MARK_JS, **PRIVATE)
    mean_inputs = [audio, *numbers, settings.methods, many.examples, many.archive, many.files]
    mean_outputs = [out.empty, out.filled, *mean.drawn]
    averaged = many.start.click(
        sweep_average.event(services, archives), mean_inputs, mean_outputs, api_visibility="private", **model
    )
    runs.ends("sweep", swept)
    runs.ends("average", averaged)
    runs.stops(parts.wire_stop(services, bar, [swept, averaged]), "sweep", "average")
    _wire_settings(services, audio, settings)
    _wire_listening(out, result)
    out.download.click(None, inputs=out.document, js=DOWNLOAD_JS, api_visibility="private")
    return vars(settings)


def _event(services: Services) -> Callable[..., tuple[Any, Any]]:
    """What Sweep does: the document, and what the page draws."""

    def run(
        audio: str | None,
        kind: str,
        stop: float | None,
        step: float | None,
        start_s: float,
        methods: list[str],
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[dict[str, Any], SweepResult | None]:
        report = Report(progress, "Sweeping")
        chosen = SweepSettings(kind, stop, step, start_s or 0.0, methods)
        own = parts.of_page(services, request)
        try:
            found = parts.readably(lambda: sweep_one(own, audio, chosen, report, own.run("sweep")))
        except Cancelled:
            return gr.skip(), gr.skip()  # the old result stays
        return found.to_document(), found

    return run


def _wire_settings(services: Services, audio: gr.Audio, settings: _Settings) -> None:
    """Every kind of sweep has its own numbers; another recording is heard from its beginning."""
    pair = [settings.stop, settings.step]
    settings.kind.input(_usual_numbers, settings.kind, pair, **PRIVATE)
    settings.kind.change(_number_labels, settings.kind, pair, **PRIVATE)
    audio.change(None, None, settings.start, js="() => 0", api_visibility="private")
    audio.change(lambda path: _start_slider(services, path), audio, settings.start, **PRIVATE)


def _wire_listening(out: _Output, result: gr.State) -> None:
    """Choosing a step, or whose strings are shown, redraws what belongs to it; the last of many choices counts."""
    event = {"trigger_mode": "always_last", "concurrency_id": "listen", "show_progress": "hidden"}
    event["api_visibility"] = "private"
    inputs = [result, out.method, out.step]
    out.step.input(_listen, inputs, out.listened, **event)
    redrawn = out.method.input(_show_method, inputs, [out.ribbon, *out.listened], **event)
    redrawn.then(None, js=MARK_JS, **PRIVATE)


def _lay_out_settings(services: Services) -> _Settings:
    found = methods.available(services)
    with gr.Row():
        kind = gr.Radio(list(KIND_LABELS.items()), value="shift", label="What changes", scale=3, min_width=280)
        stop = gr.Number(**_number("stop", "shift"), scale=1, min_width=120)
        step = gr.Number(**_number("step", "shift"), scale=1, min_width=120)
    with gr.Row():
        start = gr.Slider(
            0,
            services.limits.max_duration_s,
            value=0,
            step=0.1,
            label="The 3 s window begins at (s)",
            visible=False,
            scale=2,
            min_width=260,
        )
        chosen = gr.CheckboxGroup(
            [(methods.LOOKS[name].label, name) for name in found],
            value=list(DEFAULT_METHODS),
            label="Strings",
            scale=3,
            min_width=280,
        )
    return _Settings(kind, stop, step, start, chosen)


def _lay_out_output() -> _Output:
    empty = gr.HTML(sweep_words.EMPTY_HTML, apply_default_css=False)
    with gr.Column(visible=False) as filled:
        source = gr.HTML(apply_default_css=False)
        plot = parts.plot("pa-sweep-plot", "Distances and lengths")
        with gr.Accordion("Charts as a table", open=False):
            table = gr.HTML(apply_default_css=False)
        statistics = gr.HTML(apply_default_css=False)
        method = gr.Radio([], label="Strings of", elem_id="pa-sweep-method")
        rows = gr.HTML(apply_default_css=False)
        step = gr.Slider(0, 1, label="Listen at", elem_id="pa-sweep-step")
        heading = gr.HTML(apply_default_css=False)
        with gr.Row():
            first = parts.player(FIRST_SOUND, "First step")
            sound = parts.player(STEP_SOUND, "Chosen step")
        pair = gr.HTML(apply_default_css=False)
        with gr.Accordion("JSON", open=False):
            document = gr.JSON(label="document", show_label=False, max_height=360)
        download = gr.Button("Download JSON", size="sm", elem_id="pa-sweep-download")
    shown = (empty, filled, source, plot, table, statistics, method, rows, step, heading, first, sound, pair)
    return _Output(*shown, document, download)


def _number(name: str, kind: str) -> dict[str, Any]:
    """Label and usual value of the stop or step of a kind."""
    about = KINDS[kind]
    value = STEPS.get(kind, about.step) if name == "step" else about.stop
    label = "Step" if name == "step" else "Up to" if about.stop > about.origin else "Down to"
    return {"value": value, "label": f"{label} ({_unit(kind)})"}


def _unit(kind: str) -> str:
    return "factor" if KINDS[kind].unit == "x" else KINDS[kind].unit


def _usual_numbers(kind: str) -> list[float]:
    return [_number(name, kind)["value"] for name in ("stop", "step")]


def _number_labels(kind: str) -> list[dict[str, Any]]:
    return [gr.update(label=_number(name, kind)["label"]) for name in ("stop", "step")]


def _start_slider(services: Services, path: str | None) -> dict[str, Any]:
    """There is something to choose only where the recording is longer than the window."""
    room_s = expected_duration_s(path, services.limits) - WINDOW_S
    return gr.update(visible=room_s >= 0.2, maximum=max(0.1, int(room_s * 10) / 10))


def _draw(found: SweepResult | None, method: str | None) -> tuple[Any, ...]:
    """An average is hidden, then values for `_Output.drawn`; the last step is listened to first."""
    if found is None:
        return (gr.skip(),) * 14
    names = list(found.trajectories)
    method = method if method in names else names[0]
    low, high = sorted((found.values[0], found.values[-1]))
    step = round(abs(found.values[1] - found.values[0]), 9)
    label = f"Listen at ({_unit(found.settings.kind)})"
    return (
        gr.update(visible=False),
        gr.update(visible=False),
        gr.update(visible=True),
        sweep_words.source_html(found) + model_mark_html(found.model.sha256),
        sweep_figures.sweep_figure(found),
        sweep_words.steps_table_html(found),
        sweep_words.statistics_html(found),
        gr.update(choices=[(methods.LOOKS[name].label, name) for name in names], value=method),
        ribbon.ribbon_html(found, method),
        gr.update(label=label, minimum=low, maximum=high, step=step, value=found.values[-1]),
        *_listen(found, method, found.values[-1]),
    )


def _show_method(found: SweepResult | None, method: str, value: float) -> tuple[Any, ...]:
    """The ribbon and the alignment of another method."""
    heard = _listen(found, method, value)  # refuses what is gone or unknown
    return ribbon.ribbon_html(found, method), *heard


def _listen(found: SweepResult | None, method: str, value: float) -> tuple[Any, ...]:
    """Values for `_Output.listened`: the first window and the chosen one, as sound and as aligned strings."""
    if found is None:
        raise gr.Error(GONE, print_exception=False)
    if method not in found.trajectories or not isinstance(value, (int, float)):
        raise gr.Error("Choose one of the swept methods and a value of the sweep.", print_exception=False)
    step = found.nearest_step(value)
    strings = found.trajectories[method].strings
    labels = ribbon.step_label(found, 0), ribbon.step_label(found, step)
    heading = f'<h2 class="pa-heading">{methods.LOOKS[method].label} at {labels[0]} (A) and at {labels[1]} (B)</h2>'
    return (
        heading,
        (SAMPLE_RATE_HZ, found.heard(0)),
        (SAMPLE_RATE_HZ, found.heard(step)),
        alignment_html(strings[0], strings[step], f"A · {labels[0]}", f"B · {labels[1]}", FIRST_SOUND, STEP_SOUND),
    )
