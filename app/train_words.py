"""A training run in words: its state, alarms, and what changed from before to after. Pure functions, HTML strings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app import tables, tokens
from app.training_runs import DIED, Look
from pairalign.home import one_line
from pairalign.strings import TokenString
from pairalign.training.monitor import WORDS
from pairalign.training.result import TOLD

STATE_WORDS = {
    "starting": "Starting",
    "preparing": "Preparing",
    "running": "Training",
    "stopping": "Stopping",
    "stopped": "Stopped",
    "finishing": "Finishing",
    "done": "Done",
    "failed": "Failed",
    DIED: "Died",
}
# the alarms of the trainer as somebody who moved three sliders can use them
ALARM_WORDS = {
    WORDS[
        "collapse"
    ]: "Unrelated recordings get nearly the same string. Stop, and start again with a lower learning rate.",
    WORDS["bypass"]: "The strings hardly depend on what is heard. Stop, and start again with a lower learning rate.",
    WORDS["length"]: "The strings are getting much longer or shorter than wanted. Check the wanted tokens per second.",
    WORDS[
        "vocabulary"
    ]: "Less than half of all tokens are used. With little data this is normal; otherwise add recordings.",
}
FALLING = 0.1  # of the distance between unrelated clips
FALLING_WORDS = (
    "Unrelated clips are getting more alike than at the start: agreement is being bought by saying less. "
    "A lower learning rate helps."
)
LITTLE_S = 120.0
EMPTY_HTML = (
    '<div class="pa-empty"><p class="pa-empty-title">No run yet</p><p>Choose recordings, give the result a name and '
    "press Start. What the model learns shows here while it learns, also after you closed this page.</p></div>"
)
DIGITS = {"tokens_per_s": 1, "vocab_used": 0, "condition_gain": 2}


def refusal_html(reason: str) -> str:
    """Why training is off, and what to do instead."""
    return f'<div class="pa-empty"><p class="pa-empty-title">Not on this server</p><p>{escape(reason)}</p></div>'


def status_html(look: Look) -> str:
    """State, progress, what happens now, what to do next, alarms and notes."""
    status = look.status
    share = min(1.0, status.step / status.total_steps) if status.total_steps else 0.0
    share = 1.0 if look.state == "done" else share  # the minutes may be over before all steps are done
    advice = f'<p class="pa-train-advice">{escape(status.advice)}</p>' if status.advice else ""
    notes = [*status.notes, *data_notes(look.report.get("data") or {})]
    listed = "".join(f"<li>{escape(_as_uploaded(look, note))}</li>" for note in notes)
    alarms = "".join(f'<li class="pa-alarm">⚠ {escape(alarm)}</li>' for alarm in alarms_of(look))
    return (
        f'<section class="pa-train-status" data-state="{escape(look.state)}" data-step="{status.step}">'
        f'<p class="pa-train-head"><b>{escape(STATE_WORDS.get(look.state, look.state))}</b>'
        f"<span>{escape(look.name)}, from {escape(one_line(look.settings.init))}</span></p>"
        f'<progress max="1" value="{share:.4f}" aria-label="Share of the steps that are done"></progress>'
        f'<p class="pa-train-numbers">{escape(progress_words(look))}</p>'
        f"<p>{escape(_as_uploaded(look, status.message))}</p>{advice}"
        f"{f'<ul>{alarms}{listed}</ul>' if alarms or listed else ''}</section>"
    )


def _as_uploaded(look: Look, text: str) -> str:
    """File names as they were before uploads were copied into the run, which numbers them (training_runs.py)."""
    if not look.settings.data.replace("\\", "/").endswith(f"/{look.name}/uploads"):
        return text
    return re.sub(r"(?<![\w.-])\d{3}_(?=\S+\.\w+)", "", text)


def progress_words(look: Look) -> str:
    """'step 40 of 200 · 0:32 done · about 2:08 left'."""
    status = look.status
    told = [f"step {status.step:,} of {status.total_steps:,}"] if status.total_steps else []
    if status.elapsed_s:
        told.append(f"{clock(status.elapsed_s)} of training")
    if status.eta_s is not None and look.active:
        told.append(f"about {clock(status.eta_s)} left")
    return " · ".join(told)


def clock(seconds: float) -> str:
    """Minutes and seconds, hours where there are any: '2:08', '1:02:08'."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def data_notes(data: Mapping[str, Any]) -> list[str]:
    """What a run trains on, and whether that is little."""
    if not data:
        return []
    speakers, shared = len(data["speakers"]), data["shared_texts"]
    found = (
        f"{data['recordings']} recordings: {clock(data['train_s'])} to learn from, {clock(data['held_out_s'])} held out"
    )
    if speakers:
        found += f", {speakers} named speaker{'s' if speakers > 1 else ''}"
    if shared:
        found += f"; {shared} texts said by several of them become pairs"
    notes = [f"{found}."]
    if data["train_s"] + data["held_out_s"] < LITTLE_S:
        notes.append("That is little: some minutes of speech teach more, and make the figures below more certain.")
    return notes


