"""Numbers of several methods as accessible tables. Cells and names are HTML already: who calls has escaped them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from app.methods import LOOKS
from pairalign.evaluation.metrics import Estimate

Row = tuple[str, Sequence[str]]  # what names the row, and its cells
ReadRow = tuple[str, Sequence[str], str]  # the same, and a sentence that says how to read it


def table(columns: Sequence[str], rows: Sequence[Row], caption: str) -> str:
    """A table that scrolls inside itself."""
    body = "".join(f"<tr>{_row(name, cells)}</tr>" for name, cells in rows)
    return _wrapped(columns, body, caption, "pa-table")


def measures_table(rows: Sequence[ReadRow], methods: Sequence[str], caption: str) -> str:
    """A row per measure, a column per method, and below every row how to read it.

    The sentence has a line of its own: a column of sentences would push the numbers off a phone.
    """
    columns = ["Measure", *(LOOKS[method].label for method in methods)]
    below = f"<tr class='pa-reading'><td colspan='{len(columns)}'><span>"
    body = "".join(f"<tr>{_row(name, cells)}</tr>{below}{reading}</span></td></tr>" for name, cells, reading in rows)
    return _wrapped(columns, body, caption, "pa-table pa-measures")


def estimate_cell(estimate: Estimate, digits: int) -> str:
    """A value, and its interval where it has one."""
    interval = ""
    if not math.isnan(estimate.low):
        interval = f" <small>[{number(estimate.low, digits)}, {number(estimate.high, digits)}]</small>"
    return number(estimate.value, digits) + interval


def number(value: float, digits: int) -> str:
    """A dash where nothing was measured; a ratio over nothing has no end."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else "∞"
    return f"{value:,.{digits}f}".replace("-", "−")


def _row(name: str, cells: Sequence[str]) -> str:
    return f"<th scope='row'>{name}</th>" + "".join(f"<td>{cell}</td>" for cell in cells)


def _wrapped(columns: Sequence[str], body: str, caption: str, style: str) -> str:
    head = "".join(f"<th scope='col'>{name}</th>" for name in columns)
    return (
        f'<div class="{style}" tabindex="0" role="region" aria-label="{caption}"><table><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
