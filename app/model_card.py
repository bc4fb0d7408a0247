"""The description of a checkpoint as a compact card: use, figures, data, licences, training, limits, citation.

A sidecar may come from anywhere: nothing in it is trusted to be there, to be well formed or to be short.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from app.card_figures import figures_html
from app.result import ModelInfo
from app.tables import table
from app.untrusted import count, mapping, number, text
from pairalign.checkpoint import is_shipped, plain_json, read_sidecar
from pairalign.errors import PairAlignError

FULL_CARD = Path(__file__).resolve().parent.parent / "docs" / "model-card.md"
FULL_CARD_OF = "base"
MAX_ROWS = 12
DEPTH = 20  # training runs that one checkpoint went through
USE = (
    "Turns 16 kHz speech into a string of discrete tokens. For exploring and teaching, for search by edit distance, "
    "and as a start for fine-tuning. It is no speech recogniser."
)
LIMITS = (
    "Music, and speech unlike the data above (another language, a distant microphone, strong noise), are out of its "
    "domain. Strings of different checkpoints mean different things and are never compared."
)
CITATION = (
    "Banerjee & Arora, PairAlign: A Framework for Sequence Tokenization via Self-Alignment with Applications to Audio "
    "Tokenization, arXiv 2605.06582 (2026). This program is an independent implementation by PairAlign contributors."
)
SUPERVISION = {
    "word_times_used": "word times made from transcripts",
    "lexicon_used": "the phones that a pronouncing lexicon has for the words",
}


def model_card_html(info: ModelInfo) -> str:
    """The card, folded; its buttons are served by app/tabs/card_saving.py."""
    sidecar = info.sidecar
    sections = {
        "Figures": figures_html(sidecar),
        "Data": _data(sidecar),
        "Training": _training(sidecar),
    }
    body = "".join(f"<h2>{title}</h2>{content}" for title, content in sections.items() if content)
    if not body:
        body = "<p>This checkpoint comes without a model card.</p>"
    return (
        '<details class="pa-modelcard"><summary>Model card</summary><div>'
        f"<h2>Use</h2><p>{escape(USE)}</p>{body}<h2>Limits</h2><p>{escape(LIMITS)}</p>"
        f"<h2>Citation</h2><p>{escape(CITATION)}</p>"
        f"<p>Checkpoint <b>{text(info.name)}</b>, sha256 of the weights <code>{text(info.sha256)}</code></p>"
        f'<p class="pa-card-buttons">{_buttons(info)}</p></div></details>'
    )


def _buttons(info: ModelInfo) -> str:
    kinds = {"json": "Download JSON"} | ({"markdown": "Download the full card"} if _has_full_card(info) else {})
    return "".join(f'<button type="button" data-card="{kind}">{label}</button>' for kind, label in kinds.items())


def card_file(info: ModelInfo, kind: str) -> tuple[str, str]:
    """Name and text of a file: "json", all that the sidecar holds, or "markdown", the full card.

    Raises: ValueError for a checkpoint without a full card.
    """
    if kind == "json":
        return f"{info.name}.json", json.dumps(plain_json(info.sidecar), indent=1, ensure_ascii=False)
    if not _has_full_card(info):
        raise PairAlignError(f"The checkpoint {info.name} has no full card. Download its JSON instead.")
    return f"{info.name}-model-card.md", FULL_CARD.read_text(encoding="utf-8")


def _has_full_card(info: ModelInfo) -> bool:
    """Whether docs/model-card.md is there, as it is in a clone, and is about these very weights."""
    shipped = FULL_CARD.is_file() and is_shipped(FULL_CARD_OF)
    return shipped and read_sidecar(FULL_CARD_OF)["sha256"] == info.sha256


def _data(sidecar: Mapping[str, Any]) -> str:
    """What every run of the checkpoint was trained on, the latest first; nothing twice."""
    data = sidecar.get("data")
    if not isinstance(data, Mapping):
        plain = ", ".join(map(str, data)) if isinstance(data, list | tuple) else data
        return f"<p>{text(plain)}</p>" if plain else ""
    runs = list(_chain(data))
    parts = [part for run in runs for part in (_amount(run), _licences(run.get("licences")))]
    used = [words for key, words in SUPERVISION.items() if any(run.get(key) is True for run in runs)]
    if any(key in run for run in runs for key in SUPERVISION):
        parts.append(f"<p>Weak supervision: {'; '.join(used) or 'none'}.</p>")
    return "".join(dict.fromkeys(parts))


def _chain(run: object) -> Iterator[Mapping[str, Any]]:
    """A run and those it started from."""
    for _ in range(DEPTH):
        if not isinstance(run, Mapping) or not run:
            return
        yield run
        run = run.get("before")


def _amount(run: Mapping[str, Any]) -> str:
    own = mapping(run.get("fine_tuned_on"))
    if own:
        train_s, held_out_s = number(own.get("train_s")), number(own.get("held_out_s"))
        minutes = [f"{_minutes(s)} {what}" for s, what in ((train_s, "learned from"), (held_out_s, "held out"))]
        return f"<p>Fine-tuned on {count(own.get('recordings')) or '–'} recordings: {', '.join(minutes)}.</p>"
    parts = [f"{count(run.get(key))} {key}" for key in ("recordings", "speakers") if count(run.get(key))]
    hours = number(run.get("hours"))
    if not math.isnan(hours):
        corpora = list(mapping(run.get("hours_by_corpus")).items())[:MAX_ROWS]
        named = ", ".join(f"{text(name)} {number(one):.2f} h" for name, one in corpora)
        parts.append(f"{hours:.2f} h" + (f" ({named})" if named else ""))
    return f"<p>Trained on {', '.join(parts)}.</p>" if parts else ""


def _minutes(seconds: float) -> str:
    return "–" if math.isnan(seconds) else f"{seconds / 60:.1f} minutes"


def _licences(statement: object) -> str:
    """The Markdown table of corpora, or the beginning of a text without one."""
    if not isinstance(statement, str):
        return ""
    lines = [line.strip() for line in statement.splitlines()[:1_000]]
    cells = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rows = [row for row in cells if not all(set(cell) <= set("-: ") for cell in row)]
    if len(rows) < 2:
        return f"<p>Licence or consent: {text(statement.strip()) or 'not stated'}</p>"
    head, *body = ([text(cell) for cell in row[:6]] for row in rows[: MAX_ROWS + 1])
    corpora = table(head, [(first, rest) for first, *rest in body], "Corpora and their licences")
    return f'<div class="pa-licences">{corpora}</div>'


def _training(sidecar: Mapping[str, Any]) -> str:
    """What kind of training, from where, and how long."""
    recipe = mapping(sidecar.get("recipe"))
    kind, start, parts = recipe.get("kind"), mapping(recipe.get("started_from")), []
    if isinstance(kind, str) and kind:
        parts.append(f"{text(kind[:1].upper() + kind[1:])}.")
    if start:
        parts.append(f"Started from <b>{text(start.get('name'))}</b>, sha256 <code>{text(start.get('sha256'))}</code>.")
    counts = [number(run.get("steps")) for run in _chain(recipe)]
    steps = [one for one in counts if not math.isnan(one)]
    if steps:
        several = f" in {len(steps)} runs" if len(steps) > 1 else ""
        parts.append(f"{sum(steps):,.0f} optimizer steps{several}.")
    return f"<p>{' '.join(parts)}</p>" if parts else ""
