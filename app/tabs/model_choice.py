"""The header: what is loaded, and the choice of another checkpoint. The choice is the app's, not one page's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

import pairalign
from app import parts, tokens
from app.services import Services

LOADED_JS = "(sha) => { window.PairAlign.checkpointIs(sha); }"  # checkpoint.js


def build(services: Services, page: gr.Blocks) -> gr.Dropdown | None:
    """Header and dropdown, in the current Blocks; no dropdown where strangers share the app."""
    with gr.Row(equal_height=True, elem_id="pa-top"):
        header = gr.HTML(tokens.header_html(services.model_info()), elem_id="pa-header", apply_default_css=False)
        if services.public:
            return None
        choice = gr.Dropdown(
            choices(services),
            value=services.checkpoint,
            label="Checkpoint",
            elem_id="pa-checkpoint",
            min_width=180,
            scale=0,
        )

    sha = gr.Textbox(visible="hidden", label="sha256")  # in the page, so that its script learns of the change

    def told() -> tuple[Any, ...]:
        info = services.model_info()
        return tokens.header_html(info), gr.update(choices=choices(services), value=services.checkpoint), info.sha256

    def use(wanted: str) -> tuple[Any, ...]:
        if wanted == services.checkpoint:
            return (gr.skip(),) * 3
        try:
            parts.readably(lambda: services.use(wanted))
        except gr.Error as error:
            gr.Warning(error.message, duration=parts.ERROR_SHOWN_S)
        return told()

    private = {"api_visibility": "private", "show_progress": "hidden"}
    shown = [header, choice, sha]
    used = choice.change(use, choice, shown, concurrency_id="model", concurrency_limit=1, **private)
    for event in (used, page.load(told, None, shown, **private)):
        event.success(None, sha, js=LOADED_JS, **private)
    return choice


def choices(services: Services) -> list[tuple[str, str]]:
    """Checkpoints by name, and the one that the app was started with when it was given as a file."""
    names, given = pairalign.available(), services.given
    return [(name, name) for name in names] + ([] if given in names else [(f"{Path(given).stem} (file)", given)])
