"""Threads for work on a CPU that consists of many small steps, which one thread each does faster than all together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

_starting = threading.Lock()


def thread_pool(workers: int, torch_threads: int = 1) -> ThreadPoolExecutor:
    """Threads in which torch uses so many threads of its own; those of everybody else stay as many as they were."""
    ready = threading.Barrier(workers + 1)

    def begin() -> None:
        torch.set_num_threads(torch_threads)
        torch.get_num_threads()  # from its first use on, a thread keeps its number
        ready.wait()

    pool = ThreadPoolExecutor(workers, "torch", begin)
    # threads that begin later take what was set last: so all begin now, and the number is put back
    with _starting:
        before = torch.get_num_threads()
        for _ in range(workers):
            pool.submit(_nothing)
        ready.wait()
        torch.set_num_threads(before)
    return pool


def _nothing() -> None:
    """Makes a thread begin."""


def shares(threads: int, most_workers: int = 4) -> tuple[int, int]:
    """How to share out a CPU's threads: workers, and threads of torch for each."""
    workers = max(1, min(most_workers, threads))
    return workers, max(1, threads // workers)
