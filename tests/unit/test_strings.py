"""Glyphs round-trip, edit scripts replay, distances agree with the textbook."""

import json
import math
import random
import string
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairalign import strings as S
from pairalign.errors import PairAlignError

ids_lists = st.lists(st.integers(0, 7), max_size=25)


def token_string(ids, sha="a" * 64, vocab_size=64, duration_s=2.0, **other):
    spans = tuple((i * 0.1, i * 0.1 + 0.1) for i in range(len(ids)))
    fields = {"log_probs": (), "stopped_by": "eos", "method": "pairalign", **other}
    return S.TokenString(tuple(ids), spans, duration_s, model_sha256=sha, vocab_size=vocab_size, **fields)


def plain_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def plain_lcs(a, b):
    row = [0] * (len(b) + 1)
    for x in a:
        last = 0
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], last + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def test_small_vocabularies_stay_within_one_printable_byte():
    text = S.text_from_ids(range(188), 188)
    assert len(text.encode("latin-1")) == len(text) == 188 and text.isprintable() and " " not in text
    assert "\xad" not in text  # the soft hyphen shows nothing
    assert S.text_from_ids(range(62), 62).isascii() and S.text_from_ids(range(62), 62).isalnum()
    assert S.glyph(0) == "a"


def test_glyphs_are_distinct_visible_and_stable_under_normalization():
    text = S.text_from_ids(range(S.MAX_VOCAB_SIZE))
    assert len(text) == len(set(text)) == 65_536
    assert text.isprintable() and not any(char.isspace() for char in text)
    assert not any(unicodedata.combining(char) for char in text)
    assert {unicodedata.bidirectional(char) for char in text}.isdisjoint({"R", "AL", "AN"})
    assert all(unicodedata.normalize("NFC", char) == char for char in text)
    assert {unicodedata.category(char)[0] for char in text} == set("LNPS")
    # pinned: saved strings must keep their meaning
    assert [ord(S.glyph(i)) for i in (61, 62, 187, 188, 1023, 65_535)] == PINNED


PINNED = [57, 170, 247, 256, 1100, 156_764]


def test_text_and_ids_round_trip():
    rng = random.Random(0)
    for vocab_size in (1, 62, 128, 188, 512, 4096, 65_536):
        ids = tuple(rng.randrange(vocab_size) for _ in range(300))
        text = S.text_from_ids(ids, vocab_size)
        assert len(text) == 300 and S.ids_from_text(text) == ids
    assert S.ids_from_text("") == () and S.text_from_ids((), 5) == ""


def test_glyphs_refuse_what_they_do_not_know():
    for bad in (-1, 65_536):
        with pytest.raises(ValueError, match="allowed"):
            S.glyph(bad)
    with pytest.raises(ValueError, match="0 to 9"):
        S.text_from_ids([3, 10], 10)
    for bad in ("a b", "a\n", "\u0301", "\u05d0"):
        with pytest.raises(ValueError, match="stands for no token"):
            S.ids_from_text(bad)


def test_textbook():
    kitten, sitting = map(S.ids_from_text, ("kitten", "sitting"))
    assert S.edit_distance(kitten, sitting) == 3
    assert S.normalized_distance(kitten, sitting) == pytest.approx(3 / 7)
    result = S.align(token_string(kitten), token_string(sitting))
    assert [edit.op for edit in result.edits] == ["sub", "match", "match", "match", "sub", "match", "ins"]
    assert result.runs[1] == S.Run("match", 1, 4, 1, 4) and result.runs[-1] == S.Run("ins", 6, 6, 6, 7)
    assert S.edit_distance(*map(S.ids_from_text, ("intention", "execution"))) == 5
    assert S.lcs_ratio(*map(S.ids_from_text, ("ABCBDAB", "BDCABA"))) == pytest.approx(4 / 7)
    assert S.jaccard([1, 2, 3], [2, 3, 4]) == 0.5 and S.jaccard([1, 2, 3], [2, 3, 4], 2) == pytest.approx(1 / 3)


def test_distances_are_over_ids_not_over_printed_digits():
    assert S.edit_distance([1, 23], [12, 3]) == 2 and S.edit_distance([100], [101]) == 1


def test_empty_strings():
    assert S.normalized_distance([], []) == 0.0 and S.normalized_distance([], [1]) == 1.0
    assert S.lcs_ratio([], []) == 1.0 and S.lcs_ratio([], [1]) == 0.0
    assert S.jaccard([], []) == 1.0 and S.jaccard([1], [1], 2) == 1.0 and S.jaccard([1], [2], 2) == 0.0
    nothing = token_string([])
    result = S.align(nothing, nothing)
    assert result.edits == () and result.runs == () and result.distance == 0 and result.normalized == 0.0
    assert [edit.op for edit in S.align(nothing, token_string([4, 4])).edits] == ["ins", "ins"]


@settings(max_examples=150)
@given(ids_lists, ids_lists)
def test_measures_agree_with_plain_programs(a, b):
    assert S.edit_distance(a, b) == plain_distance(a, b) == S.edit_distance(b, a)
    if a or b:
        assert S.normalized_distance(a, b) == plain_distance(a, b) / max(len(a), len(b))
        assert S.lcs_ratio(a, b) == plain_lcs(a, b) / max(len(a), len(b))


