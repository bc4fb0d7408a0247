import itertools

import numpy as np
import pytest

from pairalign.timing import emissions, monotone_starts


def test_a_diagonal_is_read_off():
    fit = np.full((1, 3, 9), -5.0)
    for token, frames in enumerate([(0, 1), (2, 3, 4, 5), (6, 7, 8)]):
        fit[0, token, list(frames)] = 0.0
    assert monotone_starts(fit, np.array([3]), np.array([9])).tolist() == [[0, 2, 6]]


def test_equals_the_best_of_all_monotone_paths():
    rng = np.random.default_rng(0)
    fit = rng.normal(size=(4, 4, 8))
    tokens, frames = np.array([4, 3, 1, 4]), np.array([8, 6, 5, 4])
    starts = monotone_starts(fit, tokens, frames)
    for row, (u, t) in enumerate(zip(tokens, frames, strict=True)):

        def worth(cuts, row=row, t=t):
            edges = [0, *cuts, t]
            return sum(fit[row, k, a:b].sum() for k, (a, b) in enumerate(itertools.pairwise(edges)))

        best = max(worth(cuts) for cuts in itertools.combinations(range(1, t), u - 1))
        assert starts[row, 0] == 0
        assert worth(starts[row, 1:u].tolist()) == pytest.approx(best)


def test_every_token_gets_a_frame_even_when_attention_never_looked_there():
    starts = monotone_starts(emissions(np.zeros((1, 5, 7)), None), np.array([5]), np.array([7]))[0]
    assert (np.diff([*starts, 7]) >= 1).all()


def test_other_rows_and_padding_do_not_matter():
    rng = np.random.default_rng(1)
    attention = rng.dirichlet(np.ones(20), size=(2, 6))
    alone = monotone_starts(emissions(attention[:1, :3, :12], None), np.array([3]), np.array([12]))
    padded = attention.copy()
    padded[0, :, 12:] = 0
    together = monotone_starts(emissions(padded, None), np.array([3, 6]), np.array([12, 20]))
    # the last frame's median looks one frame into the padding, which holds no attention
    assert np.abs(together[0, :3] - alone[0]).max() <= 1


def test_more_tokens_than_frames_is_an_error():
    with pytest.raises(ValueError, match="more tokens than frames"):
        monotone_starts(np.zeros((1, 5, 3)), np.array([5]), np.array([3]))
