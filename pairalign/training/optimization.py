"""Optimizer, learning-rate schedule and the EMA teacher's update."""

import math

import torch

from pairalign.training.config import TrainConfig
from pairalign.training.run import Run


def make_optimizer(run: Run, stage: int) -> torch.optim.AdamW:
    """AdamW over what a stage trains.

    Encoder and phone head in I, adapter and decoder in II, those and perhaps the encoder in III.
    """
    model = run.model
    model.requires_grad_(False)
    parts: list[tuple[torch.nn.Module, float]]
    parts = [(model.adapter, 1.0), (model.decoder, 1.0)] if stage > 1 else [(model.encoder, 1.0)]
    if stage == 1 and model.phone_head is not None:
        parts.append((model.phone_head, 1.0))
    if stage == 3 and run.config.encoder_rate_scale > 0:
        parts.append((model.encoder, run.config.encoder_rate_scale))
    groups = []
    for module, scale in parts:
        module.requires_grad_(True)
        groups.append({"params": list(module.parameters()), "scale": scale})
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), weight_decay=run.config.weight_decay)


def learning_rate(config: TrainConfig, stage: int, within: int, length: int) -> float:
    """Linear warm-up, then a cosine to 3 % of the peak, per stage."""
    peak = config.stage3_learning_rate if stage == 3 else config.learning_rate
    warmup = min(config.warmup_steps, max(1, length // 5))
    if within < warmup:
        return peak * (within + 1) / warmup
    progress = (within - warmup) / max(1, length - warmup)
    return peak * (0.03 + 0.97 * (1 + math.cos(math.pi * progress)) / 2)


@torch.no_grad()
def update_teacher(run: Run, decay: float, within: int) -> None:
    """EMA of the weights; a short memory at first, so that the teacher is not held back by the random start."""
    decay = min(decay, (1 + within) / (10 + within))
    for slow, fast in zip(run.teacher.parameters(), run.model.parameters(), strict=True):
        if fast.requires_grad:
            slow.lerp_(fast.detach(), 1 - decay)
