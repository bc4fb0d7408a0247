"""The curves of a training run: small panels below one another on one axis of steps, and the same as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import plotly.graph_objects as go

from app import tables
from app.figures import GRID_COLOUR, TEXT_COLOUR

PANEL_PX, GAP_PX, AXIS_PX, TOP_PX = 104, 44, 40, 38
MOST_POINTS = 600  # of a curve
BLUE, ORANGE, GREEN = "#6b7ff0", "#d97706", "#14b8a6"


@dataclass(frozen=True)
class Curve:
    """One line: where its values are in the log, and how it looks. Colour is never all that tells two apart."""

    key: str
    event: str
    label: str
    colour: str
    dash: str = "solid"
    symbol: str = "circle"


@dataclass(frozen=True)
class Panel:
    """A title that says how to read it, its curves, and a line that should not be crossed."""

    title: str
    curves: tuple[Curve, ...]
    limit: float | None = None


PANELS = (
    Panel(
        "Losses (lower is better)",
        (
            Curve("loss", "step", "all together", BLUE),
            Curve("cross_entropy", "step", "of the strings", ORANGE, "dash"),
        ),
    ),
    Panel(
        "Distances on held-out clips",
        (
            Curve("ned_pair", "validation", "two views of a clip (low)", BLUE),
            Curve("ned_random", "validation", "unrelated (high)", ORANGE, "dash", "square"),
        ),
    ),
    Panel("Tokens per second", (Curve("tokens_per_s", "validation", "written", BLUE),)),
    Panel(
        "Condition gain, nat per token (above 0.5)",
        (Curve("condition_gain", "validation", "on held-out clips", GREEN),),
        0.5,
    ),
    Panel("Share of the vocabulary that is used", (Curve("vocab_used", "validation", "used", GREEN),)),
)


def curves_figure(log: Sequence[dict[str, Any]], wanted_hz: float | None = None) -> go.Figure:
    """All panels; wanted_hz: the token rate asked for, as a dotted line."""
    figure = go.Figure()
    count = len(PANELS)
    total_px = count * PANEL_PX + (count - 1) * GAP_PX
    for number, panel in enumerate(PANELS, start=1):
        top_px = (number - 1) * (PANEL_PX + GAP_PX)
        domain = [max(0.0, 1 - (top_px + PANEL_PX) / total_px), 1 - top_px / total_px]
        axis = "y" if number == 1 else f"y{number}"
        figure.update_layout({f"yaxis{number}": _y_axis(domain)})
        figure.add_traces([_line(curve, log, axis) for curve in panel.curves])
        _annotate(figure, panel, axis, domain[1])
        limit = wanted_hz if panel.curves[0].key == "tokens_per_s" else panel.limit
        if limit is not None:
            figure.add_shape(
                type="line",
                xref="paper",
                x0=0,
                x1=1,
                yref=axis,
                y0=limit,
                y1=limit,
                line={"color": TEXT_COLOUR, "dash": "dot", "width": 1},
            )
    figure.update_layout(
        height=total_px + TOP_PX + AXIS_PX,
        margin={"l": 46, "r": 12, "t": TOP_PX, "b": AXIS_PX},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT_COLOUR, "size": 12},
        showlegend=False,
        hovermode="x",
        xaxis={
            "title": {"text": "step"},
            "gridcolor": GRID_COLOUR,
            "zeroline": False,
            "anchor": f"y{count}",
            "rangemode": "tozero",
        },
        uirevision="curves",  # zoom stays while new points arrive
    )
    return figure


def curves_table_html(log: Sequence[dict[str, Any]]) -> str:
    """The validations as a table, a row each."""
    entries = [entry for entry in log if entry.get("event") == "validation"]
    names = (
        ("ned_pair", 3),
        ("ned_random", 3),
        ("separation", 3),
        ("tokens_per_s", 1),
        ("condition_gain", 2),
        ("vocab_used", 2),
    )
    rows = [
        (
            f"{entry.get('step', 0):,}",
            [tables.number(float(entry[name]), digits) if _known(entry, name) else "–" for name, digits in names],
        )
        for entry in entries
    ]
    heads = ("Step", "Two views", "Unrelated", "Separation", "Tokens/s", "Condition gain", "Vocabulary")
    told = [entry["reasons"] for entry in entries if isinstance(entry.get("reasons"), dict)]
    reasons = dict.fromkeys(str(why) for one in told for why in one.values())
    below = "".join(f'<p class="pa-hint">–: {escape(why)}.</p>' for why in reasons)
    return tables.table(heads, rows, "Measured on held-out clips while training") + below if rows else ""


def points(log: Sequence[dict[str, Any]], curve: Curve) -> tuple[list[int], list[float]]:
    """Steps and values of a curve, thinned out to what a screen can show."""
    entries = (entry for entry in log if entry.get("event") == curve.event and _known(entry, curve.key))
    found = [(int(entry["step"]), float(entry[curve.key])) for entry in entries]
    found = found[:: max(1, -(-len(found) // MOST_POINTS))]
    return [step for step, _ in found], [value for _, value in found]


def _known(entry: dict[str, Any], name: str) -> bool:
    """Whether a line of the log has a value; null is one that could not be measured."""
    return entry.get(name) is not None


def _line(curve: Curve, log: Sequence[dict[str, Any]], axis: str) -> go.Scatter:
    steps, values = points(log, curve)
    return go.Scatter(
        x=steps,
        y=values,
        name=curve.label,
        mode="lines+markers" if len(steps) < 40 else "lines",
        line={"color": curve.colour, "dash": curve.dash, "width": 2},
        marker={"symbol": curve.symbol, "size": 6},
        xaxis="x",
        yaxis=axis,
        hovertemplate="%{y:.3g}<extra>" + curve.label + "</extra>",
    )


def _annotate(figure: go.Figure, panel: Panel, axis: str, top: float) -> None:
    """The title above a panel, with the names of its lines where there are two."""
    marks = {"solid": "━", "dash": "╍"}
    names = "" if len(panel.curves) < 2 else "<br>" + ", ".join(f"{marks[c.dash]} {c.label}" for c in panel.curves)
    figure.add_annotation(
        text=panel.title + names,
        x=0,
        xref="paper",
        xanchor="left",
        y=top,
        yref="paper",
        yanchor="bottom",
        align="left",
        showarrow=False,
        font={"size": 12, "color": TEXT_COLOUR},
    )


def _y_axis(domain: list[float]) -> dict[str, Any]:
    return {"domain": domain, "gridcolor": GRID_COLOUR, "zeroline": False, "nticks": 4, "automargin": False}
