"""What one optimizer step computes, for each of the three stages."""

import numpy as np
import torch

from pairalign.training.frame_stage import frame_step
from pairalign.training.run import Run
from pairalign.training.string_stage import string_step


def step_loss(run: Run, step: int) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss and statistics of one global step; all its random numbers follow from (seed, step, rank)."""
    stage, within, length = run.config.stage_at(step)
    torch.manual_seed(int(np.random.SeedSequence((run.config.seed, step, 99, run.rank)).generate_state(1)[0]))
    progress = within / max(length, 1)
    return frame_step(run, step, progress) if stage == 1 else string_step(run, step, stage, progress)
