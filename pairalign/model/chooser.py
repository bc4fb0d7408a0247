"""Viterbi strings in which rare codes cost more than common ones.

As in entropy-constrained vector quantisation (Chou, Lookabaugh & Gray 1989): of two codes that fit a stretch nearly as
well, the common one is the one another view will choose too. With no code costs this is the plain Viterbi string.

Shapes: B recordings, T frames, Z latent size, K codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.quantizer import Codebook, bisect_penalty, runs_of, smooth_codes

ROUNDS = 4  # of choosing codes and counting them again

Batch = tuple[torch.Tensor, torch.Tensor]  # latents (B, T, Z), lengths (B,)


@dataclass(frozen=True, eq=False)
class Chooser:
    """Chooses a code for every frame: a cost (K,) for every frame of a code, a penalty for every change of code."""

    book: Codebook
    cost: torch.Tensor
    penalty: float

    def paths(self, latents: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Latents (B, T, Z) -> codes (B, T)."""
        return smooth_codes(self.book.log_scores(latents) - self.cost, lengths, self.penalty)


def fit_chooser(book: Codebook, batches: Sequence[Batch], rate_hz: float, weight: float, floor: float) -> Chooser:
    """Costs of ``-weight * log p(code)``, p counted in the strings chosen, and the penalty for `rate_hz` with them.

    floor: codes rarer than this share of an even spread cost no more, so that none dies out.
    """
    cost = torch.zeros(len(book.codes), device=book.codes.device)
    for _ in range(ROUNDS if weight > 0 else 0):
        cost = weight * _rarity(_at_rate(book, cost, batches, rate_hz), batches, floor)
    return _at_rate(book, cost, batches, rate_hz)


def _at_rate(book: Codebook, cost: torch.Tensor, batches: Sequence[Batch], rate_hz: float) -> Chooser:
    """The chooser with these code costs that has the wanted rate."""
    return Chooser(book, cost, bisect_penalty(lambda p: _rate_of(Chooser(book, cost, p), batches), rate_hz))


def _rate_of(chooser: Chooser, batches: Sequence[Batch]) -> float:
    """Tokens per second of the strings chosen."""
    tokens = frames = 0
    for latents, lengths in batches:
        paths = chooser.paths(latents, lengths).cpu()
        tokens += sum(len(runs_of(path, n)[0]) for path, n in zip(paths, lengths.tolist(), strict=True))
        frames += int(lengths.sum())
    return tokens / frames * FRAME_RATE_HZ


def _rarity(chooser: Chooser, batches: Sequence[Batch], floor: float) -> torch.Tensor:
    """``-log p(k)`` of every code (K,) in the strings chosen, p at least floor / K."""
    counts = torch.zeros_like(chooser.cost)
    for latents, lengths in batches:
        paths = chooser.paths(latents, lengths).cpu()
        for path, frames in zip(paths, lengths.tolist(), strict=True):
            counts += torch.bincount(torch.tensor(runs_of(path, frames)[0]), minlength=len(counts)).to(counts)
    return -(counts / counts.sum()).clamp(min=floor / len(counts)).log()
