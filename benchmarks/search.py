"""How long a search takes: python -m benchmarks.search --strings FILE.npz [--manifest CSV] [--json FILE]

Archives of 10^4 to 10^7 windows are made from real strings: those of the dev recordings of a manifest are tokenized
once (some minutes) and kept in FILE.npz; later runs need the file alone. An archive is a row of pieces of 6 tokens from
random places of those strings, cut into windows as long as real windows of 3 s, 1 to 9 of them a recording: frequencies
of tokens, their neighbours and lengths are as in speech.

Queries, whole: half are windows of the archive with 25 % of their tokens changed, left out or added to (as views do),
half are real windows, which an archive of pieces does not hold. Contains: 5 to 10 tokens of the archive, so distorted.
Brute force, whole: RapidFuzz cdist of one query with a list of str, sorting out the best not counted; the answers are
compared. Contains: RapidFuzz has no such distance, so everything is compared by our own loops. Above a million windows
brute force is not run; its figure is that of a million in proportion to the windows.
Nothing is asserted about time; a busy machine makes larger figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pairalign.archive.column import Column, pack, pack_arrays
from pairalign.archive.search import distance_counts, nearest_recordings, nearest_windows
from pairalign.windows import WINDOW_S

PIECE_TOKENS = 6
MOST_WINDOWS = 9  # of a recording
DISTORTED = 0.25
TOP = 10
BRUTE_FORCE_UP_TO = 1_000_000
BRUTE_FORCE_QUERIES = 5


@dataclass(frozen=True)
class Strings:
    """Real strings: tokens (N,) uint16, edges (R + 1,) of recordings, and token counts of whole windows of 3 s."""

    tokens: np.ndarray
    edges: np.ndarray
    window_lengths: np.ndarray


def tokenize(manifest: str, checkpoint: str, method: str, limit: int) -> Strings:
    """Strings of up to `limit` dev recordings of a manifest, drawn with a fixed seed."""
    import pairalign
    from pairalign.training.corpora import of_split, read_manifest

    utterances = read_manifest(manifest)
    items = np.random.default_rng(0).permutation(of_split(utterances, "dev"))[:limit]
    strings = pairalign.load(checkpoint).tokenize_batch([utterances[i].path for i in items], method)
    lengths = []
    for string in strings:
        in_window = np.array([start_s for start_s, _ in string.spans_s]) // WINDOW_S
        lengths += [int((in_window == k).sum()) for k in range(int(string.duration_s // WINDOW_S))]
    edges = np.cumsum([0, *map(len, strings)])
    return Strings(np.concatenate([np.array(s.ids, dtype=np.uint16) for s in strings]), edges, np.array(lengths))


def read_or_make(path: Path, args: argparse.Namespace) -> Strings:
    """The strings kept in a file, or tokenized and kept there."""
    if not path.exists():
        if not args.manifest:
            raise SystemExit(f"{path} does not exist: give --manifest CSV to make it.")
        made = tokenize(args.manifest, args.checkpoint, args.method, args.recordings)
        np.savez(path, tokens=made.tokens, edges=made.edges, window_lengths=made.window_lengths)
    with np.load(path) as kept:
        return Strings(kept["tokens"], kept["edges"], kept["window_lengths"])


def resample(strings: Strings, windows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """tokens, window edges and first windows of an archive of pieces of real strings."""
    edges = np.concatenate([[0], np.cumsum(rng.choice(strings.window_lengths, windows))])
    pieces = -(-int(edges[-1]) // PIECE_TOKENS)
    tokens = np.empty(pieces * PIECE_TOKENS, dtype=np.uint16)
    places = np.concatenate(
        [np.arange(a, b - PIECE_TOKENS + 1) for a, b in zip(strings.edges[:-1], strings.edges[1:], strict=True)]
    )
    for first in range(0, pieces, 1 << 20):
        last = min(pieces, first + (1 << 20))
        taken = rng.choice(places, last - first)[:, None] + np.arange(PIECE_TOKENS)
        tokens[first * PIECE_TOKENS : last * PIECE_TOKENS] = strings.tokens[taken].ravel()
    ends = np.cumsum(rng.integers(1, MOST_WINDOWS + 1, windows))
    return tokens[: edges[-1]], edges, np.concatenate([[0], ends[ends < windows], [windows]])


def distort(ids: np.ndarray, strings: Strings, rng: np.random.Generator) -> np.ndarray:
    """A quarter of the tokens changed, left out or added to, a third each; new ones as frequent as in speech."""
    edits = rng.choice(["keep", "change", "leave", "add"], len(ids), p=[1 - DISTORTED, *[DISTORTED / 3] * 3])
    out: list[int] = []
    for token, edit in zip(ids, edits, strict=True):
        if edit in ("keep", "add"):
            out.append(int(token))
        if edit in ("change", "add"):
            out.append(int(rng.choice(strings.tokens)))
    return np.array(out or ids[:1], dtype=np.uint16)


def make_queries(column: Column, strings: Strings, mode: str, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Queries of a mode, see above."""
    queries = []
    for k in range(count):
        length = int(rng.choice(strings.window_lengths) if mode == "whole" else rng.integers(5, 11))
        if mode == "contains":
            start = rng.integers(len(column.tokens) - length)
            queries.append(distort(column.tokens[start : start + length], strings, rng))
        elif k % 2 == 0:
            queries.append(distort(column.window_ids(int(rng.integers(column.windows))), strings, rng))
        else:
            start = rng.integers(len(strings.tokens) - length)
            queries.append(strings.tokens[start : start + length])
    return queries


