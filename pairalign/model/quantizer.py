"""Codebook of unit vectors: nearest codes, run-length collapse, the Viterbi string, spherical k-means.

Shapes: B batch, T frames, Z latent size, K codes, N samples.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as fn

TEMPERATURE = 0.1  # of the softmax over code similarities


class Codebook(nn.Module):
    """K unit codes and the switch penalty with which the Viterbi string reaches the wanted rate."""

    codes: torch.Tensor  # (K, Z)
    switch_penalty: torch.Tensor  # ()

    def __init__(self, codes: int, latent: int):
        super().__init__()
        self.register_buffer("codes", fn.normalize(torch.randn(codes, latent), dim=-1))
        self.register_buffer("switch_penalty", torch.tensor(1.0))

    def log_scores(self, latents: torch.Tensor) -> torch.Tensor:
        """(B, T, Z) -> (B, T, K) log-softmax of code similarities at TEMPERATURE."""
        return fn.log_softmax(self._similarity(latents) / TEMPERATURE, dim=-1)

    def nearest(self, latents: torch.Tensor) -> torch.Tensor:
        """``q_t = argmax_k z_t . e_k``: (B, T, Z) -> (B, T)."""
        return self._similarity(latents).argmax(-1)

    def _similarity(self, latents: torch.Tensor) -> torch.Tensor:
        with torch.autocast(latents.device.type, enabled=False):  # bf16 would move frames to another code
            return latents.float() @ self.codes.T

    def viterbi(self, latents: torch.Tensor, lengths: torch.Tensor, penalty: float | None = None) -> torch.Tensor:
        """Best code path under a switch penalty: (B, T, Z) -> (B, T)."""
        penalty = float(self.switch_penalty) if penalty is None else penalty
        return smooth_codes(self.log_scores(latents), lengths, penalty)


def smooth_codes(log_scores: torch.Tensor, lengths: torch.Tensor, penalty: float) -> torch.Tensor:
    """Viterbi path through log_scores (B, T, K) where every change of code costs `penalty`; returns (B, T)."""
    batch, frames, codes = log_scores.shape
    # frames past the end get equal scores: the path then stays where the last real frame left it
    inside = torch.arange(frames, device=log_scores.device)[None] < lengths[:, None]
    scores = torch.where(inside[:, :, None], log_scores, 0.0)
    best = scores[:, 0]
    origin = torch.empty(batch, frames, codes, dtype=torch.long, device=log_scores.device)
    stay = torch.arange(codes, device=log_scores.device)
    for t in range(1, frames):
        top, top_code = best.max(1, keepdim=True)
        switch = best < top - penalty
        origin[:, t] = torch.where(switch, top_code, stay)
        best = torch.maximum(best, top - penalty) + scores[:, t]
    path = torch.empty(batch, frames, dtype=torch.long, device=log_scores.device)
    path[:, -1] = best.argmax(1)
    for t in range(frames - 1, 0, -1):
        path[:, t - 1] = origin[:, t].gather(1, path[:, t, None])[:, 0]
    return path


def runs_of(path: torch.Tensor, length: int) -> tuple[list[int], list[int]]:
    """Run-length collapse of the first `length` codes of a path (T,): the codes, and the frame each run starts at."""
    codes = path[:length].tolist()
    starts = [t for t in range(length) if t == 0 or codes[t] != codes[t - 1]]
    return [codes[t] for t in starts], starts


def fit_switch_penalty(log_scores: torch.Tensor, lengths: torch.Tensor, rate_hz: float, frame_rate_hz: float) -> float:
    """The switch penalty at which the Viterbi strings of log_scores (B, T, K) have `rate_hz` tokens per second."""
    seconds = float(lengths.sum()) / frame_rate_hz

    def rate_of(penalty: float) -> float:
        path = smooth_codes(log_scores, lengths, penalty)
        return sum(len(runs_of(p, int(n))[0]) for p, n in zip(path, lengths, strict=True)) / seconds

    return bisect_penalty(rate_of, rate_hz)


def bisect_penalty(rate_of: Callable[[float], float], rate_hz: float) -> float:
    """The penalty in 0..20 at which `rate_of(penalty)`, which falls with the penalty, is `rate_hz`."""
    low, high = 0.0, 20.0
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if rate_of(middle) > rate_hz else (low, middle)
    return (low + high) / 2


def spherical_kmeans(latents: torch.Tensor, codes: int, generator: torch.Generator, rounds: int = 30) -> torch.Tensor:
    """Spherical k-means over unit vectors (N, Z): k-means++ style start, dead codes restart; returns (K, Z)."""
    centres = latents[torch.randint(len(latents), (1,), generator=generator)]
    nearest = 1 - latents @ centres[0]
    for _ in range(codes - 1):
        pick = torch.multinomial(nearest.clamp(min=1e-9), 1, generator=generator)
        centres = torch.cat([centres, latents[pick]])
        nearest = torch.minimum(nearest, 1 - latents @ latents[pick[0]])
    for _ in range(rounds):
        owner = (latents @ centres.T).argmax(1)
        sums = torch.zeros_like(centres).index_add_(0, owner, latents)
        empty = torch.bincount(owner, minlength=codes) == 0
        sums[empty] = latents[torch.randint(len(latents), (int(empty.sum()),), generator=generator)]
        centres = fn.normalize(sums, dim=-1)
    return centres
