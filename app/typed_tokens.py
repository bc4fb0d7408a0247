"""Tokens that a person types or pastes: glyphs, or ids as numbers. What could be meant otherwise is asked back."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pairalign.errors import PairAlignError
from pairalign.strings import ids_from_text

MOST_TOKENS = 2_000
SHORTEST_WORD = 5  # letters; glyphs are letters too, so fewer of them may well be tokens
SHOWN_CHARS, SHOWN_IDS = 40, 12
_NAMED = re.compile(r"""^\W*ids\W*[:=]\s*(?=[\[(\d])""")  # as in "ids": [416, 64]
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
# an everyday word: small letters, perhaps with a capital first, or capitals; of one of these alphabets
_ALPHABETS = (
    ("a-zß-öø-ÿ", "A-ZÀ-ÖØ-Þ"),
    ("\u03ac-\u03ce", "\u0386-\u03ab"),  # Greek
    ("\u0430-\u045f", "\u0400-\u042f"),  # Cyrillic
)
_WORD = re.compile(
    "|".join(rf"[{big}]?[{small}]+(?:['’-][{small}]+)*|[{big}]+" for small, big in _ALPHABETS),
)
_PUNCTUATION = ".,;:!?…\"'“”„‘’()«»-–—"


def typed_ids(text: str, size: int) -> tuple[int, ...]:
    """The ids behind glyphs, or behind numbers such as "416 64 55" and "[416, 64, 55]"; `size` is the vocabulary's.

    Raises: ValueError for what is no token, for words of a language, and for a single number without brackets.
    """
    text = text.strip()
    numbers = _numbers(text)
    if numbers is not None:
        return _checked_ids(numbers, size)
    glyphs = "".join(text.split())
    if not 1 <= len(glyphs) <= MOST_TOKENS:
        raise PairAlignError(f"The token string has {len(glyphs):,} characters; type or paste 1 to {MOST_TOKENS:,}.")
    if _looks_like_words(text):
        raise PairAlignError(
            f"“{_shortened(text)}” looks like words, and a token string is not spelled like what is said: to look for"
            f" words, record or upload them.{_way_out(glyphs, size)}"
        )
    if re.fullmatch("[0-9]+", text):
        raise PairAlignError(
            f"“{_shortened(text)}” may be a token's id or a string of {len(text)} glyphs: write [{_shortened(text)}]"
            f" for the id.{_way_out(glyphs, size)}"
        )
    return _glyph_ids(glyphs, size)


def written(text: str) -> str:
    """A token string as `typed_ids` reads it: by its glyphs, or by its ids where the glyphs mislead."""
    ids = ids_from_text(text)
    try:
        misread = typed_ids(text, max(ids, default=0) + 1) != ids
    except PairAlignError:
        misread = True
    return _id_list(ids) if misread and len(ids) else text


def _numbers(text: str) -> list[str] | None:
    """The numbers of a list of ids; None for anything else, and for a single number, which may be glyphs."""
    text = _NAMED.sub("", text).strip().rstrip(",;")
    closing = _BRACKETS.get(text[:1])
    bracketed = closing is not None and text.endswith(closing)
    items = [item for item in re.split(r"[\s,;]+", text[1:-1].strip() if bracketed else text) if item]
    if not all(re.fullmatch("-?[0-9]+", item) for item in items) or not items:
        return None
    return items if bracketed or len(items) > 1 else None


def _checked_ids(numbers: Sequence[str], size: int) -> tuple[int, ...]:
    if len(numbers) > MOST_TOKENS:
        raise PairAlignError(f"The list has {len(numbers):,} ids; type or paste 1 to {MOST_TOKENS:,}.")
    for place, number in enumerate(numbers, start=1):
        if number.startswith("-") or len(number.lstrip("0")) > len(str(size)) or int(number) >= size:
            raise PairAlignError(
                f"Id {place} of the list, {_shortened(number)}, is no token: this model has 0 to {size - 1}. Copy ids"
                " that the loaded model wrote."
            )
    return tuple(map(int, numbers))


def _glyph_ids(glyphs: str, size: int) -> tuple[int, ...]:
    ids: list[int] = []
    for place, char in enumerate(glyphs, start=1):
        try:
            ids += ids_from_text(char)
        except ValueError:
            raise PairAlignError(f"Character {place}, “{char}”, stands for no token. Copy a token string.") from None
        if ids[-1] >= size:
            raise PairAlignError(
                f"Character {place}, “{char}”, is token {ids[-1]}, and this model has 0 to {size - 1}. Copy a string "
                "that the loaded model wrote."
            )
    return tuple(ids)


def _looks_like_words(text: str) -> bool:
    """Strings have no spaces, so several words are told at once; a single one by its length."""
    groups = [group.strip(_PUNCTUATION) for group in text.split()]
    words = [group for group in groups if _WORD.fullmatch(group)]
    if len(groups) < 2:
        return bool(words) and len(words[0]) >= SHORTEST_WORD
    numbers = [group for group in groups if re.fullmatch("-?[0-9]+(?:[.,][0-9]+)?", group)]
    return 2 * (len(words) + len(numbers)) >= len(groups)


def _way_out(glyphs: str, size: int) -> str:
    """How the same characters are written when they are meant as tokens; nothing where they are none."""
    try:
        ids = _glyph_ids(glyphs, size)
    except PairAlignError:
        return ""
    return (
        f" If these glyphs are meant, write their ids: {_id_list(ids)}."
        if len(ids) <= SHOWN_IDS
        else (" If these glyphs are meant, paste what “Copy ids” gives.")
    )


def _id_list(ids: Sequence[int]) -> str:
    return f"[{' '.join(map(str, ids))}]"


def id_words(ids: Sequence[int]) -> str:
    """'416 64 55', and … after the first few."""
    return " ".join(map(str, ids[:SHOWN_IDS])) + (" …" if len(ids) > SHOWN_IDS else "")


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
