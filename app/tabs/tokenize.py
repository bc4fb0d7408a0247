"""The Tokenize tab: one recording in, both token strings on one time axis out."""

from __future__ import annotations

import html
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from app import figures, tokens
from app.services import Cancelled, Services, TokenizeResult
from pairalign.audio import SAMPLE_RATE_HZ

LOG = logging.getLogger(__name__)
PROGRESS = gr.Progress()
EXAMPLES_DIR = Path(__file__).resolve().parent.parent / "examples"
ERROR_SHOWN_S = 20
RESULT_TTL_S = 120  # a result waits that long between the run and its drawing, then its memory is freed

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
class _Input:
    audio: gr.Audio
    start: gr.Button
    stop: gr.Button
    status: gr.HTML
    examples: gr.Examples | None


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


def build(services: Services) -> None:
    """Lay out the tab inside the current Blocks and wire its events."""
    entry, out = _lay_out_input(services), _lay_out_output()
    result = gr.State(None, time_to_live=RESULT_TTL_S)

    def tokenize(
        audio: str | None, request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> tuple[dict[str, Any], TokenizeResult | None]:
        """Turn one recording of speech into its PairAlign token string and its VQ token string.

        Args: audio: a recording (WAV, FLAC, OGG, Opus or MP3), 0.1 s or longer.
        Returns: checkpoint, model_sha256, device and, under files[0].strings, for each method the token ids, the text
        (one character per token), the times of every token in seconds, the token rate and what ended the string.
        """
        try:
            found = run_readably(services, audio, _run_id(request), lambda done: progress(done, desc="Tokenizing"))
        except Cancelled:
            return gr.skip(), None  # the old result stays
        return found.to_document(), found

    def cancel(request: gr.Request) -> None:
        services.stop(_run_id(request))

    # two steps: the first is the public one and answers with the document alone, the second draws it
    run = {"fn": tokenize, "inputs": entry.audio, "outputs": [out.document, result], "show_progress_on": entry.status}
    run |= {"concurrency_id": "model", "concurrency_limit": 1}
    draw = {"fn": _draw, "inputs": result, "show_progress": "hidden", "api_visibility": "private"}
    draw["outputs"] = [out.empty, out.filled, out.numbers, out.player, out.plot, out.strings, out.table, result]
    events = [entry.start.click(**run, api_name="tokenize")]
    if entry.examples is not None:
        events.append(entry.examples.load_input_event.success(**run, api_visibility="private"))
    for event in events:
        event.success(**draw)
    entry.stop.click(cancel, cancels=events, queue=False, show_progress="hidden", api_visibility="private")
    out.download.click(None, inputs=out.document, js=DOWNLOAD_JS, api_visibility="private")


def _lay_out_input(services: Services) -> _Input:
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=300):
            audio = gr.Audio(
                sources=["upload", "microphone"], type="filepath", label="Recording", elem_id="pa-audio", buttons=[]
            )
        with gr.Column(scale=2, min_width=280):
            start = gr.Button("Tokenize", variant="primary", size="lg", elem_id="pa-tokenize")
            stop = gr.Button("Stop", variant="secondary", size="lg", elem_id="pa-stop")
            status = gr.HTML(_hint(services), elem_id="pa-run", min_height=44, apply_default_css=False)
            examples = _examples(audio)
    return _Input(audio, start, stop, status, examples)


def _lay_out_output() -> _Output:
    with gr.Column(elem_id="pa-results"):
        empty = gr.HTML(tokens.EMPTY_HTML, apply_default_css=False)
        with gr.Column(visible=False) as filled:
            numbers = gr.HTML(apply_default_css=False)
            # the sound exactly as it was tokenized; the page's script plays token spans from this file
            player = gr.Audio(
                interactive=False,
                label="What was tokenized",
                show_label=False,
                container=False,
                elem_id="pa-player",
                buttons=[],
                waveform_options=gr.WaveformOptions(show_recording_waveform=False),
            )
            plot = gr.Plot(label="Waveform, log-mel and tokens", show_label=False, elem_id="pa-plot")
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


def run_readably(services: Services, audio: str | None, run_id: str, report: Any) -> TokenizeResult:
    """Run the service; whatever goes wrong becomes a sentence for the page, never a traceback. Cancelled passes."""
    try:
        return services.tokenize(audio, progress=report, run_id=run_id)
    except Cancelled:
        raise
    except ValueError as error:
        # the toast renders HTML, and the message may quote a file name
        message = html.escape(str(error), quote=False)
        raise gr.Error(message, duration=ERROR_SHOWN_S, print_exception=False) from None
    except Exception as error:
        LOG.exception("tokenizing failed")
        message = "Something failed on our side; the server's log has the details. Try again or try another recording."
        raise gr.Error(message, duration=ERROR_SHOWN_S, print_exception=False) from error


def read_examples(folder: Path = EXAMPLES_DIR) -> list[dict[str, str]]:
    """The shipped recordings: name, file (an existing path), text, voice; none without a list of them."""
    try:
        entries = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return []
    found = [{**entry, "file": str(folder / entry["file"])} for entry in entries]
    return [entry for entry in found if Path(entry["file"]).is_file()]


def _examples(audio: gr.Audio) -> gr.Examples | None:
    entries = read_examples()
    if not entries:
        return None
    return gr.Examples(
        examples=[[entry["file"]] for entry in entries],
        inputs=[audio],
        example_labels=[entry["name"] for entry in entries],
        label="Examples (synthetic voices)",
        examples_per_page=12,
        api_visibility="private",
    )


def _hint(services: Services) -> str:
    seconds = services.limits.max_duration_s
    longest = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    keys = "<kbd>Ctrl</kbd> <kbd>Enter</kbd> starts."
    return f'<p class="pa-hint">WAV, FLAC, OGG, Opus or MP3, up to {longest}.<br>{keys}</p>'


def _run_id(request: gr.Request) -> str:
    return str(request.session_hash or "")
