"""The accordion that writes the string again: another length, another search, or drawn at random."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import parts, rewriting
from app.result import TokenizeResult, still_kept
from app.services import Services

MAX_TOKENS = 150  # a window has 150 to 170 frames, and every token needs one of its own
EMPTY = '<p class="pa-note">The new string appears here, aligned to the original, with what it costs in likelihood.</p>'


def build(services: Services, kept: gr.State) -> dict[str, Any]:
    """Lay out the accordion for the last result and wire it; returns the event that must follow every new result."""
    with gr.Accordion("Write it again", open=False, elem_id="pa-rewriting"):
        with gr.Row():
            wanted = gr.Slider(0, MAX_TOKENS, 0, step=1, label="Number of tokens", info="0: as many as it takes")
            beam = gr.Slider(1, 8, 4, step=1, label="Beam", info="strings kept while searching; 1: greedy")
        with gr.Row():
            temperature = gr.Slider(
                0, 2, 0, step=0.05, label="Temperature", info="0: the most likely; above: drawn at random, without beam"
            )
            seed = gr.Number(0, precision=0, minimum=0, label="Seed", info="another seed, another draw")
        start = gr.Button("Write it again", variant="primary", elem_id="pa-rewrite")
        told = gr.HTML(EMPTY, apply_default_css=False, elem_id="pa-rewritten", min_height=60)

    def write(
        result: TokenizeResult | None, wanted: float, beam: float, temperature: float, seed: float, request: gr.Request
    ) -> str:
        own, values = parts.of_page(services, request), (wanted, beam, temperature, seed)

        def work() -> str:
            found = rewriting.rewrite(own, still_kept(result), rewriting.options_of(*values))
            return rewriting.rewriting_html(found, "pa-player")

        return parts.readably(work)

    start.click(
        write,
        [kept, wanted, beam, temperature, seed],
        told,
        api_visibility="private",
        concurrency_id="model",
        concurrency_limit=1,
    )
    return {"fn": lambda: EMPTY, "inputs": None, "outputs": told, "api_visibility": "private", "queue": False}
