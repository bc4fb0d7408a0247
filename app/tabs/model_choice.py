"""The header: what is loaded, and the choice of another checkpoint. The choice is the app's, not one page's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

import pairalign
from app import parts, tokens
from app.services import Services


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

    def use(wanted: str) -> tuple[Any, ...]:
        if wanted == services.checkpoint:
            return gr.skip(), gr.skip(), False
        try:
            parts.readably(lambda: services.use(wanted))
        except gr.Error as error:
            gr.Warning(error.message, duration=parts.ERROR_SHOWN_S)
            return gr.skip(), gr.update(value=services.checkpoint), False
        return tokens.header_html(services.model_info()), gr.skip(), True

    def refresh() -> tuple[Any, ...]:
        shown = gr.update(choices=choices(services), value=services.checkpoint)
        return tokens.header_html(services.model_info()), shown

    changed = gr.State(False)
    private = {"api_visibility": "private", "show_progress": "hidden"}
    used = choice.change(use, choice, [header, choice, changed], concurrency_id="model", concurrency_limit=1, **private)
    used.success(None, changed, js="(changed) => { if (changed) window.PairAlign.checkpointChanged(); }", **private)
    page.load(refresh, None, [header, choice], **private)
    return choice


def choices(services: Services) -> list[tuple[str, str]]:
    """Checkpoints by name, and the one in use when it was given as a file."""
    names = pairalign.available()
    here = services.checkpoint
    return [(name, name) for name in names] + ([] if here in names else [(f"{Path(here).stem} (file)", here)])
