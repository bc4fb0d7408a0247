"""Search across speakers in a recorded class: does the string of a word find the same word in another mouth?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from app import tables
from app.class_recordings import ClassError, RecordedClass, Take
from app.services import Progress, Services
from pairalign.evaluation import metrics

MOST_TAKES = 400
SHOWN = 5


@dataclass(frozen=True)
class Found:
    """For each take that has the same prompt by somebody else: the takes of others, nearest first, with distances.

    rank: place of the first one with the same prompt, from 1.
    """

    query: Take
    nearest: tuple[tuple[Take, float], ...]
    rank: float
    of: int


def search_class(services: Services, found: RecordedClass, folder: Path, report: Progress) -> list[Found]:
    """Every take looks for its prompt among the takes of all other speakers. Raises ValueError where it cannot."""
    takes = found.takes[:MOST_TAKES]
    if len({take.speaker for take in takes}) < 2:
        raise ClassError(
            "Searching across speakers needs two speakers or more: let somebody else record the list, too."
        )
    from pairalign.tokenizer import Tokenizer

    paths = [folder / take.file for take in takes]
    strings = services.compute(Tokenizer.tokenize_batch, paths, progress=report)
    distances = metrics.distance_matrix([s.ids for s in strings], [s.ids for s in strings])
    results = [_look(takes, distances[k], k) for k in range(len(takes))]
    answers = [one for one in results if one is not None]
    if not answers:
        raise ClassError("No prompt was recorded by two speakers yet: record the same words by somebody else.")
    return answers


def _look(takes: Sequence[Take], distances: np.ndarray, k: int) -> Found | None:
    query = takes[k]
    others = [i for i, take in enumerate(takes) if take.speaker != query.speaker]
    same = [i for i in others if takes[i].transcript == query.transcript]
    if not same:
        return None
    best = min(float(distances[i]) for i in same)
    # equal distances share their places: luck is no skill
    nearer = sum(float(distances[i]) < best for i in others)
    level = sum(float(distances[i]) == best for i in others)
    order = sorted(others, key=lambda i: (float(distances[i]), i))[:SHOWN]
    return Found(query, tuple((takes[i], float(distances[i])) for i in order), nearer + (level + 1) / 2, len(others))


def found_html(results: Sequence[Found]) -> str:
    """How often the first answer is right, and for every take what it found."""
    right = sum(one.rank == 1 for one in results)
    chance = float(np.mean([1 / one.of for one in results]))
    told = (
        f'<p class="pa-verdict">{right} of {len(results)} takes find their words first in another mouth; '
        f"by luck alone it would be about {chance * len(results):.1f}.</p>"
    )
    rows = [
        (
            f"{escape(one.query.transcript)} <small>({escape(one.query.speaker)})</small>",
            [_answers(one), f"{one.rank:g} of {one.of}"],
        )
        for one in results
    ]
    return told + tables.table(("Looked for", "Nearest by others", "First right one"), rows, "Search across speakers")


def _answers(one: Found) -> str:
    return " · ".join(
        f"{'✓' if take.transcript == one.query.transcript else '✗'} {escape(take.transcript)} "
        f"<small>({escape(take.speaker)}, {distance:.2f})</small>"
        for take, distance in one.nearest[:3]
    )