def milliseconds(act: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - start)


def brute_force(column: Column, queries: list[np.ndarray], mode: str) -> dict[str, list[float]]:
    """Milliseconds of comparing each query with everything, by the way it is done; checks the search's answers."""
    if mode == "contains":
        return {"brute_ms": [milliseconds(lambda q=q: distance_counts(column, q, mode)) for q in queries]}
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    glyphs = np.arange(0x100, 0x100 + column.vocab_size, dtype=np.uint32)
    text = glyphs[column.tokens].tobytes().decode("utf-32-le")
    edges = column.window_edges.tolist()
    texts = [text[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    waits: dict[str, list[float]] = {"brute_ms": [], "brute_all_workers_ms": []}
    for query in queries:
        written = ["".join(chr(0x100 + i) for i in query.tolist())]
        for name, workers in (("brute_ms", 1), ("brute_all_workers_ms", -1)):
            start = time.perf_counter()
            distances = cdist(written, texts, scorer=Levenshtein.distance, workers=workers)[0]
            waits[name].append(1000 * (time.perf_counter() - start))
        best = np.lexsort((np.arange(len(distances)), distances))[:TOP]
        found = [(match.window, match.distance) for match in nearest_windows(column, query, TOP)]
        if found != [(w, distances[w]) for w in best]:
            raise SystemExit(f"the search and brute force disagree on {query.tolist()}")
    return waits


def measure(strings: Strings, windows: int, count: int) -> list[dict]:
    """A result per mode for an archive of that size."""
    rng = np.random.default_rng(windows)
    arrays = resample(strings, windows, rng)
    start = time.perf_counter()
    column = pack_arrays(*arrays)
    build_s = time.perf_counter() - start
    results = []
    for mode, find in (("whole", nearest_windows), ("contains", nearest_recordings)):
        queries = make_queries(column, strings, mode, count, rng)
        waits = [milliseconds(lambda q=q, find=find: find(column, q, TOP)) for q in queries]
        result = {"windows": windows, "recordings": column.recordings, "mode": mode, "build_s": build_s}
        result |= {"bytes_per_window": column.nbytes / windows, "waits_ms": waits}
        if windows <= BRUTE_FORCE_UP_TO:
            result |= brute_force(column, queries[:BRUTE_FORCE_QUERIES], mode)
        results.append(result)
    return results


def warm_up(strings: Strings) -> float:
    """Seconds until the loops are compiled, into an empty cache."""
    start = time.perf_counter()
    column = pack([[strings.tokens[:30], strings.tokens[30:60]]])
    for length in (20, 70):
        nearest_windows(column, strings.tokens[:length], 1)
        nearest_recordings(column, strings.tokens[:length], 1)
    return time.perf_counter() - start


def table(results: list[dict]) -> str:
    """The results as Markdown."""
    lines = [
        "| windows | mode | build s | bytes/window | p50 ms | p95 ms | brute ms | workers=-1 ms | times faster |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    known: dict[str, dict[str, float]] = {}
    for result in results:
        p50, p95 = np.percentile(result["waits_ms"], [50, 95])
        for name in ("brute_ms", "brute_all_workers_ms"):
            if name in result:
                known.setdefault(result["mode"], {})[name] = np.median(result[name]) / result["windows"]
        brute = [per * result["windows"] for per in known.get(result["mode"], {}).values()]
        mark = "" if "brute_ms" in result else "*"
        cells = [f"{ms:.0f}{mark}" for ms in brute] + ["–"] * (2 - len(brute))
        faster = f"{min(brute) / p50:.1f}{mark}" if brute else "–"
        lines.append(
            f"| {result['windows']:,} | {result['mode']} | {result['build_s']:.2f} | {result['bytes_per_window']:.0f} "
            f"| {p50:.1f} | {p95:.1f} | {' | '.join(cells)} | {faster} |"
        )
    if any("brute_ms" not in result for result in results):
        lines += ["", "\\* not run at this size: scaled from the size before, in proportion to the windows"]
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--strings", type=Path, required=True, help="an npz with real strings; made when missing")
    parser.add_argument("--manifest", help="CSV whose dev recordings are tokenized when the npz is missing")
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--method", default="pairalign")
    parser.add_argument("--recordings", type=int, default=400, help="how many recordings to tokenize")
    parser.add_argument("--sizes", default="10000,100000,1000000,10000000", help="windows, separated by commas")
    parser.add_argument("--queries", type=int, default=40, help="per size and mode")
    parser.add_argument("--json", type=Path, help="write all waits there")
    args = parser.parse_args()
    strings = read_or_make(args.strings, args)
    with tempfile.TemporaryDirectory() as cache:
        os.environ["NUMBA_CACHE_DIR"] = cache
        compile_s = warm_up(strings)
        load_before = os.getloadavg()[0]
        results = [result for size in args.sizes.split(",") for result in measure(strings, int(size), args.queries)]
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    machine |= {"python": platform.python_version(), "load_before": load_before}
    print(table(results))
    print(f"Import of numba and compilation, once per installation: {compile_s:.1f} s. {machine}")
    if args.json:
        report = {"machine": machine, "compile_s": compile_s, "results": results}
        args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