@settings(max_examples=150)
@given(ids_lists, ids_lists)
def test_edit_scripts_turn_a_into_b_at_the_stated_cost(a, b):
    result = S.align(token_string(a), token_string(b))
    built = []
    for edit in result.edits:
        assert (edit.a is None) == (edit.op == "ins") and (edit.b is None) == (edit.op == "del")
        if edit.op == "match":
            assert a[edit.a] == b[edit.b]
        if edit.op == "sub":
            assert a[edit.a] != b[edit.b]
        if edit.b is not None:
            built.append(b[edit.b])
    assert built == b
    assert [edit.a for edit in result.edits if edit.a is not None] == list(range(len(a)))
    assert result.distance == sum(edit.op != "match" for edit in result.edits) == plain_distance(a, b)
    runs = result.runs
    for x, y in zip(runs, runs[1:], strict=False):
        assert x.op != y.op and x.a_end == y.a_start and x.b_end == y.b_start
    if runs:
        assert (runs[0].a_start, runs[0].b_start, runs[-1].a_end, runs[-1].b_end) == (0, 0, len(a), len(b))


def test_strings_of_different_models_are_never_compared():
    with pytest.raises(ValueError, match="different models"):
        S.align(token_string([1]), token_string([1], sha="b" * 64))


CODE_METHODS = ("pairalign", "vq", "vq_raw", "viterbi", "viterbi_cost")
COMPARISONS = (S.align, S.edit_distance, S.normalized_distance, S.jaccard, S.lcs_ratio)


def test_the_methods_that_write_codes_share_an_alphabet_and_every_other_has_its_own():
    assert {token_string([1], method=method).alphabet for method in CODE_METHODS} == {"codes"}
    assert [token_string([1], method=method).alphabet for method in ("bpe", "mfcc", "encodec")] == [
        "bpe",
        "mfcc",
        "encodec",
    ]


@pytest.mark.parametrize("compare", COMPARISONS, ids=lambda one: one.__name__)
def test_strings_of_different_alphabets_are_never_compared(compare):
    for one, other in (("pairalign", "bpe"), ("vq", "mfcc"), ("bpe", "mfcc"), ("mfcc", "viterbi")):
        with pytest.raises(PairAlignError, match=f"methods {one} and {other} cannot be compared.*share their codes"):
            compare(token_string([1], method=one), token_string([1], method=other))
    with pytest.raises(PairAlignError, match="different models cannot be compared"):
        compare(token_string([1]), token_string([1], sha="b" * 64))
    for method in CODE_METHODS:
        compare(token_string([1], method=method), token_string([2], method="pairalign"))
    compare(token_string([1], method="bpe"), token_string([2], method="bpe"))


def test_measures_of_token_strings_are_those_of_their_ids():
    a, b = token_string([1, 2, 3, 4]), token_string([2, 3, 5], method="vq")
    for measure in COMPARISONS[1:]:
        assert measure(a, b) == measure(a.ids, b.ids) == measure(a.ids, b) == measure(np.array(a.ids), list(b.ids))


@pytest.mark.parametrize("wrong", [None, 3, 0.5])
def test_what_is_no_string_is_not_compared(wrong):
    for compare in COMPARISONS:
        with pytest.raises(PairAlignError, match="is no token string"):
            compare(token_string([1]), wrong)
    with pytest.raises(PairAlignError, match="tuple is no token string"):
        S.align((1, 2), token_string([1]))


@pytest.mark.parametrize("n", [0, -1, 1.5, "2", True, None, float("nan")])
def test_n_grams_need_a_whole_number(n):
    with pytest.raises(PairAlignError, match="n-grams need n of at least 1"):
        S.jaccard([1, 2], [1, 2], n)


def test_token_string_is_plain_frozen_and_hashable():
    one = token_string(np.array([3, 1, 2]), log_probs=np.float32([-0.5, -1, -2]))
    assert one == token_string([3, 1, 2], log_probs=(-0.5, -1, -2)) and len({one, one}) == 1
    assert type(one.ids[0]) is int and type(one.log_probs[0]) is float
    assert one.text == str(one) == "dbc" and len(one) == 3
    assert one.tokens_per_s == 1.5 and one.bits_per_s == 1.5 * math.log2(64)
    assert list(one.to_dict()) == ["ids", "text", "spans_s", "tokens_per_s", "stopped_by"]
    assert json.loads(json.dumps(one.to_dict()))["ids"] == [3, 1, 2]
    assert set(one.text) <= set(string.ascii_lowercase)
    with pytest.raises(AttributeError):
        one.ids = ()
    assert token_string([], duration_s=0.0).tokens_per_s == 0.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"ids": [64]},
        {"ids": [-1]},
        {"ids": [1], "log_probs": (0.0, 0.0)},
        {"ids": [1], "stopped_by": "tired"},
        {"ids": [1], "vocab_size": 0},
        {"ids": [1], "vocab_size": 65_537},
    ],
)
def test_token_string_refuses_nonsense(wrong):
    with pytest.raises(ValueError):
        token_string(**wrong)


def test_token_string_refuses_bad_spans():
    fields = ("eos", "vq", "a" * 64, 8)
    for spans in ((), ((0.2, 0.1),), ((float("nan"), 1.0),)):
        with pytest.raises(ValueError):
            S.TokenString((1,), spans, 1.0, (), *fields)
