"""Dynamic time warping against a plain double loop, and on patterns planted by hand."""

import numpy as np
import pytest

from pairalign.evaluation import dtw


def plain(query: np.ndarray, document: np.ndarray, anywhere: bool) -> float:
    """The recurrence cell by cell."""
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, document))
    cost = 1 - a @ b.T
    rows, columns = cost.shape
    best = np.full((rows, columns), np.inf)
    diagonal = 1 if anywhere else 2
    for i in range(rows):
        for j in range(columns):
            if i == 0 and (anywhere or j == 0):
                best[i, j] = diagonal * cost[i, j]
                continue
            ways = [best[i - 1, j] + cost[i, j]] if i else []
            ways += [best[i, j - 1] + cost[i, j]] if j else []
            ways += [best[i - 1, j - 1] + diagonal * cost[i, j]] if i and j else []
            best[i, j] = min(ways)
    return best[-1].min() / rows if anywhere else best[-1, -1] / (rows + columns)


@pytest.fixture
def recordings() -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    return tuple([rng.normal(size=(n, 5)) for n in sizes] for sizes in ((1, 3, 7, 12), (1, 2, 9, 4, 15, 7)))


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_both_kinds_are_those_of_a_plain_loop(recordings, batch: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dtw, "BATCH", batch)
    queries, documents = recordings
    for find, anywhere in ((dtw.whole_distances, False), (dtw.subsequence_distances, True)):
        expected = [[plain(q, d, anywhere) for d in documents] for q in queries]
        np.testing.assert_allclose(find(queries, documents), expected, atol=1e-5)


def test_a_slower_copy_is_at_no_distance(recordings):
    queries, _ = recordings
    slower = [np.repeat(q, 2, axis=0) for q in queries]
    np.testing.assert_allclose(np.diagonal(dtw.whole_distances(queries, slower)), 0.0, atol=1e-6)


def test_a_planted_pattern_is_found_at_any_speed():
    rng = np.random.default_rng(1)
    pattern = rng.normal(size=(8, 16))
    noise = [rng.normal(size=(40, 16)) for _ in range(5)]
    planted = np.concatenate([noise[2][:13], np.repeat(pattern, 2, axis=0), noise[2][13:]])
    found = dtw.subsequence_distances([pattern], [*noise[:2], planted, *noise[3:]])[0]
    assert found[2] < 1e-5 and found.argmin() == 2 and np.delete(found, 2).min() > 0.2


def test_nothing_to_warp_is_refused():
    with pytest.raises(ValueError, match="without frames"):
        dtw.whole_distances([np.zeros((0, 3))], [np.ones((2, 3))])
    assert dtw.whole_distances([], [np.ones((2, 3))]).shape == (0, 1)
