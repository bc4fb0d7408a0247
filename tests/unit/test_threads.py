"""Several batches at a time change nothing but the time."""

import threading
import time

import numpy as np
import pytest
import torch

from pairalign import batching
from pairalign.threads import shares, thread_pool
from pairalign.windows import whole
from tests.conftest import babble


def test_threads_of_a_pool_compute_alone_and_everybody_elses_are_left_alone():
    before = torch.get_num_threads()
    with thread_pool(2) as pool:
        assert [pool.submit(torch.get_num_threads).result() for _ in range(4)] == [1] * 4
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert torch.get_num_threads() == before and later == [before]


@pytest.mark.parametrize(("threads", "expected"), [(1, (1, 1)), (2, (2, 1)), (4, (4, 1)), (16, (4, 4)), (0, (1, 1))])
def test_threads_are_shared_out(threads, expected):
    assert shares(threads) == expected


def waves(count: int) -> list[np.ndarray]:
    return [np.full(1_600 + 160 * (k * 7 % count), k, np.float32) for k in range(count)]


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 7, 30, 61])
def test_every_window_is_told_once_and_in_order(count, threads):
    given, sizes = waves(count), []

    def work(parts, windows, warp):
        sizes.append(len(parts))
        return [int(part[0]) for part in parts]

    told = batching.each_window(given, [[whole(len(wave))] for wave in given], work, 16, None, None, threads)
    assert told == list(range(count))
    assert max(sizes) <= 16


def test_an_error_or_a_stop_ends_all_batches():
    given, started = waves(64), []

    def work(parts, windows, warp):
        started.append(len(parts))
        time.sleep(0.05)
        return parts

    def stop(share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batching.each_window(given, [[whole(len(wave))] for wave in given], work, 8, None, stop, 2)
    assert len(started) < 8

    def fail(parts, windows, warp):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        batching.each_window(given, [[whole(len(wave))] for wave in given], fail, 8, None, None, 2)


def test_strings_do_not_depend_on_threads(tiny_tokenizer, monkeypatch):
    given = [babble(0.5 + 0.1 * k, seed=k) for k in range(20)]
    told = tiny_tokenizer.tokenize_methods(given, ["pairalign", "vq"])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    alone = tiny_tokenizer.tokenize_methods(given, ["pairalign", "vq"])
    for method in told:
        assert [string.ids for string in told[method]] == [string.ids for string in alone[method]]
