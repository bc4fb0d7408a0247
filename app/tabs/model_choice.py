"""The header: which checkpoint this page uses, and the choice of another one."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import gradio as gr

import pairalign
from app import parts, tokens
from app.services import Services

LOADED_JS = "(sha, page) => { window.PairAlign.checkpointIs(sha, page); }"  # checkpoint.js
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
    # in the page, so that its script learns of them
    known = [gr.Textbox(visible="hidden", label=label) for label in ("sha256", "page")]
    if choice is not None:
        _wire(services, page, choice, [header, *known])
        return choice

    def tell(request: gr.Request) -> tuple[str, str]:
        return _known(services, request)

    loaded = page.load(tell, None, known, **parts.PRIVATE)
    loaded.success(None, known, js=LOADED_JS, **parts.PRIVATE)
    return None


def _known(services: Services, request: gr.Request) -> tuple[str, str]:
    """What the page's script must know: the hash of the page's model, and what the page is called here."""
    return services.of(parts.run_id(request)).model_info().sha256, parts.run_id(request)


def _wire(services: Services, page: gr.Blocks, choice: gr.Dropdown, shown: list[Any]) -> None:
    """The choice is this page's: what other pages use stays as it is."""
    timer = gr.Timer(CHECK_S, active=False)
    outputs, known = [*shown, choice, timer], shown[1:]

    def tell(request: gr.Request) -> tuple[Any, ...]:
        own = parts.of_page(services, request)
        update = gr.update(choices=choices(services), value=own.checkpoint)
        checks = gr.Timer(active=own.checkpoint != services.given)
        return tokens.header_html(own.model_info()), *_known(services, request), update, checks

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
        timer.tick(check, known[0], outputs, trigger_mode="once", **parts.PRIVATE),
    ]
    for event in events:
        event.success(None, known, js=LOADED_JS, **parts.PRIVATE)


def choices(services: Services) -> list[tuple[str, str]]:
    """Checkpoints by name, and the one that the app was started with when it was given as a file."""
    names, given = pairalign.available(), services.given
    return [(name, name) for name in names] + ([] if given in names else [(f"{Path(given).stem} (file)", given)])
