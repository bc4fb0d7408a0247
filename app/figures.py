"""Library results -> plotly figures. Pure functions; colours read on light and on dark pages alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import plotly.graph_objects as go

from app.colours import oklch_hex, token_colour
from app.methods import LOOKS
from app.result import Envelope, MelImage, TokenizeResult
from pairalign.strings import TokenString

LANE_BARS = 600  # up to here a token is one rectangle with its glyph; above, a lane shows how dense the tokens lie
LANE_COLUMNS = 1_500
DENSITY_COLUMNS = 9  # averaged: single columns of a long recording hold too few tokens to tell anything
DENSITY_SCALE = [[0.0, "#eef0ff"], [1.0, "#4338ca"]]
METHOD_LABELS = {name: look.label for name, look in LOOKS.items()}
WAVE_COLOUR = "#6b7ff0"
TEXT_COLOUR = "#7c8496"  # readable on white and on black; the page's stylesheet replaces it by the theme's own
GRID_COLOUR = "rgba(128,136,152,0.22)"
LANE_TEXT_COLOUR = "#10131a"
GLYPH_FONT = "DejaVu Sans, Noto Sans, Arial, sans-serif"
BAR_STYLE: dict[str, Any] = {
    "offset": 0,
    "textposition": "inside",
    "insidetextanchor": "middle",
    "textangle": 0,
    "textfont": {"color": LANE_TEXT_COLOUR, "size": 14, "family": GLYPH_FONT},
    "hovertemplate": "%{hovertext}<extra></extra>",
    "showlegend": False,
}
# heights in pixels, top to bottom; the figure grows by one lane per string
WAVE_PX, MEL_PX, LANE_PX, GAP_PX, AXIS_PX, TOP_PX = 84, 150, 44, 12, 34, 8


def make_figure(result: TokenizeResult) -> go.Figure:
    """Waveform, log-mel and one lane per token string on one shared time axis."""
    panels: list[tuple[int, dict[str, Any], list[Any]]] = [
        (WAVE_PX, _named_axis("wave", 0.0), waveform_traces(result.envelope)),
        (MEL_PX, _mel_axis(result.mel.values.shape[0]), [mel_trace(result.mel)]),
    ]
    for method, string in result.strings.items():
        label = METHOD_LABELS.get(method, method)
        lane_axis = _named_axis(label, 0.5) | {"range": [0, 1]}
        panels.append((LANE_PX, lane_axis, [lane_trace(string, label)] if len(string) else []))
    figure = go.Figure()
    plot_px = sum(px for px, _, _ in panels) + GAP_PX * (len(panels) - 1)
    top_px = 0
    for number, (px, axis, traces) in enumerate(panels, start=1):
        domain = [max(1 - (top_px + px) / plot_px, 0.0), 1 - top_px / plot_px]
        figure.update_layout({f"yaxis{number}": _y_axis(domain) | axis})
        figure.add_traces([trace.update(xaxis="x", yaxis="y" if number == 1 else f"y{number}") for trace in traces])
        top_px += px + GAP_PX
    figure.update_layout(_layout(result.duration_s, plot_px + AXIS_PX + TOP_PX, f"y{len(panels)}"))
    if any(len(string) > LANE_BARS for string in result.strings.values()):
        # assets/zoom.js draws the tokens of what is visible, in the same way
        hues = [oklch_hex(degree) for degree in range(360)]
        figure.update_layout(meta={"hues": hues, "bar": BAR_STYLE})
        figure.layout.uniformtext = (
            None  # fitting the texts again at every zoom takes seconds; the script leaves out some
        )
    return figure


def waveform_traces(envelope: Envelope) -> list[go.Scatter]:
    """The envelope as a filled band between its lows and highs."""
    times_s = np.round(envelope.times_s, 4)
    shared = {"x": times_s, "mode": "lines", "line": {"color": WAVE_COLOUR, "width": 1}, "showlegend": False}
    hover = "%{x:.3f} s<br>peak %{y:.2f}<extra></extra>"
    return [
        go.Scatter(y=np.round(envelope.low, 4), hoverinfo="skip", name="low", **shared),
        go.Scatter(
            y=np.round(envelope.high, 4),
            fill="tonexty",
            fillcolor=WAVE_COLOUR,
            hovertemplate=hover,
            name="high",
            **shared,
        ),
    ]


def mel_trace(mel: MelImage) -> go.Heatmap:
    """Log-mel energies as an image; 8-bit values keep the message to the browser small."""
    return go.Heatmap(
        z=mel.values,
        x0=mel.step_s / 2,
        dx=mel.step_s,
        zmin=0,
        zmax=255,
        colorscale="Viridis",
        showscale=False,
        name="log-mel",
        hovertemplate="%{x:.3f} s<br>mel band %{y}<extra></extra>",
    )


def lane_trace(string: TokenString, label: str) -> go.Bar | go.Heatmap:
    """One token string on the time axis: a rectangle per token, or how dense they lie when there are very many."""
    return _lane_bars(string, label) if len(string) <= LANE_BARS else _lane_density(string, label)


def _lane_bars(string: TokenString, label: str) -> go.Bar:
    hover = [
        f"{label} token {index + 1}<br>id {token_id}<br>{start:.2f}–{end:.2f} s{_probability(string, index)}"
        for index, (token_id, (start, end)) in enumerate(zip(string.ids, string.spans_s, strict=True))
    ]
    return go.Bar(
        x=[round(start, 4) for start, _ in string.spans_s],
        y=[1] * len(string),
        width=[round(max(end - start, 1e-3), 4) for start, end in string.spans_s],
        marker={"color": [token_colour(i) for i in string.ids], "line": {"width": 1, "color": "rgba(255,255,255,0.8)"}},
        text=list(string.text),
        hovertext=hover,
        name=label,
        meta=string.method,
        **BAR_STYLE,
    )


def _lane_density(string: TokenString, label: str) -> go.Heatmap:
    """Tokens per second around each moment, without borders: none of a single token could be seen at this scale.

    Every column also names the token that sounds in its middle: its number and id.
    """
    step_s = string.duration_s / LANE_COLUMNS
    starts = np.array([start for start, _ in string.spans_s])
    middles = (np.arange(LANE_COLUMNS) + 0.5) * step_s
    index = np.clip(np.searchsorted(starts, middles, side="right") - 1, 0, len(string) - 1)
    counts = np.histogram(starts, LANE_COLUMNS, (0.0, string.duration_s))[0]
    columns = np.ones(DENSITY_COLUMNS)
    # at both ends fewer columns are averaged
    rates = np.convolve(counts, columns, "same") / np.convolve(np.ones(LANE_COLUMNS), columns, "same") / step_s
    return go.Heatmap(
        z=[[round(float(rate), 1) for rate in rates]],
        customdata=[np.stack([index + 1, np.array(string.ids)[index]], axis=1).tolist()],
        x0=step_s / 2,
        dx=step_s,
        y=[0.5],
        zmin=0,
        zmax=float(rates.max()),
        zsmooth="best",
        colorscale=DENSITY_SCALE,
        showscale=False,
        hovertemplate=label + " token %{customdata[0]}<br>id %{customdata[1]}<br>%{x:.2f} s<br>"
        "about %{z:.0f} tokens per second: zoom in to see each<extra></extra>",
        name=label,
        meta=string.method,
    )


def _probability(string: TokenString, index: int) -> str:
    if index >= len(string.log_probs):
        return ""
    return f"<br>probability {math.exp(string.log_probs[index]):.2f}"


def _y_axis(domain: list[float]) -> dict[str, Any]:
    return {
        "domain": domain,
        "fixedrange": True,
        "ticks": "",
        "ticklabelstandoff": 6,
        "showgrid": False,
        "zeroline": False,
    }


def _named_axis(label: str, at: float) -> dict[str, Any]:
    """A panel's name as its only tick: it stays horizontal, so it never outgrows a low panel."""
    return {"tickmode": "array", "tickvals": [at], "ticktext": [f"<b>{label}</b>"]}


