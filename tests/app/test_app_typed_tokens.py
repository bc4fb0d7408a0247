"""Typed and pasted tokens: glyphs and ids are read as such, and what could be meant otherwise is asked back."""

from __future__ import annotations

import pytest

from app import archive_words
from app.archive_search import Options, search_text, typed_string
from app.typed_tokens import typed_ids, written
from pairalign.strings import ids_from_text, text_from_ids

SIZE = 512


@pytest.mark.parametrize(
    "text",
    [
        "416 64 55",
        "416, 64, 55",
        "416,64,55",
        "416;64;55",
        "[416, 64, 55]",
        "[416 64 55]",
        "(416, 64, 55)",
        " 416\n64\n\t55 ",
        "416, 64, 55,",
        '"ids": [416, 64, 55]',
        "ids: 416 64 55",
        "0416 064 055",
    ],
)
def test_lists_of_numbers_are_ids(text):
    assert typed_ids(text, SIZE) == (416, 64, 55)


@pytest.mark.parametrize("text", ["[7]", "( 7 )"])
def test_one_id_is_written_in_brackets(text):
    assert typed_ids(text, SIZE) == (7,)


@pytest.mark.parametrize("ids", [(416, 64, 55), (5,), tuple(range(0, 512, 11)), (400, 401, 402)])
def test_glyphs_are_the_tokens_that_they_stand_for(ids):
    text = text_from_ids(ids)
    assert typed_ids(f"  {text}\n", SIZE) == ids


@pytest.mark.parametrize(
    "text",
    [
        "hello world",
        "hello",
        "Hello, world!",
        "the cat sat on a mat",
        "I am",
        "GARDEN",
        "don't know",
        "Wörter suchen",
        "привет",
        "καλημέρα",
        "room 42 please",
        "harbour-light",
    ],
)
def test_words_are_questioned_with_the_way_out(text):
    with pytest.raises(ValueError, match="looks like words.*record or upload"):
        typed_ids(text, 1_024)


def test_the_way_out_of_words_is_read_as_their_glyphs():
    with pytest.raises(ValueError) as caught:
        typed_ids("hello", SIZE)
    ids = str(caught.value).rsplit("write their ids: ", 1)[1].rstrip(".")
    assert typed_ids(ids, SIZE) == ids_from_text("hello")


def test_a_single_number_is_asked_back():
    with pytest.raises(ValueError, match=r"write \[416\] for the id.*\[\d+ \d+ \d+\]"):
        typed_ids("416", SIZE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("416 512", "Id 2 of the list, 512, is no token: this model has 0 to 511"),
        ("416 -1", "Id 2 of the list, -1"),
        ("1 " + "9" * 5_000, "Id 2 of the list, 999"),
        ("1 " * 2_001, "2,001 ids"),
        ("ab☃c", "Character 3, “☃”"),
        ("x" * 2_001, "2,001 characters"),
        ("  ", "1 to 2,000"),
    ],
)
def test_what_is_no_token_is_named_in_one_sentence(text, said):
    with pytest.raises(ValueError, match=said) as caught:
        typed_ids(text, SIZE)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("text", ["416", "hello", "4,1", "abc", "[5]", "4"])
def test_tokens_that_are_handed_over_are_read_as_the_same_tokens(text):
    assert typed_ids(written(text), SIZE) == ids_from_text(text)
    assert written("abc") == "abc", "glyphs where they do not mislead"


def test_ids_and_glyphs_find_the_same(archives):
    archive = archives.open("demo")
    recording = archive.recordings("*harbour_light_b*")[0]
    string = archive.string(recording.id)
    ids = string.ids[3:15]
    by_ids = search_text(archives, "demo", ", ".join(map(str, ids)), "pairalign", Options("contains", 5))
    answer = by_ids.answers["pairalign"]
    assert answer.query.ids == ids and answer.query.stopped_by is None
    assert answer.hits[0].distance == 0
    assert f"read as the ids {ids[0]} {ids[1]}" in archive_words.found_html(by_ids, "pairalign")


def test_words_and_numbers_reach_the_page_as_a_sentence(archives):
    with pytest.raises(ValueError, match="looks like words"):
        typed_string(archives.open("demo"), "hello world", "pairalign")
    with pytest.raises(ValueError, match="is no token: this model has 0 to"):
        typed_string(archives.open("demo"), "416 64 99999", "pairalign")
