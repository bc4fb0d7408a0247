"""`python -m pairalign search`: the recordings of an archive nearest to a query."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pairalign.archive.archive import Archive
from pairalign.archive.index_command import missing_words
from pairalign.archive.query import MODES, mode_for
from pairalign.terminal import show_notes

WHAT = {"whole": "windows of about 3 s", "contains": "the nearest stretch of each recording"}
COMPILING_S = 2.0


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Options of `search`."""
    command.add_argument("query", metavar="QUERY", help="a recording; - is standard input")
    command.add_argument("--archive", required=True, metavar="DB")
    command.add_argument("--top", type=int, default=10, metavar="N", help="how many hits (default 10)")
    command.add_argument(
        "--mode",
        default="auto",
        choices=MODES,
        help="whole: compare with windows of about 3 s; contains: find the nearest stretch of each recording; "
        "auto (default): whole for a query that fits a window, else contains",
    )
    command.add_argument("--method", default="pairalign", help="the kind of strings to compare (default pairalign)")
    command.add_argument(
        "--recordings",
        metavar="NAME",
        help="only a recording by its path or name, a folder, or a pattern as '*talks/*.wav'",
    )
    command.add_argument(
        "--min-duration", type=float, default=0.0, metavar="S", help="only recordings at least so long"
    )
    command.add_argument("--max-duration", type=float, default=float("inf"), metavar="S", help="... and at most")


def run_from_args(args: argparse.Namespace) -> dict[str, Any]:
    """Serve `search`: the JSON document of the contract. elapsed_ms is the search alone, nothing loaded or compiled."""
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
        with _saying_why_it_takes_time():
            windows = archive.prepare(args.method)
        started = time.perf_counter()
        hits = archive.search(query, args.top, args.mode, args.method, **chosen)
        elapsed_ms = (time.perf_counter() - started) * 1000
    missing = sum(hit.missing for hit in hits)
    if missing:
        print(missing_words(missing, len(hits), "hits"), file=sys.stderr)
    return {
        "query": query.to_dict(),
        "hits": [
            {
                "path": str(hit.path),
                "start_s": hit.start_s,
                "end_s": hit.end_s,
                "distance": hit.distance,
                "normalized": hit.normalized,
                **({"missing": True} if hit.missing else {}),
            }
            for hit in hits
        ],
        "mode": mode_for(query, args.mode),
        "searched_windows": windows,
        "elapsed_ms": elapsed_ms,
    }


@contextmanager
def _saying_why_it_takes_time() -> Iterator[None]:
    """A large archive needs compiled loops; where they are on disk already, nobody has to know."""
    timer = threading.Timer(COMPILING_S, print, ["compiling the search, once per installation"], {"file": sys.stderr})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def show(result: dict[str, Any], args: argparse.Namespace) -> None:
    """The hits as lines of text."""
    query = result["query"]
    print(f"query: {len(query['ids'])} tokens  {query['text']}")
    windows, elapsed_ms, mode = result["searched_windows"], result["elapsed_ms"], result["mode"]
    print(f"{windows} windows searched in {elapsed_ms:.1f} ms, mode {mode}: {WHAT[mode]}\n")
    print(f"{'distance':>8}  {'normalized':>10}  {'from':>8}  {'to':>8}  recording")
    for hit in result["hits"]:
        path = "".join(c if c.isprintable() else "?" for c in hit["path"])
        place = f"{hit['start_s']:>7.2f}s  {hit['end_s']:>7.2f}s"
        gone = "  (the file is gone)" if hit.get("missing") else ""
        print(f"{hit['distance']:>8}  {hit['normalized']:>10.3f}  {place}  {path}{gone}")
    if not result["hits"]:
        print("nothing fits these options")
