"""An archive and what was found in it as HTML: figures, tables, cards of hits. Everything is escaped here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from app import demo_archive
from app.alignment import alignment_html
from app.archive_figures import WHAT
from app.archive_search import Clip, Found, shown_name, sound_url
from app.archives import Added, figures_of
from app.methods import LOOKS
from app.tokens import plain_table_html
from app.typed_tokens import id_words
from pairalign.archive.hit import Hit
from pairalign.archive.record import ArchiveInfo
from pairalign.archive.report import Progress
from pairalign.strings import TokenString, glyph
from pairalign.terminal import times_words

QUERY_SOUND, HIT_SOUND = "pa-archive-query", "pa-hit"
FREQUENT = 20
MOST_SKIPPED = 200
MODE_WORDS = {
    "whole": "Compared with windows of about 3 s as a whole.",
    "contains": "Compared with the nearest stretch of each recording.",
}
EMPTY_HTML = (
    '<div class="pa-empty"><p class="pa-empty-title">Nothing searched yet</p><p>Record a word above, upload a file or'
    " choose an example, and press Search. The recordings that hold what sounds most like it appear here, with the"
    " place, the sound and the tokens that differ.</p></div>"
)
CLOSED_HTML = '<p class="pa-note">The archive has not been opened yet.</p>'


def info_html(info: ArchiveInfo, name: str, missing: int = 0) -> str:
    """What an archive holds, as cards; `missing` recordings have no file where they were."""
    if not info.recordings:
        return f'<p class="pa-note"><b>{escape(name)}</b> is empty. Add recordings below: files, or a whole folder.</p>'
    figures = figures_of(info)
    ours = next(iter(info.methods))
    totals = info.methods[ours]
    saved = figures["saving_against_vq"]
    cards = [
        _card("Recordings", f"{info.recordings:,}", f"{totals.windows:,} windows of about 3&nbsp;s"),
        _card("Sound", *_duration(info.seconds)),
        _card("Tokens", f"{totals.tokens:,}", f"{totals.tokens / info.seconds:.1f} per second, {LOOKS[ours].label}"),
        _card(
            "Vocabulary used",
            f"{100 * totals.used / totals.vocab_size:.0f} %",
            f"{totals.used:,} of {totals.vocab_size:,} tokens",
        ),
        _card("On disk", _bytes(info.size_bytes), f"{info.size_bytes / info.seconds:,.0f} bytes per second of sound"),
    ]
    if saved is not None:
        fewer = info.methods["vq"].tokens - info.methods["pairalign"].tokens
        note = f"{abs(fewer):,} tokens {'fewer' if fewer >= 0 else 'more'}"
        cards.append(_card("Saving against VQ", f"{100 * saved:.0f} %".replace("-", "−"), note))
    lost = ""
    if missing:
        lost = (
            f'<p class="pa-note" role="status">{missing:,} of {info.recordings:,} recordings are not where they were, '
            "so they cannot be played. Add their folder again where it is now: recordings are known by content.</p>"
        )
    return f'<dl class="pa-figures pa-archive-figures">{"".join(cards)}</dl>{lost}'


def closed_html(name: str, reason: str) -> str:
    """Why an archive cannot be opened."""
    return f'<p class="pa-note" role="alert"><b>{escape(name)}</b> is not open: {escape(reason)}</p>'


def totals_table_html(info: ArchiveInfo) -> str:
    """The same for each kind of string."""
    rows = [
        (
            LOOKS[method].label,
            f"{totals.windows:,}",
            f"{totals.tokens:,}",
            f"{totals.tokens / info.seconds:.2f}" if info.seconds else "–",
            f"{totals.used:,} of {totals.vocab_size:,}",
        )
        for method, totals in info.methods.items()
    ]
    return plain_table_html(("Strings", "Windows", "Tokens", "Tokens/s", "Vocabulary used"), rows, "What is in it")


def frequent_table_html(info: ArchiveInfo) -> str:
    """The most frequent tokens of each kind of string: the chart as text."""
    rows = []
    for method, totals in info.methods.items():
        order = np.argsort(-totals.counts, kind="stable")[:FREQUENT]
        for place, token in enumerate(order.tolist(), start=1):
            count = int(totals.counts[token])
            if count:
                share = f"{100 * count / totals.tokens:.1f} %"
                rows.append((LOOKS[method].label, str(place), str(token), glyph(token), f"{count:,}", share))
    columns = ("Strings", "Place", "Id", "Glyph", "Times", "Share")
    return plain_table_html(columns, rows, f"The {FREQUENT} most frequent tokens")


def progress_words(done: Progress) -> str:
    """'12 of 40 files · 85 × real time · 10 s left'."""
    if done.checked < done.files:
        return f"{done.checked:,} of {done.files:,} files looked at"
    words = [f"{done.files_done:,} of {done.files:,} files"]
    if done.audio_s:
        words.append(f"{times_words(done.rate)} × real time")
    if done.eta_s is not None and done.files_done < done.files:
        words.append(f"{_clock(done.eta_s)} left")
    return " · ".join(words)


def added_html(added: Added) -> str:
    """What came of adding, and which files were skipped and why."""
    report = added.report
    if added.cancelled:
        said = f"Stopped. {_count(report.recordings, 'recording')} had been added and stay; start again to go on."
        return f'<p class="pa-note" role="status">{said}</p>'
    said = [f"Added {_count(report.recordings, 'recording')}, {_clock(report.seconds)} of sound"]
    if report.recordings:
        said[0] += f", in {report.elapsed_s:.1f} s ({times_words(report.real_time_factor)} × real time)"
    if report.replaced:
        said.append(f"{report.replaced:,} of them had changed and replaced what was there")
    if report.known:
        said.append(f"{_count(report.known, 'file')} were there already")
    if report.moved:
        said.append(f"{_count(report.moved, 'recording')} followed to where their content lies now")
    if report.removed:
        said.append(f"{_count(len(report.removed), 'recording')} taken out, as their files hold something else now")
    if report.ignored:
        said.append(f"{_count(report.ignored, 'other file')} ignored, not named as audio")
    skipped = ""
    if report.skipped:
        said.append(f"{_count(len(report.skipped), 'file')} skipped, see below")
        rows = [(skip.path.replace("\\", "/").rsplit("/", 1)[-1], skip.reason) for skip in report.skipped]
        skipped = plain_table_html(("File", "Why it was skipped"), rows[:MOST_SKIPPED], "Skipped files")
    return f'<p class="pa-note" role="status">{". ".join(said)}.</p>{skipped}'


def found_html(found: Found, method: str) -> str:
    """How the search went, in words, and the query to listen to."""
    answer = found.answers[method]
    where = f"{answer.searched_windows:,} windows"
    if found.options.pattern.strip():
        where += f" (only names with <b>{escape(found.options.pattern)}</b>)"
    times = ", ".join(f"{LOOKS[name].label} {one.elapsed_ms:.1f} ms" for name, one in found.answers.items())
    sound = ""
    if found.wave is not None:
        sound = f'{_sound(QUERY_SOUND, sound_url(found.wave))}<p class="pa-hit-actions">{_query_button()}</p>'
    else:
        sound = f'<p class="pa-source">What was typed is read as the ids {id_words(answer.query.ids)}.</p>'
    return (
        f'<div class="pa-found"><p class="pa-source">Searched <b>{escape(found.archive)}</b>, {where}, for'
        f" <b>{len(answer.query):,} {LOOKS[method].label} tokens</b>. {MODE_WORDS[answer.mode]}"
        f" Search alone: {times}.</p>"
        f'<p class="pa-source">{_agreement(found)}</p>{sound}</div>'
    )


def hits_html(found: Found, method: str, clips: Sequence[Clip]) -> str:
    """The ranked hits as cards."""
    answer = found.answers[method]
    if not answer.hits:
        return '<p class="pa-note" role="status">Nothing to compare with: no recording has a name like that.</p>'
    cards = (
        _hit_html(rank, hit, clip, answer.query, found.wave is not None)
        for rank, (hit, clip) in enumerate(zip(answer.hits, clips, strict=True), start=1)
    )
    return f'<ol class="pa-hits" aria-label="Hits, the nearest first">{"".join(cards)}</ol>'


def distances_table_html(counts: np.ndarray, mode: str, last: int | None) -> str:
    """The histogram as text."""
    rows = [
        (str(distance), f"{count:,}", "yes" if last is not None and distance <= last else "no")
        for distance, count in enumerate(counts.tolist())
        if count
    ]
    return plain_table_html(("Distance", WHAT[mode].capitalize(), "Within the hits shown"), rows, "Distances")


def _hit_html(rank: int, hit: Hit, clip: Clip, query: TokenString, heard: bool) -> str:
    sound = f"{HIT_SOUND}-{rank}"
    length_s, name = hit.string.duration_s, escape(shown_name(hit.path))
    place = f"{hit.start_s:.2f}–{hit.end_s:.2f} s"
    left, width = 100 * hit.start_s / length_s, max(1.0, 100 * (hit.end_s - hit.start_s) / length_s)
    aligned = ""
    if len(hit.string):
        aligned = (
            '<details class="pa-script pa-hit-script"><summary>Tokens side by side</summary>'
            + alignment_html(
                query,
                hit.string,
                "A · the query",
                f"B · hit {rank}",
                QUERY_SOUND,
                sound,
                begins_b=clip.begins_s,
                length_b_s=hit.end_s - hit.start_s,
            )
            + "</details>"
        )
    head = (
        f'<div class="pa-hit-head"><span class="pa-rank" aria-label="Rank {rank}">{rank}</span><h3>{name}</h3>'
        f'<span class="pa-note">{_said(hit)}</span></div>'
    )
    bar = (
        f'<div class="pa-span" role="img" aria-label="{place} of {length_s:.2f} s">'
        f'<i style="left:{min(left, 99):.2f}%;width:{width:.2f}%"></i></div>'
    )
    return (
        f'<li class="pa-hit"><div class="pa-lane pa-hit-lane" data-sound="{sound}" data-figure=""'
        f' data-begins="{clip.begins_s:.4f}">{head}<p class="pa-hit-facts"><b>{_count(hit.distance, "edit")}</b> ·'
        f" {hit.normalized:.2f} per token · {place} of {length_s:.2f} s</p>{bar}"
        f"{_buttons(rank, hit, clip, heard)}</div>"
        f"{_sound(sound, clip.url) if clip.wave is not None else ''}{aligned}</li>"
    )


def _buttons(rank: int, hit: Hit, clip: Clip, heard: bool) -> str:
    if clip.wave is None:
        return f'<p class="pa-note">{escape(clip.problem)}</p>'
    query = _query_button() if heard else ""
    return (
        f'<p class="pa-hit-actions"><button type="button" data-play="{hit.start_s:.4f} {hit.end_s:.4f}"'
        f' aria-label="Play hit {rank}">▶ Hit</button>'
        f'<button type="button" data-play="0 {hit.string.duration_s:.4f}" aria-label="Play hit {rank} in context">'
        f"▶ In context</button>{query}</p>"
    )


def _query_button() -> str:
    return (
        f'<span class="pa-lane" data-sound="{QUERY_SOUND}" data-figure="">'
        '<button type="button" data-play="0 1e9">▶ Query</button></span>'
    )


def _sound(elem_id: str, url: str) -> str:
    """A sound for the page's script to play."""
    return f'<div id="{elem_id}" class="pa-player pa-sr" hidden><audio preload="none" src="{url}"></audio></div>'


