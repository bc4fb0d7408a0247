"""The row of buttons that save a result as files."""

from __future__ import annotations

from functools import partial

import gradio as gr

from app import exports, parts
from app.result import TokenizeResult

SAVE_JS = "(bundle) => window.PairAlign.saveBundle(bundle)"


def build(kept: gr.State) -> None:
    """A button per kind of file; what it saves is put together on the server and written by the page."""
    # in the page, so that its script can read it; visible="hidden" is forgotten when the column around it appears
    bundle = gr.JSON(elem_classes="pa-gone")
    with gr.Row(elem_id="pa-save", elem_classes="pa-save"):
        gr.HTML('<p class="pa-note">Save as</p>', apply_default_css=False)
        for kind, label in exports.KINDS.items():
            button = gr.Button(label, size="sm", elem_id=f"pa-save-{kind}")
            made = button.click(partial(_bundle, kind), kept, bundle, show_progress="hidden", api_visibility="private")
            made.success(None, bundle, js=SAVE_JS, api_visibility="private")


def _bundle(kind: str, result: TokenizeResult | None) -> dict:
    return parts.readably(lambda: exports.bundle(result, kind))
