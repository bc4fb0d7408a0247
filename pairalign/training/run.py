"""What every step of a run needs: configuration, networks, data, device, random numbers by (seed, step, purpose)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from pairalign.model import PairAlignModel
from pairalign.training.config import TrainConfig
from pairalign.training.data import AudioBank, WordIndex
from pairalign.training.phones import PhoneIndex

if TYPE_CHECKING:
    from pairalign.training.bridge import Bridge


@dataclass
class Run:
    """All a step needs. `teacher` is the EMA copy of `model`; it never gets gradients."""

    config: TrainConfig
    model: PairAlignModel
    teacher: PairAlignModel
    bank: AudioBank
    items: list[int]
    words: WordIndex | None
    phones: PhoneIndex | None = None
    device: str = "cpu"
    rank: int = 0
    world: int = 1
    bridge: "Bridge | None" = None  # target strings of stages II and III

    def generator(self, step: int, stream: int) -> torch.Generator:
        """Random numbers of one purpose at one step: nothing has to be saved to resume."""
        seed = np.random.SeedSequence((self.config.seed, step, stream, self.rank)).generate_state(2, np.uint64)[0]
        return torch.Generator().manual_seed(int(seed) % (1 << 63))

    def autocast(self) -> torch.autocast:
        """bf16 matrix products on CPU and GPU, when the configuration wants them."""
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.config.autocast)
