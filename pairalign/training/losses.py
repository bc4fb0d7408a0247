"""The losses of the three stages, as functions of tensors.

Shapes: B batch, T frames, Z latent size, U tokens (EOS counted), V outputs, N shared negatives.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as fn

NEAR_FRAMES = 6  # frames closer than 120 ms to the positive are neither positive nor negative
IGNORED = -100


@dataclass(frozen=True)
class Keys:
    """Teacher frames a student frame is compared with.

    frames (B, T_k, Z); lengths (B,); centre (B, T): the frame with the student frame's own content, -1 where none.
    """

    frames: torch.Tensor
    lengths: torch.Tensor
    centre: torch.Tensor


@dataclass(frozen=True)
class Shared:
    """Negatives for everyone: frames (N, Z), the batch row each comes from (N,), and the students' own rows (B,).

    A frame of a student's own row is no negative of it: the row's own `Keys` say which frames are far enough.
    """

    frames: torch.Tensor
    rows: torch.Tensor
    own: torch.Tensor


def frame_contrast(
    student: torch.Tensor, positive: Keys, others: list[Keys], shared: Shared, temperature: float
) -> torch.Tensor:
    """InfoNCE between time-aligned frames (method: stage I), mean over student frames that have a positive.

    Args:
        student: (B, T, Z) unit norm.
        positive: its `centre` is the positive; the utterance's other frames are negatives (same speaker, same room).
        others: further frames of the same utterances, only negatives. shared: frames of the other utterances.
    """
    logits = [_similarity(student, positive, keep_centre=True)]
    logits += [_similarity(student, keys, keep_centre=False) for keys in others]
    mine = shared.rows[None] == shared.own[:, None]
    logits.append((student @ shared.frames.T).masked_fill(mine[:, None], -torch.inf))
    scores = torch.cat(logits, dim=2)[positive.centre >= 0] / temperature
    return fn.cross_entropy(scores, positive.centre[positive.centre >= 0])


def _similarity(student: torch.Tensor, keys: Keys, keep_centre: bool) -> torch.Tensor:
    """(B, T, T_k) cosine similarity, -inf for padding and for frames too near the centre."""
    index = torch.arange(keys.frames.shape[1], device=student.device)[None, None]
    distance = (index - keys.centre[:, :, None]).abs()
    hidden = (distance < NEAR_FRAMES) & (keys.centre >= 0)[:, :, None]
    if keep_centre:
        hidden = hidden & (distance > 0)
    hidden = hidden | (index >= keys.lengths[:, None, None])
    return (student @ keys.frames.transpose(1, 2)).masked_fill(hidden, -torch.inf)


@dataclass(frozen=True)
class Strings:
    """Target strings with EOS: ids (B, U), IGNORED after EOS; lengths (B,) with EOS."""

    ids: torch.Tensor
    lengths: torch.Tensor

    def inputs(self, bos_id: int) -> torch.Tensor:
        """Decoder inputs (B, U): BOS, then the string without its EOS."""
        shifted = torch.cat([torch.full_like(self.ids[:, :1], bos_id), self.ids[:, :-1]], 1)
        return shifted.masked_fill(shifted == IGNORED, bos_id)

    def rows(self, index: torch.Tensor) -> "Strings":
        """The strings of some rows, possibly repeated."""
        return Strings(self.ids[index], self.lengths[index])


def pack_strings(strings: list[list[int]], eos_id: int, device: torch.device | str) -> Strings:
    """Lists of ids -> padded targets with EOS."""
    lengths = torch.tensor([len(s) + 1 for s in strings])
    ids = torch.full((len(strings), int(lengths.max())), IGNORED)
    for row, string in zip(ids, strings, strict=True):
        row[: len(string) + 1] = torch.tensor([*string, eos_id])
    return Strings(ids.to(device), lengths.to(device))


def corrupt_prefix(
    inputs: torch.Tensor, rate: float, codes: int, mask_id: int, generator: torch.Generator
) -> torch.Tensor:
    """Anti-bypass: rows of (B, U) draw a rate in [0, 2 rate] at which tokens become MASK or random codes; BOS stays."""
    row_rate = torch.rand(len(inputs), 1, generator=generator) * 2 * rate
    hit = torch.rand(inputs.shape, generator=generator) < row_rate
    random_code = torch.randint(codes, inputs.shape, generator=generator)
    masks = torch.rand(inputs.shape, generator=generator) < 0.5
    noise = torch.where(masks, mask_id, random_code).to(inputs.device)
    hit = hit.to(inputs.device) & (inputs < codes)
    return torch.where(hit, noise, inputs)


def string_cross_entropy(logits: torch.Tensor, strings: Strings, eos_id: int, eos_weight: float) -> torch.Tensor:
    """Mean over strings of ``(1/|y|) sum_u -log p(y_u | ...)`` with EOS weighted; logits (B, U, V)."""
    losses = _cross_entropies(logits, strings.ids)
    weights = torch.where(strings.ids == eos_id, eos_weight, 1.0) * (strings.ids != IGNORED)
    return ((losses * weights).sum(1) / weights.sum(1)).mean()


def _cross_entropies(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """-log p of each id (B, U), 0 where ignored; logits (B, U, V) as flat rows: a middle axis is 5 times slower."""
    losses = fn.cross_entropy(logits.flatten(0, 1), ids.flatten(), ignore_index=IGNORED, reduction="none")
    return losses.view(ids.shape)


def mean_log_probability(logits: torch.Tensor, strings: Strings) -> torch.Tensor:
    """``lbar(y|C) = log p(y|C) / |y|``, EOS counted: (B,)."""
    losses = _cross_entropies(logits, strings.ids)
    return -losses.sum(1) / strings.lengths


def guide_loss(attention: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """-log of the attention inside each token's own stretch (one frame of slack on both sides).

    Args: attention (B, U, T); starts, ends (B, U) frames, end exclusive; known (B, U) tokens that have a stretch.
    """
    frame = torch.arange(attention.shape[2], device=attention.device)[None, None]
    inside = (frame >= starts[:, :, None] - 1) & (frame < ends[:, :, None] + 1)
    mass = (attention * inside).sum(2)
    return -(mass[known] + 1e-4).log().mean()


def onset_loss(logits: torch.Tensor, starts: torch.Tensor, known: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of "a token starts at this frame" (B, T), plus the error of their count per token."""
    target = torch.zeros_like(logits)
    row = torch.arange(len(logits), device=logits.device)[:, None].expand_as(starts)
    target[row[known], starts[known].clamp(0, logits.shape[1] - 1)] = 1.0
    valid = torch.arange(logits.shape[1], device=logits.device)[None] < lengths[:, None]
    frame_loss = fn.binary_cross_entropy_with_logits(logits, target, reduction="none")[valid].mean()
    wanted = target.sum(1)
    counted = (torch.sigmoid(logits) * valid).sum(1)
    return frame_loss + 0.3 * ((counted - wanted).abs() / wanted.clamp(min=1)).mean()


def name_loss(
    logits: torch.Tensor, strings: Strings, starts: torch.Tensor, ends: torch.Tensor, known: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of the token that each frame belongs to; frames of no known token do not count.

    Args: logits (B, T, K); starts, ends (B, U) frames in order, end exclusive; known (B, U): has a stretch.
    """
    frame = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1).contiguous()
    ordered = starts.masked_fill(~known, logits.shape[1])  # tokens of no stretch come last
    token = (torch.searchsorted(ordered, frame, right=True) - 1).clamp(min=0)
    inside = (frame >= ordered.gather(1, token)) & (frame < ends.gather(1, token))
    names = strings.ids.gather(1, token).masked_fill(~inside, IGNORED)
    return fn.cross_entropy(logits.flatten(0, 1), names.flatten(), ignore_index=IGNORED)


def info_nce(positive: torch.Tensor, negatives: torch.Tensor, usable: torch.Tensor) -> torch.Tensor:
    """InfoNCE with one positive score (B,) against negatives (B, M) where `usable`; rows without a negative give 0."""
    negatives = negatives.masked_fill(~usable, -torch.inf)
    return (torch.logsumexp(torch.cat([positive[:, None], negatives], 1), 1) - positive).mean()
