"""`python -m pairalign index`: recordings into an archive, and what can be done with an archive as a file."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pairalign.archive.archive import DEFAULT_METHODS, Archive
from pairalign.archive.ingest import IngestReport, Progress, audio_files
from pairalign.archive.store import Store


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Options of `index`."""
    both = ",".join(DEFAULT_METHODS)
    command.add_argument("source", nargs="?", metavar="FOLDER", help="a folder, a manifest CSV or one recording")
    command.add_argument("--archive", required=True, metavar="DB", help="the archive's file; made when there is none")
    command.add_argument("--method", default=both, help=f"kinds of strings a new archive keeps (default {both})")
    command.add_argument("--split", help="of a manifest: only this split")
    command.add_argument("--workers", type=int, help="decoding processes (default one for two cores, at most 4)")
    command.add_argument("--info", action="store_true", help="only tell what the archive holds, after checking it")
    command.add_argument("--remove", metavar="PATTERN", help="take out recordings whose path fits, for example '*.mp3'")
    command.add_argument("--vacuum", action="store_true", help="give the space of removed recordings back to the disk")


def run_from_args(args: argparse.Namespace) -> dict[str, Any]:
    """Serve `index`: the JSON document of the contract, or the archive's totals for --info, --remove and --vacuum."""
    chores = args.info or args.remove is not None or args.vacuum
    if chores == bool(args.source):
        raise ValueError("name a FOLDER to index, or use --info, --remove or --vacuum without one")
    if chores:
        return _look_after(args)
    paths = audio_files(args.source, args.split)  # a wrong name is told at once, not after loading torch
    Store(args.archive)
    from pairalign.tokenizer import load

    methods = tuple(dict.fromkeys(name.strip() for name in args.method.split(",") if name.strip()))
    with Archive.open(args.archive, load(args.checkpoint, args.device), methods) as archive:
        return document(_with_progress(archive, paths, args.workers))


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


def _with_progress(archive: Archive, paths: list[Path], workers: int | None) -> IngestReport:
    from tqdm import tqdm

    # disable=None: no bar where stderr is not a terminal
    with tqdm(total=len(paths), unit="file", file=sys.stderr, disable=None) as bar:

        def show(progress: Progress) -> None:
            bar.set_postfix_str(f"{progress.rate:.0f} x real time", refresh=False)
            bar.update(progress.files_done - bar.n)

        report = archive.add_files(paths, workers, show)
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
