"""What the Archive tab searches for: a recording or part of one, or a typed token string, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.archive_search import LONGEST_QUERY_S, MOST_HITS, USUAL_QUERY_S
from app.parts import PRIVATE
from app.recordings import expected_duration_s
from pairalign.audio import AudioLimits
from pairalign.windows import LONGEST_S

MODES = {
    "Recordings that contain this": "contains",
    "A stretch that sounds like this as a whole": "whole",
    "As fits its length": "auto",
}
MODE_HINT = (
    "“Contain” finds the nearest stretch of each recording, of any length. “As a whole” compares with every window of"
    f" about 3 s, so the query may last {LONGEST_S:g} s at most. “As fits” takes that where it can be, else “contain”."
)


@dataclass(frozen=True)
class Query:
    """What is searched for, in the order of the search's inputs."""

    source: gr.Radio
    start: gr.Slider
    length: gr.Slider
    text: gr.Textbox
    mode: gr.Radio
    top: gr.Slider
    pattern: gr.Textbox


def lay_out() -> Query:
    """What is searched for and how, in the current Blocks."""
    with gr.Row():
        source = gr.Radio(
            [("The recording above", "sound"), ("A token string", "text")],
            value="sound",
            label="Search for",
            elem_id="pa-archive-source",
            scale=2,
            min_width=280,
        )
        mode = gr.Radio(
            list(MODES.items()), value="contains", label="Find", info=MODE_HINT, elem_id="pa-archive-mode", scale=3
        )
    text = gr.Textbox(
        label="Token string",
        info="Paste what “Copy string” or “Copy ids” gave, or select tokens in the Tokenize tab and press “Search"
        " archive” there.",
        visible=False,
        elem_id="pa-archive-text",
    )
    with gr.Row():
        long = {"visible": False, "step": 0.1, "min_width": 220}
        start = gr.Slider(0, 1, value=0, label="The part begins at (s)", elem_id="pa-archive-start", **long)
        length = gr.Slider(0.3, LONGEST_QUERY_S, value=USUAL_QUERY_S, label="and lasts (s)", **long)
    with gr.Row():
        top = gr.Slider(1, MOST_HITS, value=10, step=1, label="Hits to show", scale=2, min_width=220)
        pattern = gr.Textbox(
            label="Only names with",
            placeholder="all recordings",
            info="A part of the path; with a *, a pattern such as *.flac.",
            max_lines=1,
            scale=3,
            min_width=260,
        )
    return Query(source, start, length, text, mode, top, pattern)


def wire(audio: gr.Audio, query: Query, limits: AudioLimits) -> None:
    """A typed string needs its box, and a long recording the part of it that is meant."""

    def part(path: str | None, source: str) -> tuple[Any, Any]:
        length_s = expected_duration_s(path, limits)
        shown = source == "sound" and length_s > LONGEST_S
        room_s = max(0.1, int(10 * (length_s - 0.3)) / 10)
        return gr.update(visible=shown, maximum=room_s), gr.update(visible=shown)

    sliders = [query.start, query.length]
    audio.change(None, None, query.start, js="() => 0", api_visibility="private")
    audio.change(part, [audio, query.source], sliders, **PRIVATE)
    audio.input(None, None, query.source, js="() => 'sound'", api_visibility="private")
    query.source.change(lambda source: gr.update(visible=source == "text"), query.source, query.text, **PRIVATE)
    query.source.change(part, [audio, query.source], sliders, **PRIVATE)
