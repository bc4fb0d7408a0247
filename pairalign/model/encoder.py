"""Encoder: log-mel at 100 Hz -> hidden frames at 50 Hz -> unit-norm latents in codebook space.

Shapes: B batch, F mel bands, M mel frames, T encoder frames (20 ms), D hidden size, Z latent size, H heads.
"""

import torch
from torch import nn
from torch.nn import functional as fn

from pairalign.features import length_mask

FRAME_RATE_HZ = 50


def encoder_lengths(mel_lengths: torch.Tensor) -> torch.Tensor:
    """Encoder frames of that many mel frames, (B,) -> (B,): the stem's stride is 2."""
    return (mel_lengths + 1) // 2


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions."""

    def __init__(self, size: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)

    def forward(self, x: torch.Tensor, mask: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """x (B, T, D), mask (B, 1, 1, T) True where keys are valid -> (B, T, D)."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        # written out: with so few frames it trains 1.3 times as fast on a CPU as the fused kernel
        scores = rotate(q, *rotary) @ rotate(k, *rotary).transpose(2, 3) * q.shape[-1] ** -0.5
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1).to(v.dtype)
        return self.out((weights @ v).transpose(1, 2).flatten(2))


def rotary_angles(frames: int, head_size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin (T, head_size) of rotary position embedding (Su et al. 2021)."""
    inverse = 10_000 ** (-torch.arange(0, head_size, 2, device=device) / head_size)
    angle = torch.outer(torch.arange(frames, device=device), inverse).repeat(1, 2)
    return angle.cos(), angle.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotate pairs of channels of x (B, H, T, head_size) by their position's angle."""
    low, high = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat([-high, low], -1) * sin.to(x.dtype)


class EncoderBlock(nn.Module):
    """Pre-norm self-attention, depthwise convolution and feed-forward."""

    def __init__(self, size: int, heads: int, dropout: float = 0.0):
        super().__init__()
        self.norm_attention = nn.LayerNorm(size)
        self.attention = Attention(size, heads)
        self.norm_conv = nn.LayerNorm(size)
        self.conv = nn.Conv1d(size, size, 7, padding=3, groups=size)
        self.norm_feed = nn.LayerNorm(size)
        self.feed = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, valid: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        """x (B, T, D), valid (B, T) -> (B, T, D)."""
        x = x + self.dropout(self.attention(self.norm_attention(x), valid[:, None, None], rotary))
        # the convolution must not see what the padding holds
        inner = self.norm_conv(x) * valid[:, :, None]
        x = x + self.dropout(fn.gelu(self.conv(inner.transpose(1, 2)).transpose(1, 2)))
        return x + self.dropout(self.feed(self.norm_feed(x)))


class Encoder(nn.Module):
    """Conv stem (stride 2), Transformer blocks, and a projection to unit-norm latents."""

    def __init__(self, mel_bands: int, size: int, heads: int, blocks: int, latent: int):
        super().__init__()
        self.head_size = size // heads
        self.stem_in = nn.Conv1d(mel_bands, size, 5, stride=2, padding=2)
        self.stem_out = nn.Conv1d(size, size, 3, padding=1)
        self.blocks = nn.ModuleList([EncoderBlock(size, heads) for _ in range(blocks)])
        self.norm = nn.LayerNorm(size)
        self.project = nn.Linear(size, latent)
        self.span_mask = nn.Parameter(torch.randn(size) * 0.02)

    def forward(
        self, mel: torch.Tensor, mel_lengths: torch.Tensor, masked: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """mel (B, F, M), mel_lengths (B,), masked (B, T) frames hidden from the student.

        Returns: hidden (B, T, D), latents (B, T, Z) of unit norm, lengths (B,).
        """
        lengths = encoder_lengths(mel_lengths)
        x = fn.gelu(self.stem_in(mel))
        valid = length_mask(lengths, x.shape[2])
        x = fn.gelu(self.stem_out(x * valid[:, None])).transpose(1, 2)
        if masked is not None:
            x = torch.where(masked[:, :, None], self.span_mask.to(x.dtype), x)
        rotary = rotary_angles(x.shape[1], self.head_size, x.device)
        for block in self.blocks:
            x = block(x, valid, rotary)
        hidden = self.norm(x) * valid[:, :, None]
        return hidden, fn.normalize(self.project(hidden).float(), dim=-1), lengths
