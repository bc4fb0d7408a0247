"""What programs can call: tokenize and regenerate. Nothing on the page starts these events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from app import parts, rewriting
from app.services import DEFAULT_METHODS, Services, opening


def build(services: Services, audio: gr.Audio) -> None:
    """Wire the public events inside the current Blocks; `audio` is the page's recording."""
    model = {"concurrency_id": "model", "concurrency_limit": 1}
    document = gr.JSON(visible=False, label="document")
    methods = gr.CheckboxGroup(
        list(services.methods()), value=list(DEFAULT_METHODS), visible=False, label="methods: kinds of token strings"
    )
    numbers = [
        gr.Number(0, precision=0, visible=False, label="wanted_tokens: how many, 0 for as many as it takes"),
        gr.Number(4, precision=0, visible=False, label="beam: 1 (greedy) to 16, not used above temperature 0"),
        gr.Number(0, visible=False, label="temperature: 0 for the most likely string, above 0 it is drawn"),
        gr.Number(0, precision=0, visible=False, label="seed: which string is drawn"),
    ]

    def tokenize(audio: str | None, methods: list[str], request: gr.Request) -> dict[str, Any]:
        """Turn one recording of speech into its token strings: PairAlign's own and those it is compared with.

        Args: audio: a recording (WAV, FLAC, OGG, Opus or MP3), 0.1 s or longer. methods: kinds of strings, by default
        pairalign and vq; also viterbi (VQ smoothed) and vq_raw, and bpe, viterbi_cost and mfcc where fitted.
        Returns: checkpoint, model_sha256, device and, under files[0].strings, for each method the token ids, the text
        (one character per token), the times of every token in seconds, the token rate and what ended the string.
        """
        own = parts.of_page(services, request)
        return parts.readably(lambda: own.tokenize(audio, methods, run_id=own.page).to_document())

    def regenerate(
        audio: str | None, wanted_tokens: int, beam: int, temperature: float, seed: int, request: gr.Request
    ) -> dict[str, Any]:
        """Write PairAlign's string of a recording again, with another length or search, and tell what that costs.

        Args: audio: a recording; of one longer than 3.4 s the first 3 s are heard. wanted_tokens: how many tokens to
        write, 0 for as many as it takes. beam: 1 (greedy) to 16. temperature: 0 for the most likely string, above 0 the
        tokens are drawn, without beam. seed: which string is drawn.
        Returns: checkpoint, model_sha256, device, file, heard_s, options, then original and rewritten, each a string as
        in tokenize with log_p_per_token and log_p_total (nat, the end of the string counted) under this audio,
        cost_nat_per_token (how much less likely the new string is) and edits (unit edit distance).
        """

        own = parts.of_page(services, request)

        def work() -> dict[str, Any]:
            options = rewriting.options_of(wanted_tokens, beam, temperature, seed)
            heard = opening(own.read(audio))
            found = rewriting.rewrite_opening(own, heard, options)
            return own.model_info().to_document() | {"file": Path(audio).name} | found.to_document()

        return parts.readably(work)

    gr.Button(visible=False).click(tokenize, [audio, methods], document, api_name="tokenize", **model)
    gr.Button(visible=False).click(regenerate, [audio, *numbers], document, api_name="regenerate", **model)
