"""Training state on disk: everything a killed run needs to go on to the same weights.

One safetensors file, written atomically; nothing is pickled. Random numbers need no saving: they follow from (seed,
step).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from pairalign.checkpoint import atomic_write_bytes
from pairalign.errors import PairAlignError
from pairalign.model import PairAlignModel
from pairalign.training.config import TrainConfig

STATE_FILE = "state.safetensors"


class ResumeError(PairAlignError):
    """A run that can not be resumed: what is there does not fit what is asked for."""


@dataclass
class Progress:
    """Where a run is: steps done, time used, and the best validation so far."""

    step: int = 0
    elapsed_s: float = 0.0
    best_separation: float = -1.0
    best_step: int = -1


def save_state(
    folder: Path,
    model: PairAlignModel,
    teacher: PairAlignModel,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    config: dict,
) -> None:
    """Write the state of a run between two steps."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"teacher.{k}": v for k, v in teacher.state_dict().items()}
    for index, entry in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{k}": v for k, v in entry.items()}
    meta = {"progress": json.dumps(vars(progress)), "config": json.dumps(config)}
    contiguous = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    atomic_write_bytes(folder / STATE_FILE, save(contiguous, metadata=meta))


def load_state(folder: Path, config: dict) -> tuple[dict[str, dict[str, torch.Tensor]], Progress]:
    """Read the state back: tensors by part ("model", "teacher", "optimizer"), and the progress.

    Raises: ResumeError when there is none, it is damaged, or it belongs to another configuration.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        raise ResumeError(f"There is nothing to resume in {folder}: no {STATE_FILE}. Start the run without --resume.")
    try:
        with safe_open(path, framework="pt") as file:
            meta = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
        saved, progress = json.loads(meta["config"]), Progress(**json.loads(meta["progress"]))
    except Exception as error:  # safetensors raises its own kinds
        raise ResumeError(f"{path} is damaged ({error}). Start the run again in a new folder.") from None
    # settings that are newer than the run were at their default
    saved = {**{k: v for k, v in TrainConfig().to_dict().items() if k in config}, **saved}
    changed = sorted(k for k in set(saved) | set(config) if saved.get(k) != config.get(k))
    if changed:
        raise ResumeError(
            f"The run in {folder} was started with other settings ({', '.join(changed)}); a resumed run needs the same."
        )
    parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "teacher": {}, "optimizer": {}}
    for key, tensor in tensors.items():
        part, name = key.split(".", 1)
        parts[part][name] = tensor
    return parts, progress


def restore_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, torch.Tensor]) -> None:
    """Put saved moments back into a freshly made optimizer of the same parameters."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in saved.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
