import numpy as np
import torch

from pairalign.training.matching import match_by_time, match_words, warp_path
from pairalign.views import TimeMap


def cheapest(cost: np.ndarray) -> float:
    """Textbook DTW by the full table."""
    table = np.full((cost.shape[0] + 1, cost.shape[1] + 1), np.inf)
    table[0, 0] = 0
    for i in range(cost.shape[0]):
        for j in range(cost.shape[1]):
            table[i + 1, j + 1] = cost[i, j] + min(table[i, j], table[i, j + 1], table[i + 1, j])
    return table[-1, -1]


def test_equal_sequences_match_frame_by_frame():
    x = np.random.default_rng(0).normal(size=(9, 4))
    cost = np.linalg.norm(x[:, None] - x[None], axis=2)
    assert warp_path(cost[None], np.array([9]), np.array([9])).tolist() == [list(range(9))]


def test_matches_are_monotone_and_end_at_the_corners():
    rng = np.random.default_rng(1)
    cost = rng.random((6, 12, 15))
    rows, columns = np.array([12, 7, 1, 12, 3, 9]), np.array([15, 15, 4, 1, 8, 9])
    match = warp_path(cost, rows, columns)
    for b, (n, m) in enumerate(zip(rows, columns, strict=True)):
        path = match[b, :n]
        assert (np.diff(path) >= 0).all() and path[-1] == m - 1
        assert (match[b, n:] == -1).all()
        assert sum(cost[b, i, j] for i, j in enumerate(path)) <= cheapest(cost[b, :n, :m]) + 1e-9


def test_a_stretched_sequence_is_followed():
    x = np.eye(6)
    slow = np.repeat(x, 2, axis=0)
    cost = 1 - slow @ x.T
    assert warp_path(cost[None], np.array([12]), np.array([6]))[0].tolist() == np.repeat(range(6), 2).tolist()


def test_words_are_matched_inside_their_spans_only():
    features = torch.eye(50).unsqueeze(0)
    span = torch.tensor([[0.2, 0.4]])
    lengths = torch.tensor([50])
    a_to_b, b_to_a = match_words(features, features, span, span, lengths, lengths)
    assert a_to_b[0, 10:20].tolist() == list(range(10, 20))
    assert (a_to_b[0, :10] == -1).all() and (a_to_b[0, 20:] == -1).all()
    assert torch.equal(a_to_b, b_to_a)


def test_frames_are_matched_through_the_time_map():
    time_map = TimeMap(torch.tensor([0.04, 0.0]), torch.tensor([1.0, 1.1]))
    match = match_by_time(time_map, torch.tensor([48, 45]), torch.tensor([50, 50]), 48)
    assert match[0, :5].tolist() == [2, 3, 4, 5, 6]
    assert match[1, 40] == int((40.5 / 50) * 1.1 * 50)
    assert (match[1, 45:] == -1).all()
