"""The compiled loops agree with RapidFuzz, with their torch twins, and bounds stay below distances."""

import numpy as np
import pytest
import torch
from rapidfuzz.distance import Levenshtein

from pairalign.archive import bounds, kernel, kernel_torch
from pairalign.archive.column import pack_arrays


def random_strings(seed, count, alphabet, most):
    """tokens (N,) uint16 and edges (count + 1,) of strings of 0 to `most` tokens."""
    rng = np.random.default_rng(seed)
    edges = np.concatenate([[0], np.cumsum(rng.integers(0, most + 1, count))])
    return rng.integers(0, alphabet, edges[-1]).astype(np.uint16), edges, rng


@pytest.mark.parametrize("length", [1, 2, 31, 32, 61, 62, 63, 64, 65, 124, 125, 128, 129, 200])
def test_distances_equal_rapidfuzz(length):
    tokens, edges, rng = random_strings(length, 300, 6, 150)
    query = rng.integers(0, 6, length).astype(np.uint16)
    strings = [tokens[a:b].tolist() for a, b in zip(edges[:-1], edges[1:], strict=True)]
    expected = [Levenshtein.distance(query.tolist(), string) for string in strings]
    assert kernel.distances(query, 6, tokens, edges[:-1], edges[1:], infix=False).tolist() == expected
    # the end of the trail is the distance, and so is every point on it to a beginning of the string
    scores = kernel.trail(query, np.array(strings[0], dtype=np.uint16), infix=False)
    assert scores.tolist() == [Levenshtein.distance(query.tolist(), strings[0][:t]) for t in range(len(strings[0]) + 1)]


@pytest.mark.parametrize("infix", [False, True])
@pytest.mark.parametrize("length", [1, 31, 61, 62, 63, 64, 65, 124, 125, 129, 190])
def test_torch_distances_equal_the_compiled_ones(length, infix):
    tokens, edges, rng = random_strings(length, 200, 5, 120)
    tokens[tokens == 4] = 65_535  # an id that is negative as int16
    query = rng.choice([0, 1, 2, 3, 65_535], length).astype(np.uint16)
    starts, ends = torch.from_numpy(edges[:-1]), torch.from_numpy(edges[1:])
    found = kernel_torch.distances(query, torch.from_numpy(tokens.view(np.int16)), starts, ends, infix)
    assert found.tolist() == kernel.distances(query, 65_536, tokens, edges[:-1], edges[1:], infix).tolist()


@pytest.mark.parametrize("length", [1, 5, 40, 70])
def test_infix_distance_is_the_smallest_over_all_substrings(length):
    tokens, edges, rng = random_strings(length, 12, 3, 14)
    query = rng.integers(0, 3, length).tolist()
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        string = tokens[a:b].tolist()
        substrings = [string[i:j] for i in range(len(string) + 1) for j in range(i, len(string) + 1)]
        expected = min(Levenshtein.distance(query, substring) for substring in substrings)
        found = kernel.distances(np.array(query), 3, tokens, np.array([a]), np.array([b]), infix=True)
        assert found.tolist() == [expected]


@pytest.mark.parametrize("alphabet", [3, 40, 500, 2000])
@pytest.mark.parametrize("length", [1, 4, 12, 30, 90])
def test_no_distance_is_below_its_bound(alphabet, length):
    tokens, edges, rng = random_strings(alphabet + length, 5000, alphabet, 20)
    first_window = np.unique(np.concatenate([[0, 5000], rng.integers(0, 5000, 1000)]))
    column = pack_arrays(tokens, edges, first_window)
    query = tokens[rng.integers(len(tokens) - length) :][:length]
    exact = kernel.distances(query, alphabet, tokens, edges[:-1], edges[1:], infix=False)
    assert (bounds.window_bounds(column, query) <= exact).all()
    reach = 2 * length - 1
    stops = np.repeat(edges[first_window[1:]], np.diff(first_window))
    ends = np.where(edges[1:] > edges[:-1], np.minimum(edges[1:] - 1 + reach, stops), edges[1:])
    exact = kernel.distances(query, alphabet, tokens, edges[:-1], ends, infix=True)
    assert (bounds.stretch_bounds(column, query, reach) <= exact).all()


def test_bounds_leave_out_most_windows_that_share_little():
    rng = np.random.default_rng(0)
    edges = np.arange(0, 30 * 5000 + 1, 30)
    column = pack_arrays(rng.integers(0, 512, edges[-1]).astype(np.uint16), edges, np.array([0, 5000]))
    query = column.window_ids(17)
    assert bounds.window_bounds(column, query)[17] == 0
    assert (bounds.window_bounds(column, query) > 15).mean() > 0.99


def test_parts_cover_the_range_once_and_in_order(monkeypatch):
    monkeypatch.setattr(kernel.os, "cpu_count", lambda: 8)
    for count in (0, 1, 63, 64, 1000, 12_345):
        parts = kernel.in_parts(lambda first, last: range(first, last), count, 64)
        assert [k for part in parts for k in part] == list(range(count))
        assert all(part.start % 64 == 0 for part in parts)


def test_loops_compile_where_no_cache_can_be_written():
    nowhere = eval("lambda x: x + 1")  # numba finds no file, so no place for a cache either
    assert kernel.compiled(nowhere)(1) == 2
