"""Windows of many recordings, some at a time.

Shapes: B windows, T frames, D features.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from itertools import islice
from typing import TypeVar

import numpy as np
import torch

from pairalign.arguments import is_number, is_whole
from pairalign.errors import PairAlignError
from pairalign.threads import shares, thread_pool
from pairalign.windows import Window

Result = TypeVar("Result")
LEAST_BATCH = 8  # smaller ones are mostly the work of Python, which threads do not share


def each_window(
    waves: list[np.ndarray],
    plans: list[list[Window]],
    work: Callable[[list[np.ndarray], list[Window], torch.Tensor | None], list[Result]],
    batch_size: int,
    warps: Sequence[float] | None,
    progress: Callable[[float], None] | None = None,
    threads: int = 1,
) -> list[Result]:
    """What `work` says of every window, in order of recordings; up to `batch_size` windows are given to it at a time.

    threads: of a CPU that may be used; with more than one, several batches are worked on side by side.
    """
    check_batch(batch_size, warps, len(waves), progress)
    jobs = [(r, w) for r, plan in enumerate(plans) for w in plan]
    # windows of like length share a batch: less padding, same strings
    order = sorted(range(len(jobs)), key=lambda k: jobs[k][1].end - jobs[k][1].start)
    workers, torch_threads = shares(threads)
    size = min(int(batch_size), max(LEAST_BATCH, -(-len(order) // workers)))
    batches = [order[start : start + size] for start in range(0, len(order), size)]

    @torch.inference_mode()  # of the thread that it runs in
    def run(chosen: list[int]) -> list[Result]:
        parts = [waves[r][w.start : w.end] for r, w in (jobs[k] for k in chosen)]
        warp = None if warps is None else torch.tensor([warps[jobs[k][0]] for k in chosen], dtype=torch.float32)
        return work(parts, [jobs[k][1] for k in chosen], warp)

    results: dict[int, Result] = {}
    for chosen, told in _told(run, batches, workers, torch_threads):
        results.update(zip(chosen, told, strict=True))
        if progress:
            progress(len(results) / len(jobs))
    return [results[k] for k in range(len(jobs))]


def check_batch(batch_size: object, warps: Sequence[float] | None, recordings: int, progress: object) -> None:
    """Raises: PairAlignError for a batch size, warps or a progress function that cannot be used."""
    if not (is_whole(batch_size) and batch_size >= 1):
        raise PairAlignError(f"batch_size is {batch_size!r}; use 1 or more, a whole number.")
    if warps is not None:
        factors = list(warps) if isinstance(warps, Iterable) else []
        if len(factors) != recordings or not all(is_number(one) and 0.5 <= one <= 2 for one in factors):
            raise PairAlignError(
                f"warps is {warps!r}; use one factor from 0.5 to 2 for each of {recordings} recordings"
            )
    if progress is not None and not callable(progress):
        raise PairAlignError(f"progress is {progress!r}; use a function that takes the share done, 0 to 1.")


def _told(
    run: Callable[[list[int]], list[Result]], batches: list[list[int]], workers: int, torch_threads: int
) -> Iterator[tuple[list[int], list[Result]]]:
    """Batches and what is said of them, as they are done."""
    workers = min(workers, len(batches))
    if workers < 2:
        yield from ((chosen, run(chosen)) for chosen in batches)
        return
    pool = thread_pool(workers, torch_threads)
    try:
        # the longest windows first: the short ones fill what is left over at the end
        rest = iter(reversed(batches))
        waiting = {pool.submit(run, chosen): chosen for chosen in islice(rest, workers)}
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future.result()
                # only now: whoever is told of the progress may want others to have the machine first
                waiting |= {pool.submit(run, chosen): chosen for chosen in islice(rest, 1)}
    finally:
        pool.shutdown(cancel_futures=True)


def padded(
    waves: list[np.ndarray], warp: torch.Tensor | None, device: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Waves of any lengths on a device: (B, T) with zeros behind, their lengths (B,) in samples, and the warps (B,)."""
    lengths = torch.tensor([len(wave) for wave in waves])
    together = torch.zeros(len(waves), int(lengths.max()))
    for row, wave in zip(together, waves, strict=True):
        row[: len(wave)] = torch.from_numpy(np.ascontiguousarray(wave))
    return together.to(device), lengths.to(device), None if warp is None else warp.to(device)


def unpadded(values: torch.Tensor, lengths: torch.Tensor) -> list[np.ndarray]:
    """The rows of a padded batch (B, T) or (B, T, D), each with its own length."""
    return [row[:n] for row, n in zip(values.cpu().numpy(), lengths.tolist(), strict=True)]
