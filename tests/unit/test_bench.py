"""`python -m pairalign bench` on a tiny untrained model: the contract, not the figures."""

import json
import sys
from functools import partial

import numpy as np
import pytest
import torch

from pairalign import cli
from pairalign.bench import stopwatch, tasks
from pairalign.bench.machine import peak_memory_mb
from pairalign.bench.stopwatch import Task, time_tasks
from pairalign.training.config import TrainConfig

RESULT_KEYS = ["name", "n", "p50_ms", "p95_ms", "per_s", "real_time_factor"]


@pytest.fixture
def bench(tiny_checkpoint, capsys):
    def call(*args):
        status = cli.main(["bench", "--checkpoint", str(tiny_checkpoint), "--device", "cpu", *args])
        out, err = capsys.readouterr()
        return status, out, err

    return call


def test_everything_is_measured(bench, monkeypatch):
    monkeypatch.setattr(tasks, "WINDOWS", 2_000)
    monkeypatch.setattr(tasks, "BATCH", 4)
    monkeypatch.setattr(stopwatch, "WARM_UP", 1)
    monkeypatch.setattr(tasks, "TrainConfig", partial(TrainConfig, augmentation_batch=2, string_batch=2))
    threads = torch.get_num_threads()
    status, out, _ = bench("--json", "--rounds", "1", "--threads", "1")
    found = json.loads(out)
    assert status == 0 and list(found) == ["machine", "results"]
    assert found["machine"]["threads"] == 1 and torch.get_num_threads() == threads
    names = [one["name"] for one in found["results"]]
    assert len(set(names)) == len(names)
    assert {name.split(":")[0] for name in names} == {"tokenize", "search", "sweep", "train"}
    for one in found["results"]:
        assert list(one) == RESULT_KEYS
        assert one["n"] >= 1 and 0 < one["p50_ms"] <= one["p95_ms"] and one["per_s"] > 0
        heard = one["name"].startswith(("tokenize", "sweep"))
        assert (one["real_time_factor"] is not None) == heard
        if heard:
            seconds = {"tokenize: batch": 12.0, "sweep": 63.0}
            audio_s = next((s for start, s in seconds.items() if one["name"].startswith(start)), 3.0)
            assert one["real_time_factor"] == pytest.approx(1000 * audio_s / one["p50_ms"])


def test_one_thing_as_a_table(bench, monkeypatch):
    monkeypatch.setattr(tasks, "WINDOWS", 500)
    status, out, _ = bench("--what", "search", "--rounds", "3")
    assert status == 0 and "search: 500 strings, RapidFuzz cdist" in out and "tokenize" not in out


@pytest.mark.parametrize(
    "args",
    [
        ("--what", "tokenise"),
        ("--what", ","),
        ("--rounds", "0"),
        ("--threads", "0"),
        ("--checkpoint", "none.safetensors"),
    ],
)
def test_mistakes_get_one_line_and_status_2(bench, args):
    status, out, err = bench(*args)
    assert status == 2 and out == "" and err.count("\n") == 1 and err.startswith("pairalign")


def test_rounds_are_taken_in_turns_and_warming_up_does_not_count():
    called = []
    results = time_tasks([Task("a", lambda k: called.append(("a", k)), 2), Task("b", lambda k: called.append("b"))], 3)
    assert [one for one in called if one != "b"] == [("a", k) for k in range(-2, 3)]
    assert called[1::2] == ["b"] * 5
    assert [one.n for one in results] == [3, 3] and results[0].per_s > 0 and results[0].real_time_factor is None


def test_a_search_that_finds_something_else_is_no_measurement(tiny_tokenizer, monkeypatch):
    monkeypatch.setattr(tasks, "WINDOWS", 200)
    monkeypatch.setattr(tasks, "nearest_windows", lambda *_, **__: [])
    with pytest.raises(RuntimeError, match="disagree"):
        tasks.measure_search(tiny_tokenizer, 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_peak_memory_counts_what_was_held():
    held = np.ones(10_000_000)
    assert peak_memory_mb() > held.nbytes / 1e6
