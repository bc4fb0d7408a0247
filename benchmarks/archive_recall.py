"""Distorted queries against an archive: python -m benchmarks.archive_recall --manifest CSV [--limit 500] [--json FILE]

The test segments of `evaluate` (its protocol R1) are written as recordings and indexed; their distorted, shifted views
are the queries of `Archive.search`. Told for each method: how often the segment itself is the first hit (recall@1) and
the mean of 1 / its place (MRR), beside what `evaluate` counts from all distances. Hits with the same transcript as the
query are passed over, as there.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import pairalign
from pairalign.audio import write_audio
from pairalign.evaluation import metrics, protocols
from pairalign.training.bank import load_bank
from pairalign.training.corpora import of_split, read_manifest

METHODS = ("pairalign", "vq")


def search_ranks(archive: pairalign.Archive, queries: list, trials: protocols.Trials, method: str) -> tuple:
    """For each query its own place among the wrong answers, and how long the search took in ms."""
    ranks, times_ms = [], []
    for k, query in enumerate(queries):
        started = time.perf_counter()
        hits = archive.search(query, top=len(queries), method=method, mode="whole")
        times_ms.append((time.perf_counter() - started) * 1000)
        found = [int(hit.path.stem) for hit in hits]
        wrong = [j for j in found[: found.index(k)] if not trials.related[k, j]]
        ranks.append(1 + len(wrong))
    return np.array(ranks), np.array(times_ms)


def measure(manifest: str, checkpoint: str, limit: int, cache: str | None) -> dict:
    """Both methods' recall@1 and MRR through search, and by `evaluate`'s protocol on the same strings."""
    tokenizer = pairalign.load(checkpoint)
    utterances = read_manifest(manifest)
    bank = load_bank(utterances, Path(cache) if cache else None)
    trials = protocols.make_trials(bank, of_split(utterances, "dev"), limit)
    result: dict = {"checkpoint": tokenizer.name, "segments": len(trials.clean), "methods": {}}
    with tempfile.TemporaryDirectory() as folder:
        for k, wave in enumerate(trials.clean):
            write_audio(Path(folder) / f"{k:05}.wav", wave)
        archive = pairalign.Archive.open(Path(folder) / "segments.db", tokenizer, METHODS)
        report = archive.add_folder(folder)
        result["ingest_real_time_factor"] = report.real_time_factor
        for method in METHODS:
            queries = tokenizer.tokenize_batch(trials.view_b, method, warps=trials.warps_b)
            clean = tokenizer.tokenize_batch(trials.clean, method)
            ranks, times_ms = search_ranks(archive, queries, trials, method)
            distances = metrics.distance_matrix([q.ids for q in queries], [c.ids for c in clean])
            counted = protocols.rank_segments(distances, trials)
            result["methods"][method] = {
                "recall_1": float((ranks == 1).mean()),
                "mrr": float((1 / ranks).mean()),
                "evaluate_recall_1": counted["recall_1"].value,
                "evaluate_mrr": counted["mrr"].value,
                "query_p50_ms": float(np.median(times_ms)),
            }
    return result


def main() -> None:
    """Print the table; --json also writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--manifest", required=True)
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--cache", help="folder for decoded audio, as of `evaluate`")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    result = measure(args.manifest, args.checkpoint, args.limit, args.cache)
    print(f"{result['segments']} segments, checkpoint {result['checkpoint']}\n")
    print("| method | recall@1 by search | by evaluate | MRR by search | by evaluate | query p50, all hits, ms |")
    print("|---|---|---|---|---|---|")
    for name, told in result["methods"].items():
        cells = [f"{told[key]:.3f}" for key in ("recall_1", "evaluate_recall_1", "mrr", "evaluate_mrr")]
        print(f"| {name} | {' | '.join(cells)} | {told['query_p50_ms']:.1f} |")
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1), encoding="utf-8")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
