"""The accordion that shows how the decoder read the audio; drawn when it is opened, so that results come first."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import attention, parts
from app.result import TokenizeResult, still_kept
from app.services import Services

PLOT_ID = "pa-attention"
WAITING = '<p class="pa-note">Reading …</p>'


def build(services: Services, kept: gr.State) -> dict[str, Any]:
    """Lay out the accordion for the last result and wire it; returns the event that must follow every new result."""
    opened = gr.State(False)
    with gr.Accordion("How the decoder read the audio", open=False, elem_id="pa-decoder") as panel:
        words = gr.HTML(WAITING, apply_default_css=False)
        plot = parts.plot(PLOT_ID, "Cross-attention, tokens by time")
        with gr.Accordion("Attention as a table", open=False):
            table = gr.HTML(apply_default_css=False)

    def draw(result: TokenizeResult | None, request: gr.Request) -> tuple[Any, ...]:
        own = parts.of_page(services, request)
        reading = parts.readably(lambda: attention.read_attention(own, still_kept(result)))
        return (
            attention.explanation_html(reading),
            attention.attention_figure(reading),
            attention.attention_table_html(reading),
        )

    def expand(result: TokenizeResult | None, request: gr.Request) -> tuple[Any, ...]:
        return True, *draw(result, request)

    def follow(is_open: bool, result: TokenizeResult | None, request: gr.Request) -> tuple[Any, ...]:
        return draw(result, request) if is_open else (WAITING, None, "")

    wiring = {"show_progress": "hidden", "api_visibility": "private", "concurrency_id": "model", "concurrency_limit": 1}
    shown = [words, plot, table]
    panel.expand(expand, kept, [opened, *shown], **wiring)
    panel.collapse(lambda: False, None, opened, api_visibility="private", queue=False)
    return {"fn": follow, "inputs": [opened, kept], "outputs": shown, **wiring}
