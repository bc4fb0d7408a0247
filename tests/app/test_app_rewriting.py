"""Writing a string again: options, likelihoods, words."""

import pytest

from app.rewriting import Rewriting, cost_words, options_of, rewrite, rewriting_html
from pairalign.decoding import DecodingOptions
from tests.app.test_app_tokens import Tree


@pytest.fixture
def found(make_string):
    def make(log_p=(-0.5, -1.3), wanted=20, count=20, is_short=True):
        return Rewriting(make_string(38), make_string(count), log_p, options_of(wanted, 4, 0, 0), is_short)

    return make


def test_controls_become_options():
    assert options_of(0, 4, 0, 0) == DecodingOptions(beam=4)
    assert options_of(20, 8, 0, None) == DecodingOptions(beam=8, wanted_tokens=20)
    assert options_of(0, 8, 0.5, 7) == DecodingOptions(beam=1, temperature=0.5, seed=7), "a draw has no beam"


@pytest.mark.parametrize("values", [(-1, 4, 0, 0), (0, 0, 0, 0), (0, 99, 0, 0), (0, 4, 50, 0), (0, 4, 1, -3)])
def test_impossible_options_are_readable_value_errors(values):
    with pytest.raises(ValueError, match="use"):
        options_of(*values)


@pytest.mark.parametrize(
    ("log_p", "wanted", "words"),
    [
        ((-0.5, -1.3), 20, "Forcing 20 tokens costs 0.80 nat per token."),
        ((-0.5, -0.75), 0, "The new string costs 0.25 nat per token."),
        ((-0.5, -0.4), 0, "The new string gains 0.10 nat per token."),
        ((-0.5, -0.501), 20, "Forcing 20 tokens costs nothing"),
    ],
)
def test_the_difference_in_plain_words(found, log_p, wanted, words):
    assert cost_words(found(log_p, wanted)).startswith(words)


def test_the_same_string_is_no_difference(found):
    assert cost_words(found((-0.5, -0.5), 0, count=38)) == "The same string again."


def test_totals_count_the_end_of_the_string(found):
    assert found().totals == pytest.approx((-0.5 * 39, -1.3 * 21))
    assert found().cost == pytest.approx(0.8)


def test_page_shows_numbers_and_both_strings_aligned(found):
    tree = Tree(rewriting_html(found(), "pa-player"))
    for part in ("−0.50", "−19.50", "−1.30", "−27.30", "Original", "Written again"):
        assert part in tree.text
    assert len(tree.named("pa-pair")) == 1
    assert {lane["data-sound"] for lane in tree.named("pa-lane")} == {"pa-player"}
    assert "Only the first" not in tree.text
    assert "Only the first 3 s" in Tree(rewriting_html(found(is_short=False), "pa-player")).text


def test_document_has_both_strings_with_their_likelihoods(found):
    document = found().to_document()
    assert document["options"] == {"wanted_tokens": 20, "beam": 4, "temperature": 0.0, "seed": 0}
    assert document["original"]["log_p_per_token"] == -0.5 and document["rewritten"]["log_p_total"] == -27.3
    assert document["cost_nat_per_token"] == pytest.approx(0.8) and document["edits"] == 18
    assert len(document["rewritten"]["ids"]) == 20


def test_the_model_writes_as_many_tokens_as_wanted_and_the_default_is_the_original(services, recordings):
    result = services.tokenize(recordings["speech.wav"])
    short = rewrite(services, result, options_of(12, 4, 0, 0))
    assert len(short.rewritten) == 12 and short.original is result.strings["pairalign"]
    assert all(p < 0 for p in short.log_p)
    same = rewrite(services, result, options_of(0, 4, 0, 0))
    assert same.rewritten.ids == same.original.ids and same.cost == pytest.approx(0, abs=1e-5)


def test_a_seed_is_a_string(services, recordings):
    result = services.tokenize(recordings["speech.wav"])
    ids = [rewrite(services, result, options_of(0, 4, 1.0, seed)).rewritten.ids for seed in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]
