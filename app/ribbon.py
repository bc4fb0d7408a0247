"""The strings of a sweep as a ribbon: a row per step, every token at its time in the recording, edits marked."""

from __future__ import annotations

from html import escape

from app.colours import hue
from app.methods import LOOKS
from app.trajectories import SweepResult
from pairalign.strings import TokenString, align
from pairalign.sweeps.sweep import KINDS

MAX_ROWS = 41  # a longer sweep shows every second step, or every third …
RIBBON_PX = 900  # least width; on a small screen the ribbon scrolls inside itself
GLYPH_PX = 10  # a token narrower than that has no room for its glyph
TICK_S = 0.5
SAID = {"match": "as in the row above", "sub": "another token than in the row above", "ins": "not in the row above"}


def ribbon_html(result: SweepResult, method: str) -> str:
    """The strings of one method, first step on top; a row is chosen with its button, or by a click anywhere on it."""
    trajectory = result.trajectories[method]
    count = len(trajectory.strings)
    stride = -(-count // MAX_ROWS)
    shown = range(0, count, stride)
    left_s = result.settings.start_s
    span_s = len(result.wave) / 16_000
    rows = "".join(_row(result, method, step, None if step == 0 else step - stride, left_s, span_s) for step in shown)
    every = f" Every {_ordinal(stride)} step is drawn; charts and table have all." if stride > 1 else ""
    label = f"{LOOKS[method].label}: the string of every step"
    return (
        f'<div class="pa-ribbon" data-method="{method}">'
        f'<p class="pa-hint">Time runs to the right, the sweep downwards. Against the row above: {_LEGEND}{every}</p>'
        f'<div class="pa-ribbon-scroll" role="group" aria-label="{escape(label)}" style="--least:{RIBBON_PX}px">'
        f"{_axis(left_s, span_s)}{rows}</div></div>"
    )


_LEGEND = (
    '<span class="pa-mark pa-mark-sub">another token</span> <span class="pa-mark pa-mark-ins">inserted</span> '
    '<span class="pa-mark pa-mark-del">a token is gone</span>.'
)


def step_label(result: SweepResult, step: int) -> str:
    """The value of a step with its unit."""
    unit = KINDS[result.settings.kind].unit
    return f"{result.values[step]:g} {'×' if unit == 'x' else unit}"


def _row(result: SweepResult, method: str, step: int, before: int | None, left_s: float, span_s: float) -> str:
    trajectory = result.trajectories[method]
    string = trajectory.strings[step]
    label = step_label(result, step)
    said = f"Listen to {label}: {len(string)} tokens, distance to the origin {trajectory.distance_to_origin[step]:.2f}"
    cells = _cells(result, string, step, left_s, span_s, None if before is None else trajectory.strings[before])
    cuts = "" if before is None else _cuts(result, trajectory.strings[before], string, before, left_s, span_s)
    start_s, end_s = _heard_span(result, step)
    window = f'<i class="pa-window" style="{_place(start_s, end_s, left_s, span_s)}"></i>'
    return (
        f'<div class="pa-ribbon-row" data-step="{step}" data-value="{result.values[step]:g}">'
        f'<button type="button" class="pa-step" tabindex="{0 if step == 0 else -1}" aria-pressed="false"'
        f' aria-label="{escape(said)}">{escape(label)}</button>'
        f'<div class="pa-track" aria-hidden="true">{window}{cells}{cuts}</div></div>'
    )


def _cells(
    result: SweepResult, string: TokenString, step: int, left_s: float, span_s: float, before: TokenString | None
) -> str:
    """The tokens of a step at their times in the recording, each with what happened to it since the row above."""
    ops = ["match"] * len(string)
    if before is not None:
        for edit in align(before, string).edits:
            if edit.b is not None:
                ops[edit.b] = edit.op
    cells = []
    for token, (start_s, end_s) in enumerate(result.spans_s(string, step)):
        room = (end_s - start_s) / span_s * RIBBON_PX >= GLYPH_PX
        title = f"token {token + 1}, id {string.ids[token]}, {start_s:.2f}–{end_s:.2f} s"
        if before is not None:
            title += f", {SAID[ops[token]]}"
        cells.append(
            f'<b class="{ops[token]}" style="{_place(start_s, end_s, left_s, span_s)};--h:{hue(string.ids[token]):.0f}"'
            f' title="{title}">{escape(string.text[token]) if room else ""}</b>'
        )
    return "".join(cells)


def _cuts(
    result: SweepResult, before: TokenString, string: TokenString, step: int, left_s: float, span_s: float
) -> str:
    """A mark where a token of the row above is gone; step: that of the row above."""
    spans = result.spans_s(before, step)
    gone = [edit.a for edit in align(before, string).edits if edit.op == "del"]
    return "".join(
        f'<u style="left:{100 * (sum(spans[a]) / 2 - left_s) / span_s:.2f}%"'
        f' title="gone: token {a + 1} of the row above, id {before.ids[a]}"></u>'
        for a in gone
    )


def _heard_span(result: SweepResult, step: int) -> tuple[float, float]:
    """Start and end of the window of a step, seconds of the recording."""
    start_s = result.settings.start_s
    if result.settings.kind == "shift":
        start_s += result.values[step] / 1000
    return start_s, start_s + result.window_s


def _place(start_s: float, end_s: float, left_s: float, span_s: float) -> str:
    left = 100 * (start_s - left_s) / span_s
    return f"left:{left:.2f}%;width:{100 * (end_s - start_s) / span_s:.2f}%"


def _axis(left_s: float, span_s: float) -> str:
    """Times above the ribbon, at round half seconds."""
    first = -(-left_s // TICK_S)
    times_s = [TICK_S * (first + k) for k in range(int(span_s / TICK_S) + 1)]
    ticks = "".join(
        f'<span style="left:{100 * (time_s - left_s) / span_s:.2f}%">{time_s:.1f} s</span>'
        for time_s in times_s
        if left_s <= time_s <= left_s + span_s - 0.1  # a label at the very end would be cut
    )
    return f'<div class="pa-ribbon-axis" aria-hidden="true"><div class="pa-track">{ticks}</div></div>'


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")
