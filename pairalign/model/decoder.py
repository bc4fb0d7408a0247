"""Causal decoder: writes the token string from BOS to EOS, reading the condition by cross-attention.

Shapes: B batch, U tokens, T condition frames, D hidden size, H heads, V = K + 1 outputs (K codes and EOS).
Input ids: 0..K-1 codes, K EOS (never an input), K+1 BOS, K+2 MASK.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as fn

from pairalign.features import length_mask
from pairalign.model.encoder import FRAME_RATE_HZ, EncoderBlock, rotary_angles


@dataclass(frozen=True)
class Condition:
    """What the decoder reads: states (B, T, D), lengths (B,).

    Two readings of the frames themselves come along: onset_logits (B, T), does a token start here, and name_logits
    (B, T, K), which token this frame belongs to.
    """

    states: torch.Tensor
    lengths: torch.Tensor
    onset_logits: torch.Tensor
    name_logits: torch.Tensor

    @property
    def valid(self) -> torch.Tensor:
        """(B, T) bool, True inside each recording."""
        return length_mask(self.lengths, self.states.shape[1])

    def rows(self, index: torch.Tensor) -> "Condition":
        """The condition of some rows of the batch, possibly repeated."""
        parts = (self.states, self.lengths, self.onset_logits, self.name_logits)
        return Condition(*(part[index] for part in parts))


def sinusoids(position: torch.Tensor, size: int) -> torch.Tensor:
    """Sinusoidal embedding (..., D) of real-valued positions (...)."""
    rate = torch.exp(-torch.arange(0, size, 2, device=position.device) / size * 7.0)  # periods 2 pi .. 2 pi e^7
    angle = position.float()[..., None] * rate
    return torch.cat([angle.sin(), angle.cos()], -1)


class ConditionAdapter(nn.Module):
    """Encoder frames and code scores -> the condition, with two clocks: seconds, and the count of onsets so far.

    The second clock adds up the probabilities that a token starts at a frame (after CIF, Dong & Xu 2020), so that the
    decoder's position u can address the u-th event directly; it is a hint, the decoder still chooses what to write.
    So are the names: every frame guesses the token it belongs to, and the guess is added to what the decoder reads
    (as in self-conditioned CTC, Nozaki & Komatsu 2021). Trained on every frame, they teach the adapter much faster
    than the decoder's few tokens do.
    """

    def __init__(self, encoder_size: int, codes: int, size: int, heads: int, blocks: int, dropout: float):
        super().__init__()
        self.head_size = size // heads
        self.from_hidden = nn.Linear(encoder_size, size)
        self.from_scores = nn.Linear(codes, size, bias=False)
        self.blocks = nn.ModuleList([EncoderBlock(size, heads, dropout) for _ in range(blocks)])
        self.norm = nn.LayerNorm(size)
        self.onset = nn.Linear(size, 1)
        self.name = nn.Linear(size, codes)
        self.from_name = nn.Linear(codes, size, bias=False)
        self.count_clock = nn.Linear(size, size, bias=False)
        self.time_clock = nn.Linear(size, size, bias=False)

    def forward(self, hidden: torch.Tensor, log_scores: torch.Tensor, lengths: torch.Tensor) -> Condition:
        """hidden (B, T, D_enc), log_scores (B, T, K), lengths (B,)."""
        valid = length_mask(lengths, hidden.shape[1])
        x = self.from_hidden(hidden) + self.from_scores(log_scores.exp())
        rotary = rotary_angles(x.shape[1], self.head_size, x.device)
        for block in self.blocks:
            x = block(x, valid, rotary)
        x = self.norm(x)
        onset_logits, name_logits = self.onset(x)[:, :, 0].float(), self.name(x).float()
        count = (torch.sigmoid(onset_logits) * valid).cumsum(1)
        time = torch.arange(x.shape[1], device=x.device) / FRAME_RATE_HZ * 10
        size = x.shape[2]
        x = x + self.from_name(name_logits.softmax(-1))
        x = x + self.count_clock(sinusoids(count, size).to(x.dtype))
        x = x + self.time_clock(sinusoids(time, size).to(x.dtype))
        return Condition(x, lengths, onset_logits, name_logits)


class Caches:
    """What B recordings and R strings need of all L layers while one token after the other is written.

    written: (U_max, L, 2, R, H, d) keys and values of the strings so far. cross: for each layer, keys and values of the
    recordings, each (B, H, T, d); row r of R belongs to recording r // (R / B). clock: (U_max, D) embedded positions.
    """

    def __init__(self, cross: list[list[torch.Tensor]], clock: torch.Tensor, strings: int):
        self.cross, self.clock = cross, clock
        keys = cross[0][0]
        shape = (len(clock), len(cross), 2, strings * keys.shape[0], keys.shape[1], keys.shape[3])
        self.written, self._spare = keys.new_empty(shape), keys.new_empty(shape)

    def write(self, u: int, layer: int, new: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add keys and values (2, R, H, d) of position u; returns those of positions 0 to u, each (R, H, u + 1, d)."""
        self.written[u, layer] = new
        keys, values = self.written[: u + 1, layer].permute(1, 2, 3, 0, 4)
        return keys, values

    def reorder(self, rows: torch.Tensor, count: int) -> None:
        """Keep the rows that a beam search selected, as many or fewer, of the first `count` positions."""
        # into a second buffer: new memory for every step costs more than the copy
        if len(rows) < self._spare.shape[3]:
            self._spare = self._spare[:, :, :, : len(rows)].contiguous()
        torch.index_select(self.written[:count], 3, rows, out=self._spare[:count])
        self.written, self._spare = self._spare, self.written

    def drop_but(self, recordings: torch.Tensor) -> None:
        """Forget the condition of all recordings but these."""
        self.cross = [[part[recordings] for part in layer] for layer in self.cross]


