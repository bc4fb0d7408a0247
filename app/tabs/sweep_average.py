"""The part of the Sweep tab that sweeps several recordings and shows their mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import parts, sweep_figures, sweep_words
from app.archives import Archives
from app.recordings import Source
from app.services import Cancelled, Services
from app.tokens import model_mark_html
from app.trajectories import AverageResult, SweepSettings, sweep_average
from pairalign.formats import AUDIO_SUFFIXES

PROGRESS = gr.Progress()


@dataclass(frozen=True)
class Inputs:
    """What goes into an average."""

    examples: gr.Checkbox
    archive: gr.Dropdown
    files: gr.File
    start: gr.Button


@dataclass(frozen=True)
class Output:
    """What shows an average."""

    filled: gr.Column
    plot: gr.Plot
    measures: gr.HTML
    table: gr.HTML

    @property
    def drawn(self) -> list[Any]:
        """What `event` fills, after the empty state and a single sweep, which it hides."""
        return [self.filled, self.plot, self.measures, self.table]


def lay_out_inputs(archives: Archives) -> Inputs:
    """Which recordings, in the current Blocks."""

    def choices() -> list[tuple[str, str]]:
        return [("none", ""), *((name, name) for name in archives.names())]

    with gr.Accordion("Average over several recordings", open=False) as panel:
        with gr.Row():
            with gr.Column(scale=1, min_width=240):
                examples = gr.Checkbox(True, label="The shipped examples")
                archive = gr.Dropdown(
                    choices(),
                    value="",
                    label="Recordings of an archive",
                    info=f"Up to {archives.services.allowed.archive_sample} of them, evenly spread.",
                    elem_id="pa-average-archive",
                )
                gr.HTML('<p class="pa-hint">With the recording above, if there is one.</p>', apply_default_css=False)
                start = gr.Button("Average", elem_id="pa-average")
            files = gr.File(
                label="More recordings",
                file_count="multiple",
                file_types=sorted(AUDIO_SUFFIXES),
                height=130,
                scale=2,
                min_width=260,
            )
    # archives may have been made since the page was opened
    panel.expand(lambda: gr.update(choices=choices()), None, archive, show_progress="hidden", api_visibility="private")
    return Inputs(examples, archive, files, start)


def lay_out_output() -> Output:
    """The mean curves and their numbers, in the current Blocks."""
    with gr.Column(visible=False) as filled:
        plot = parts.plot("pa-average-plot", "Mean distance to the origin")
        measures = gr.HTML(apply_default_css=False)
        with gr.Accordion("Chart as a table", open=False):
            table = gr.HTML(apply_default_css=False)
    return Output(filled, plot, measures, table)


def event(services: Services, archives: Archives) -> Callable[..., tuple[Any, ...]]:
    """What the button does: the same sweep over all recordings."""

    def average(
        audio: str | None,
        kind: str,
        stop: float | None,
        step: float | None,
        methods: list[str],
        examples: bool,
        archive: str | None,
        files: list[str] | None,
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
    ) -> tuple[Any, ...]:
        settings, own = SweepSettings(kind, stop, step, 0.0, methods), parts.of_page(services, request)

        def report(done: float) -> None:
            progress(done, desc="Sweeping")

        def work() -> AverageResult:
            kept = archives.sample(archive, services.allowed.archive_sample) if archive else []
            sources = parts.sources(audio, examples, files) + [Source(str(path), path.name) for path in kept]
            return sweep_average(own, sources, settings, report, own.page)

        try:
            found = parts.readably(work)
        except Cancelled:
            return (gr.skip(),) * 6  # the old result stays
        return _draw(found)

    return average


def _draw(found: AverageResult) -> tuple[Any, ...]:
    """The empty state and a single sweep are hidden, then values for `Output.drawn`."""
    return (
        gr.update(visible=False),
        gr.update(visible=False),
        gr.update(visible=True),
        sweep_figures.average_figure(found),
        sweep_words.average_html(found) + model_mark_html(found.model.sha256),
        sweep_words.average_table_html(found),
    )
