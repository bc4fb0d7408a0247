"""Data-parallel training under torchrun: gather negatives from all ranks, average gradients. One process needs nothing.

Shapes: B batch per rank, W ranks.
"""

import os
from collections.abc import Iterable
from datetime import timedelta

import torch
from torch import distributed as dist


def start(device: str) -> tuple[int, int]:
    """Join the process group when torchrun started us; returns (rank, world)."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1 and not dist.is_initialized():
        if device.startswith("cuda"):
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))  # "cuda" then means this rank's own GPU
        # the others wait while rank 0 decodes the corpus, which can take hours
        dist.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=timedelta(hours=12))
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def wait() -> None:
    """Until every rank is here."""
    if dist.is_initialized():
        dist.barrier()


def stop() -> None:
    """Leave the process group."""
    if dist.is_initialized():
        dist.destroy_process_group()


def gather_rows(rows: torch.Tensor, pad_dims: bool = False) -> torch.Tensor:
    """Rows of all ranks in rank order, (B, ...) -> (W * B, ...). Gradients flow into this rank's own rows only.

    pad_dims: dimension 1 may differ between ranks; it is zero-padded to the largest.
    """
    if not dist.is_initialized():
        return rows
    if pad_dims:
        size = torch.tensor(rows.shape[1], device=rows.device)
        dist.all_reduce(size, dist.ReduceOp.MAX)
        extra = int(size) - rows.shape[1]
        rows = torch.cat([rows, rows.new_zeros(rows.shape[0], extra, *rows.shape[2:])], 1)
    everyone = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(everyone, rows.detach().contiguous())
    everyone[dist.get_rank()] = rows
    return torch.cat(everyone)


def from_first(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor of rank 0, on every rank (in place)."""
    if dist.is_initialized():
        dist.broadcast(tensor, src=0)
    return tensor


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Mean of the gradients over ranks, in one message."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    offset = 0
    for g in gradients:
        g.copy_(flat[offset : offset + g.numel()].view_as(g))
        offset += g.numel()


def any_rank(flag: bool) -> bool:
    """True on every rank when it is true on one: all ranks must stop at the same step."""
    if not dist.is_initialized():
        return flag
    votes = torch.tensor(int(flag))
    if dist.get_backend() == "nccl":
        votes = votes.cuda()
    dist.all_reduce(votes, dist.ReduceOp.MAX)
    return bool(votes)
