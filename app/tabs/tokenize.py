"""The Tokenize tab: one recording in, its token strings on one time axis out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import figures, parts, tokens
from app.services import Cancelled, Services, TokenizeResult
from pairalign.audio import SAMPLE_RATE_HZ

PROGRESS = gr.Progress()
HINT = "<kbd>Ctrl</kbd> <kbd>Enter</kbd> starts."

# the file is made in the page, from the document that is already there: nothing is written on the server
DOWNLOAD_JS = """(doc) => {
  if (!doc) return;
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(doc, null, 1)], {type: 'application/json'}));
  link.download = doc.files[0].file.replace(/\\.[^.]*$/, '') + '.pairalign.json';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}"""


@dataclass(frozen=True)
class _Output:
    empty: gr.HTML
    filled: gr.Column
    numbers: gr.HTML
    player: gr.Audio
    plot: gr.Plot
    strings: gr.HTML
    table: gr.HTML
    document: gr.JSON
    download: gr.Button


def build(services: Services, audio: gr.Audio) -> None:
    """Lay out the tab inside the current Blocks and wire its events; `audio` is the page's recording."""
    bar = parts.run_bar("tokenize", "Tokenize", HINT)
    out = _lay_out_output()
    result = gr.State(None, time_to_live=parts.RESULT_TTL_S)

    def tokenize(
        audio: str | None, request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> tuple[dict[str, Any], TokenizeResult | None]:
        """Turn one recording of speech into its PairAlign token string and its VQ token string.

        Args: audio: a recording (WAV, FLAC, OGG, Opus or MP3), 0.1 s or longer.
        Returns: checkpoint, model_sha256, device and, under files[0].strings, for each method the token ids, the text
        (one character per token), the times of every token in seconds, the token rate and what ended the string.
        """

        def report(done: float) -> None:
            progress(done, desc="Tokenizing")

        try:
            found = parts.readably(lambda: services.tokenize(audio, progress=report, run_id=parts.run_id(request)))
        except Cancelled:
            return gr.skip(), None  # the old result stays
        return found.to_document(), found

    # two steps: the first is the public one and answers with the document alone, the second draws it
    run = {"fn": tokenize, "inputs": audio, "outputs": [out.document, result], "show_progress_on": bar.status}
    run |= {"concurrency_id": "model", "concurrency_limit": 1}
    draw = {"fn": _draw, "inputs": result, "show_progress": "hidden", "api_visibility": "private"}
    draw["outputs"] = [out.empty, out.filled, out.numbers, out.player, out.plot, out.strings, out.table, result]
    started = bar.start.click(**run, api_name="tokenize")
    started.success(**draw)
    parts.wire_stop(services, bar, [started])
    out.download.click(None, inputs=out.document, js=DOWNLOAD_JS, api_visibility="private")


def _lay_out_output() -> _Output:
    with gr.Column(elem_id="pa-results", elem_classes="pa-results"):
        empty = gr.HTML(tokens.EMPTY_HTML, apply_default_css=False)
        with gr.Column(visible=False) as filled:
            numbers = gr.HTML(apply_default_css=False)
            # the sound exactly as it was tokenized
            player = parts.player("pa-player", "What was tokenized")
            plot = parts.plot("pa-plot", "Waveform, log-mel and tokens")
            strings = gr.HTML(apply_default_css=False)
            with gr.Accordion("Tokens as a table", open=False):
                table = gr.HTML(apply_default_css=False)
            with gr.Accordion("JSON", open=False):
                document = gr.JSON(show_label=False, max_height=360)
            download = gr.Button("Download JSON", size="sm", elem_id="pa-download")
    return _Output(empty, filled, numbers, player, plot, strings, table, document, download)


def _draw(found: TokenizeResult | None) -> tuple[Any, ...]:
    """Values for the outputs of `build`, in their order; the last one empties the state."""
    if found is None:
        return (gr.skip(),) * 8
    return (
        gr.update(visible=False),
        gr.update(visible=True),
        tokens.figures_html(found),
        (SAMPLE_RATE_HZ, found.samples),
        figures.make_figure(found),
        tokens.strings_html(found),
        tokens.table_html(found),
        None,
    )
