"""Building blocks that all tabs share: the recording, run and stop buttons, players, readable errors."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from app.recordings import Source
from app.runs import Cancelled
from app.services import Services
from pairalign.errors import PairAlignError
from pairalign.formats import AUDIO_SUFFIXES, READABLE
from pairalign.home import one_line

LOG = logging.getLogger(__name__)
EXAMPLES_DIR = Path(__file__).resolve().parent / "examples"
ERROR_SHOWN_S = 20
RESULT_TTL_S = 120  # a result waits that long between the run and its drawing, then its memory is freed
# options of events that use the model: they start at once and wait for their turn in app/turns.py, which says for whom;
# some threads stay free for all other events
MODEL = {"concurrency_id": "runs", "concurrency_limit": 24}
# presses the button that starts the open tab's run; what runs there already is stopped first
START_JS = "() => { window.PairAlign.start(); }"  # runs.js
PRIVATE = {"show_progress": "hidden", "api_visibility": "private"}  # options of the page's own events
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class RunBar:
    """The button that starts a tab's run, the one that stops it, and where its progress shows."""

    name: str
    start: gr.Button
    stop: gr.Button
    status: gr.HTML


def run_bar(name: str, label: str, hint: str = "<kbd>Ctrl</kbd> <kbd>Enter</kbd> starts.") -> RunBar:
    """Start, Stop and status of the tab `name`; while a run works, Stop takes the place of Start (page.css)."""
    start = gr.Button(label, variant="primary", size="lg", elem_id=f"pa-{name}", elem_classes="pa-start")
    stop = gr.Button("Stop", variant="secondary", size="lg", elem_id=f"pa-{name}-stop", elem_classes="pa-stop")
    status = gr.HTML(
        f'<p class="pa-hint">{hint}</p>',
        elem_id=f"pa-{name}-run",
        elem_classes="pa-run",
        min_height=44,
        apply_default_css=False,
    )
    return RunBar(name, start, stop, status)


def wire_stop(services: Services, bar: RunBar, events: list[Any]) -> Any:
    """Let Stop end `events`, which run as `Services.run` of the bar's name; returns the event of its having done so."""

    def cancel(request: gr.Request) -> None:
        services.stop(services.of(run_id(request)).run(bar.name))

    return bar.stop.click(cancel, cancels=events, queue=False, show_progress="hidden", api_visibility="private")


def player(elem_id: str, label: str, visible: bool = True) -> gr.Audio:
    """A player whose sound the page's script also uses to play token spans; an invisible one only does that."""
    return gr.Audio(
        interactive=False,
        label=label,
        show_label=False,
        container=False,
        elem_id=elem_id,
        elem_classes="pa-player" if visible else "pa-player pa-sr",
        buttons=[],
        waveform_options=gr.WaveformOptions(show_recording_waveform=False),
    )


def plot(elem_id: str, label: str) -> gr.Plot:
    """A figure; text colours and playhead come from page.css and page.js."""
    return gr.Plot(label=label, show_label=False, elem_id=elem_id, elem_classes="pa-plot")


def recording(services: Services) -> gr.Audio:
    """The recording that the tabs work on, with examples beside it; choosing one starts the open tab's run."""
    with gr.Row(equal_height=False, elem_id="pa-source"):
        with gr.Column(scale=3, min_width=300):
            audio = gr.Audio(
                sources=["upload", "microphone"], type="filepath", label="Recording", elem_id="pa-audio", buttons=[]
            )
        with gr.Column(scale=2, min_width=280):
            chosen = _examples(audio)
            gr.HTML(_limits_html(services), apply_default_css=False)
    if chosen is not None:
        chosen.load_input_event.success(None, js=START_JS, api_visibility="private")
    return audio


def readably(work: Callable[[], _Result]) -> _Result:
    """Do the work; whatever goes wrong becomes a sentence for the page, never a traceback.

    Cancelled passes, and a gr.Error, which is a sentence already (a shared GPU's, say, when there is no slot).
    """
    try:
        return work()
    except (Cancelled, gr.Error):
        raise
    except PairAlignError as error:
        # the toast renders HTML, and the message may quote a file name
        message = html.escape(one_line(error, 1_000), quote=False)
        raise gr.Error(message, duration=ERROR_SHOWN_S, print_exception=False) from None
    except Exception as error:
        LOG.exception("a run failed")
        message = "Something failed on our side; the server's log has the details. Try again or try another recording."
        raise gr.Error(message, duration=ERROR_SHOWN_S, print_exception=False) from error


def to_the_end(work: Callable[[], _Result]) -> _Result:
    """As `readably`, for work that only a closed page stops: nobody sees then that there is no result."""
    try:
        return readably(work)
    except Cancelled:
        raise gr.Error("This was stopped.", print_exception=False) from None


def run_id(request: gr.Request) -> str:
    """What tells the runs of one open page from those of others."""
    return str(request.session_hash or "")


def of_page(services: Services, request: gr.Request) -> Services:
    """The services with the checkpoint of the page that asks; says so when that one was deleted meanwhile."""
    own = services.of(run_id(request))
    if news := own.news():
        gr.Warning(html.escape(news, quote=False), duration=ERROR_SHOWN_S)
    return own


def read_examples(folder: Path = EXAMPLES_DIR) -> list[dict[str, str]]:
    """The shipped recordings: name, file (an existing path), text, voice; none without a list of them."""
    try:
        entries = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return []
    found = [{**entry, "file": str(folder / entry["file"])} for entry in entries]
    return [entry for entry in found if Path(entry["file"]).is_file()]


def serve_examples() -> None:
    """Let the examples be served from where they ship; copies among the uploads would be removed with those."""
    for entry in read_examples():
        if not gr.utils.is_static_file(entry["file"]):
            gr.set_static_paths(entry["file"])


def sources(audio: str | None, examples: bool, files: Sequence[str] | None) -> list[Source]:
    """A small set of recordings: the shipped ones if wanted, the page's own if there is one, uploaded files."""
    shipped = [Source(entry["file"], entry["name"], entry["text"]) for entry in read_examples()] if examples else []
    return shipped + [Source(path, Path(path).name) for path in ([audio] if audio else []) + list(files or ())]


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


def _limits_html(services: Services) -> str:
    seconds = services.limits.max_duration_s
    longest = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    suffixes = " ".join(sorted(AUDIO_SUFFIXES))  # for uploads.js
    return (
        f'<p class="pa-hint" data-suffixes="{suffixes}">'
        f"{READABLE}, up to {longest} and {services.allowed.upload_mb} MB.</p>"
    )
