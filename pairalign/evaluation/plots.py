"""The plots of a report as SVG text. matplotlib is imported on use: only a report needs it.

The colours of text and background are stand-ins, so that the same drawing follows the theme of the page (`inline`)
or stands on white in a file of its own (`standalone`).
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pairalign.evaluation.protocols import EvaluationError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _PAPER = "#010203", "#fdfcfb"
# readable on white and on near-black, and apart for most colour-blind eyes; lines differ by marker too
_COLOURS = "#3b82c4 #d9772b #2f9e77 #b25fb0 #9a7d1c #d0505f #5f7fa8 #6d9331 #8d6e63 #6f6f6f".split()
_MARKERS = "osD^vPX<>*"


@dataclass(frozen=True)
class Plot:
    """`name` for a file, `title` and `caption` for a person, `svg` with stand-ins for the colours of the theme."""

    name: str
    title: str
    caption: str
    svg: str

    def inline(self) -> str:
        """An <svg> element that takes the text colour of where it stands; its ids are its own."""
        svg = self.svg[self.svg.index("<svg") :].replace(_INK, "currentColor").replace(_PAPER, "none")
        svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{self.name}-", svg)
        return svg.replace("<svg", f'<svg role="img" aria-label="{self.title}"', 1)

    def standalone(self) -> str:
        """An SVG document, dark on white."""
        return self.svg.replace(_INK, "#1a1a1a").replace(_PAPER, "#ffffff")


def check_available() -> None:
    """Raises EvaluationError when matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise EvaluationError("--report draws with matplotlib, which is missing: pip install matplotlib.") from None


def draw_all(report: dict[str, Any]) -> list[Plot]:
    """The plots that the report has the numbers for."""
    drawn = []
    rates = (
        ("rate-separation", "separation", "Rate and separation", "separation (ned_random - ned_pair)"),
        ("rate-word-search", "r2_map", "Rate and word search", "word search, MAP"),
    )
    methods = list(report["methods"])
    for name, metric, title, label in rates:
        shown = [m for m in methods if _known(report, m, "tokens_per_s") and _known(report, m, metric)]
        if shown:
            caption = "Up and to the left is better: more for fewer tokens. Bars are 95 % intervals."
            drawn.append(_figure(name, title, caption, partial(_rate, report, shown, metric, label)))
    curves = {name: curve for name, curve in report.get("curves", {}).items() if curve}
    if curves:
        caption = (
            "Mean edit distance to the string of the first window as the window slides, with 95 % intervals. "
            "The dashed line is the part of the audio that changed, 2δ/T. Frames last 20 ms: frame-by-frame strings "
            "come near the line at whole frames and jump away in between."
        )
        drawn.append(_figure("sweep", "Sliding the window", caption, partial(_sweep, curves, methods)))
    counts = {name: used for name, used in report.get("vocabulary", {}).items() if used}
    if counts:
        caption = "Share of each token in the clean strings, most frequent first; a flat, long line uses all tokens."
        drawn.append(_figure("vocabulary", "Use of the vocabulary", caption, partial(_vocabulary, counts, methods)))
    return drawn


def _known(report: dict[str, Any], method: str, metric: str) -> bool:
    return report["methods"][method].get(metric) is not None


def _figure(name: str, title: str, caption: str, draw: Callable[[Axes], None]) -> Plot:
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(
        {
            "svg.fonttype": "none",  # text stays text
            "svg.hashsalt": name,  # the same numbers give the same file
            "font.size": 10,
            "font.family": "sans-serif",
            "text.color": _INK,
            "axes.labelcolor": _INK,
            "axes.edgecolor": _INK,
            "axes.facecolor": _PAPER,
            "figure.facecolor": _PAPER,
            "xtick.color": _INK,
            "ytick.color": _INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "grid.color": _INK,
            "grid.alpha": 0.12,
        }
    ):
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.subplots()
        axes.grid(True)
        axes.set_axisbelow(True)
        draw(axes)
        # below the axes: any number of methods, some of them close together, must not cover what is drawn
        figure.legend(loc="outside lower center", ncols=4, fontsize=9)
        memory = io.StringIO()
        figure.savefig(memory, format="svg", metadata={"Date": None})
    return Plot(name, title, caption, memory.getvalue())


def _look(methods: Sequence[str], name: str) -> tuple[str, str]:
    """The same colour and marker for a method in every plot."""
    k = list(methods).index(name)
    return _COLOURS[k % len(_COLOURS)], _MARKERS[k % len(_MARKERS)]


def _literal(name: str) -> str:
    """A name as it is: matplotlib reads what is between two dollars as a formula."""
    return name.replace("$", r"\$")


def _rate(report: dict[str, Any], shown: Sequence[str], metric: str, quantity: str, axes: Axes) -> None:
    for name in shown:
        x, y = (report["methods"][name][m] for m in ("tokens_per_s", metric))
        colour, marker = _look(list(report["methods"]), name)
        axes.errorbar(
            [x],
            [y],
            xerr=_bar(report, name, "tokens_per_s"),
            yerr=_bar(report, name, metric),
            label=_literal(name),
            color=colour,
            marker=marker,
            linestyle="none",
            markersize=7,
            elinewidth=1.2,
            capsize=2,
        )
    axes.margins(0.15)
    axes.set_xlabel("tokens per second")
    axes.set_ylabel(quantity)


def _bar(report: dict[str, Any], name: str, metric: str) -> list[list[float]] | None:
    """How far a value's interval reaches below and above it, as matplotlib takes it; None where it has none."""
    value = report["methods"][name][metric]
    low, high = report["intervals"].get(name, {}).get(metric) or (None, None)
    return None if low is None or high is None else [[max(0.0, value - low)], [max(0.0, high - value)]]


def _sweep(curves: dict[str, dict[str, list[float]]], methods: Sequence[str], axes: Axes) -> None:
    for name, curve in curves.items():
        shifts_ms, label = curve["shift_ms"], _literal(name)
        colour, marker = _look(methods, name)
        axes.plot(
            shifts_ms,
            curve["distance_to_origin"],
            color=colour,
            marker=marker,
            label=label,
            markersize=4,
            linewidth=1.6,
        )
        if None not in curve.get("low", [None]) and not np.isnan(curve["low"]).any():  # of one sweep there is no band
            axes.fill_between(shifts_ms, curve["low"], curve["high"], color=colour, alpha=0.13, lw=0)
    longest = max(curves.values(), key=lambda curve: curve["shift_ms"][-1])
    if "floor" in longest:
        floor = "content floor 2δ/T"
        axes.plot(longest["shift_ms"], longest["floor"], color=_INK, linestyle="--", linewidth=1.2, label=floor)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("shift, ms")
    axes.set_ylabel("distance to the first string")


def _vocabulary(counts: dict[str, list[int]], methods: Sequence[str], axes: Axes) -> None:
    for name, used in counts.items():
        total = sum(used)
        colour, _ = _look(methods, name)
        shares = [100 * count / total for count in used]
        label = f"{_literal(name)} ({len(used)} tokens)"
        axes.step(range(1, len(used) + 1), shares, where="mid", color=colour, label=label, linewidth=1.6)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("tokens, most frequent first")
    axes.set_ylabel("share of all tokens, %")
