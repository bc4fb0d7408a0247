"""How long speech tokenizers take for the same audio; `python -m benchmarks.report` runs it.

PairAlign (as shipped, greedy, and its VQ strings) beside EnCodec, Mimi and HuBERT with k-means (`peer_models`), from
samples to tokens: one clip of 3 s at a time, and batches. Each works in a process of its own with the same number of
threads, and they take turns, round by round, so that what else the machine does disturbs all of them. Clips are cut
from the shipped recordings (synthetic voices), and resampled to the rate that a tokenizer wants before the clock runs.
Peak memory is that of the whole process, Python and torch included, for clips one at a time, and after the batches.
Beside the wait stands the processor's time, of all threads together, which other programs disturb less.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.peer_models import PEERS
from pairalign.audio import SAMPLE_RATE_HZ, read_audio
from pairalign.bench.machine import peak_memory_mb

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "app" / "examples").rglob("*.ogg"))
CLIP_S, CLIPS = 3.0, 32
CLIP_SAMPLES = round(CLIP_S * SAMPLE_RATE_HZ)
SIZES = (1, 8, 32)
SHARE = {1: 1, 8: 4, 32: 8}  # batches have a fourth, an eighth of the rounds
WARM_UP = 1  # rounds that do not count
PAUSE_S = 0.02  # until the threads of the one before have gone to sleep


def read_clips() -> np.ndarray:
    """Clips of 3 s from the shipped recordings put end to end, (32, T) at 16 kHz."""
    speech = np.concatenate([read_audio(path) for path in EXAMPLES])
    return speech[: CLIPS * CLIP_SAMPLES].reshape(CLIPS, CLIP_SAMPLES)


def measure_peers(threads: int, rounds: int) -> list[dict]:
    """What every tokenizer takes; a dict each. Raises: ValueError when transformers is not installed."""
    if importlib.util.find_spec("transformers") is None:
        raise ValueError("the other tokenizers are built from transformers: pip install transformers")
    workers = {name: Worker(name, threads) for name in PEERS}
    try:
        found = {name: worker.answer() for name, worker in workers.items()}
        for size in SIZES:
            told: dict[str, list[dict]] = {name: [] for name in workers}
            for k in range(WARM_UP + -(-rounds // SHARE[size])):
                for name, worker in workers.items():
                    told[name].append(worker.ask(size, k))
                    time.sleep(PAUSE_S)
            for name, answers in told.items():
                found[name] |= summary(size, answers[WARM_UP:])
        return [{"name": name, **found[name]} for name in workers]
    finally:
        for worker in workers.values():
            worker.end()


def summary(size: int, answers: list[dict]) -> dict:
    """Answers for batches of one size in figures."""
    p50, p95 = np.percentile([one["ms"] for one in answers], [50, 95])
    return {
        f"n_{size}": len(answers),
        f"p50_ms_{size}": p50,
        f"p95_ms_{size}": p95,
        f"processor_ms_{size}": statistics.median(one["processor_ms"] for one in answers),
        f"real_time_factor_{size}": 1000 * size * CLIP_S / p50,
        f"tokens_per_s_{size}": statistics.mean(one["tokens"] for one in answers) / CLIP_S,
        f"peak_mb_{size}": answers[-1]["peak_mb"],
    }


class Worker:
    """A process that holds one tokenizer."""

    def __init__(self, name: str, threads: int) -> None:
        command = [sys.executable, "-m", "benchmarks.peers", name, "--threads", str(threads)]
        self.name = name
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, encoding="utf-8")

    def ask(self, size: int, k: int) -> dict:
        """Let it write the tokens of round k: `size` clips."""
        self.process.stdin.write(f"{size} {k}\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> dict:
        """The next line that it says. Raises: RuntimeError when it has ended instead."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process that measures {self.name} ended with status {self.process.wait()}")
        return json.loads(line)

    def end(self) -> None:
        """No more questions."""
        self.process.terminate()
        self.process.communicate()


def work(name: str, threads: int) -> None:
    """What such a process does: it answers every line `SIZE ROUND` on stdin with a line of JSON."""
    import torch
    from torchaudio.functional import resample

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    clips, peer = read_clips(), PEERS[name]()
    waves = resample(torch.from_numpy(clips), SAMPLE_RATE_HZ, peer.rate_hz).numpy()
    answer({"codes": peer.codes, "parameters": peer.parameters, "weights_mb": peer.weights_mb})
    for line in sys.stdin:
        size, k = map(int, line.split())
        first = k * size % CLIPS
        start, started = time.perf_counter(), time.process_time()
        tokens = peer.write(waves[first : first + size])
        taken, spent = time.perf_counter() - start, time.process_time() - started
        told = {"ms": 1000 * taken, "processor_ms": 1000 * spent, "tokens": statistics.mean(tokens)}
        answer(told | {"peak_mb": peak_memory_mb()})


def answer(found: dict) -> None:
    """A line of JSON for the process that started this one."""
    print(json.dumps(found), flush=True)


def table(peers: list[dict]) -> str:
    """The figures as Markdown; ratios are to the first, which is PairAlign as shipped."""
    lines = [
        "| tokenizer | parameters | weights MB | tokens/s | kbit/s | one clip, p50 ms | p95 ms | processor ms "
        "| times PairAlign's p50 | x real time | batch of 8 | batch of 32 | peak MB | batch of 32 |",
        "|---" * 14 + "|",
    ]
    for one in peers:
        kilobits = one["tokens_per_s_1"] * math.log2(one["codes"]) / 1000
        cells = [one["name"], f"{one['parameters'] / 1e6:.1f} M", f"{one['weights_mb']:.0f}"]
        cells += [f"{one['tokens_per_s_1']:.0f}", f"{kilobits:.2f}"]
        cells += [f"{one[name]:.0f}" for name in ("p50_ms_1", "p95_ms_1", "processor_ms_1")]
        cells += [f"{one['p50_ms_1'] / peers[0]['p50_ms_1']:.1f}"]
        cells += [f"{one[f'real_time_factor_{size}']:.0f}" for size in SIZES]
        cells += [f"{one[f'peak_mb_{size}']:.0f}" for size in (1, 32)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=tuple(PEERS), help="the tokenizer that this process is to hold")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    work(options.name, options.threads)
