"""What holds for all strings, alignments and windows, tried on many of them."""

from __future__ import annotations

import unicodedata

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from pairalign import strings as S
from pairalign.archive.window import cut, spans_of
from pairalign.windows import FRAME_SAMPLES, LONGEST_S, Piece, plan_windows, stitch

RATE_HZ = 16_000
tokens = st.lists(st.integers(0, 5), max_size=20)
any_ids = st.lists(st.integers(0, S.MAX_VOCAB_SIZE - 1), max_size=50)
lengths = st.integers(1, 60 * RATE_HZ)


def string(ids: list[int], spans_s=None, duration_s: float = 5.0) -> S.TokenString:
    spans_s = spans_s or [(0.1 * k, 0.1 * k + 0.1) for k in range(len(ids))]
    return S.TokenString(tuple(ids), tuple(spans_s), duration_s, (), "eos", "vq", "a" * 64, S.MAX_VOCAB_SIZE)


# --- strings ----------------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(any_ids)
def test_every_string_survives_text_encoding_and_normalization(ids):
    text = S.text_from_ids(ids)
    assert len(text) == len(ids) and (not text or text.isprintable()) and not any(map(str.isspace, text))
    for form in ("NFC", "NFD"):
        assert S.ids_from_text(unicodedata.normalize("NFC", unicodedata.normalize(form, text))) == tuple(ids)
    assert S.ids_from_text(text.encode().decode()) == tuple(ids)


@settings(max_examples=100)
@given(st.text(max_size=20))
def test_any_text_is_a_string_or_refused(text):
    try:
        assert S.text_from_ids(S.ids_from_text(text)) == text
    except ValueError as error:
        assert "stands for no token" in str(error)


@settings(max_examples=100)
@given(any_ids, any_ids)
def test_the_distance_of_ids_is_that_of_their_texts(a, b):
    assert S.edit_distance(a, b) == Levenshtein.distance(S.text_from_ids(a), S.text_from_ids(b))


@settings(max_examples=150)
@given(tokens, tokens, tokens)
def test_the_distance_is_a_metric(a, b, c):
    assert (S.edit_distance(a, b) == 0) == (a == b)
    assert S.edit_distance(a, b) == S.edit_distance(b, a)
    assert S.edit_distance(a, c) <= S.edit_distance(a, b) + S.edit_distance(b, c)
    assert abs(len(a) - len(b)) <= S.edit_distance(a, b) <= max(len(a), len(b))
    assert 0 <= S.normalized_distance(a, b) <= 1


@settings(max_examples=100)
@given(tokens, tokens)
def test_aligning_the_other_way_round_costs_the_same(a, b):
    there, back = S.align(string(a), string(b)), S.align(string(b), string(a))
    assert there.distance == back.distance and there.normalized == back.normalized
    assert sum(e.op == "match" for e in there.edits) <= S.LCSseq.similarity(a, b)


# --- windows ----------------------------------------------------------------------------------------------------------


@settings(max_examples=150)
@given(lengths)
def test_windows_cover_every_recording_without_gap_or_overlap_of_what_counts(samples):
    windows = plan_windows(samples)
    assert windows[0].start == 0 and windows[-1].end == samples
    assert windows[0].keep_from_s == 0 and windows[-1].keep_to_s * RATE_HZ >= samples - 1e-6
    for window in windows:
        assert 0 < window.end - window.start <= LONGEST_S * RATE_HZ and window.start % FRAME_SAMPLES == 0
        assert window.start_s <= window.keep_from_s < window.keep_to_s <= window.end_s + 1e-9
    for before, after in zip(windows, windows[1:], strict=False):
        assert before.start < after.start < before.end and before.keep_to_s == after.keep_from_s


@st.composite
def spoken(draw) -> tuple[int, list[int], list[tuple[float, float]]]:
    """A recording and the tokens that are truly in it: up to 0.4 s long, neighbours differ."""
    steps = draw(st.lists(st.integers(1, 20), min_size=10, max_size=120))
    edges = np.cumsum([0, *steps]) * 0.02
    changes = draw(st.lists(st.integers(1, 6), min_size=len(steps), max_size=len(steps)))
    ids = (np.cumsum(changes) % 7).tolist()
    return round(edges[-1] * RATE_HZ), ids, list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


@settings(max_examples=150)
@given(spoken())
def test_windows_that_hear_the_truth_are_stitched_to_the_truth(recording):
    samples, ids, spans = recording
    windows = plan_windows(samples)
    pieces = []
    for window in windows:
        heard = [
            (token, (max(start, window.start_s), min(end, window.end_s)))
            for token, (start, end) in zip(ids, spans, strict=True)
            if min(end, window.end_s) - max(start, window.start_s) > 1e-9
        ]
        pieces.append(Piece([token for token, _ in heard], [span for _, span in heard], [-0.1] * len(heard)))
    told = stitch(windows, pieces)
    assert told.ids == ids, "a token at a seam is neither lost nor told twice"
    assert np.allclose(told.spans_s, spans, atol=1e-6)


@st.composite
def heard_anyhow(draw) -> tuple[int, list[Piece]]:
    """A recording whose windows contradict each other: any tokens in order, somewhere in each window."""
    samples = draw(st.integers(round(3.5 * RATE_HZ), 20 * RATE_HZ))
    pieces = []
    for window in plan_windows(samples):
        shares = sorted(draw(st.lists(st.floats(0, 1), max_size=12)))
        edges = [window.start_s + share * (window.end_s - window.start_s) for share in shares]
        ids = draw(st.lists(st.integers(0, 3), min_size=max(0, len(edges) - 1), max_size=max(0, len(edges) - 1)))
        pieces.append(Piece(ids, list(zip(edges[:-1], edges[1:], strict=True)), [-0.1] * len(ids)))
    return samples, pieces


@settings(max_examples=200)
@given(heard_anyhow())
def test_whatever_the_windows_say_times_stay_in_order_and_inside(recording):
    samples, pieces = recording
    told = stitch(plan_windows(samples), pieces)
    assert len(told.ids) == len(told.spans_s) == len(told.log_probs) <= sum(len(piece.ids) for piece in pieces)
    edges = [time for span in told.spans_s for time in span]
    assert all(a <= b + 1e-9 for a, b in zip(edges, edges[1:], strict=False))
    assert not edges or (edges[0] >= 0 and edges[-1] <= samples / RATE_HZ + 1e-9)


@settings(max_examples=100)
@given(spoken())
def test_the_windows_of_an_archive_hold_the_whole_string(recording):
    samples, ids, spans = recording
    windows = cut(string(ids, spans, samples / RATE_HZ))
    assert [int(token) for window in windows for token in window.ids] == ids
    assert np.allclose(spans_of(windows), spans, atol=0.0051)
