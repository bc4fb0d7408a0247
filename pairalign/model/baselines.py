"""Baselines that had to be fitted to data, as they travel inside a checkpoint beside the weights.

Shapes: M merges, K codes, D MFCC features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pairalign.errors import PairAlignError
from pairalign.mfcc import MFCC_SIZE

PREFIX = "baseline."
# not to be had without a fit; "viterbi" falls back to the codebook's penalty
FITTED_METHODS = ("viterbi_cost", "bpe", "mfcc")
# how a user adds them, for messages about a checkpoint without
FIT_COMMAND = "python -m pairalign.evaluation.fit_baselines CHECKPOINT.safetensors --manifest CSV --out NEW.safetensors"
_TENSORS = ("viterbi_penalty", "code_cost", "cost_penalty", "bpe_merges", "mfcc_codes", "rate_hz")


@dataclass(frozen=True, eq=False)  # tensors do not compare to one truth value
class Baselines:
    """What `pairalign.evaluation.baselines.fit_baselines` found.

    viterbi_penalty: cost of a change of code at which Viterbi strings have `rate_hz` tokens per second.
    code_cost: (K,) float32 cost of a frame of each code, and cost_penalty that of a change, with which strings that
        save on rare codes (`pairalign.model.chooser`) have the same rate.
    bpe_merges: (M, 2) int64 pairs of token ids, as `pairalign.model.bpe` reads them, for the same rate.
    mfcc_codes: (K, D) float32 of unit norm: centres of MFCC frames.
    rate_hz: tokens per second of the model's own strings on the training recordings.
    """

    viterbi_penalty: float
    code_cost: torch.Tensor
    cost_penalty: float
    bpe_merges: torch.Tensor
    mfcc_codes: torch.Tensor
    rate_hz: float

    @property
    def merges(self) -> np.ndarray:
        """`bpe_merges` as NumPy, (M, 2)."""
        return self.bpe_merges.numpy()

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds beside its weights."""
        return {
            f"{PREFIX}viterbi_penalty": torch.tensor(self.viterbi_penalty, dtype=torch.float64),
            f"{PREFIX}code_cost": self.code_cost.float(),
            f"{PREFIX}cost_penalty": torch.tensor(self.cost_penalty, dtype=torch.float64),
            f"{PREFIX}bpe_merges": self.bpe_merges.long(),
            f"{PREFIX}mfcc_codes": self.mfcc_codes.float(),
            f"{PREFIX}rate_hz": torch.tensor(self.rate_hz, dtype=torch.float64),
        }


def split_baselines(tensors: dict[str, torch.Tensor], codes: int) -> tuple[dict[str, torch.Tensor], Baselines | None]:
    """The weights of a network of `codes` codes, and the baselines when the checkpoint has any.

    Raises: ValueError when some of the baselines' tensors are missing or do not fit together.
    """
    weights = {name: value for name, value in tensors.items() if not name.startswith(PREFIX)}
    extra = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
    if not extra:
        return weights, None
    if set(extra) != set(_TENSORS):
        raise PairAlignError(f"baselines must be {', '.join(_TENSORS)}; found {', '.join(sorted(extra))}.")
    merges, centres = extra["bpe_merges"], extra["mfcc_codes"]
    if merges.ndim != 2 or merges.shape[1] != 2 or merges.dtype != torch.int64:
        raise PairAlignError(f"baseline bpe_merges must be (M, 2) int64, not {tuple(merges.shape)} {merges.dtype}.")
    known = codes + torch.arange(len(merges))[:, None]  # a merge joins tokens that were there before it
    if not ((merges >= 0) & (merges < known)).all():
        raise PairAlignError("baseline bpe_merges joins tokens that do not exist.")
    if centres.shape != (codes, MFCC_SIZE):
        raise PairAlignError(f"baseline mfcc_codes must be {(codes, MFCC_SIZE)}, not {tuple(centres.shape)}.")
    if extra["code_cost"].shape != (codes,):
        raise PairAlignError(f"baseline code_cost must be {(codes,)}, not {tuple(extra['code_cost'].shape)}.")
    numbers = {name: float(extra[name]) for name in ("viterbi_penalty", "cost_penalty", "rate_hz")}
    return weights, Baselines(code_cost=extra["code_cost"], bpe_merges=merges, mfcc_codes=centres, **numbers)