def alarms_of(look: Look) -> list[str]:
    """What looks wrong in the latest validation, in plain words."""
    told = [entry for entry in look.log if entry.get("event") == "validation"]
    if not told:
        return []
    first, last = told[0], told[-1]
    alarms = [ALARM_WORDS.get(alarm, str(alarm)) for alarm in last.get("alarms", ())]
    before, now = first.get("ned_random"), last.get("ned_random")
    if before is not None and now is not None and before - now > FALLING:
        alarms.append(FALLING_WORDS)
    return alarms


def before_after_html(look: Look) -> str:
    """The measures of the held-out clips before and after; only before while it trains."""
    before, after = look.report.get("before"), look.report.get("after")
    if not before:
        return ""
    rows = []
    for name, label in TOLD.items():
        if name in before:
            cells = [_cell(figures, name) for figures in (before, after or {})]
            reason = next((f["reason"] for f in (before[name], (after or {}).get(name) or {}) if f.get("reason")), "")
            rows.append((escape(label) + (f"<br><small>–: {escape(reason)}</small>" if reason else ""), cells))
    count = (look.report.get("data") or {}).get("held_out", 0)
    caption = f"On {count} held-out clips that training never heard; in brackets the 95 % interval"
    return tables.table(("Measure", f"Before ({escape(one_line(look.settings.init))})", "After"), rows, caption)


def _cell(figures: Mapping[str, Any], name: str) -> str:
    found = figures.get(name)
    if not found or found.get("value") is None:
        return "–"
    digits = DIGITS.get(name, 3)
    interval = ""
    if found.get("low") is not None:
        interval = f" <small>[{tables.number(found['low'], digits)}, {tables.number(found['high'], digits)}]</small>"
    return tables.number(found["value"], digits) + interval


def examples_html(look: Look, number: int, sound: str) -> str:
    """The string of a held-out clip before and after, as chips that play the clip."""
    lanes = []
    for when, label in (("before", f"Before ({one_line(look.settings.init)})"), ("after", f"After ({look.name})")):
        strings = look.report.get(f"examples_{when}") or []
        if number < len(strings):
            lanes.append(tokens.chips_html(_string(strings[number]["string"]), label, sound=sound, figure=""))
    return (
        f'<div class="pa-strings">{"".join(lanes)}<p class="pa-sr" role="status" data-status></p></div>'
        if lanes
        else ""
    )


def _string(told: Mapping[str, Any]) -> TokenString:
    ids, spans = told["ids"], [tuple(span) for span in told["spans_s"]]
    end_s = max((end for _, end in spans), default=0.0)
    duration_s = len(ids) / told["tokens_per_s"] if told["tokens_per_s"] else end_s
    vocab = max(ids, default=0) + 1
    return TokenString(ids, spans, duration_s, (), told["stopped_by"], "pairalign", "", vocab)


def estimate_words(step_s: float, minutes: float, device: str, source: str) -> str:
    """How many steps fit into the minutes, and how long one waits beside them."""
    steps = max(20, int(60 * minutes / step_s))
    return (
        f"One step takes {step_s:.2g} s on this {device} ({source}): about {steps:,} steps in {minutes:g} minutes. "
        "Reading the recordings and measuring before and after come on top: a minute or so for ten minutes of speech."
    )


def list_html(lines: Sequence[str]) -> str:
    """Sentences one below the other."""
    return "".join(f'<p class="pa-hint">{escape(line)}</p>' for line in lines)