def _mel_axis(bands: int) -> dict[str, Any]:
    """Frequencies beside the bands: the filters lie evenly on the Slaney mel scale from 20 Hz to 8 kHz."""

    def mel(hz: float) -> float:
        return hz * 3 / 200 if hz < 1_000 else 15 + 27 * math.log(hz / 1_000) / math.log(6.4)

    marks = {"500 ": 500.0, "1 k": 1_000.0, "2 k": 2_000.0, "4 k": 4_000.0}
    places = [(mel(hz) - mel(20)) / (mel(8_000) - mel(20)) * (bands + 1) - 1 for hz in marks.values()]
    return {"tickmode": "array", "tickvals": places, "ticktext": [f"{name}Hz" for name in marks]}


def _layout(duration_s: float, height_px: float, lowest_axis: str) -> dict[str, Any]:
    spike = {
        "showspikes": True,
        "spikemode": "across",
        "spikesnap": "cursor",
        "spikethickness": 1,
        "spikedash": "solid",
    }
    return {
        "height": height_px,
        "margin": {"l": 74, "r": 12, "t": TOP_PX, "b": AXIS_PX},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": TEXT_COLOUR, "size": 12},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": "zoom",
        "barmode": "overlay",
        # a glyph that would have to shrink below 10 px is left out; hover and chips still name it
        "uniformtext": {"minsize": 10, "mode": "hide"},
        "modebar": {"remove": ["select2d", "lasso2d", "autoScale2d", "toImage", "pan2d"], "bgcolor": "rgba(0,0,0,0)"},
        "xaxis": {
            "range": [0, duration_s],
            "minallowed": 0,
            "maxallowed": duration_s,
            "anchor": lowest_axis,
            "gridcolor": GRID_COLOUR,
            "zeroline": False,
            "ticksuffix": " s",
            "nticks": 12,
            "spikecolor": TEXT_COLOUR,
            **spike,
        },
    }
