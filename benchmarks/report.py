"""All figures of docs/performance.md that compare: python -m benchmarks.report [--threads 2] [--json docs/peers.json]

In one run on one machine: PairAlign beside other tokenizers (`peers`, which needs `pip install transformers`), the
parts that its time goes to, and `python -m pairalign bench`: search beside RapidFuzz, a sweep, steps of training.
Prints Markdown and writes JSON; some minutes on two cores. Nothing is asserted; a busy machine makes larger figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks import peers
from pairalign.bench.machine import describe_machine
from pairalign.bench.stopwatch import time_tasks
from pairalign.bench.tasks import part_tasks
from pairalign.tokenizer import load

PART_ROUNDS = 64


def measure_parts(threads: int) -> list[dict]:
    """The parts of PairAlign's time for one clip, of the clips that the other tokenizers get."""
    torch.set_num_threads(threads)
    return [asdict(one) for one in time_tasks(part_tasks(load("base", device="cpu"), peers.read_clips()), PART_ROUNDS)]


def run_bench(threads: int) -> list[dict]:
    """The results of `python -m pairalign bench`."""
    command = [sys.executable, "-m", "pairalign", "bench", "--json", "--device", "cpu", "--threads", str(threads)]
    done = subprocess.run(command, cwd=peers.ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8", check=True)
    return json.loads(done.stdout)["results"]


def table(results: list[dict]) -> str:
    """Results of `bench` as Markdown."""
    lines = ["| what | n | p50 ms | p95 ms | per s | x real time |", "|---|---|---|---|---|---|"]
    for one in results:
        factor = "–" if one["real_time_factor"] is None else f"{one['real_time_factor']:.0f}"
        times = f"{one['p50_ms']:.1f} | {one['p95_ms']:.1f} | {one['per_s']:.1f}"
        lines.append(f"| {one['name']} | {one['n']} | {times} | {factor} |")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="of torch, for every tokenizer (default 2)")
    parser.add_argument("--rounds", type=int, default=40, help="how often a tokenizer gets a clip (default 40)")
    parser.add_argument("--json", type=Path, default=peers.ROOT / "docs" / "peers.json", help="where to write it all")
    args = parser.parse_args()
    machine = describe_machine() | {"threads": args.threads}
    try:
        found = {"machine": machine, "peers": peers.measure_peers(args.threads, args.rounds)}
    except ValueError as mistake:
        print(mistake, file=sys.stderr)
        return 2
    found |= {"parts": measure_parts(args.threads), "bench": run_bench(args.threads)}
    machine["load_after"] = round(os.getloadavg()[0], 2)
    args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(peers.table(found["peers"]), table(found["parts"]), table(found["bench"]), machine, sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
