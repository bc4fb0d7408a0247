"""`python -m pairalign search`: the recordings of an archive nearest to a query."""

from __future__ import annotations

import argparse
import time
from typing import Any

from pairalign.archive.archive import MODES, Archive
from pairalign.terminal import show_notes


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Options of `search`."""
    command.add_argument("query", metavar="QUERY", help="a recording; - is standard input")
    command.add_argument("--archive", required=True, metavar="DB")
    command.add_argument("--top", type=int, default=10, metavar="N", help="how many hits (default 10)")
    command.add_argument(
        "--mode",
        default="whole",
        choices=MODES,
        help="whole: compare with windows of about 3 s (default); contains: find the nearest stretch of each recording",
    )
    command.add_argument("--method", default="pairalign", help="the kind of strings to compare (default pairalign)")
    command.add_argument("--recordings", metavar="PATTERN", help="only recordings whose path fits, as '*talks/*.wav'")
    command.add_argument(
        "--min-duration", type=float, default=0.0, metavar="S", help="only recordings at least so long"
    )
    command.add_argument("--max-duration", type=float, default=float("inf"), metavar="S", help="... and at most")


def run_from_args(args: argparse.Namespace) -> dict[str, Any]:
    """Serve `search`: the JSON document of the contract. elapsed_ms is the search alone, without loading anything."""
    from pairalign.audio import read_audio

    notes: list[str] = []
    wave = read_audio(args.query, notes=notes)
    show_notes(notes)
    Archive.open(args.archive, create=False)  # a wrong name is told at once, not after loading torch
    from pairalign.tokenizer import load

    with Archive.open(args.archive, load(args.checkpoint, args.device), create=False) as archive:
        query = archive.query(wave, args.method, args.mode)
        chosen = {
            "recordings": args.recordings,
            "min_duration_s": args.min_duration,
            "max_duration_s": args.max_duration,
        }
        windows = archive.prepare(args.method)
        started = time.perf_counter()
        hits = archive.search(query, args.top, args.mode, args.method, **chosen)
        elapsed_ms = (time.perf_counter() - started) * 1000
    return {
        "query": query.to_dict(),
        "hits": [
            {
                "path": str(hit.path),
                "start_s": hit.start_s,
                "end_s": hit.end_s,
                "distance": hit.distance,
                "normalized": hit.normalized,
            }
            for hit in hits
        ],
        "searched_windows": windows,
        "elapsed_ms": elapsed_ms,
    }


def show(result: dict[str, Any], args: argparse.Namespace) -> None:
    """The hits as lines of text."""
    query = result["query"]
    print(f"query: {len(query['ids'])} tokens  {query['text']}")
    print(f"{result['searched_windows']} windows searched in {result['elapsed_ms']:.1f} ms\n")
    print(f"{'distance':>8}  {'normalized':>10}  {'from':>8}  {'to':>8}  recording")
    for hit in result["hits"]:
        path = "".join(c if c.isprintable() else "?" for c in hit["path"])
        place = f"{hit['start_s']:>7.2f}s  {hit['end_s']:>7.2f}s"
        print(f"{hit['distance']:>8}  {hit['normalized']:>10.3f}  {place}  {path}")
    if not result["hits"]:
        print("nothing fits these options")
