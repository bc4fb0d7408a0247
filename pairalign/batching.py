"""Windows of many recordings, some at a time.

Shapes: B windows, T frames, D features.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from pairalign.windows import Window

Result = TypeVar("Result")


def each_window(
    waves: list[np.ndarray],
    plans: list[list[Window]],
    work: Callable[[list[np.ndarray], list[Window], torch.Tensor | None], list[Result]],
    batch_size: int,
    warps: Sequence[float] | None,
    progress: Callable[[float], None] | None = None,
) -> list[Result]:
    """What `work` says of every window, in order of recordings; `batch_size` windows are given to it at a time."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; use 1 or more.")
    jobs = [(r, w) for r, plan in enumerate(plans) for w in plan]
    # windows of like length share a batch: less padding, same strings
    order = sorted(range(len(jobs)), key=lambda k: jobs[k][1].end - jobs[k][1].start)
    results: list[Result | None] = [None] * len(jobs)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        parts = [waves[r][w.start : w.end] for r, w in (jobs[k] for k in chosen)]
        warp = None if warps is None else torch.tensor([warps[jobs[k][0]] for k in chosen], dtype=torch.float32)
        for k, one in zip(chosen, work(parts, [jobs[k][1] for k in chosen], warp), strict=True):
            results[k] = one
        if progress:
            progress(min(1.0, (start + len(chosen)) / len(order)))
    return results


def unpadded(values: torch.Tensor, lengths: torch.Tensor) -> list[np.ndarray]:
    """The rows of a padded batch (B, T) or (B, T, D), each with its own length."""
    return [row[:n] for row, n in zip(values.cpu().numpy(), lengths.tolist(), strict=True)]
