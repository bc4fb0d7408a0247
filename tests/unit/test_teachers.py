"""The teachers' guide says what the page says: lessons, questions, and the answers of the shipped checkpoint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app import parts
from app.answers import answer
from app.lessons import LESSONS
from app.services import Services
from pairalign.checkpoint import read_sidecar

PAGE = Path(__file__).resolve().parents[2] / "docs" / "teachers.md"


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    """Text of each lesson by its title, without line breaks."""
    parts_of_page = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = [re.match(r"\d+\. (.+)\n", part) for part in parts_of_page]
    return {match[1]: " ".join(match.string.split()) for match in found if match}


@pytest.fixture(scope="module")
def base() -> Services:
    return Services("base", "cpu")


def test_the_guide_has_the_lessons_of_the_page_in_their_order(sections):
    assert list(sections) == [one.title for one in LESSONS]
    for one in LESSONS:
        text = sections[one.title]
        assert one.tab.title() in text
        for part in ("Aim", "Minutes", "Prepare", "Question", "In the page", "What to expect", "Honest limits"):
            assert f"**{part}.**" in text, f"{one.title} has no {part}"


def test_the_guide_names_the_checkpoint_its_answers_are_of():
    (digits,) = re.findall(r"sha256 `([0-9a-f]{12})…`", PAGE.read_text(encoding="utf-8"))
    assert read_sidecar("base")["sha256"].startswith(digits)


@pytest.mark.parametrize("one", LESSONS, ids=lambda one: one.name)
def test_what_to_expect_is_what_the_model_answers(one, sections, base):
    told = answer(base, one.name, parts.read_examples())
    (expected,) = re.findall(r"\*\*What to expect\.\*\* (.+?) \*\*Honest limits", sections[one.title])
    first = re.split(r"[:(,.]", one.guesses[told.right])[0].strip().lower()
    assert expected.lower().startswith(first), f"the model answers: {one.guesses[told.right]}"
    known = " ".join([*told.sentences, *(cell for row in told.rows for cell in row), *one.guesses, one.question])
    numbers = set(re.findall(r"\d+(?:\.\d+)?", known))
    assert set(re.findall(r"\d+(?:\.\d+)?", expected)) <= numbers, known


def test_the_readme_counts_what_lesson_one_counts(base):
    told = answer(base, "repeat", parts.read_examples())
    counts = {row[0]: row[1] for row in told.rows}
    readme = " ".join((PAGE.parent.parent / "README.md").read_text(encoding="utf-8").split())
    assert f"PairAlign writes {counts['PairAlign']} tokens where VQ" in readme
    assert f"with repeats collapsed, needs {counts['VQ without repeats']}." in readme
