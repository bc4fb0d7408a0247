"""Strings that save on rare codes."""

import numpy as np
import pytest
import torch

from pairalign.model.chooser import Chooser, fit_chooser
from pairalign.model.quantizer import Codebook, runs_of


@pytest.fixture
def book() -> Codebook:
    torch.manual_seed(0)
    return Codebook(24, 8)


def _frames(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    walk = torch.randn(6, 120, 8, generator=torch.Generator().manual_seed(seed)).cumsum(1)
    return torch.nn.functional.normalize(walk, dim=-1), torch.tensor([120, 120, 110, 90, 80, 40])


def _strings(chooser: Chooser, latents: torch.Tensor, lengths: torch.Tensor) -> list[list[int]]:
    return [runs_of(path, n)[0] for path, n in zip(chooser.paths(latents, lengths), lengths.tolist(), strict=True)]


def _perplexity(strings: list[list[int]]) -> float:
    shares = np.bincount(np.concatenate(strings)) / sum(map(len, strings))
    return float(np.exp(-(shares * np.log(np.maximum(shares, 1e-12))).sum()))


def test_without_costs_it_is_the_viterbi_string(book: Codebook):
    latents, lengths = _frames(0)
    chooser = Chooser(book, torch.zeros(24), 0.7)
    assert torch.equal(chooser.paths(latents, lengths), book.viterbi(latents, lengths, 0.7))


def test_thrift_spends_fewer_codes_at_the_same_rate(book: Codebook):
    latents, lengths = _frames(1)
    seconds = float(lengths.sum()) / 50
    plain, thrifty = (fit_chooser(book, [(latents, lengths)], 6.0, weight, 0.4) for weight in (0.0, 1.0))
    a, b = _strings(plain, latents, lengths), _strings(thrifty, latents, lengths)
    assert sum(map(len, a)) / seconds == pytest.approx(6.0, rel=0.1)
    assert sum(map(len, b)) / seconds == pytest.approx(6.0, rel=0.1)
    assert _perplexity(b) < _perplexity(a)


def test_the_batch_does_not_matter(book: Codebook):
    latents, lengths = _frames(2)
    chooser = fit_chooser(book, [(latents, lengths)], 8.0, 0.5, 1.0)
    together = _strings(chooser, latents, lengths)
    assert together == [_strings(chooser, latents[k : k + 1, :n], lengths[k : k + 1])[0] for k, n in enumerate(lengths)]
