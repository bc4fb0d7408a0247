"""The part of the Archive tab that makes archives, adds recordings to them and deletes them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app import archive_words, demo_archive, parts
from app.archives import Archives
from app.services import Services
from app.tabs import runs
from pairalign.archive.report import Progress
from pairalign.formats import AUDIO_SUFFIXES

PROGRESS = gr.Progress()
DELETE_JS = (
    "(name) => [name && confirm(`Delete the archive ${name} and its copies of uploaded recordings? "
    "Recordings in folders of your own stay.`) ? name : '']"
)


@dataclass(frozen=True)
class Adding:
    """The components of this part."""

    fresh: gr.Textbox
    create: gr.Button
    files: gr.File
    folder: gr.Textbox
    start: gr.Button
    stop: gr.Button
    delete: gr.Button
    status: gr.HTML


def build(services: Services, archives: Archives, name: gr.Dropdown) -> list[Any]:
    """Lay it out in the current Blocks; returns the events after which the archive `name` is to be shown anew."""
    if archives.refusal:
        gr.HTML(f'<p class="pa-hint">{escape(archives.refusal)}</p>', apply_default_css=False)
        return []
    with gr.Accordion("Add recordings, or make an archive", open=False, elem_id="pa-archive-adding"):
        part = _layout()
    return _wire(part, services, archives, name)


def _layout() -> Adding:
    with gr.Row():
        fresh = gr.Textbox(
            label="Name of a new archive",
            placeholder="for example my-talks",
            info="Letters, digits, - and _.",
            max_lines=1,
            scale=3,
            min_width=220,
            elem_id="pa-archive-fresh",
        )
        create = gr.Button("Make archive", scale=1, min_width=140, elem_id="pa-archive-create")
    with gr.Row():
        files = gr.File(
            label="Recordings to add",
            file_count="multiple",
            file_types=sorted(AUDIO_SUFFIXES),
            height=150,
            scale=2,
            min_width=260,
            elem_id="pa-archive-files",
        )
        with gr.Column(scale=2, min_width=260):
            folder = gr.Textbox(
                label="or a folder on this computer",
                placeholder="/path/to/recordings",
                info="With everything below it. The recordings stay where they are.",
                max_lines=1,
                elem_id="pa-archive-folder",
            )
            with gr.Row():
                start = gr.Button("Add to the archive", elem_id="pa-archive-add")
                stop = gr.Button("Cancel", elem_id="pa-archive-cancel", elem_classes="pa-cancel")
            delete = gr.Button("Delete this archive", size="sm", elem_id="pa-archive-delete")
    status = gr.HTML(elem_id="pa-archive-added", min_height=44, apply_default_css=False)
    return Adding(fresh, create, files, folder, start, stop, delete, status)


def _wire(part: Adding, services: Services, archives: Archives, name: gr.Dropdown) -> list[Any]:
    def make(fresh: str, request: gr.Request) -> tuple[Any, str, str]:
        own = archives.of(parts.of_page(services, request))
        made = parts.readably(lambda: own.create(fresh.strip()))
        said = f'<p class="pa-note" role="status">{escape(made)} is open. Add recordings to it.</p>'
        return gr.update(choices=archives.names(), value=made), "", said

    def add(
        name: str, files: list[str] | None, folder: str, request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> tuple[str, Any, Any]:
        def told(done: Progress) -> None:
            share = done.bytes_done / done.bytes if done.bytes else 0.0
            progress(min(share, 1.0), desc=archive_words.progress_words(done))

        progress(0.0, desc="Looking at the files")
        own = archives.of(parts.of_page(services, request))
        added = parts.readably(lambda: own.add(name, files or (), folder, own.services.run("add"), told))
        keep = (gr.skip(), gr.skip()) if added.cancelled else (None, "")
        return archive_words.added_html(added), *keep

    def cancel(request: gr.Request) -> None:
        services.stop(services.of(parts.run_id(request)).run("add"))

    def delete(name: str) -> tuple[Any, Any]:
        if not name:  # not confirmed
            return gr.skip(), gr.skip()
        parts.readably(lambda: archives.delete(name))
        words = f'<p class="pa-note" role="status">{escape(name)} is deleted.</p>'
        return gr.update(choices=archives.names(), value=demo_archive.NAME), words

    private = {"api_visibility": "private"}
    made = part.create.click(make, part.fresh, [name, part.fresh, part.status], show_progress="hidden", **private)
    runs.clear_message("pa-archive-added", part.start)
    # searching goes on meanwhile: both share the model batch by batch
    added = part.start.click(
        add,
        [name, part.files, part.folder],
        [part.status, part.files, part.folder],
        show_progress_on=part.status,
        concurrency_id="archive-add",
        concurrency_limit=1,
        **private,
    )
    runs.keep_message("pa-archive-added", added)
    part.stop.click(cancel, queue=False, show_progress="hidden", **private)
    deleted = part.delete.click(
        delete, name, [name, part.status], js=DELETE_JS, show_progress="hidden", concurrency_id="archive", **private
    )
    return [made, added, deleted]
