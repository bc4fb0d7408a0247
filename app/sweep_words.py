"""Sweeps in words and numbers: the measures of every method with a reading, and the charts as tables."""

from __future__ import annotations

import math
from html import escape

from app.methods import LOOKS
from app.ribbon import step_label
from app.tables import ReadRow, Row, estimate_cell, measures_table, number, table
from app.trajectories import AverageResult, SweepResult
from pairalign.sweeps.sweep import KINDS
from pairalign.sweeps.trajectory import BOUNDED_BELOW, Trajectory
from pairalign.windows import WINDOW_S

# name of the measure in an average (drift.measure_drift), and what it tells
READINGS = {
    "sweep_d_100": "Edits per token between the first and the last string. 0: the same string; 1: nothing in common.",
    "sweep_d_max": "How far the string strayed from the first one at most.",
    "sweep_excess": "The distance at the end beyond the content floor: change that the changed audio does not explain.",
    "sweep_bounded": f"Stayed near its origin: never {BOUNDED_BELOW} or more away from it.",
    "sweep_roughness": "Length of the path over how far it got. 1: straight; large: tokens flicker back and forth.",
    "sweep_step_mean": "Edits per token from one step to the next, on average.",
    "sweep_length_std": "How much the number of tokens varies over the sweep (standard deviation).",
}
EMPTY_HTML = (
    '<div class="pa-empty"><p class="pa-empty-title">Nothing swept yet</p><p>A sweep changes the sound a little at a'
    " time and writes its string anew at every step. A good string stays much the same while the speech does. Choose"
    " what changes and press Sweep.</p></div>"
)


def source_html(result: SweepResult) -> str:
    """What was swept, and with what."""
    kind, start_s = KINDS[result.settings.kind], result.settings.start_s
    short = ""
    if result.window_s < WINDOW_S - 0.0005:
        short = f" The recording has no room for {WINDOW_S:g} s, so the window lasts {result.window_s:.2f} s."
    warp = " The vocal tract is changed on the frequency axis only: what you hear stays as it was."
    return (
        f'<p class="pa-source"><b>{escape(result.file_name)}</b> · window of {result.window_s:.2f} s from'
        f" {start_s:.2f} s on · {kind.origin:g} to {result.values[-1]:g} {kind.unit} in {len(result.values)} values ·"
        f" {result.seconds:.2f} s on {escape(result.model.device)} with <b>{escape(result.model.name)}</b>"
        f" <code>{escape(result.model.sha256[:8])}</code>.{short}{warp if result.settings.kind == 'warp' else ''}</p>"
    )


def statistics_html(result: SweepResult) -> str:
    """A sentence per method, and the measures as a table with a reading of each."""
    ones = list(result.trajectories.values())
    last = step_label(result, len(result.values) - 1)
    rows: list[ReadRow] = [
        (f"distance at {last}", [f"{one.d_last:.3f}" for one in ones], READINGS["sweep_d_100"]),
        ("largest distance", [f"{one.d_max:.3f}" for one in ones], READINGS["sweep_d_max"]),
        ("excess", [number(one.excess, 3) for one in ones], READINGS["sweep_excess"]),
        ("bounded", ["yes" if one.bounded else "no" for one in ones], READINGS["sweep_bounded"]),
        ("roughness", [number(one.roughness, 1) for one in ones], READINGS["sweep_roughness"]),
        ("step", [f"{one.step_mean:.3f}" for one in ones], READINGS["sweep_step_mean"]),
        ("length, std", [f"{one.length_std:.2f}" for one in ones], READINGS["sweep_length_std"]),
    ]
    if result.settings.kind == "shift" and result.values[-1] != 100 and not math.isnan(ones[0].d_100):
        rows.insert(0, ("distance at 100 ms", [f"{one.d_100:.3f}" for one in ones], "As below, at the usual shift."))
    sentences = "".join(f"<li>{_sentence(one, last)}</li>" for one in ones)
    return f'<ul class="pa-readings">{sentences}</ul>{measures_table(rows, list(result.trajectories), "Measures")}'


def _sentence(one: Trajectory, last: str) -> str:
    floor = ""
    if one.content_floor[-1]:
        floor = f", of which the audio that really changed explains {100 * one.content_floor[-1]:.0f}"
    near = "stays near" if one.bounded else "strays from"
    return (
        f"<b>{LOOKS[one.method].label}</b>: at {last}, {100 * one.d_last:.0f} of 100 tokens differ from the first"
        f" string{floor}. It {near} its origin (at most {one.d_max:.2f}), and from step to step"
        f" {100 * one.step_mean:.0f} of 100 tokens change."
    )


def steps_table_html(result: SweepResult) -> str:
    """The charts as a table: what they show at every step."""
    ones = list(result.trajectories.values())
    names = [f"{LOOKS[one.method].label}: {what}" for one in ones for what in ("to origin", "to before", "tokens")]
    rows: list[Row] = []
    for step, value in enumerate(result.values):
        cells = [f"{ones[0].content_floor[step]:.3f}"]
        for one in ones:
            cells += [f"{one.distance_to_origin[step]:.3f}", f"{one.step_distance[step]:.3f}", str(one.lengths[step])]
        rows.append((f"{value:g}", cells))
    return table([KINDS[result.settings.kind].unit, "floor", *names], rows, "Every step of the sweep")


def average_html(result: AverageResult) -> str:
    """What went into an average, its measures with their intervals, and the curve as a table."""
    names = ", ".join(map(escape, result.names))
    left_out = "".join(f"<li>{escape(sentence)}</li>" for sentence in result.left_out)
    left_out = f'<p class="pa-note">Left out:</p><ul class="pa-readings">{left_out}</ul>' if left_out else ""
    few = " Few recordings make wide intervals." if len(result.names) < 30 else ""
    shortest, longest = min(result.windows_s), max(result.windows_s)
    rows: list[ReadRow] = [
        (label, [estimate_cell(curve.measures[name], digits) for curve in result.curves.values()], READINGS[name])
        for name, label, digits in _AVERAGED
    ]
    return (
        f'<p class="pa-source">Mean of <b>{len(result.names)}</b> recordings ({names}), windows of {shortest:.2f} to'
        f" {longest:.2f} s, {len(result.settings.values)} values each; {result.seconds:.1f} s on"
        f" {escape(result.model.device)} with <b>{escape(result.model.name)}</b>. In brackets, and as bands: 95 %"
        f" bootstrap intervals over the recordings.{few}</p>{left_out}"
        f"{measures_table(rows, list(result.curves), 'Measures, mean over the recordings')}"
    )


_AVERAGED = (
    ("sweep_d_100", "distance at the end", 3),
    ("sweep_d_max", "largest distance", 3),
    ("sweep_excess", "excess", 3),
    ("sweep_bounded", "bounded, share", 2),
    ("sweep_roughness", "roughness", 1),
    ("sweep_step_mean", "step", 3),
    ("sweep_length_std", "length, std", 2),
)


def average_table_html(result: AverageResult) -> str:
    """The mean curves as a table."""
    names = [f"{LOOKS[method].label}: {what}" for method in result.curves for what in ("mean", "low", "high")]
    floor = next(iter(result.curves.values())).floor
    rows: list[Row] = []
    for step, value in enumerate(result.settings.values):
        curves = [(curve.mean[step], curve.low[step], curve.high[step]) for curve in result.curves.values()]
        numbers = [floor[step], *(number for curve in curves for number in curve)]
        rows.append((f"{value:g}", [f"{number:.3f}" for number in numbers]))
    caption = "Mean distance to the origin at every value"
    return table([KINDS[result.settings.kind].unit, "floor", *names], rows, caption)
