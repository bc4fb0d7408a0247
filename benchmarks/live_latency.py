"""From the end of a piece of sound to its tokens: python -m benchmarks.live_latency [--minutes 5] [--json FILE]

Feeds the shipped recordings, with pauses between them, to a stream in pieces of half a second, as the Live tab does,
and times every update. The clock is sped up: a piece comes as soon as the one before is done, and how far a listener
would have been behind real time is computed from the times. At the end the committed tokens are compared with the
string of the whole recording. Nothing is asserted; a busy machine makes larger figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PIECE_S = 0.5
PAUSE_S = 0.7


def speech(minutes: float) -> np.ndarray:
    """The shipped recordings over and over, (T,) at 16 kHz, with a faint noise in the pauses."""
    from pairalign.audio import SAMPLE_RATE_HZ, read_audio

    pause = np.random.default_rng(0).normal(0, 3e-4, round(PAUSE_S * SAMPLE_RATE_HZ)).astype(np.float32)
    once = np.concatenate(
        [part for path in sorted((ROOT / "app" / "examples").glob("*.ogg")) for part in (read_audio(path), pause)]
    )
    samples = round(60 * minutes * SAMPLE_RATE_HZ)
    return np.tile(once, -(-samples // len(once)))[:samples]


def measure(checkpoint: str, device: str, threads: int, wave: np.ndarray) -> dict:
    """Times of all updates, how far behind real time they were, and how the string compares with the offline one."""
    import torch

    import pairalign
    from pairalign.audio import SAMPLE_RATE_HZ
    from pairalign.streaming import Stream
    from pairalign.strings import edit_distance

    torch.set_num_threads(threads)
    tokenizer = pairalign.load(checkpoint, device=device)
    size = round(PIECE_S * SAMPLE_RATE_HZ)
    for start in range(0, 10 * size, size):  # warms up
        stream = Stream()
        stream.add(wave[: start + size])
        stream.update(tokenizer)
    stream, ids, waits_ms, done_s, behind_s = Stream(), [], [], 0.0, []
    for start in range(0, len(wave), size):
        begun = time.perf_counter()
        stream.add(wave[start : start + size])
        ids += [token.id for token in stream.update(tokenizer).committed]
        took_s = time.perf_counter() - begun
        waits_ms.append(1000 * took_s)
        came_s = (start + size) / SAMPLE_RATE_HZ
        done_s = max(done_s, came_s) + took_s
        behind_s.append(done_s - came_s)
    ids += [token.id for token in stream.finish(tokenizer).committed]
    offline = tokenizer.tokenize(wave).ids
    return {
        "device": f"{tokenizer.device}, threads: {threads}",
        "waits_ms": waits_ms,
        "behind_s": behind_s,
        "revision_rate": stream.revision_rate,
        "tokens": len(ids),
        "distance_to_offline": edit_distance(ids, offline),
    }


def table(found: dict) -> str:
    """The figures as Markdown."""
    waits = sorted(found["waits_ms"])
    p95 = waits[max(0, -(-len(waits) * 95 // 100) - 1)]
    rows = (
        ("updates of 0.5 s", f"{len(waits)}"),
        ("p50", f"{statistics.median(waits):.0f} ms"),
        ("p95", f"{p95:.0f} ms"),
        ("longest", f"{waits[-1]:.0f} ms"),
        ("farthest behind real time", f"{max(found['behind_s']):.2f} s"),
        ("tentative tokens revised", f"{100 * found['revision_rate']:.1f} %"),
        ("committed tokens", f"{found['tokens']}"),
        ("edit distance to the offline string", f"{found['distance_to_offline']}"),
    )
    return "\n".join([f"| {found['device']} | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1, help="of torch; the Live tab decodes with one (default 1)")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--json", type=Path, help="write all times there")
    args = parser.parse_args()
    found = measure(args.checkpoint, args.device, args.threads, speech(args.minutes))
    print(table(found))
    if args.json:
        machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
        args.json.write_text(json.dumps({"machine": machine} | found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
