"""What can go wrong while a person trains, noticed early and told with a next step."""

from __future__ import annotations

import errno
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from pairalign.training.finetune_settings import FinetuneSettings
from pairalign.training.trainer import DivergedError

MARGIN_BYTES = 8_000_000
COPIES = 9  # of the weights: state (network, teacher, two moments) twice while it is replaced, and three checkpoints
FULL = (errno.ENOSPC, errno.EDQUOT)
MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


@dataclass(frozen=True)
class Trouble:
    """What went wrong, and what to do about it; `ours` when it is a bug."""

    message: str
    advice: str = ""
    ours: bool = False


class DiskFullError(OSError):
    """Too little room, noticed before it hurts."""


def require_space(folder: Path, weights_bytes: int) -> None:
    """Raise DiskFullError unless a run with such weights fits where `folder` is."""
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = COPIES * weights_bytes + MARGIN_BYTES, shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFullError(errno.ENOSPC, f"{needed / 1e6:.0f} MB are needed, {free / 1e6:.0f} MB are free")


def explain(error: BaseException, settings: FinetuneSettings, folder: Path) -> Trouble:
    """An error as a person can use it."""
    if isinstance(error, OSError) and error.errno in FULL:
        detail = f" ({error.strerror})" if isinstance(error, DiskFullError) else ""
        return Trouble(
            f"The disk is full{detail}. What was saved before is whole.",
            f"Make room on the disk of {folder}, then press Resume.",
        )
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or _about_memory(error):
        smaller = max(2, settings.batch // 2)
        return Trouble(
            f"The memory of this device does not suffice for a batch of {settings.batch} recordings.",
            f"Start again with a batch of {smaller} (under Advanced; --batch {smaller}), or on the CPU.",
        )
    if isinstance(error, DivergedError):
        return diverged(settings)
    if isinstance(error, ValueError) and type(error).__module__.startswith("pairalign"):
        return Trouble(str(error))
    if isinstance(error, OSError) and error.filename is not None:
        return Trouble(f"{error.filename}: {error.strerror}.", "Check the path and its permissions, then press Resume.")
    return Trouble(
        f"Something failed on our side: {type(error).__name__}: {error}"[:300],
        f"What was saved is whole: press Resume to try again. Details are in {folder / 'output.log'}.",
        ours=True,
    )


def diverged(settings: FinetuneSettings) -> Trouble:
    """Training that got worse instead of better."""
    return Trouble(
        "Training was stopped because it got worse, not better (the loss rose).",
        f"Start again with a lower learning rate, {settings.learning_rate / 3:.1g} say.",
    )


def _about_memory(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in MEMORY_WORDS)


class RisingLoss:
    """Notices a loss that rises for good: its running mean is well above the lowest one there was."""

    def __init__(self, memory: int = 20, factor: float = 1.5, slack: float = 0.5) -> None:
        self.memory, self.factor, self.slack = memory, factor, slack
        self.mean, self.lowest, self.count = 0.0, float("inf"), 0

    def __call__(self, loss: float) -> bool:
        """Whether it has risen for good, this loss included."""
        self.count += 1
        weight = max(1 / self.count, 1 / self.memory)
        self.mean += weight * (loss - self.mean)
        if self.count < self.memory:
            return False
        self.lowest = min(self.lowest, self.mean)
        return self.mean > self.factor * self.lowest + self.slack
