"""A scoreboard as HTML: sentences, small bars side by side, and all numbers as a table with how to read them."""

from __future__ import annotations

import math
from html import escape

from app.methods import LOOKS
from app.scoreboard import COUNTS, Scoreboard
from app.tables import estimate_cell, measures_table, number
from pairalign.evaluation.metrics import Estimate

CHANGE_LABELS = {
    "change_shift": ("Start 50 ms later", "the window starts 50 ms later"),
    "change_speed": ("Speed 1.06 ×", "someone speaks 6 % faster"),
    "change_warp": ("Vocal tract 1.08 ×", "the voice gets a longer vocal tract"),
    "change_noise": ("Noise, 15 dB", "pink noise lies 15 dB below the speech"),
    "change_room": ("Room, 0.3 s", "the room changes (0.3 s of reverberation)"),
    "change_telephone": ("Telephone", "the speech comes over a telephone line"),
}
AMOUNTS = ("tokens_per_s", "bits_per_s", "separation")
LABELS = {
    "tokens_per_s": "Tokens per second",
    "bits_per_s": "Bits per second",
    "tokens": "Tokens in all",
    "vocab_used": "Different tokens used",
    "ned_pair": "Two versions of one recording",
    "ned_random": "Different recordings",
    "separation": "Separation",
} | {name: label for name, (label, _) in CHANGE_LABELS.items()}
READINGS = {
    "tokens_per_s": "How many tokens a second of sound takes. Fewer make a shorter string.",
    "bits_per_s": "The most that these tokens can carry: each counts as a choice from the whole vocabulary.",
    "tokens": "Tokens of all recordings together.",
    "vocab_used": "How many different tokens occur in these recordings.",
    "ned_pair": "Edits per token between two strongly changed versions of the same recording. Small is good.",
    "ned_random": "Edits per token between recordings that say different things. Large is good.",
    "separation": "The line above less the one before: how well the same speech is told from other.",
} | {name: f"Edits per token when {what}. Small is good." for name, (_, what) in CHANGE_LABELS.items()}
EMPTY_HTML = (
    '<div class="pa-empty"><p class="pa-empty-title">Nothing compared yet</p><p>Every method writes the same recordings'
    " as they are, shifted, faster, in noise, in a room and over a telephone. The page then tells how much each method"
    " writes and how much of it changes with the sound.</p></div>"
)


def source_html(board: Scoreboard) -> str:
    """What was compared, what was left out, and how far to trust it."""
    names = ", ".join(map(escape, board.names))
    left_out = "".join(f"<li>{escape(sentence)}</li>" for sentence in board.left_out)
    left_out = f'<p class="pa-note">Left out:</p><ul class="pa-readings">{left_out}</ul>' if left_out else ""
    alone = ""
    if not board.unrelated:
        alone = " How well speech is told apart needs at least two recordings that say different things."
    count = f"{len(board.names)} recording" + ("s" if len(board.names) > 1 else "")
    return (
        f'<p class="pa-source"><b>{count}</b> ({names}), of each the loudest 3 s; {board.seconds:.1f} s on'
        f" {escape(board.model.device)} with <b>{escape(board.model.name)}</b>"
        f" <code>{escape(board.model.sha256[:8])}</code>. So few recordings make rough figures: in brackets are 95 %"
        " bootstrap intervals over the recordings. The model card at the top of the page has the figures of a real test"
        f" set.{alone}</p>{left_out}"
    )


def sentences_html(board: Scoreboard) -> str:
    """The numbers that matter, said in words, the first method against the others."""
    rates = {LOOKS[method].label: scores["tokens_per_s"].value for method, scores in board.scores.items()}
    (label, rate), *others = rates.items()
    said = [", ".join([f"{label} needs {rate:.1f} tokens a second", *(f"{name} {one:.1f}" for name, one in others)])]
    said += [f"When {what}, {_hundredths(board, name)} change" for name, (_, what) in CHANGE_LABELS.items()]
    said.append(f"In two strongly changed versions of one recording, {_hundredths(board, 'ned_pair')} differ")
    if board.unrelated:
        said.append(f"In recordings that say different things, {_hundredths(board, 'ned_random')} differ")
    return '<ul class="pa-readings">' + "".join(f"<li>{sentence}.</li>" for sentence in said) + "</ul>"


def bars_html(board: Scoreboard) -> str:
    """Small multiples: a panel per measure, a bar per method; panels of one group share their scale."""
    changed = [one.value for scores in board.scores.values() for name, one in scores.items() if name in CHANGE_LABELS]
    amounts = "".join(_panel(board, name, _highest(board, name)) for name in AMOUNTS)
    changes = "".join(_panel(board, name, max(changed)) for name in CHANGE_LABELS)
    return (
        '<h2 class="pa-heading">How much is written, and how well it tells speech apart</h2>'
        f'<div class="pa-bars">{amounts}</div>'
        '<h2 class="pa-heading">How much of the string changes with the sound</h2>'
        '<p class="pa-hint">Edits per token: 0 is the same string, 1 has nothing in common. Short bars are good.</p>'
        f'<div class="pa-bars">{changes}</div>'
    )


def table_html(board: Scoreboard) -> str:
    """Every measure of every method with its interval and how to read it."""
    rows = [(LABELS[name], [_cell(board, method, name) for method in board.scores], READINGS[name]) for name in LABELS]
    return measures_table(rows, list(board.scores), "Measures, mean over the recordings")


def _cell(board: Scoreboard, method: str, name: str) -> str:
    cell = estimate_cell(board.scores[method][name], _digits(name))
    return f"{cell} <small>of {board.vocab_sizes[method]:,}</small>" if name == "vocab_used" else cell


def _panel(board: Scoreboard, name: str, highest: float) -> str:
    bars = "".join(_bar(method, scores[name], highest, _digits(name)) for method, scores in board.scores.items())
    return f'<section class="pa-bar-panel"><h3>{LABELS[name]}</h3><ul>{bars}</ul></section>'


def _bar(method: str, one: Estimate, highest: float, digits: int) -> str:
    """A bar from 0 with its interval as a line; negative values have no bar, but their number."""
    look, parts = LOOKS[method], ""
    if not math.isnan(one.value) and highest > 0:
        parts = f'<i style="width:{_percent(one.value, highest)}%;background:{look.colour}"></i>'
        if not math.isnan(one.low):  # one recording alone has no interval
            left, right = _percent(one.low, highest), _percent(one.high, highest)
            parts += f'<u style="left:{left}%;width:{right - left:.1f}%"></u>'
    return (
        f'<li title="{escape(look.about)}"><span>{look.label}</span>'
        f'<span class="pa-bar" aria-hidden="true">{parts}</span>'
        f"<b>{number(one.value, digits)}</b></li>"
    )


def _percent(value: float, highest: float) -> float:
    return round(100 * min(max(value / highest, 0.0), 1.0), 1)


def _highest(board: Scoreboard, name: str) -> float:
    return max((one[name].value for one in board.scores.values() if not math.isnan(one[name].value)), default=0.0)


def _digits(name: str) -> int:
    return 0 if name in (*COUNTS, "bits_per_s") else 1 if name == "tokens_per_s" else 2


def _hundredths(board: Scoreboard, name: str) -> str:
    """'about 17 of 100 PairAlign tokens (VQ 25, Viterbi-VQ 23)'."""
    first, *others = ((LOOKS[method].label, 100 * scores[name].value) for method, scores in board.scores.items())
    rest = ", ".join(f"{label} {value:.0f}" for label, value in others)
    return f"about {first[1]:.0f} of 100 {first[0]} tokens" + (f" ({rest})" if rest else "")
