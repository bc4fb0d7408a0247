"""The ways to write a string as the page shows them: names, and what tells them apart in a chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.services import Services
from pairalign.errors import PairAlignError


@dataclass(frozen=True)
class Look:
    """A method's name, a sentence about it, and its colour, dash and marker: one channel would not do for everyone."""

    label: str
    about: str
    colour: str  # 3:1 against the page, light or dark
    dash: str
    marker: str


LOOKS: Mapping[str, Look] = {
    "pairalign": Look("PairAlign", "written token by token by the decoder", "#6366f1", "solid", "circle"),
    "vq": Look("VQ", "the code of every 20 ms frame, repeats collapsed", "#d97706", "dash", "square"),
    "viterbi": Look("Viterbi-VQ", "VQ where changing the code costs something", "#0d9488", "dot", "diamond"),
    "viterbi_cost": Look("Thrifty VQ", "smoothed VQ where rare codes cost more", "#65a30d", "longdash", "triangle-up"),
    "bpe": Look("BPE", "VQ with frequent neighbours merged into one token", "#c026d3", "dashdot", "x"),
    "mfcc": Look("MFCC", "clusters of MFCC frames, without any training", "#64748b", "longdashdot", "star"),
    "vq_raw": Look("VQ frames", "the code of every 20 ms frame", "#e11d48", "dot", "cross"),
}


def available(services: Services) -> tuple[str, ...]:
    """Methods that the loaded checkpoint can write, in the order of the page."""
    found = services.methods()
    return tuple(name for name in LOOKS if name in found)


def check(services: Services, chosen: Sequence[str] | None) -> tuple[str, ...]:
    """The chosen methods, each once, in the order of the page.

    Raises: ValueError when there is none, or one that this checkpoint does not have.
    """
    allowed = available(services)
    unknown = [str(name)[:40] for name in chosen or () if name not in allowed]
    if unknown or not chosen:
        wrong = f"{', '.join(unknown)} cannot be written with this checkpoint" if unknown else "no method is chosen"
        raise PairAlignError(f"{wrong}; choose from {', '.join(allowed)}.")
    return tuple(name for name in allowed if name in chosen)
