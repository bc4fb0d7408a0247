"""Alignments as HTML: one cell per side and column, edits told in words, numbers of `pairalign.strings`."""

from __future__ import annotations

import pytest

from app.alignment import alignment_html, alignment_numbers
from app.tokens import MAX_CHIPS
from pairalign.strings import ids_from_text, jaccard, lcs_ratio, normalized_distance
from tests.app.test_app_tokens import Tree


@pytest.fixture
def pair(make_string):
    """kitten and sitting, the pair of the textbooks: two substitutions and an insertion."""
    return [make_string(len(word), ids=ids_from_text(word)) for word in ("kitten", "sitting")]


def drawn(a, b, figure: str = "") -> Tree:
    return Tree(alignment_html(a, b, "View A", "View B", "pa-x-player-a", "pa-x-player-b", figure))


def test_both_strings_share_their_columns(pair):
    tree = drawn(*pair)
    chips = tree.named("pa-chip")
    columns = [int(chip["data-column"]) for chip in chips]
    assert columns == [*range(6), *range(7)], "kitten fills the first six, sitting all seven"
    assert [chip["data-op"] for chip in chips[6:]] == ["sub", "match", "match", "match", "sub", "match", "ins"]
    assert len(tree.named("pa-gap")) == 1 and len(tree.named("pa-link")) == 7
    assert all(tag == "button" for tag, attrs in tree.tags if attrs.get("class") in ("pa-chip", "pa-link"))


def test_every_chip_says_its_token_times_and_edit(pair):
    said = [chip["aria-label"] for chip in drawn(*pair).named("pa-chip")]
    assert said[0] == "A token 1, id 10, 0.00–0.50 s, substitution, B token 1 has id 18"
    assert said[1] == "A token 2, id 8, 0.50–1.00 s, match with B token 2"
    assert said[-1].endswith("inserted: no token of A beside it")


def test_lanes_name_their_player_and_their_plot(pair):
    lanes = drawn(*pair, figure="pa-x-plot").named("pa-lane")
    assert [lane["data-sound"] for lane in lanes] == ["pa-x-player-a", "pa-x-player-b"]
    assert [lane["data-figure"] for lane in lanes] == ["pa-x-plot-a", "pa-x-plot-b"]
    assert [lane["data-text"] for lane in lanes] == ["kitten", "sitting"]
    assert all("data-figure" not in lane for lane in drawn(*pair).named("pa-lane")), "no plot, nothing to mark"


def test_one_tab_stop_per_string(pair):
    stops = [chip["tabindex"] for chip in drawn(*pair).named("pa-chip")]
    assert stops.count("0") == 2 and stops[0] == stops[6] == "0"


def test_the_words_of_the_edits_stand_between_the_chips_and_in_the_legend(pair):
    tree = drawn(*pair)
    assert [link["data-op"] for link in tree.named("pa-link")].count("sub") == 2
    for word in ("match", "sub", "ins", "del", "only B has it"):
        assert word in tree.text


def test_the_table_tells_every_column(pair):
    tree = drawn(*pair)
    rows = [tag for tag, _ in tree.tags if tag == "tr"]
    assert len(rows) == 1 + 7
    assert {attrs["scope"] for tag, attrs in tree.tags if tag == "th"} == {"row", "col"}


def test_every_glyph_and_label_is_escaped(make_string):
    everything = make_string(188, ids=tuple(range(188)), vocab_size=188)
    evil = "<img src=x onerror=alert(1)>\"'&"
    tree = Tree(alignment_html(everything, everything, evil, evil, evil, evil, evil))
    assert "img" not in [tag for tag, _ in tree.tags]
    assert tree.named("pa-lane")[0]["data-text"] == everything.text


@pytest.mark.parametrize(("count_a", "count_b"), [(0, 3), (3, 0)])
def test_an_empty_string_is_all_gaps(make_string, count_a, count_b):
    tree = drawn(make_string(count_a), make_string(count_b))
    assert len(tree.named("pa-gap")) == 3 and len(tree.named("pa-chip")) == 3


def test_two_empty_strings_explain_themselves(make_string):
    tree = drawn(make_string(0), make_string(0))
    assert "silence" in tree.text and not tree.named("pa-pair")


def test_long_alignments_are_cut_and_say_so(make_string):
    string = make_string(MAX_CHIPS + 5)
    tree = drawn(string, string)
    assert len(tree.named("pa-link")) == MAX_CHIPS
    assert f"first {MAX_CHIPS:,} of {MAX_CHIPS + 5:,} columns" in tree.text


def test_strings_of_different_models_are_refused(make_string):
    with pytest.raises(ValueError, match="different models"):
        drawn(make_string(3), make_string(3, model_sha256="cd" * 32))


def test_numbers_are_those_of_the_library(pair):
    a, b = pair
    text = Tree(alignment_numbers(a, b)).text
    assert "6 / 7" in text and "Edits3" in text
    for number in (normalized_distance(a.ids, b.ids), jaccard(a.ids, b.ids), lcs_ratio(a.ids, b.ids)):
        assert f"{number:.2f}" in text
    assert "Timing" not in text
    assert "Timing17 ms" in Tree(alignment_numbers(a, b, apart_ms=17.4)).text
