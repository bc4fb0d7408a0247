"""`python -m pairalign index`: recordings into an archive, and what can be done with an archive as a file."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pairalign.archive.archive import DEFAULT_METHODS, Archive
from pairalign.archive.cluster import ClusterOptions, add_on_ray, require_ray
from pairalign.archive.ingest import IngestReport, Progress, audio_files
from pairalign.archive.shards import attach
from pairalign.archive.store import Store
from pairalign.errors import PairAlignError
from pairalign.terminal import times_words


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Options of `index`."""
    both = ",".join(DEFAULT_METHODS)
    command.add_argument("source", nargs="?", metavar="FOLDER", help="a folder, a manifest CSV or one recording")
    command.add_argument("--archive", required=True, metavar="DB", help="the archive's file; made when there is none")
    command.add_argument("--method", default=both, help=f"kinds of strings a new archive keeps (default {both})")
    command.add_argument("--split", help="of a manifest: only this split")
    command.add_argument(
        "--workers", type=int, help="decoding processes (default one for two cores, at most 4); actors of a cluster"
    )
    command.add_argument(
        "--engine", default="local", choices=("local", "ray"), help="this machine (default), or a Ray cluster"
    )
    command.add_argument(
        "--shards",
        metavar="DIR",
        help="where a cluster writes its Parquet files (default DB.shards); without FOLDER: add what lies there",
    )
    command.add_argument("--ray-address", metavar="ADDRESS", help="of a running cluster (default: one is started here)")
    command.add_argument("--info", action="store_true", help="only tell what the archive holds, after checking it")
    command.add_argument("--remove", metavar="PATTERN", help="take out recordings whose path fits, for example '*.mp3'")
    command.add_argument("--vacuum", action="store_true", help="give the space of removed recordings back to the disk")


def run_from_args(args: argparse.Namespace) -> dict[str, Any]:
    """Serve `index`: the JSON document of the contract, or the archive's totals for --info, --remove and --vacuum."""
    chores = args.info or args.remove is not None or args.vacuum
    if chores + bool(args.source or args.shards) != 1:
        raise PairAlignError("name a FOLDER to index, or use --shards, --info, --remove or --vacuum without one")
    if chores:
        return _look_after(args)
    if not args.source:
        return document(attach(Store(args.archive), args.shards))
    if args.engine == "ray":
        require_ray()
    elif args.shards or args.ray_address:
        raise PairAlignError(
            "--shards and --ray-address with a FOLDER are for --engine ray: add that, or leave them out"
        )
    paths = audio_files(args.source, args.split)  # a wrong name is told at once, not after loading torch
    Store(args.archive)
    from pairalign.tokenizer import load

    methods = tuple(dict.fromkeys(name.strip() for name in args.method.split(",") if name.strip()))
    tokenizer = load(args.checkpoint, "cpu" if args.engine == "ray" else args.device)
    with Archive.open(args.archive, tokenizer, methods) as archive:
        if args.engine == "local":
            return document(_with_progress(len(paths), partial(archive.add_files, paths, args.workers)))
        folder = args.shards or f"{args.archive}.shards"
        options = ClusterOptions(args.ray_address, args.workers, args.device)
        job = partial(add_on_ray, archive.store, tokenizer, args.checkpoint, paths, archive.methods, folder, options)
        return document(_with_progress(len(paths), job))


def document(report: IngestReport) -> dict[str, Any]:
    """The JSON document of what was added."""
    return {
        "recordings": report.recordings,
        "windows": report.windows,
        "tokens": report.tokens,
        "seconds": report.seconds,
        "skipped": [asdict(one) for one in report.skipped],
        "real_time_factor": report.real_time_factor,
        "known": report.known,
        "replaced": report.replaced,
    }


def _with_progress(files: int, add: Callable[..., IngestReport]) -> IngestReport:
    from tqdm import tqdm

    # disable=None: no bar where stderr is not a terminal
    with tqdm(total=files, unit="file", file=sys.stderr, disable=None) as bar:

        def show(progress: Progress) -> None:
            bar.set_postfix_str(f"{times_words(progress.rate)} x real time", refresh=False)
            bar.update(progress.files_done - bar.n)

        report = add(progress=show)
    for one in report.skipped:
        print(f"skipped {Path(one.path).name}: {one.reason}", file=sys.stderr)
    return report


def _look_after(args: argparse.Namespace) -> dict[str, Any]:
    with Archive.open(args.archive, create=False) as archive:
        removed = []
        if args.remove is not None:
            removed = archive.recordings(args.remove)
            archive.remove([recording.id for recording in removed])
        if args.vacuum:
            archive.vacuum()
        archive.store.check()
        info = archive.info()
    model = {"checkpoint": info.model.name, "model_sha256": info.model.sha256} if info.model else {}
    return {
        **model,
        "removed": len(removed),
        "recordings": info.recordings,
        "seconds": info.seconds,
        "size_bytes": info.size_bytes,
        "methods": {
            name: {
                "windows": total.windows,
                "tokens": total.tokens,
                "vocab_used": total.used,
                "vocab_size": total.vocab_size,
            }
            for name, total in info.methods.items()
        },
    }
