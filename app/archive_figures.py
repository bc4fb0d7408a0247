"""Distances and vocabulary use of an archive -> plotly figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from app.figures import GRID_COLOUR, TEXT_COLOUR
from app.methods import LOOKS
from pairalign.archive.record import ArchiveInfo

HEIGHT_PX = 240
LOG_FROM = 500  # as many at one distance: the few that are near would not show beside them
LOG_SCALE = " (log scale)"
WHAT = {"whole": "windows", "contains": "recordings"}


def distances_figure(counts: np.ndarray, mode: str, method: str, last: int | None) -> go.Figure:
    """How many windows or recordings are at each distance (D + 1,), and where the hits shown end."""
    distances = np.arange(len(counts))
    figure = go.Figure(
        go.Bar(
            x=distances,
            y=counts,
            marker_color=LOOKS[method].colour,
            hovertemplate="distance %{x}: %{y:,} " + WHAT[mode] + "<extra></extra>",
        )
    )
    logarithmic = counts.max() >= LOG_FROM
    title = WHAT[mode].capitalize() + (LOG_SCALE if logarithmic else "")
    figure.update_layout(**_layout("Distance to the query (edits), all of the archive", title))
    first = int(np.argmax(counts > 0))
    figure.update_xaxes(range=[max(-0.5, first - 2.5), len(counts) - 0.5])
    if logarithmic:
        figure.update_yaxes(type="log", dtick=1)
    if last is not None:
        # between the bars: up to it are the distances of the hits shown
        figure.add_vline(x=last + 0.5, line={"color": TEXT_COLOUR, "width": 2, "dash": "dash"})
        figure.add_annotation(x=last + 0.5, y=1, yref="paper", yanchor="bottom", showarrow=False, text="last hit shown")
    return figure


def vocabulary_figure(info: ArchiveInfo) -> go.Figure:
    """How often each token occurs, the most frequent first: a line per method."""
    figure = go.Figure()
    for method, totals in info.methods.items():
        counts = np.sort(totals.counts)[::-1]
        counts = counts[counts > 0]
        look = LOOKS[method]
        figure.add_trace(
            go.Scatter(
                x=np.arange(1, len(counts) + 1),
                y=counts,
                name=look.label,
                mode="lines",
                line={"color": look.colour, "dash": look.dash, "width": 2},
                hovertemplate=look.label + ": place %{x}, %{y:,} times<extra></extra>",
            )
        )
    figure.update_layout(**_layout("Tokens, the most frequent first", "Times" + LOG_SCALE))
    figure.update_layout(showlegend=True, legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"})
    figure.update_yaxes(type="log", dtick=1)
    return figure


def _layout(x_title: str, y_title: str) -> dict[str, Any]:
    axis = {"gridcolor": GRID_COLOUR, "zeroline": False, "fixedrange": True}
    return {
        "height": HEIGHT_PX,
        "margin": {"l": 62, "r": 12, "t": 26, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": TEXT_COLOUR, "size": 12},
        "showlegend": False,
        "dragmode": False,
        "modebar": {
            "remove": ["toImage", "select2d", "lasso2d", "autoScale2d", "resetScale2d"],
            "bgcolor": "rgba(0,0,0,0)",
        },
        "bargap": 0.15,
        "xaxis": {"title": {"text": x_title}, **axis},
        "yaxis": {"title": {"text": y_title}, **axis},
    }
