"""Six short lessons: a question, guesses to choose from, and something to try in another tab.

Their answers are computed from the loaded model (answers.py): which guess is right is not written down anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.trajectories import DEFAULT_METHODS
from app.view_settings import ViewSettings, preset_name
from pairalign.errors import PairAlignError


@dataclass(frozen=True)
class Lesson:
    """Text of a lesson. `tab`, `example` and `settings` are what "Try it" opens: a tab, a recording, its controls."""

    name: str
    title: str
    question: str
    guesses: tuple[str, ...]
    tab: str
    example: str
    hint: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def _views(b: ViewSettings) -> dict[str, Any]:
    """Controls of the Views tab for a recording as it is (A) beside a view of it: all of them, presets included."""
    sides = {"a": ViewSettings(), "b": b}
    values = {f"{name}_{side}": value for side, view in sides.items() for name, value in view.to_dict().items()}
    presets = {f"preset_{side}": preset_name(view) for side, view in sides.items()}
    return {"mode": "Two views of one recording", "method": "pairalign", "start": 0, **presets, **values}


LESSONS = (
    Lesson(
        "repeat",
        "Why does VQ repeat itself?",
        "VQ writes one symbol for every 20 ms of sound: fifty a second, whatever is said. How many of them only repeat "
        "the symbol before?",
        ("Fewer than one in five", "Between one and three in five", "More than three in five"),
        "tokenize",
        "harbour_a.ogg",
        "Compare the lanes VQ and PairAlign: even without its repeats VQ needs more chips for the same sounds.",
    ),
    Lesson(
        "meaning",
        "What does a token mean?",
        "Nobody told the model what its tokens stand for. Take two places where it wrote the same token, and two "
        "places with different tokens: how often are the equal ones the more alike in sound?",
        ("No better than tossing a coin (below 60 %)", "Usually (60 to 90 %)", "Nearly always (above 90 %)"),
        "tokenize",
        "digits.ogg",
        "Click chips with the same number and listen. Do they sound alike?",
    ),
    Lesson(
        "slide",
        "Slide the window",
        "A window of 3 seconds slides 100 ms through a recording. Of a perfect string only what leaves and what "
        "enters should change. How much more changes?",
        ("Nothing more", "A little: up to a tenth of the string", "Much: over a tenth of the string"),
        "sweep",
        "slow.ogg",
        "Watch the ribbon: equal colours should run along the slanted lines.",
        {"kind": "shift", "stop": 100, "step": 5, "start": 0, "methods": list(DEFAULT_METHODS)},
    ),
    Lesson(
        "noise",
        "Noise against voice",
        "The same sentence with hiss at 10 dB, as if spoken by a head a tenth smaller, and said by another person. "
        "Which of the three changes the string most?",
        ("The hiss", "The smaller head", "The other person"),
        "views",
        "harbour_a.ogg",
        "View B is in hiss at 10 dB. Move one slider at a time and watch the alignment.",
        _views(ViewSettings(noise="white", snr_db=10)),
    ),
    Lesson(
        "word",
        "Two speakers, one word",
        'One voice says "A garden needs water more than it needs a fence.", another "They carried all the chairs into '
        'the garden." Where the two strings agree best: is it the word garden?',
        ("Yes: it is at the right place in both", "Only in one of the two", "No"),
        "views",
        "garden_first.ogg",
        "Both recordings stand there, one above the other. Look for matches and listen to them.",
        {"mode": "Two recordings", "method": "pairalign", "audio_b": "garden_last.ogg", "start": 0, "start_b": 0},
    ),
    Lesson(
        "find",
        "Find it again",
        "A second and a half is cut out of a recording, put in noise at 10 dB and given another voice colour. Of all "
        "shipped recordings, is its own the one with the most similar piece of string?",
        ("Yes, on rank one", "Among the first three", "No, it is lost"),
        "compare",
        "garden_last.ogg",
        "Which method keeps its string best when the audio changes?",
    ),
)


def lesson(name: str) -> Lesson:
    """The lesson of that name. Raises: ValueError when there is none."""
    found = next((one for one in LESSONS if one.name == name), None)
    if found is None:
        raise PairAlignError(f"There is no lesson {name!r}; use one of {', '.join(one.name for one in LESSONS)}.")
    return found
