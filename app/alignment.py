"""Two token strings and the edit script between them -> accessible HTML: chips in shared columns, numbers, a table.

An edit shows in three ways at once: the shape of its chips and lines, a word between them, and a colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from app.colours import hue
from app.tokens import MAX_CHIPS, lane_head
from pairalign.strings import Alignment, Edit, TokenString, align, jaccard, lcs_ratio

MEANINGS = {
    "match": "the same token in both",
    "sub": "substituted: another token in its place",
    "ins": "inserted: only B has it",
    "del": "deleted: only A has it",
}


def alignment_html(
    a: TokenString,
    b: TokenString,
    label_a: str,
    label_b: str,
    sound_a: str,
    sound_b: str,
    figure: str = "",
    begins_b: float = 0.0,
    length_b_s: float | None = None,
) -> str:
    """Both strings in shared columns, A above B, with a legend and the edit script as a table.

    A string without a duration was typed: its tokens have no times.

    sound_a, sound_b: ids of the players that hold the recordings behind the strings.
    figure: where given, the plots "<figure>-a" and "<figure>-b" show the strings and mark what is pointed at.
    begins_b: where the sound of B begins, in seconds of B's times; more than 0 for a clip of a longer recording.
    length_b_s: how long the sound of B is where B is a stretch of a longer recording.
    Raises: ValueError for strings of different models.
    """
    found = align(a, b)
    shown = found.edits[:MAX_CHIPS]
    if not shown:
        return '<p class="pa-note">No token in A or B: no speech was found, only silence or steady noise.</p>'
    note = ""
    if len(shown) < len(found.edits):
        note = f'<p class="pa-note">The first {len(shown):,} of {len(found.edits):,} columns.</p>'
    links = "".join(_link(column, edit) for column, edit in enumerate(shown))
    return (
        f'<div class="pa-pair"><div class="pa-pair-grid">{_lane(found, shown, "a", label_a, sound_a, figure)}'
        f'<div class="pa-links" role="group" aria-label="Columns: play A, then B">{links}</div>'
        f"{_lane(found, shown, 'b', label_b, sound_b, figure, begins_b, length_b_s)}</div>{note}{_legend()}"
        f'<details class="pa-script"><summary>Edit script as a table</summary>{_table(found, shown)}</details>'
        '<p class="pa-sr" role="status" data-status></p></div>'
    )


def _lane(
    found: Alignment,
    shown: Sequence[Edit],
    side: str,
    label: str,
    sound: str,
    figure: str,
    begins_s: float = 0.0,
    length_s: float | None = None,
) -> str:
    """One string: its head and a cell per column. The stylesheet lays the cells of both lanes on one grid."""
    string = getattr(found, side)
    cells = "".join(_cell(found, column, edit, side) for column, edit in enumerate(shown))
    plot = f' data-figure="{escape(figure)}-{side}"' if figure else ""
    return (
        f'<section class="pa-lane" data-side="{side}" data-method="{escape(string.method)}"'
        f' data-sound="{escape(sound)}" data-begins="{begins_s:.4f}"{plot} data-text="{escape(string.text)}"'
        f' data-ids="{" ".join(map(str, string.ids))}">{lane_head(string, label, length_s=length_s)}'
        f'<div class="pa-row" role="group" aria-label="{escape(label)}: tokens">{cells}</div></section>'
    )


def _cell(found: Alignment, column: int, edit: Edit, side: str) -> str:
    """The chip of one side of an edit, or the gap that an insertion or deletion leaves there."""
    string, index = getattr(found, side), getattr(edit, side)
    if index is None:
        return f'<span class="pa-gap" style="--i:{column}" aria-hidden="true"></span>'
    token_id, (start, end) = string.ids[index], string.spans_s[index]
    when = f"{start:.2f}–{end:.2f}" if string.duration_s else ""
    timed = f"{when} s, " if when else ""
    said = f"{side.upper()} token {index + 1}, id {token_id}, {timed}{_edit_said(found, edit, side)}"
    first = 0 if index == 0 else -1
    return (
        f'<button type="button" class="pa-chip" data-op="{edit.op}" data-column="{column}" data-start="{start:.4f}"'
        f' data-end="{end:.4f}" data-id="{token_id}" tabindex="{first}" style="--i:{column};--h:{hue(token_id):.0f}"'
        f' aria-label="{escape(said)}" title="{escape(said)}"><b>{escape(string.text[index])}</b>'
        f"<i>{token_id}</i><small>{when}</small></button>"
    )


def _edit_said(found: Alignment, edit: Edit, side: str) -> str:
    """What happened to the token of `side`, in words."""
    other = "b" if side == "a" else "a"
    index = getattr(edit, other)
    if index is None:
        return f"{'deleted' if side == 'a' else 'inserted'}: no token of {other.upper()} beside it"
    partner = f"{other.upper()} token {index + 1}"
    if edit.op == "match":
        return f"match with {partner}"
    return f"substitution, {partner} has id {getattr(found, other).ids[index]}"


def _link(column: int, edit: Edit) -> str:
    """Between the chips of a column: their line, the word for the edit, and a button that plays both."""
    said = f"Play column {column + 1}, {MEANINGS[edit.op]}"
    return (
        f'<button type="button" class="pa-link" data-op="{edit.op}" data-column="{column}" style="--i:{column}"'
        f' tabindex="-1" aria-label="{said}" title="{said}"><span aria-hidden="true">▸ {edit.op}</span></button>'
    )


def _legend() -> str:
    items = "".join(f'<li data-op="{op}"><b>{op}</b> {meaning}</li>' for op, meaning in MEANINGS.items())
    return (
        f'<ul class="pa-legend" aria-label="Legend">{items}</ul>'
        '<p class="pa-hint">A chip plays its stretch of sound. The word between two chips, or <kbd>Shift</kbd>'
        " <kbd>Enter</kbd> on a chip, plays the column in A, then in B.</p>"
    )


def _table(found: Alignment, shown: Sequence[Edit]) -> str:
    rows = []
    for column, edit in enumerate(shown):
        cells = "".join(f"<td>{cell}</td>" for side in "ab" for cell in _table_cells(found, edit, side))
        rows.append(f"<tr><th scope='row'>{column + 1}</th><td>{edit.op}</td>{cells}</tr>")
    names = ("Column", "Edit", "A glyph", "A id", "A start s", "A end s", "B glyph", "B id", "B start s", "B end s")
    head = "".join(f"<th scope='col'>{name}</th>" for name in names)
    return (
        '<div class="pa-table" tabindex="0" role="region" aria-label="Edit script as a table"><table>'
        "<caption>What turns string A into string B, with a dash where a side has no token</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _table_cells(found: Alignment, edit: Edit, side: str) -> tuple[str, str, str, str]:
    string, index = getattr(found, side), getattr(edit, side)
    if index is None:
        return ("–",) * 4
    times = [f"{time:.2f}" if string.duration_s else "–" for time in string.spans_s[index]]
    return (escape(string.text[index]), str(string.ids[index]), *times)


def alignment_numbers(a: TokenString, b: TokenString, apart_ms: float | None = None) -> str:
    """How far two strings are apart, as cards with a sentence each.

    apart_ms: mean distance in time of matched tokens, where both strings have a common time; adds a card.
    Raises: ValueError for strings of different models.
    """
    found = align(a, b)
    cards = [
        _card("Tokens", f"{len(a):,} / {len(b):,}", "In A and in B."),
        _card("Edits", f"{found.distance:,}", "Tokens to change, add or take away to turn A into B."),
        _card("Distance", f"{found.normalized:.2f}", "Edits per token of the longer string. 0 is equal.", accent=True),
        _card("Jaccard", f"{jaccard(a.ids, b.ids):.2f}", "Share of the distinct tokens that both use, in any order."),
        _card("In order", f"{lcs_ratio(a.ids, b.ids):.2f}", "Longest sequence in both (LCS), per token of the longer."),
    ]
    if apart_ms is not None:
        sentence = "Mean time between matched tokens, counted in the source."
        cards.append(_card("Timing", f"{apart_ms:.0f} <small>ms</small>", sentence))
    return f'<dl class="pa-figures pa-pair-figures">{"".join(cards)}</dl>'


def _card(name: str, value: str, sentence: str, accent: bool = False) -> str:
    extra = " pa-accent" if accent else ""
    return f'<div class="pa-card{extra}"><dt>{name}</dt><dd>{value}</dd><dd class="pa-note">{sentence}</dd></div>'
