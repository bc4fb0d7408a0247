"""The search of the archive gives what comparing with everything by plain dynamic programming gives."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from pairalign.archive import kernel, search
from pairalign.archive.column import pack, pack_arrays
from pairalign.archive.search import InfixMatch, WindowMatch, distance_counts, nearest_recordings, nearest_windows


def plain_distance(query, string):
    """Levenshtein distance, row by row of the table."""
    row = list(range(len(string) + 1))
    for i, a in enumerate(query):
        above, row = row, [i + 1]
        for j, b in enumerate(string):
            row.append(min(above[j] + (a != b), above[j + 1] + 1, row[j] + 1))
    return row[-1]


def plain_stretch(query, string):
    """(distance, first, last) of the nearest substring: earliest end, then latest start. A cell is (cost, -start)."""
    row = [(0, -j) for j in range(len(string) + 1)]
    for a in query:
        above, row = row, [(row[0][0] + 1, row[0][1])]
        for j, b in enumerate(string):
            keep, skip, insert = above[j], above[j + 1], row[j]
            row.append(min((keep[0] + (a != b), keep[1]), (skip[0] + 1, skip[1]), (insert[0] + 1, insert[1])))
    distance = min(cost for cost, _ in row)
    end = next(j for j, (cost, _) in enumerate(row) if cost == distance)
    return distance, -row[end][1], end - 1


def random_archive(rng, alphabet, most_tokens):
    """Recordings of 0 to 3 windows of 0 to most_tokens tokens."""
    return [
        [
            rng.integers(0, alphabet, rng.integers(0, most_tokens + 1)).astype(np.uint16)
            for _ in range(rng.integers(0, 4))
        ]
        for _ in range(rng.integers(1, 6))
    ]


def expected_windows(recordings, query, top, allowed):
    windows = [(ids, ok) for recording, ok in zip(recordings, allowed, strict=True) for ids in recording]
    found = sorted((plain_distance(query, list(ids)), w) for w, (ids, ok) in enumerate(windows) if ok)
    return [WindowMatch(w, distance) for distance, w in found[:top]]


def expected_recordings(recordings, query, top, allowed):
    found = []
    for r, recording in enumerate(recordings):
        if allowed[r]:
            distance, first, last = plain_stretch(query, [i for ids in recording for i in ids.tolist()])
            found.append((distance, r, first, last))
    return [InfixMatch(r, distance, first, last) for distance, r, first, last in sorted(found)[:top]]


SEARCHES = {"whole": (nearest_windows, expected_windows), "contains": (nearest_recordings, expected_recordings)}


def check_pairs(mode, seed, archives, queries, alphabets, most_tokens, query_lengths, device="cpu"):
    """Compare a search with the plain one on archives x queries random pairs."""
    find, expect = SEARCHES[mode]
    rng = np.random.default_rng(seed)
    for _ in range(archives):
        alphabet = int(rng.choice(alphabets))
        recordings = random_archive(rng, alphabet, most_tokens)
        column = pack(recordings)
        for _ in range(queries):
            query = rng.integers(0, alphabet + 1, rng.integers(*query_lengths, endpoint=True)).tolist()
            top = int(rng.integers(1, 8))
            allowed = rng.random(len(recordings)) < 0.7 if rng.random() < 0.3 else None
            everywhere = [True] * len(recordings) if allowed is None else allowed
            assert find(column, query, top, allowed, device) == expect(recordings, query, top, everywhere)


@pytest.fixture(params=["compiled", "plain"])
def bounds_matter(request, monkeypatch):
    """Small archives are compared in NumPy, or by the loops of large ones.

    Then bounds have to leave windows out even of a small archive, and for stretches over many windows.
    """
    monkeypatch.setattr(search, "SMALL_TOKENS", -1 if request.param == "compiled" else 10**9)
    monkeypatch.setattr(search, "FIRST_LOOK", 1)
    monkeypatch.setattr(search, "MOST_SPAN", 6)


@pytest.mark.parametrize("mode", SEARCHES)
def test_ten_thousand_pairs_give_what_plain_comparison_gives(mode, bounds_matter):
    check_pairs(mode, 1, archives=1000, queries=10, alphabets=[1, 2, 3, 5], most_tokens=9, query_lengths=(1, 10))


@pytest.mark.parametrize("mode", SEARCHES)
def test_queries_of_more_than_one_and_two_words_give_what_plain_comparison_gives(mode, bounds_matter):
    check_pairs(mode, 2, archives=8, queries=2, alphabets=[2, 4], most_tokens=60, query_lengths=(63, 66))
    check_pairs(mode, 3, archives=8, queries=2, alphabets=[2, 4], most_tokens=80, query_lengths=(127, 140))


@pytest.mark.parametrize("mode", SEARCHES)
def test_torch_gives_the_same_answers(mode):
    check_pairs(mode, 4, archives=40, queries=3, alphabets=[2, 4], most_tokens=9, query_lengths=(1, 10), device="cpu:0")
    check_pairs(
        mode, 5, archives=4, queries=2, alphabets=[2, 4], most_tokens=40, query_lengths=(61, 70), device="cpu:0"
    )


def large_column(seed=0, recordings=30_000, alphabet=600, span=5):
    """Windows of 0 to 12 tokens, frequent ids first, in recordings of up to `span` windows."""
    rng = np.random.default_rng(seed)
    first_window = np.concatenate([[0], np.cumsum(rng.integers(0, span + 1, recordings))])
    edges = np.concatenate([[0], np.cumsum(rng.integers(0, 13, first_window[-1]))])
    tokens = (alphabet * rng.random(edges[-1]) ** 3).astype(np.uint16)
    return pack_arrays(tokens, edges, first_window), rng


def test_a_large_archive_shared_among_threads_gives_what_rapidfuzz_gives(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    column, rng = large_column()
    strings = ["".join(map(chr, 0x4E00 + column.window_ids(w).astype(int))) for w in range(column.windows)]
    assert column.windows > 4 * kernel.MANY_WINDOWS
    for _ in range(8):
        query = column.window_ids(int(rng.integers(column.windows))).tolist() + [7]
        text = "".join(chr(0x4E00 + i) for i in query)
        distances = cdist([text], strings, scorer=Levenshtein.distance)[0]
        best = np.lexsort((np.arange(len(distances)), distances))[:25]
        assert nearest_windows(column, query, 25) == [WindowMatch(int(w), int(distances[w])) for w in best]
        assert (distance_counts(column, query, "whole") == np.bincount(distances)).all()


def test_a_stretch_across_windows_of_a_large_archive_is_found(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    column, rng = large_column(seed=1)
    edges = column.recording_edges.astype(np.int64)
    for length in (3, 8, 20):
        recording = int(rng.choice(np.flatnonzero(np.diff(edges) > 40)))
        start = int(rng.integers(len(column.recording_ids(recording)) - length))
        query = column.recording_ids(recording)[start : start + length]
        hits = nearest_recordings(column, query, 40)
        exact = kernel.distances(query, column.vocab_size, column.tokens, edges[:-1], edges[1:], infix=True)
        best = np.lexsort((np.arange(len(exact)), exact))[:40]
        assert [(hit.recording, hit.distance) for hit in hits] == [(r, exact[r]) for r in best]
        assert (recording, 0) in [(hit.recording, hit.distance) for hit in hits] or hits[-1].distance == 0
        for hit in hits:
            assert (hit.distance, hit.first_token, hit.last_token) == plain_stretch(
                query.tolist(), column.recording_ids(hit.recording).tolist()
            )


def test_searches_in_several_threads_at_once_do_not_disturb_each_other():
    column, rng = large_column(seed=2)
    queries = [column.window_ids(int(w)) for w in rng.integers(0, column.windows, 24)]
    queries = [query for query in queries if len(query)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda query: nearest_windows(column, query, 9), queries))
    assert found == [nearest_windows(column, query, 9) for query in queries]


@pytest.mark.parametrize("length", [1, 40, 64, 65, 200])
def test_on_either_side_of_the_limit_between_small_and_large_answers_are_the_same(monkeypatch, length):
    column, rng = large_column(seed=length, recordings=400)
    query = (600 * rng.random(length) ** 3).astype(int).tolist()
    allowed = rng.random(column.recordings) < 0.5
    answers = []
    for small in (len(column.tokens) - 1, len(column.tokens)):
        monkeypatch.setattr(search, "SMALL_TOKENS", small)
        found = [find(column, query, 20, allowed) for find in (nearest_windows, nearest_recordings)]
        counts = [distance_counts(column, query, mode).tolist() for mode in search.MODES]
        answers.append((found, counts))
    assert answers[0] == answers[1]


def ids(text):
    return [ord(char) for char in text]


def windows_of(*texts):
    return [np.array(ids(text), dtype=np.uint16) for text in texts]


def test_sitting_is_three_edits_from_kitten():
    column = pack([windows_of("sitting", "mitten"), windows_of("kitten")])
    assert nearest_windows(column, ids("kitten"), 3) == [WindowMatch(2, 0), WindowMatch(1, 1), WindowMatch(0, 3)]


def test_survey_is_found_in_surgery_as_sellers_has_it():
    # Sellers 1980 / Navarro 2001: "survey" occurs in "surgery" with two errors, first ending at "surge"
    assert nearest_recordings(pack([windows_of("surgery")]), ids("survey"), 1) == [InfixMatch(0, 2, 0, 4)]


def test_a_word_is_found_across_the_edge_of_windows():
    column = pack([windows_of("xxhar", "", "bourxx"), windows_of("haxxbour")])
    assert nearest_recordings(column, ids("harbour"), 2) == [InfixMatch(0, 0, 2, 8), InfixMatch(1, 2, 0, 7)]


def test_ties_go_by_position():
    column = pack([windows_of("b", "a"), windows_of("a", "a"), windows_of("")])
    assert [match.window for match in nearest_windows(column, ids("a"), 9)] == [1, 2, 3, 0, 4]
    assert [match.recording for match in nearest_recordings(column, ids("a"), 9)] == [0, 1, 2]


def test_of_equal_stretches_the_first_and_shortest_is_shown():
    assert nearest_recordings(pack([windows_of("zabzab")]), ids("ab"), 1) == [InfixMatch(0, 0, 1, 2)]
    assert nearest_recordings(pack([windows_of("aab")]), ids("xab"), 1) == [InfixMatch(0, 1, 1, 2)]


def test_where_nothing_resembles_the_query_the_stretch_is_empty():
    column = pack([windows_of("xyz"), [], windows_of("")])
    assert nearest_recordings(column, ids("abc"), 5) == [InfixMatch(r, 3, 0, -1) for r in range(3)]
    assert nearest_windows(column, ids("abc"), 5) == [WindowMatch(0, 3), WindowMatch(1, 3)]


def test_an_empty_column_has_no_matches():
    column = pack([])
    assert nearest_windows(column, [1], 3) == [] and nearest_recordings(column, [1], 3) == []
    assert distance_counts(column, [1], "whole").sum() == 0


def test_the_highest_id_and_ids_unknown_to_the_column_work():
    column = pack([[np.array([65_535, 0, 5], dtype=np.uint16)], [np.array([3], dtype=np.uint16)]])
    assert nearest_windows(column, [65_535, 5], 1) == [WindowMatch(0, 1)]
    assert nearest_windows(pack([windows_of("a")]), [65_535], 1) == [WindowMatch(0, 1)]


def test_distance_counts_count_windows_or_recordings():
    column = pack([windows_of("kitten", "sitting"), windows_of("mitten")])
    assert distance_counts(column, ids("kitten"), "whole").tolist() == [1, 1, 0, 1]
    assert distance_counts(column, ids("itten"), "contains").tolist() == [2]
    assert distance_counts(column, ids("kitten"), "whole", np.array([False, True])).tolist() == [0, 1]


def test_memory_stays_below_120_bytes_per_window_of_speech():
    rng = np.random.default_rng(0)
    edges = np.concatenate([[0], np.cumsum(rng.integers(23, 40, 200_000))])
    column = pack_arrays(rng.integers(0, 512, edges[-1]).astype(np.uint16), edges, np.arange(0, 200_001, 4))
    assert column.nbytes / column.windows <= 120


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(query_ids=[]), "1 to 65534"),
        (dict(query_ids=[65_536]), "0 to 65535"),
        (dict(query_ids=[-1]), "0 to 65535"),
        (dict(query_ids=[0.5]), "whole numbers"),
        (dict(top=0), "at least 1"),
        (dict(top=1.5), "at least 1"),
        (dict(allowed=np.array([True])), "2 truth values"),
        (dict(allowed=np.array([1, 0])), "2 truth values"),
        (dict(device="cuda:99"), "use cpu"),
        (dict(device="tpu!"), "use cpu"),
    ],
)
@pytest.mark.parametrize("find", [nearest_windows, nearest_recordings])
def test_wrong_arguments_are_refused_with_what_is_allowed(find, arguments, message):
    column = pack([windows_of("a"), windows_of("b")])
    with pytest.raises(ValueError, match=message):
        find(**{"column": column, "query_ids": [1], "top": 1, **arguments})


def test_wrong_modes_and_columns_are_refused():
    with pytest.raises(ValueError, match="whole, contains"):
        distance_counts(pack([]), [1], "infix")
    with pytest.raises(ValueError, match="window_edges must rise from 0 to 2"):
        pack_arrays(np.array([1, 2]), np.array([0, 3]), np.array([0, 1]))
    with pytest.raises(ValueError, match="first_window must rise from 0 to 2"):
        pack_arrays(np.array([1, 2]), np.array([0, 1, 2]), np.array([0, 2, 1, 2]))
    with pytest.raises(ValueError, match="0 to 65535"):
        pack([[np.array([70_000])]])


def test_neither_importing_the_package_nor_searching_a_small_archive_imports_numba():
    code = (
        "import sys, numpy as np, pairalign, pairalign.archive.search as s; from pairalign.archive.column import pack\n"
        "column = pack([[np.arange(9)], [np.arange(5)]])\n"
        "assert s.nearest_windows(column, [1, 2], 1) and s.nearest_recordings(column, [1, 2], 1)\n"
        "assert s.distance_counts(column, [1], 'contains').sum() == 2\n"
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
