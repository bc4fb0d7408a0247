"""How the decoder read the audio: cross-attention of every token, as a figure and as a table."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np
import plotly.graph_objects as go

from app.figures import AXIS_PX, GLYPH_FONT, TEXT_COLOUR, TOP_PX
from app.result import TokenizeResult
from app.services import Services
from pairalign.strings import TokenString

ROW_PX, LOW_ROW_PX = 18, 13  # height of a token's row, and where there are very many
MANY_ROWS = 45
LEAST_PX = 200


@dataclass(frozen=True)
class Reading:
    """A string and where its decoder looked: `weights` (U + 1, T), a row per token and one for the end, sums 1."""

    string: TokenString
    weights: np.ndarray
    frame_s: float
    whole: bool  # all of the recording was read, not only its first seconds

    @property
    def peaks_s(self) -> np.ndarray:
        """Middle of the frame that gets most attention, for every token: (U,)."""
        return (self.weights[: len(self.string)].argmax(1) + 0.5) * self.frame_s

    @property
    def inside(self) -> np.ndarray:
        """Share of each token's attention on frames whose middle lies in its span: (U,)."""
        middles_s = (np.arange(self.weights.shape[1]) + 0.5) * self.frame_s
        spans_s = np.array(self.string.spans_s).reshape(-1, 2)
        within = (spans_s[:, :1] <= middles_s) & (middles_s < spans_s[:, 1:])
        return (self.weights[: len(self.string)] * within).sum(1)


def read_attention(services: Services, result: TokenizeResult) -> Reading:
    """Where the decoder looks while it writes the string of what it can hear at once."""
    from pairalign.likelihood import attention_map

    string = services.opening_string(result)
    found = services.compute(attention_map, result.opening, string)
    return Reading(string, found.weights, found.frame_s, result.is_short)


def attention_figure(reading: Reading) -> go.Figure:
    """Heat map (tokens x time), first token on top, and the recovered spans as a path through it."""
    rows, text = len(reading.weights), [*reading.string.text, "end"]
    row_px = ROW_PX if rows <= MANY_ROWS else LOW_ROW_PX
    figure = go.Figure([_heat_map(reading), *_path(reading)])
    figure.update_layout(
        height=max(LEAST_PX, row_px * rows) + AXIS_PX + TOP_PX,
        margin={"l": 74, "r": 12, "t": TOP_PX, "b": AXIS_PX},  # as the figure above, so that moments stand in line
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT_COLOUR, "size": 12},
        showlegend=False,
        modebar={"remove": ["select2d", "lasso2d", "autoScale2d", "toImage", "pan2d"], "bgcolor": "rgba(0,0,0,0)"},
        xaxis={"range": [0, reading.string.duration_s], "ticksuffix": " s", "nticks": 12, "showgrid": False},
        yaxis={
            "range": [rows - 0.5, -0.5],
            "tickmode": "array",
            "tickvals": list(range(rows)),
            "ticktext": [escape(glyph) for glyph in text],
            "tickfont": {"family": GLYPH_FONT, "size": row_px - 4},
            "ticks": "",
            "ticklabelstandoff": 6,
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
        },
    )
    return figure


def _heat_map(reading: Reading) -> go.Heatmap:
    names = [f"token {u + 1}, id {token_id}" for u, token_id in enumerate(reading.string.ids)] + ["end of the string"]
    return go.Heatmap(
        z=np.round(reading.weights, 3),
        x0=reading.frame_s / 2,
        dx=reading.frame_s,
        zmin=0,
        colorscale="Viridis",
        showscale=False,
        hovertext=[[name] * reading.weights.shape[1] for name in names],
        hovertemplate="%{hovertext}<br>%{x:.2f} s<br>attention %{z:.2f}<extra></extra>",
        name="attention",
    )


def _path(reading: Reading) -> list[go.Scatter]:
    """The spans from token to token, along the upper edge of each row so that nothing of the map is hidden.

    White on a dark edge: it reads on every colour of the map.
    """
    times_s = [round(t, 4) for span in reading.string.spans_s for t in span]
    rows = [u - 0.5 for u in range(len(reading.string)) for _ in range(2)]
    line = {"x": times_s, "y": rows, "mode": "lines", "hoverinfo": "skip", "name": "recovered spans"}
    return [go.Scatter(line={"color": c, "width": w}, **line) for c, w in (("#10131a", 5), ("#ffffff", 2))]


def explanation_html(reading: Reading) -> str:
    """What the figure shows, and of which part of the recording."""
    part = ""
    if not reading.whole:
        part = (
            f"<p class='pa-note'><b>Only the first {reading.string.duration_s:.0f} s.</b> A long recording is read in"
            " overlapping windows; this is the first one, written on its own.</p>"
        )
    mean = ""
    if len(reading.string):
        mean = f" On average {100 * reading.inside.mean():.0f} % of a token's attention lies inside its span."
    return (
        f"{part}<p class='pa-note'>Each row is one token in the order of writing; the brighter a moment, the more the"
        f" decoder listened to it for this token. The white line runs along the top of the span that"
        f" the token was given.{mean}</p>"
    )


def attention_table_html(reading: Reading) -> str:
    """For every token where its attention peaks, and how much of it lies inside its span."""
    rows = "".join(
        f"<tr><th scope='row'>{index + 1}</th><td>{token_id}</td><td>{escape(reading.string.text[index])}</td>"
        f"<td>{start:.2f}–{end:.2f}</td><td>{peak:.2f}</td><td>{100 * share:.0f} %</td></tr>"
        for index, (token_id, (start, end), peak, share) in enumerate(
            zip(reading.string.ids, reading.string.spans_s, reading.peaks_s, reading.inside, strict=True)
        )
    )
    names = ("#", "Id", "Glyph", "Span s", "Attention peaks at s", "Attention inside the span")
    head = "".join(f"<th scope='col'>{name}</th>" for name in names)
    return (
        '<div class="pa-table" tabindex="0" role="region" aria-label="Attention as a table"><table>'
        "<caption>Where the decoder listened for each token</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