class DecoderBlock(nn.Module):
    """Pre-norm causal self-attention, cross-attention, feed-forward."""

    def __init__(self, size: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.norm_self, self.norm_cross, self.norm_feed = (nn.LayerNorm(size) for _ in range(3))
        self.self_qkv, self.self_out = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.cross_q, self.cross_out = nn.Linear(size, size), nn.Linear(size, size)
        self.cross_kv = nn.Linear(size, 2 * size)
        self.feed = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))
        self.dropout = nn.Dropout(dropout)

    def split(self, x: torch.Tensor, parts: int) -> list[torch.Tensor]:
        """(B, U, parts * D) -> parts tensors (B, H, U, D / H)."""
        return list(x.unflatten(2, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4))

    def cross_keys(self, condition: Condition) -> list[torch.Tensor]:
        """Keys and values of the condition, each (B, H, T, D / H)."""
        return self.split(self.cross_kv(condition.states), 2)

    def attend(self, x: torch.Tensor, k: torch.Tensor, v: torch.Tensor, valid: torch.Tensor) -> tuple:
        """Cross-attention of x (B, U, D); returns the update (B, U, D) and the mean weights over heads (B, U, T)."""
        (q,) = self.split(self.cross_q(self.norm_cross(x)), 1)
        scores = (q @ k.transpose(2, 3)).float() * q.shape[-1] ** -0.5
        weights = scores.masked_fill(~valid[:, None, None], -torch.inf).softmax(-1)
        y = (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)
        return self.dropout(self.cross_out(y)), weights.mean(1)

    def forward(self, x: torch.Tensor, condition: Condition) -> tuple[torch.Tensor, torch.Tensor]:
        """All positions at once: x (B, U, D) -> (B, U, D) and cross-attention weights (B, U, T)."""
        q, k, v = self.split(self.self_qkv(self.norm_self(x)), 3)
        y = fn.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.self_out(y.transpose(1, 2).flatten(2)))
        keys, values = self.cross_keys(condition)
        y, weights = self.attend(x, keys, values, condition.valid)
        x = x + y
        return x + self.dropout(self.feed(self.norm_feed(x))), weights

    def step(self, x: torch.Tensor, u: int, layer: int, caches: Caches, valid: torch.Tensor) -> tuple:
        """One position u from the caches: x (R, 1, D) -> (R, 1, D) and weights (R, T), R strings of B recordings."""
        heads = self.self_qkv(self.norm_self(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y = fn.scaled_dot_product_attention(heads[0], *caches.write(u, layer, heads[1:, :, :, 0]))
        x = x + self.self_out(y.transpose(1, 2).flatten(2))
        # the strings of one recording read the same condition: they attend side by side, as positions of one string
        keys, values = caches.cross[layer]
        y, weights = self.attend(x.view(len(keys), -1, x.shape[2]), keys, values, valid)
        x = x + y.reshape(x.shape)
        return x + self.feed(self.norm_feed(x)), weights.flatten(0, 1)


class Decoder(nn.Module):
    """Token embeddings with sinusoidal positions, blocks, and logits over codes and EOS.

    Cross-attention of `guided_block` is the one timing is recovered from.
    """

    def __init__(self, codes: int, size: int, heads: int, blocks: int, dropout: float):
        super().__init__()
        self.size, self.heads = size, heads
        self.eos_id, self.bos_id, self.mask_id = codes, codes + 1, codes + 2
        self.embed = nn.Embedding(codes + 3, size)
        nn.init.normal_(self.embed.weight, std=0.5)
        self.position_clock = nn.Linear(size, size, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList([DecoderBlock(size, heads, dropout) for _ in range(blocks)])
        self.norm = nn.LayerNorm(size)
        self.output = nn.Linear(size, codes + 1)
        self.guided_block = min(1, blocks - 1)

    def clock(self, positions: int) -> torch.Tensor:
        """Embedded positions 0.. (U, D)."""
        position = torch.arange(positions, device=self.position_clock.weight.device)
        return self.position_clock(sinusoids(position, self.size).to(self.position_clock.weight.dtype))

    def forward(self, tokens: torch.Tensor, condition: Condition) -> tuple[torch.Tensor, torch.Tensor]:
        """Teacher forcing: input tokens (B, U) from BOS -> logits (B, U, V) float32, attention (B, U, T)."""
        x = self.dropout(self.embed(tokens) + self.clock(tokens.shape[1]))
        read = []
        for block in self.blocks:
            x, weights = block(x, condition)
            read.append(weights)
        return self.output(self.norm(x)).float(), read[self.guided_block]

    def start(self, condition: Condition, max_tokens: int, beams: int = 1) -> Caches:
        """Caches for `beams` strings per condition row, row-major (row 0's beams first)."""
        cross = [[part.contiguous() for part in block.cross_keys(condition)] for block in self._layers()]
        return Caches(cross, self.clock(max_tokens), beams)

    def step(self, tokens: torch.Tensor, u: int, caches: Caches, valid: torch.Tensor) -> tuple:
        """Position u of R strings: tokens (R,), valid (B, T) -> logits (R, V) and attention (R, T)."""
        x = self.embed(tokens[:, None]) + caches.clock[u]
        attention = None
        for layer, block in enumerate(self._layers()):
            x, weights = block.step(x, u, layer, caches, valid)
            if layer == self.guided_block:
                attention = weights
        return self.output(self.norm(x))[:, 0].float(), attention

    def _layers(self) -> list[DecoderBlock]:
        """The blocks as what they are: to a type checker a ModuleList holds just any modules."""
        return [block for block in self.blocks if isinstance(block, DecoderBlock)]
