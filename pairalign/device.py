"""Which device computes: "auto" takes a CUDA GPU when there is one."""

import torch

from pairalign.errors import PairAlignError


def pick_device(wanted: str = "auto") -> str:
    """Turn ``auto | cpu | cuda`` into a torch device name. Raises ValueError for anything else or a missing GPU."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise PairAlignError(f"device is {wanted!r}; use auto, cpu or cuda.")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise PairAlignError("device is cuda, but PyTorch finds no CUDA GPU here; use auto or cpu.")
    if wanted == "cpu" or not torch.cuda.is_available():
        return "cpu"
    return "cuda"


def compute_exactly(device: str) -> None:
    """Have a GPU convolve in float32, for the whole process: TF32 rounds so much that codes differ from the CPU's."""
    if torch.device(device).type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
