"""Which frames of two segments say the same: by the views' time maps, or by dynamic time warping between two speakers.

Shapes: B batch, I and J frames of the two sides.
"""

import numpy as np
import torch

from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.views import TimeMap


def frame_centres_s(frames: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """(1, T) seconds of the frames' centres."""
    return ((torch.arange(frames, device=device) + 0.5) / FRAME_RATE_HZ)[None]


def match_by_time(time_map: TimeMap, lengths: torch.Tensor, source_lengths: torch.Tensor, frames: int) -> torch.Tensor:
    """For each frame of a view, the frame of the undistorted source with the same content, -1 outside: (B, T).

    Args: lengths (B,) valid frames of the view; source_lengths (B,) of the source; frames T of the padded view.
    """
    centres = frame_centres_s(frames, lengths.device)
    index = (time_map.to_source(centres.expand(len(lengths), -1)) * FRAME_RATE_HZ).floor().long()
    inside = (torch.arange(frames, device=lengths.device)[None] < lengths[:, None]) & (index < source_lengths[:, None])
    return torch.where(inside & (index >= 0), index, -1)


def warp_path(cost: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Dynamic time warping of a batch (Sakoe & Chiba 1978, unweighted steps), all items at once along anti-diagonals.

    Args: cost (B, I, J); rows (B,), columns (B,) valid sizes, all at least 1.
    Returns: (B, I) the column matched to each row (the last one on the path), -1 beyond `rows`.
    """
    batch, size_i, size_j = cost.shape
    diagonals = size_i + size_j - 1
    i = np.arange(size_i)
    before = np.full((batch, size_i + 1), np.inf)  # diagonal d - 2, shifted by one so that index i means row i - 1
    last = np.full((batch, size_i + 1), np.inf)  # diagonal d - 1
    choice = np.zeros((diagonals, batch, size_i), dtype=np.int8)
    for d in range(diagonals):
        j = d - i
        inside = (j >= 0) & (j < size_j)
        options = np.stack([last[:, 1:], last[:, :-1], before[:, :-1]])  # from the left, from above, diagonal
        choice[d] = options.argmin(0)
        best = options.min(0)
        if d == 0:
            best[:, 0] = 0.0
        here = np.where(inside, best + cost[:, i, j.clip(0, size_j - 1)], np.inf)
        before, last = last, np.concatenate([np.full((batch, 1), np.inf), here], axis=1)
    match = np.full((batch, size_i), -1)
    each = np.arange(batch)
    row, column = rows - 1, columns - 1
    match[each, row] = column
    for _ in range(diagonals):
        move = choice[row + column, each, row]
        going = (row > 0) | (column > 0)
        new_row = np.where(going & (move > 0), row - 1, row)
        column = np.where(going & (move != 1), column - 1, column)
        changed = new_row != row
        row = new_row
        match[each[changed], row[changed]] = column[changed]
    return match


def match_words(
    features_a: torch.Tensor,
    features_b: torch.Tensor,
    span_a_s: torch.Tensor,
    span_b_s: torch.Tensor,
    lengths_a: torch.Tensor,
    lengths_b: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames of the same word by two speakers, matched by DTW on cosine distance.

    Args: features (B, T, D) of each side; word spans (B, 2) in seconds; lengths (B,) valid frames.
    Returns: a to b (B, T_a) and b to a (B, T_b) frame indices, -1 outside the word.
    """
    cut_a, start_a, size_a = _cut(features_a, span_a_s, lengths_a)
    cut_b, start_b, size_b = _cut(features_b, span_b_s, lengths_b)
    normal_a, normal_b = (torch.nn.functional.normalize(x.float(), dim=-1) for x in (cut_a, cut_b))
    cost = (1 - normal_a @ normal_b.transpose(1, 2)).cpu().numpy()
    a_to_b = warp_path(cost, size_a, size_b)
    b_to_a = warp_path(cost.transpose(0, 2, 1), size_b, size_a)
    return (
        _place(a_to_b, start_a, start_b, features_a.shape[1]).to(features_a.device),
        _place(b_to_a, start_b, start_a, features_b.shape[1]).to(features_b.device),
    )


def _cut(
    features: torch.Tensor, span_s: torch.Tensor, lengths: torch.Tensor
) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """The frames inside each span, zero-padded (B, I, D), with their first frame and count."""
    limit = lengths.cpu().numpy()
    first = np.minimum((span_s[:, 0].cpu().numpy() * FRAME_RATE_HZ).astype(int), limit - 1)
    size = np.maximum(np.minimum((span_s[:, 1].cpu().numpy() * FRAME_RATE_HZ).astype(int), limit) - first, 1)
    index = torch.from_numpy(first[:, None] + np.arange(size.max())[None]).clamp(max=features.shape[1] - 1)
    index = index.to(features.device)[:, :, None].expand(-1, -1, features.shape[2])
    return torch.gather(features, 1, index), first, size


def _place(match: np.ndarray, start_from: np.ndarray, start_to: np.ndarray, frames: int) -> torch.Tensor:
    """Matches inside the cut words (B, I) -> matches between whole segments (B, frames)."""
    placed = np.full((len(match), frames), -1)
    b, i = np.nonzero(match >= 0)
    placed[b, start_from[b] + i] = match[b, i] + start_to[b]
    return torch.from_numpy(placed)
