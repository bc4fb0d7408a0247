"""Forward probabilities of strings, against sums over every way to lay a string on the frames."""

from itertools import combinations
from math import exp, log

import pytest
import torch

from pairalign.evidence import Evidence, frame_scores
from pairalign.model.decoder import Condition

CODES = 3
FRAMES = [6, 4]


def noise_condition() -> Condition:
    names = torch.randn(2, 6, CODES, generator=torch.Generator().manual_seed(3)) * 4
    return Condition(torch.zeros(2, 6, 8), torch.tensor(FRAMES), torch.zeros(2, 6), names)


def laid(names: torch.Tensor, string: list[int], frames: int) -> float:
    """Sum over all ways to give the tokens of a string a stretch of the first `frames` frames each."""
    if not string or not frames:
        return float(not string and not frames)
    total = 0.0
    for cuts in combinations(range(1, frames), len(string) - 1):
        edges = [0, *cuts, frames]
        total += exp(sum(float(names[a:b, k].sum()) for k, a, b in zip(string, edges, edges[1:], strict=False)))
    return total


def begun(names: torch.Tensor, string: list[int], frames: int) -> float:
    """The same for a recording that goes on: the last token has its first frame, what comes then is open."""
    return sum(laid(names, string[:-1], t) * exp(float(names[t, string[-1]])) for t in range(frames))


def write(evidence: Evidence, strings: list[list[int]]) -> torch.Tensor:
    """Follow one string per row; the sum of gains."""
    total = torch.zeros(len(strings))
    every = torch.arange(len(strings))
    for tokens in torch.tensor(strings).T:
        gains = evidence.gains()
        total += gains[every, tokens]
        evidence.follow(every, tokens, gains)
    return total


@pytest.mark.parametrize("string", [[0], [2, 1], [0, 1, 2], [1, 0, 2, 1]])
def test_gains_add_up_to_the_sum_over_all_alignments(string: list[int]):
    condition = noise_condition()
    names = frame_scores(condition.name_logits)
    told = write(Evidence(condition), [string, string])
    whole = write(Evidence(condition), [[*string, CODES]] * 2)
    for row, frames in enumerate(FRAMES):
        assert float(told[row]) == pytest.approx(log(begun(names[row], string, frames)), abs=1e-4)
        assert float(whole[row]) == pytest.approx(log(laid(names[row], string, frames)), abs=1e-4)


def test_more_tokens_than_frames_cannot_be():
    gains = write(Evidence(noise_condition()), [[0, 1, 0, 1, 0, CODES]] * 2)
    assert float(gains[0]) > -20 and float(gains[1]) < -50


def test_beams_are_followed_from_where_they_come():
    condition = noise_condition()
    evidence = Evidence(condition, beams=2)
    evidence.follow(torch.tensor([0, 0, 2, 2]), torch.tensor([0, 1, 0, 1]), evidence.gains())
    # both beams of each recording go on from its second
    evidence.follow(torch.tensor([1, 1, 3, 3]), torch.tensor([0, 2, 0, 2]), evidence.gains())
    alone = Evidence(condition)
    write(alone, [[1, 2], [1, 2]])
    torch.testing.assert_close(evidence.gains()[1::2], alone.gains())
