"""What the model card's buttons save: put together on the server, written as a file by the page."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import parts
from app.model_card import card_file
from app.services import Services

KINDS = ("json", "markdown")
SAVE_JS = "(bundle) => window.PairAlign.saveBundle(bundle)"  # exports.js


def build(services: Services) -> None:
    """The hidden buttons that those of the card press (card.js)."""
    bundle = gr.JSON(elem_classes="pa-gone")
    for kind in KINDS:
        button = gr.Button(visible="hidden", elem_id=f"pa-card-{kind}")
        made = button.click(_maker(services, kind), None, bundle, **parts.PRIVATE)
        made.success(None, bundle, js=SAVE_JS, **parts.PRIVATE)


def _maker(services: Services, kind: str) -> Any:
    def make(request: gr.Request) -> dict[str, Any]:
        own = parts.of_page(services, request)
        name, content = parts.readably(lambda: card_file(own.model_info(), kind))
        return {"stem": name, "sound": False, "zipped": False, "texts": {name: content}}

    return make