def _said(hit: Hit) -> str:
    """What is said in a recording of the demo; elsewhere the folder is of more use."""
    entry: Mapping[str, str] | None = None
    if hit.path.parent == demo_archive.FOLDER:
        entry = demo_archive.entries().get(hit.path.name)
    return f"“{escape(entry['text'])}” {escape(entry['voice'])}" if entry else escape(hit.path.parent.name)


def _agreement(found: Found) -> str:
    """What the other kinds of strings found beside the first."""
    answers = {name: [(hit.recording_id) for hit in one.hits] for name, one in found.answers.items()}
    if len(answers) < 2:
        return "A typed string is of one kind, so there is nothing to compare it with." if found.wave is None else ""
    (ours, first), *others = answers.items()
    said = []
    for name, hits in others:
        same = "the same recording first" if hits[:1] == first[:1] else "another recording first"
        shared = len(set(hits) & set(first))
        said.append(
            f"{LOOKS[name].label} finds {same}, and {shared} of {len(set(first))} recordings in common with "
            f"{LOOKS[ours].label}."
        )
    return " ".join(said)


def _card(name: str, value: str, note: str) -> str:
    return f'<div class="pa-card"><dt>{name}</dt><dd>{value}</dd><dd class="pa-note">{note}</dd></div>'


def _duration(seconds: float) -> tuple[str, str]:
    """A value and a note for the length of an archive."""
    if seconds >= 3_600:
        return f"{seconds / 3_600:,.1f} h", f"{seconds:,.0f} seconds"
    return f"{seconds / 60:.1f} min", f"{seconds:,.0f} seconds"


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3_600:.1f} h"


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
