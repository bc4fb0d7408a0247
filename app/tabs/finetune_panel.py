"""What to train on and how: the form of the Train tab."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import gradio as gr

import pairalign
from app import parts, train_words
from app.archives import Archives
from app.class_recordings import ClassRecordings
from app.tabs.run_panel import RunView
from app.training_estimate import step_seconds
from app.training_runs import TrainingError, TrainingRuns
from app.uploads import keep
from pairalign.formats import AUDIO_SUFFIXES
from pairalign.training.corpora import read_manifest
from pairalign.training.finetune_settings import FinetuneSettings

DEFAULTS = FinetuneSettings("name", "data")
SOURCES = {
    "files": "Recordings from this computer",
    "class": "A class you recorded",
    "archive": "An archive",
    "folder": "A folder or manifest",
}
MOST_RECORDINGS = 2_000  # of an archive; training takes an hour of sound at most
INTRO_HTML = (
    '<p class="pa-hint">The checkpoint hears your recordings disturbed in many ways and learns to write the same '
    "string each time. A new checkpoint is made; the one it starts from stays as it is. What hears (the encoder) is "
    "not changed, only what writes.</p>"
)


@dataclass(frozen=True)
class Form:
    """The components, in the order the events get them."""

    source: gr.Radio
    files: gr.File
    with_page: gr.Checkbox
    a_class: gr.Dropdown
    archive: gr.Dropdown
    folder: gr.Textbox
    init: gr.Dropdown
    name: gr.Textbox
    minutes: gr.Slider
    strength: gr.Slider
    learning_rate: gr.Number
    rate: gr.Slider
    batch: gr.Number
    keep_base: gr.Slider
    licence: gr.Textbox
    estimate: gr.Button
    start: gr.Button
    told: gr.HTML

    @property
    def inputs(self) -> list[gr.components.Component]:
        """Everything that goes into a run."""
        return [getattr(self, f.name) for f in fields(self)][:15]


def lay_out(classes: ClassRecordings, archives: Archives) -> Form:
    """The form, in the current Blocks."""
    gr.HTML(INTRO_HTML, apply_default_css=False)
    data = _data_choice(classes, archives)
    with gr.Row():
        init = gr.Dropdown(pairalign.available(), value=_usual_start(), label="Start from", elem_id="pa-train-init")
        name = gr.Textbox("my-voice", label="Name of the new checkpoint", max_length=64, elem_id="pa-train-name")
    minutes = gr.Slider(0.5, 120, DEFAULTS.minutes, step=0.5, label="Minutes of training", elem_id="pa-train-minutes")
    strength = gr.Slider(
        0.25,
        1.5,
        1.0,
        step=0.05,
        label="Disturbance while learning",
        info="1 is what the base checkpoint learned with; above it more noise, echo and other voices.",
    )
    advanced = _advanced()
    licence = gr.Textbox(
        label="Whose recordings are these, and what may they be used for?",
        placeholder="Goes into the model card.",
        max_length=500,
    )
    with gr.Row():
        estimate = gr.Button("How long will it take?", size="lg")
        start = gr.Button("Start training", variant="primary", size="lg", elem_id="pa-train-start")
    told = gr.HTML(elem_id="pa-train-told", min_height=44, apply_default_css=False)
    return Form(*data, init, name, minutes, strength, *advanced, licence, estimate, start, told)


def _data_choice(classes: ClassRecordings, archives: Archives) -> tuple[gr.components.Component, ...]:
    """What to learn from: one kind of source, and the control of that kind."""
    source = gr.Radio([(label, key) for key, label in SOURCES.items()], value="files", label="Learn from")
    with gr.Column(elem_classes="pa-train-source"):
        files = gr.File(
            label="Recordings",
            file_count="multiple",
            file_types=sorted(AUDIO_SUFFIXES),
            height=130,
            elem_id="pa-train-files",
        )
        with_page = gr.Checkbox(False, label="The recording above, too")
        a_class = gr.Dropdown(classes.names(), label="Class", visible=False, elem_id="pa-train-class")
        archive = gr.Dropdown(
            archives.names(),
            label="Archive",
            info="Its recordings are read again from where they were added.",
            visible=False,
            elem_id="pa-train-archive",
        )
        folder = gr.Textbox(
            label="Folder, or manifest CSV", placeholder="/home/me/recordings", visible=False, elem_id="pa-train-folder"
        )
    return source, files, with_page, a_class, archive, folder


def _advanced() -> tuple[gr.components.Component, ...]:
    """What few people need to change."""
    with gr.Accordion("Advanced", open=False):
        learning_rate = gr.Number(
            DEFAULTS.learning_rate, label="Learning rate", info="Lower is more careful.", elem_id="pa-train-lr"
        )
        rate = gr.Slider(
            0,
            20,
            0,
            step=0.5,
            label="Wanted tokens per second",
            info="0 keeps the rate of the checkpoint it starts from.",
        )
        batch = gr.Number(
            DEFAULTS.batch,
            label="Recordings per step",
            precision=0,
            info="Fewer need less memory.",
            elem_id="pa-train-batch",
        )
        keep_base = gr.Slider(
            0,
            1,
            DEFAULTS.keep_base,
            step=0.05,
            label="Share of the start in the result",
            info="More of it keeps other voices safer and learns less.",
        )
    return learning_rate, rate, batch, keep_base


def wire(
    runs: TrainingRuns,
    classes: ClassRecordings,
    archives: Archives,
    form: Form,
    view: RunView,
    audio: gr.Audio,
    page: gr.Blocks,
) -> None:
    """The events of the form."""

    def show(source: str) -> tuple[Any, ...]:
        return (
            *(gr.update(visible=source == "files"),) * 2,
            gr.update(visible=source == "class", choices=classes.names()),
            gr.update(visible=source == "archive", choices=archives.names()),
            gr.update(visible=source == "folder"),
        )

    def tell(*values: Any) -> str:
        def work() -> str:
            settings = _settings(values, "none")
            seconds, device, whence = step_seconds(runs, settings)
            return train_words.list_html([train_words.estimate_words(seconds, settings.minutes, device, whence)])

        return parts.readably(work)

    def begin(recording: str | None, *values: Any) -> tuple[Any, ...]:
        name = parts.readably(lambda: _start(runs, classes, archives, recording, values))
        return gr.update(choices=runs.names(), value=name), ""

    private = {"api_visibility": "private"}
    page.load(lambda: gr.update(choices=pairalign.available()), None, form.init, show_progress="hidden", **private)
    form.source.change(
        show,
        form.source,
        [form.files, form.with_page, form.a_class, form.archive, form.folder],
        show_progress="hidden",
        **private,
    )
    form.estimate.click(tell, form.inputs, form.told, concurrency_id="estimate", concurrency_limit=1, **private)
    started = form.start.click(
        begin, [audio, *form.inputs], [view.run, form.told], show_progress_on=form.told, **private
    )
    started.success(view.draw, [view.run, view.seen], view.drawn, show_progress="hidden", **private)


def _start(
    runs: TrainingRuns, classes: ClassRecordings, archives: Archives, recording: str | None, values: tuple[Any, ...]
) -> str:
    """Start a run on the recordings that the form names; returns the run's name."""
    source, files, with_page, a_class, archive, folder = values[:6]
    uploads, recordings, data = [], [], source
    if source == "files":
        uploads = [*(files or ()), *([recording] if with_page and recording else ())]
        if not uploads:
            raise TrainingError("There are no recordings: choose files, or tick the recording above.")
        for upload in uploads:
            keep(upload)
    elif source == "class":
        data = str(classes.folder(a_class or ""))
    elif source == "archive":
        recordings = archives.sample(archive, MOST_RECORDINGS)
        if not recordings:
            raise TrainingError(f"None of the recordings of {archive} is where it was. Add them again.")
    else:
        data = str(_existing(folder))
    return runs.start(_settings(values, data), uploads, recordings)


def _settings(values: tuple[Any, ...], data: str) -> FinetuneSettings:
    init, name, minutes, strength, learning_rate, rate, batch, keep_base, licence = values[6:15]
    if learning_rate is None or batch is None:
        raise TrainingError("Learning rate and recordings per step must be numbers.")
    return FinetuneSettings(
        name=(name or "").strip(),
        data=data,
        init=init or "",
        minutes=float(minutes),
        learning_rate=float(learning_rate),
        wanted_rate_hz=float(rate),
        view_strength=float(strength),
        batch=int(batch),
        keep_base=float(keep_base),
        licence=(licence or "")[:500],
    )


def _existing(folder: str | None) -> Path:
    """A folder or manifest with recordings; a mistake is told before a process is started."""
    if not (folder or "").strip():
        raise TrainingError("Give the path of a folder with recordings, or of a manifest CSV.")
    path = Path(os.path.expanduser(folder.strip())).absolute()
    read_manifest(path)
    return path


def _usual_start() -> str | None:
    names = pairalign.available()
    return "base" if "base" in names else next(iter(names), None)
