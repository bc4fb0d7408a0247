"""Trajectories -> plotly figures: distance to the origin, distance to the step before, and length over the value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from app.figures import GRID_COLOUR, TEXT_COLOUR
from app.methods import LOOKS
from app.trajectories import AverageResult, SweepResult
from pairalign.sweeps.sweep import Trajectory

AXIS_TITLES = {
    "shift": "window starts later by (ms)",
    "snr": "speech above noise (dB), noisier to the right",
    "speed": "speed (times)",
    "warp": "vocal tract factor",
}
PANELS = ("distance to origin", "distance to step before", "tokens")
PANEL_PX = (230, 130, 130)
GAP_PX, AXIS_PX = 34, 52
LEGEND_ROW_PX = 20  # a phone has room for two names in a row
MARKERS_UP_TO = 60  # more markers than that hide the line


def sweep_figure(result: SweepResult) -> go.Figure:
    """Three panels that share the swept value; a method is a colour, a dash and a marker."""
    figure = _panels(result.settings.kind, result.values, PANELS, PANEL_PX, len(result.trajectories))
    for one in result.trajectories.values():
        series = (one.distance_to_origin, one.step_distance, one.lengths)
        for panel, values in enumerate(series):
            figure.add_trace(_line(one, values, panel, PANELS[panel]))
    if result.settings.kind == "shift":
        floor = next(iter(result.trajectories.values())).content_floor
        figure.add_trace(_floor(result.values, floor))
    return figure


def average_figure(result: AverageResult) -> go.Figure:
    """Mean distance to the origin of every method, with a band for its 95 % interval."""
    values = result.settings.values
    figure = _panels(result.settings.kind, values, ("mean distance to origin",), (320,), len(result.curves))
    for method, curve in result.curves.items():
        look = LOOKS[method]
        shared = {"x": values, "hoverinfo": "skip", "showlegend": False, "legendgroup": method, "mode": "lines"}
        edge = {"width": 0, "color": look.colour}
        figure.add_trace(go.Scatter(y=curve.low, line=edge, name=f"{look.label} low", **shared))
        band = {"fill": "tonexty", "fillcolor": _faint(look.colour), "name": f"{look.label} high"}
        figure.add_trace(go.Scatter(y=curve.high, line=edge, **band, **shared))
    for method, curve in result.curves.items():
        spans = [f"95 % interval {low:.3f} to {high:.3f}" for low, high in zip(curve.low, curve.high, strict=True)]
        figure.add_trace(
            go.Scatter(
                x=values,
                y=curve.mean,
                customdata=spans,
                hovertemplate=f"{LOOKS[method].label}<br>%{{x:g}}: %{{y:.3f}}<br>%{{customdata}}<extra></extra>",
                **_look(method, len(values)),
            )
        )
    if result.settings.kind == "shift":
        figure.add_trace(_floor(values, next(iter(result.curves.values())).floor))
    return figure


def _line(one: Trajectory, values: Sequence[float], panel: int, name: str) -> go.Scatter:
    """One method in one panel; `customdata` is the step, for the script that listens to clicks."""
    decimals = "" if panel == 2 else ".3f"
    number = "" if panel == 0 else str(panel + 1)
    first = 1 if panel == 1 else 0  # nothing comes before the first step
    return go.Scatter(
        x=one.values[first:],
        y=values[first:],
        yaxis=f"y{number}",
        customdata=list(range(first, len(values))),
        hovertemplate=f"{LOOKS[one.method].label}, {name}<br>%{{x:g}}: %{{y:{decimals}}}<extra></extra>",
        **_look(one.method, len(values)) | {"showlegend": panel == 0},
    )


def _look(method: str, count: int) -> dict[str, Any]:
    look = LOOKS[method]
    return {
        "mode": "lines+markers" if count <= MARKERS_UP_TO else "lines",
        "line": {"color": look.colour, "dash": look.dash, "width": 2},
        "marker": {"symbol": look.marker, "size": 8, "color": look.colour},
        "name": look.label,
        "legendgroup": method,
        "meta": method,
    }


def _floor(values: Sequence[float], floor: Sequence[float]) -> go.Scatter:
    """What the audio that really changed explains."""
    return go.Scatter(
        x=values,
        y=floor,
        mode="lines",
        line={"color": TEXT_COLOUR, "width": 1.5, "dash": "dot"},
        fill="tozeroy",
        fillcolor="rgba(128,136,152,0.14)",
        name="content floor",
        hovertemplate="content floor<br>%{x:g}: %{y:.3f}<extra></extra>",
    )


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"


def _panels(
    kind: str, values: Sequence[float], names: Sequence[str], heights_px: Sequence[int], methods: int
) -> go.Figure:
    """An empty figure with one panel below the other, their names above them so that a phone has room for the data."""
    figure = go.Figure()
    plot_px = sum(heights_px) + GAP_PX * (len(heights_px) - 1)
    above_px = 0
    for number, (name, px) in enumerate(zip(names, heights_px, strict=True), start=1):
        domain = [max(1 - (above_px + px) / plot_px, 0.0), 1 - above_px / plot_px]
        figure.update_layout({f"yaxis{number}": _VALUE_AXIS | {"domain": domain}})
        figure.add_annotation(text=f"<b>{name}</b>", y=domain[1], **_ABOVE)
        above_px += px + GAP_PX
    legend_px = LEGEND_ROW_PX * ((methods + 2) // 2)
    figure.update_layout(
        height=plot_px + legend_px + GAP_PX + AXIS_PX,
        margin={"l": 44, "r": 12, "t": legend_px + GAP_PX, "b": AXIS_PX},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT_COLOUR, "size": 12},
        hovermode="closest",
        legend=_LEGEND,
        modebar={"remove": ["select2d", "lasso2d", "autoScale2d", "toImage", "pan2d"], "bgcolor": "rgba(0,0,0,0)"},
        xaxis=_swept_axis(kind, f"y{len(names)}" if len(names) > 1 else "y"),
    )
    return figure


_VALUE_AXIS = {"rangemode": "tozero", "fixedrange": True, "gridcolor": GRID_COLOUR, "zerolinecolor": GRID_COLOUR}
_VALUE_AXIS |= {"nticks": 6}
_ABOVE = {"x": 0, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "showarrow": False}
_ABOVE |= {"font": {"size": 12.5, "color": TEXT_COLOUR}}
_LEGEND = {"orientation": "h", "x": 0, "xref": "container", "y": 0.995, "yref": "container", "yanchor": "top"}
_LEGEND |= {"itemwidth": 36, "font": {"size": 12.5}}


def _swept_axis(kind: str, lowest: str) -> dict[str, Any]:
    """What all panels share; more noise is further right, as more of everything else is."""
    return {
        "title": {"text": AXIS_TITLES[kind], "standoff": 8},
        "anchor": lowest,
        "gridcolor": GRID_COLOUR,
        "zeroline": False,
        "autorange": "reversed" if kind == "snr" else True,
        "nticks": 11,
    }
