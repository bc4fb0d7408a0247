"""`python -m pairalign index`: recordings into an archive, and what can be done with an archive as a file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from pairalign.archive.archive import DEFAULT_METHODS, Archive
from pairalign.archive.cluster import ClusterOptions, add_on_ray, require_ray
from pairalign.archive.errors import ArchiveError
from pairalign.archive.record import Recording
from pairalign.archive.report import IngestReport, Progress
from pairalign.archive.scan import Listing, find_recordings
from pairalign.archive.shards import attach
from pairalign.archive.store import Store
from pairalign.checkpoint import resolve_checkpoint
from pairalign.errors import PairAlignError
from pairalign.home import one_line
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
    command.add_argument(
        "--prune", action="store_true", help="afterwards take out recordings of FOLDER whose files are gone"
    )
    command.add_argument(
        "--remove", metavar="NAME", help="take out a recording by its path or name, a folder, or a pattern as '*.mp3'"
    )
    command.add_argument("--vacuum", action="store_true", help="give the space of removed recordings back to the disk")


def run_from_args(args: argparse.Namespace) -> dict[str, Any]:
    """Serve `index`: the JSON document of the contract, or the archive's totals for --info, --remove and --vacuum."""
    chores = args.info or args.remove is not None or args.vacuum
    if chores + bool(args.source or args.shards) != 1:
        raise PairAlignError("name a FOLDER to index, or use --shards, --info, --remove or --vacuum without one")
    if args.prune and not os.path.isdir(args.source or ""):
        raise PairAlignError("--prune needs the FOLDER whose missing recordings are to be taken out")
    if chores:
        return _look_after(args)
    if args.source and args.engine == "ray":
        require_ray()
    elif args.source and (args.shards or args.ray_address):
        raise PairAlignError(
            "--shards and --ray-address with a FOLDER are for --engine ray: add that, or leave them out"
        )
    # a wrong name is told at once, not after loading torch
    listing = find_recordings(args.source, args.split) if args.source else None
    resolve_checkpoint(args.checkpoint)
    store = Store(args.archive)
    try:
        return document(attach(store, args.shards) if listing is None else _add(args, listing))
    finally:
        store.discard_if_empty()


def _add(args: argparse.Namespace, listing: Listing) -> IngestReport:
    from pairalign.tokenizer import load

    methods = tuple(dict.fromkeys(name.strip() for name in args.method.split(",") if name.strip()))
    tokenizer = load(args.checkpoint, "cpu" if args.engine == "ray" else args.device)
    for method in methods or ("",):
        tokenizer.check_method(method)
    with Archive.open(args.archive, tokenizer, methods) as archive:
        job = partial(archive.add_files, listing.paths, args.workers)
        if args.engine == "ray":
            folder = args.shards or f"{args.archive}.shards"
            options = ClusterOptions(args.ray_address, args.workers, args.device)
            job = partial(
                add_on_ray, archive.store, tokenizer, args.checkpoint, listing.paths, archive.methods, folder, options
            )
        report = _with_progress(listing, job)
        gone = tuple(map(str, archive.prune(args.source))) if args.prune else ()
    _tell(report, gone)
    return replace(report, removed=(*report.removed, *gone))


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
        "moved": report.moved,
        "removed": list(report.removed),
        "ignored": report.ignored,
    }


def missing_words(missing: int, of: int, what: str = "recordings") -> str:
    """One line about files that are not where they were."""
    return (
        f"{missing} of {of} {what} are not where they were: the files were moved or deleted. Index their folder again "
        "to follow them; --prune takes out those that are gone."
    )


def _with_progress(listing: Listing, add: Callable[..., IngestReport]) -> IngestReport:
    """What was added, and what the listing leaves out."""
    from tqdm import tqdm

    # disable=None: no bar where stderr is not a terminal
    with tqdm(total=len(listing.paths), unit="file", file=sys.stderr, disable=None) as bar:

        def show(progress: Progress) -> None:
            rate = f"{times_words(progress.rate)} x real time" if progress.audio_s else f"{progress.checked} looked at"
            bar.set_postfix_str(rate, refresh=False)
            bar.update(progress.files_done - bar.n)

        report = add(progress=show)
    return replace(report, skipped=(*listing.skipped, *report.skipped), ignored=listing.ignored)


def _tell(report: IngestReport, gone: Sequence[str]) -> None:
    """What is easily overlooked in a JSON document, on stderr."""
    lines = [f"skipped {one_line(Path(one.path).name)}: {one.reason}" for one in report.skipped]
    lines += [f"taken out {one_line(path)}: the file holds something else now" for path in report.removed]
    lines += [f"taken out {one_line(path)}: the file is gone" for path in gone]
    if report.ignored:
        lines.append(f"ignored {report.ignored} other files, which are not named as audio")
    for line in lines:
        print(line, file=sys.stderr)


def _removed(archive: Archive, name: str) -> list[Recording]:
    """Take out the recordings that a name stands for. Raises: ArchiveError when it stands for none, or is not clear."""
    chosen = archive.recordings(name)
    where = one_line(archive.store.path.name)
    if not chosen and "*" not in name:
        raise ArchiveError(f"{where} has no recording {one_line(name)}. A pattern needs a *, such as '*.mp3'.")
    if len(chosen) > 1 and "*" not in name and {one.path.name for one in chosen} == {name}:
        first, second = (one_line(one.path) for one in chosen[:2])
        raise ArchiveError(f"{len(chosen)} recordings are called {one_line(name)} ({first}, {second}). Name the path.")
    archive.remove([recording.id for recording in chosen])
    for recording in chosen:
        print(f"taken out {one_line(recording.path)}", file=sys.stderr)
    return chosen


def _look_after(args: argparse.Namespace) -> dict[str, Any]:
    with Archive.open(args.archive, create=False) as archive:
        removed = [] if args.remove is None else _removed(archive, args.remove)
        if args.vacuum:
            archive.vacuum()
        archive.store.check()
        info, missing = archive.info(), len(archive.missing())
    if missing:
        print(missing_words(missing, info.recordings), file=sys.stderr)
    model = {"checkpoint": info.model.name, "model_sha256": info.model.sha256} if info.model else {}
    return {
        **model,
        "removed": [str(recording.path) for recording in removed],
        "recordings": info.recordings,
        "missing": missing,
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
