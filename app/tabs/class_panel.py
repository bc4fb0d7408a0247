"""Record a class: a list of words or sentences, several speakers, one take of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
import numpy as np

from app import class_search, parts, tables
from app.class_recordings import SOME_WORDS, ClassError, ClassRecordings, RecordedClass
from app.services import Services, to_int16
from app.tabs.finetune_panel import Form
from pairalign.audio import SAMPLE_RATE_HZ, read_audio

FILE_JS = "() => setTimeout(() => document.querySelector('#pa-class-file')?.click(), 300)"
DELETE_JS = "(name) => [name && confirm(`Delete the class ${name} with all its recordings?`) ? name : '']"
PROGRESS = gr.Progress()
EMPTY_HTML = (
    '<div class="pa-empty"><p class="pa-empty-title">No class yet</p><p>Write a list of words or sentences, give it a '
    "name and press Make. Then each speaker types a name and records the list, one line after the other.</p></div>"
)
INTRO_HTML = (
    '<p class="pa-hint">Several people say the same words. The same word by two people becomes a pair to learn from, '
    "and shows whether a string finds a word in another mouth. Ask everybody before you record them; the recordings "
    "stay in your own folder on this computer.</p>"
)


@dataclass(frozen=True)
class _Parts:
    """The components of the recorder."""

    chosen: gr.Dropdown
    name: gr.Textbox
    words: gr.Textbox
    make: gr.Button
    change: gr.Button
    speaker: gr.Textbox
    prompt: gr.Dropdown
    shown: gr.HTML
    take: gr.Audio
    save: gr.Button
    hear: gr.Button
    forget: gr.Button
    grid: gr.HTML
    train: gr.Button
    search: gr.Button
    download: gr.Button
    delete: gr.Button
    file: gr.DownloadButton
    found: gr.HTML


def build(services: Services, classes: ClassRecordings, tabs: gr.Tabs, form: Form, page: gr.Blocks) -> None:
    """Lay out the recorder in the current Blocks; `form` is where a class is used for training."""
    gr.HTML(INTRO_HTML, apply_default_css=False)
    with gr.Row(equal_height=False):
        with gr.Column(scale=2, min_width=280):
            the_list = _lay_out_list(classes)
        with gr.Column(scale=3, min_width=320):
            takes = _lay_out_takes()
    part = _Parts(**the_list, **takes, **_lay_out_class())
    _wire(services, classes, part, tabs, form, page)


def _lay_out_list(classes: ClassRecordings) -> dict[str, gr.components.Component]:
    """Which class, and what is said in it."""
    chosen = gr.Dropdown(classes.names(), label="Class", elem_id="pa-class")
    name = gr.Textbox("my-class", label="Name of a new class", max_length=64, elem_id="pa-class-name")
    words = gr.Textbox(
        "\n".join(SOME_WORDS),
        label="Words or sentences, one per line",
        lines=8,
        max_lines=12,
        elem_id="pa-class-words",
    )
    with gr.Row():
        make = gr.Button("Make a new class", elem_id="pa-class-make")
        change = gr.Button("Change its list")
    return {"chosen": chosen, "name": name, "words": words, "make": make, "change": change}


def _lay_out_takes() -> dict[str, gr.components.Component]:
    """Who speaks, the line to say, and the recorder."""
    speaker = gr.Textbox(
        "", label="Who speaks now? (a name of letters and digits)", max_length=64, elem_id="pa-class-speaker"
    )
    prompt = gr.Dropdown([], label="Say this", elem_id="pa-class-prompt")
    shown = gr.HTML(apply_default_css=False, elem_id="pa-class-shown")
    take = gr.Audio(
        sources=["microphone", "upload"], type="filepath", label="Take", elem_id="pa-class-take", buttons=[]
    )
    save = gr.Button("Keep this take, next line", variant="primary", elem_id="pa-class-save")
    with gr.Row():
        hear = gr.Button("Hear the kept take", size="sm")
        forget = gr.Button("Delete the kept take", size="sm", elem_id="pa-class-forget")
    return {
        "speaker": speaker,
        "prompt": prompt,
        "shown": shown,
        "take": take,
        "save": save,
        "hear": hear,
        "forget": forget,
    }


def _lay_out_class() -> dict[str, gr.components.Component]:
    """What there is so far, and what to do with it."""
    grid = gr.HTML(EMPTY_HTML, apply_default_css=False, elem_id="pa-class-grid")
    with gr.Row(elem_classes="pa-train-buttons"):
        train = gr.Button("Use for training", size="sm", elem_id="pa-class-train")
        search = gr.Button("Search across speakers", size="sm", elem_id="pa-class-search")
        download = gr.Button("Download", size="sm")
        delete = gr.Button("Delete class", size="sm")
    file = gr.DownloadButton(visible="hidden", elem_id="pa-class-file")
    found = gr.HTML(apply_default_css=False, elem_id="pa-class-found")
    buttons = {"train": train, "search": search, "download": download, "delete": delete}
    return {"grid": grid, **buttons, "file": file, "found": found}


def _wire(
    services: Services, classes: ClassRecordings, part: _Parts, tabs: gr.Tabs, form: Form, page: gr.Blocks
) -> None:
    chosen, words, speaker, prompt, take = part.chosen, part.words, part.speaker, part.prompt, part.take
    view, events = [chosen, prompt, part.shown, part.grid], _Events(classes)
    private = {"api_visibility": "private", "show_progress": "hidden"}
    part.make.click(events.make, [part.name, words, speaker], [*view, words], **private)
    part.change.click(events.change, [chosen, words, speaker], view, **private)
    gr.on([chosen.input, speaker.blur, speaker.submit], events.choose, [chosen, speaker], [*view, words], **private)
    prompt.input(events.show, [chosen, speaker, prompt], part.shown, **private)
    part.save.click(events.save, [chosen, speaker, prompt, take], [*view, take], **private)
    part.hear.click(events.hear, [chosen, speaker, prompt], take, **private)
    part.forget.click(events.forget, [chosen, speaker, prompt], view, **private)
    page.load(lambda: gr.update(choices=classes.names()), None, chosen, **private)
    part.train.click(events.use, chosen, [tabs, form.source, form.a_class], **private)
    model = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
    part.search.click(_searching(services, classes), chosen, part.found, **model)
    made = part.download.click(events.bundle, chosen, part.file, **private)
    made.success(None, None, js=FILE_JS, **private)
    part.delete.click(events.delete, chosen, [*view, part.found], js=DELETE_JS, **private)


class _Events:
    """What the buttons do. Most answer with the values of: class, prompt, prompt in large, grid."""

    def __init__(self, classes: ClassRecordings) -> None:
        self.classes = classes

    def make(self, name: str, words: str, speaker: str) -> tuple[Any, ...]:
        found = parts.readably(lambda: self.classes.create((name or "").strip(), words))
        return *self.view(found, speaker), "\n".join(found.prompts)

    def change(self, name: str | None, words: str, speaker: str) -> tuple[Any, ...]:
        return self.view(parts.readably(lambda: self.classes.change_prompts(name or "", words)), speaker)

    def choose(self, name: str | None, speaker: str) -> tuple[Any, ...]:
        if not name:
            return (gr.skip(),) * 5
        found = parts.readably(lambda: self.classes.load(name))
        return *self.view(found, speaker), "\n".join(found.prompts)

    def show(self, name: str | None, speaker: str, prompt: str | None) -> str:
        return prompt_html(parts.readably(lambda: self.classes.load(name or "")), (speaker or "").strip(), prompt)

    def save(self, name: str | None, speaker: str, prompt: str | None, audio: str | None) -> tuple[Any, ...]:
        said = (speaker or "").strip()
        found = parts.readably(lambda: self.classes.save_take(name or "", said, prompt or "", audio))
        return *self.view(found, said, found.next_prompt(said, prompt)), None

    def hear(self, name: str | None, speaker: str, prompt: str | None) -> Any:
        return parts.readably(lambda: self._sound(name or "", (speaker or "").strip(), prompt or ""))

    def _sound(self, name: str, speaker: str, prompt: str) -> tuple[int, np.ndarray]:
        kept = self.classes.load(name).take(speaker, prompt)
        if kept is None:
            raise ClassError("There is no kept take of this line by this speaker.")
        return SAMPLE_RATE_HZ, to_int16(read_audio(self.classes.folder(name) / kept.file))

    def forget(self, name: str | None, speaker: str, prompt: str | None) -> tuple[Any, ...]:
        said = (speaker or "").strip()
        found = parts.readably(lambda: self.classes.delete_take(name or "", said, prompt or ""))
        return self.view(found, said, prompt)

    def use(self, name: str | None) -> tuple[Any, ...]:
        """Show the form of the Fine-tune tab with this class chosen; the form then shows the control for it."""
        parts.readably(lambda: self.classes.folder(name or ""))
        return gr.Tabs(selected="finetune"), "class", gr.update(choices=self.classes.names(), value=name)

    def bundle(self, name: str | None) -> str:
        return str(parts.readably(lambda: self.classes.bundle(name or "")))

    def delete(self, name: str) -> tuple[Any, ...]:
        if not name:  # not confirmed
            return (gr.skip(),) * 5
        parts.readably(lambda: self.classes.delete(name))
        return (
            gr.update(choices=self.classes.names(), value=None),
            gr.update(choices=[], value=None),
            "",
            EMPTY_HTML,
            "",
        )

    def view(self, found: RecordedClass, speaker: str, prompt: str | None = None) -> tuple[Any, ...]:
        said = (speaker or "").strip()
        wanted = prompt or found.next_prompt(said) or found.prompts[0]
        return (
            gr.update(choices=self.classes.names(), value=found.name),
            gr.update(choices=list(found.prompts), value=wanted),
            prompt_html(found, said, wanted),
            grid_html(found),
        )


def prompt_html(found: RecordedClass, speaker: str, prompt: str | None) -> str:
    """The line to say, large, and whether the speaker has said it."""
    done = sum(found.take(speaker, one) is not None for one in found.prompts)
    kept = "a take is kept: a new one replaces it" if prompt and found.take(speaker, prompt) else "not recorded yet"
    who = f"{escape(speaker)}: {done} of {len(found.prompts)} recorded" if speaker else "type a name first"
    return f'<p class="pa-class-prompt">{escape(prompt or "")}</p><p class="pa-hint" role="status">{who}; {kept}.</p>'


def grid_html(found: RecordedClass) -> str:
    """Who has recorded what: a row per line, a column per speaker."""
    speakers = found.speakers
    rows = [
        (escape(prompt), ["✓ recorded" if found.take(one, prompt) else "–" for one in speakers])
        for prompt in found.prompts
    ]
    minutes = f"{len(found.takes)} takes by {len(speakers)} speakers, {found.seconds:.0f} s of sound"
    return tables.table(("Line", *map(escape, speakers)), rows, f"Class {escape(found.name)}: {minutes}")


def _searching(services: Services, classes: ClassRecordings) -> Callable[..., str]:
    def search(name: str | None, request: gr.Request, progress: gr.Progress = PROGRESS) -> str:
        own = parts.of_page(services, request)

        def work() -> str:
            found, folder = classes.load(name or ""), classes.folder(name or "")
            told = class_search.search_class(own, found, folder, lambda done: progress(done, desc="Listening"))
            return class_search.found_html(told)

        return parts.readably(work)

    return search
