"""Token strings -> accessible HTML: chips that play their span, big figures, a table. Everything is escaped here."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from html import escape

from app.colours import hue
from app.figures import METHOD_LABELS
from app.model_card import model_card_html
from app.result import ModelInfo, TokenizeResult
from pairalign.export import measure_name
from pairalign.strings import TokenString
from pairalign.terminal import times_words

MAX_CHIPS = 1_500  # per string; more would make the page slow, the files to save always have all of them
PAGE_S = 60.0  # longer recordings are shown a minute at a time, the same minute of every string


def chips_html(
    string: TokenString,
    label: str,
    sound: str = "pa-player",
    figure: str = "pa-plot",
    within: range | None = None,
    find: bool = False,
) -> str:
    """The chips of one string: `<button>`s one can reach by Tab, walk with the arrow keys and play with Enter.

    sound, figure: ids of the player that holds the string's recording, and of the plots (space between) that show it.
    within: positions of the tokens to show; all by default.
    find: whether tokens can be selected and looked for in an archive.
    """
    within = range(len(string)) if within is None else within
    shown = within[:MAX_CHIPS]
    chips = "".join(_chip(string, index, index == shown.start) for index in shown)
    more = ""
    if not len(string):
        chips = '<p class="pa-note">No token: no speech was found, only silence or steady noise.</p>'
    elif not shown:
        chips = '<p class="pa-note">No token begins in this part.</p>'
    elif len(shown) < len(string):
        more = f'<p class="pa-note">Tokens {shown.start + 1:,}–{shown.stop:,} of {len(string):,}.</p>'
    return (
        f'<section class="pa-lane" data-method="{escape(string.method)}" data-sound="{sound}" data-figure="{figure}"'
        f' data-first="{shown.start}" data-text="{escape(string.text)}" data-ids="{" ".join(map(str, string.ids))}">'
        f"{lane_head(string, label, find)}"
        f'<div class="pa-chips" role="group" aria-label="{escape(label)} tokens"'
        f' style="--chip:{_chip_px(string)}px">{chips}</div>{more}</section>'
    )


def _chip(string: TokenString, index: int, tab_stop: bool) -> str:
    token_id, (start, end) = string.ids[index], string.spans_s[index]
    said = f"token {index + 1}, id {token_id}, {start:.2f}–{end:.2f} s"
    title = said + _probability(string, index)
    return (
        f'<button type="button" class="pa-chip" style="--h:{hue(token_id):.0f}" data-start="{start:.4f}"'
        f' data-end="{end:.4f}" data-id="{token_id}" tabindex="{0 if tab_stop else -1}"'
        f' aria-label="{escape(said)}" title="{escape(title)}"><b>{escape(string.text[index])}</b>'
        f"<i>{token_id}</i><small>{start:.2f}–{end:.2f}</small></button>"
    )


def _chip_px(string: TokenString) -> int:
    """Wide enough for the times of the last token, so that they never wrap."""
    return 22 + 12 * len(f"{string.duration_s:.2f}")


def _probability(string: TokenString, index: int) -> str:
    if index >= len(string.log_probs):
        return ""
    return f", {measure_name(string.method)} {math.exp(string.log_probs[index]):.2f}"


def lane_head(string: TokenString, label: str, find: bool = False, length_s: float | None = None) -> str:
    """Name, length and rate of a string, and the buttons that play, copy and find it; stands in its `.pa-lane`.

    length_s: of what the string was written for, by default the whole recording that its times count in.
    """
    limit = '<span class="pa-badge">stopped at the length limit</span>' if string.stopped_by == "limit" else ""
    empty = "" if len(string) else " disabled"
    length_s = string.duration_s if length_s is None else length_s
    rate = f" · {len(string) / length_s:.1f}/s" if length_s > 0 else ""
    search = f'<button type="button" data-action="find"{empty}>Search archive</button>' if find else ""
    return (
        f'<div class="pa-lane-head"><h3>{escape(label)}</h3>'
        f"<span>{len(string):,} tokens{rate}</span>{limit}"
        f'<span class="pa-actions"><button type="button" data-action="play"{empty}>▶ Play all</button>'
        f'<button type="button" data-action="copy-text"{empty}>Copy string</button>'
        f'<button type="button" data-action="copy-ids"{empty}>Copy ids</button>{search}</span></div>'
    )


def page_count(duration_s: float) -> int:
    """How many parts of PAGE_S a recording is shown in."""
    return max(1, math.ceil(duration_s / PAGE_S))


def page_tokens(string: TokenString, page: int) -> range:
    """Positions of the tokens that begin in part `page` (from 0)."""
    starts = [start for start, _ in string.spans_s]
    last = page + 1 >= page_count(string.duration_s)
    end = len(string) if last else bisect.bisect_left(starts, (page + 1) * PAGE_S)
    return range(bisect.bisect_left(starts, page * PAGE_S), end)


def page_words(page: int, duration_s: float) -> str:
    """'0:00–1:00 of 30:00'."""
    start_s, end_s = _page_span(page, duration_s)
    return f"{_clock(start_s)}–{_clock(end_s)} of {_clock(duration_s)}"


def place_html(page: int, duration_s: float) -> str:
    """Which part is shown, in words and, for the figure, in seconds."""
    start_s, end_s = _page_span(page, duration_s)
    return f'<p class="pa-place" role="status" data-part="{start_s:g} {end_s:g}">{page_words(page, duration_s)}</p>'


def _page_span(page: int, duration_s: float) -> tuple[float, float]:
    return page * PAGE_S, min((page + 1) * PAGE_S, duration_s)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def strings_html(result: TokenizeResult, page: int = 0, figure: str = "pa-plot") -> str:
    """All strings of a result, one lane of chips below the other, and a line that tells about the token in hand."""
    lanes = "".join(
        chips_html(
            string, METHOD_LABELS.get(method, method), figure=figure, within=page_tokens(string, page), find=True
        )
        for method, string in result.strings.items()
    )
    return (
        f'<div class="pa-strings" data-lanes="{len(result.strings)}"><p class="pa-readout" aria-live="polite"'
        f' data-readout>{READOUT_HINT}</p>{KEYS_HTML}{lanes}<p class="pa-sr" role="status" data-status></p></div>'
    )


READOUT_HINT = "Point at a token, or move to it with the keyboard, to see its time and its place in the other strings."
KEYS_HTML = (
    '<p class="pa-hint pa-keys"><kbd>←</kbd> <kbd>→</kbd> <kbd>Home</kbd> <kbd>End</kbd> move along a string ·'
    " <kbd>↑</kbd> <kbd>↓</kbd> go to the string above or below · <kbd>Enter</kbd> plays the token ·"
    " <kbd>Space</kbd> plays or pauses the string · <kbd>Esc</kbd> stops · <kbd>Shift</kbd> with a click or an arrow"
    " selects tokens to search the archive for</p>"
)


def figures_html(result: TokenizeResult) -> str:
    """The numbers that matter, large: tokens, tokens/s, bits/s, and the saving against VQ where that is there."""
    ours, other = result.compared
    label, mine = METHOD_LABELS.get(ours, ours), result.strings[ours]
    cards = [
        [f"{label} tokens", f"{len(mine):,}", ""],
        ["Tokens per second", f"{mine.tokens_per_s:.1f}", ""],
        ["Bits per second", f"{mine.bits_per_s:.0f}", ""],
    ]
    saved = _card("Saving", "–", "choose a second string to compare with")
    if other is not None:
        against, theirs = METHOD_LABELS.get(other, other), result.strings[other]
        values = (f"{len(theirs):,}", f"{theirs.tokens_per_s:.1f}", f"{theirs.bits_per_s:.0f}")
        for card, value in zip(cards, values, strict=True):
            card[2] = f"{against} {value}"
        saved = _saving_card(result.saving, len(theirs) - len(mine), against)
    speed = f" ({times_words(result.duration_s / result.seconds)}× real time)" if result.seconds > 0 else ""
    source = (
        f"<b>{escape(result.file_name)}</b> · {result.duration_s:.2f} s of audio, tokenized in"
        f" {result.seconds:.2f} s{speed} on {escape(result.model.device)} with"
        f" <b>{escape(result.model.name)}</b> <code>{escape(result.model.sha256[:8])}</code>"
    )
    numbers = "".join(_card(*card) for card in cards) + saved
    return f'<dl class="pa-figures">{numbers}</dl><p class="pa-source">{source}</p>'


def _card(name: str, value: str, note: str, extra: str = "") -> str:
    return f'<div class="pa-card{extra}"><dt>{name}</dt><dd>{value}</dd><dd class="pa-note">{note}</dd></div>'


def _saving_card(saving: float | None, fewer: int, against: str) -> str:
    name = f"Saving against {against}"
    if saving is None:
        return _card(name, "–", f"no {against} tokens to compare with")
    value = f"{100 * saving:.0f} %".replace("-", "−")
    note = f"{fewer:,} tokens fewer" if fewer >= 0 else f"{-fewer:,} tokens more"
    return _card(name, value, note, " pa-accent" if fewer > 0 else "")


def table_html(result: TokenizeResult, page: int = 0) -> str:
    """The figure as text: the tokens of a part with their times, for screen readers and for reading exact numbers."""
    rows = []
    for method, string in result.strings.items():
        label = escape(METHOD_LABELS.get(method, method))
        for index in page_tokens(string, page)[:MAX_CHIPS]:
            start, end = string.spans_s[index]
            chance = f"{math.exp(string.log_probs[index]):.2f}" if index < len(string.log_probs) else "–"
            cells = (index + 1, string.ids[index], escape(string.text[index]), f"{start:.2f}", f"{end:.2f}", chance)
            rows.append(f"<tr><th scope='row'>{label}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    part = f", {page_words(page, result.duration_s)}" if page_count(result.duration_s) > 1 else ""
    head = "".join(
        f"<th scope='col'>{name}</th>"
        for name in ("String", "#", "Id", "Glyph", "Start s", "End s", "Probability or score")
    )
    return (
        '<div class="pa-table" tabindex="0" role="region" aria-label="Tokens as a table"><table>'
        f"<caption>Token strings of {escape(result.file_name)}{part}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def plain_table_html(columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> str:
    """A table of texts; the first cell of each row names it."""
    head = "".join(f"<th scope='col'>{escape(name)}</th>" for name in columns)
    body = "".join(
        f"<tr><th scope='row'>{escape(first)}</th>" + "".join(f"<td>{escape(cell)}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="pa-table" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


EMPTY_HTML = (
    '<div class="pa-empty"><p class="pa-empty-title">Nothing tokenized yet</p><p>Record something, upload a file or'
    " choose an example. The token strings, their times and the sound behind every token appear here.</p></div>"
)


def header_html(info: ModelInfo) -> str:
    """Name, one line of explanation, and what is loaded on which device."""
    facts = (
        ("checkpoint", info.name),
        ("parameters", count_words(info.parameters)),
        ("vocabulary", f"{info.vocab_size:,}"),
        ("device", info.device),
    )
    items = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return (
        f'<header class="pa-header"><div class="pa-brand">{_LOGO}<div><h1>PairAlign</h1>'
        "<p>Speech becomes a short string of discrete tokens, made so that two recordings of the same words"
        " can be compared like two lines of text.</p></div></div>"
        f'<dl class="pa-facts" aria-label="Loaded model">{items}</dl>{model_card_html(info)}</header>'
    )


def model_mark_html(sha256: str) -> str:
    """Tells the page's script which model made a result, wherever it stands in it; nothing to see."""
    return f'<i hidden data-model="{escape(sha256)}"></i>'


def count_words(count: int) -> str:
    """4_103_552 -> '4.1 M'."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return str(count)


_LOGO = (
    '<svg class="pa-logo" viewBox="0 0 48 48" aria-hidden="true">'
    '<rect x="4" y="8" width="8" height="12" rx="3"/><rect x="15" y="8" width="14" height="12" rx="3"/>'
    '<rect x="32" y="8" width="12" height="12" rx="3"/><rect x="4" y="28" width="12" height="12" rx="3"/>'
    '<rect x="19" y="28" width="10" height="12" rx="3"/><rect x="32" y="28" width="12" height="12" rx="3"/>'
    '<path d="M8 20l2 8M22 20l2 8M38 20v8"/></svg>'
)
