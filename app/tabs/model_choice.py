"""The header: which checkpoint this page uses, and the choice of another one."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import gradio as gr

import pairalign
from app import parts, tokens
from app.services import Services

LOADED_JS = "(sha) => { window.PairAlign.checkpointIs(sha); }"  # checkpoint.js
CHECK_S = 5


def build(services: Services, page: gr.Blocks) -> gr.Dropdown | None:
    """Header and dropdown, in the current Blocks; no dropdown where strangers share the app."""
    with gr.Row(equal_height=True, elem_id="pa-top"):
        header = gr.HTML(tokens.header_html(services.model_info()), elem_id="pa-header", apply_default_css=False)
        choice = None
        if not services.public:
            choice = gr.Dropdown(
                choices(services),
                value=services.checkpoint,
                label="Checkpoint",
                elem_id="pa-checkpoint",
                min_width=180,
                scale=0,
            )
    if choice is not None:
        _wire(services, page, choice, header)
    return choice


def _wire(services: Services, page: gr.Blocks, choice: gr.Dropdown, header: gr.HTML) -> None:
    """The choice is this page's: what other pages use stays as it is."""
    timer = gr.Timer(CHECK_S, active=False)
    sha = gr.Textbox(visible="hidden", label="sha256")  # in the page, so that its script learns of the change
    outputs = [header, sha, choice, timer]

    def tell(request: gr.Request) -> tuple[Any, ...]:
        own = parts.of_page(services, request)
        info, update = own.model_info(), gr.update(choices=choices(services), value=own.checkpoint)
        return tokens.header_html(info), info.sha256, update, gr.Timer(active=own.checkpoint != services.given)

    def use(checkpoint: str, request: gr.Request) -> tuple[Any, ...]:
        own = parts.of_page(services, request)
        if checkpoint == own.checkpoint:
            return (gr.skip(),) * len(outputs)
        try:
            parts.readably(lambda: own.use(checkpoint))
        except gr.Error as error:
            gr.Warning(error.message, duration=parts.ERROR_SHOWN_S)
        return tell(request)

    def check(sha: str, request: gr.Request) -> tuple[Any, ...]:
        """A checkpoint may be deleted, or trained anew, while the page uses it."""
        with contextlib.suppress(ValueError):  # damaged: the next run says so
            if services.of(parts.run_id(request)).tokenizer().sha256 != sha:
                return tell(request)
        return (gr.skip(),) * len(outputs)

    events = [
        choice.change(use, choice, outputs, **parts.PRIVATE),
        page.load(tell, None, outputs, **parts.PRIVATE),
        timer.tick(check, sha, outputs, trigger_mode="once", **parts.PRIVATE),
    ]
    for event in events:
        event.success(None, sha, js=LOADED_JS, **parts.PRIVATE)


def choices(services: Services) -> list[tuple[str, str]]:
    """Checkpoints by name, and the one that the app was started with when it was given as a file."""
    names, given = pairalign.available(), services.given
    return [(name, name) for name in names] + ([] if given in names else [(f"{Path(given).stem} (file)", given)])
