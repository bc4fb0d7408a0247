"""The command `python -m pairalign finetune`: its options, and what they mean for a run."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from pairalign.home import inside
from pairalign.lock import LockedError
from pairalign.training.corpora import read_manifest
from pairalign.training.finetune import finetune, new_run, read_report, runs_folder
from pairalign.training.finetune_settings import FinetuneSettings, SettingsError
from pairalign.training.result import unmeasured
from pairalign.training.run_folder import remove_run
from pairalign.training.status import Status

DEFAULTS = FinetuneSettings("name", "data")


class RunFailed(RuntimeError):
    """A run that ended through a bug of this program."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m pairalign finetune``."""
    parser.add_argument("--manifest", metavar="PATH", help="manifest CSV, or a folder of recordings")
    parser.add_argument("--name", required=True, help="of the run, and of the checkpoint it makes")
    parser.add_argument("--init", default=DEFAULTS.init, metavar="CKPT", help="start from this one (default base)")
    parser.add_argument("--checkpoint", default=None, help="not used here: fine-tuning starts from --init")
    parser.add_argument("--minutes", type=float, default=DEFAULTS.minutes, help="of training (default 10)")
    parser.add_argument("--learning-rate", type=float, default=DEFAULTS.learning_rate)
    parser.add_argument("--rate", type=float, default=0.0, metavar="HZ", help="wanted tokens/s (default: as --init)")
    parser.add_argument("--strength", type=float, default=1.0, help="of the views: 0.1 to 1.5 (default 1)")
    parser.add_argument("--batch", type=int, default=DEFAULTS.batch, help="recordings per step (default 24)")
    parser.add_argument(
        "--keep-base", type=float, default=0.0, metavar="SHARE", help="of --init's weights in the result"
    )
    parser.add_argument(
        "--licence", default="", help="line for the model card: whose recordings, what they may be used for"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any field of TrainConfig")
    parser.add_argument("--out", type=Path, help="run folder (default: among your own runs)")
    parser.add_argument("--resume", action="store_true", help="go on with the run of this name")
    parser.add_argument("--finish", action="store_true", help="make the checkpoint of what the run learned so far")


def run_from_args(args: argparse.Namespace) -> dict:
    """The `finetune` command.

    Raises: ValueError for a user's mistake or when the run failed, RunFailed when it failed through a bug.
    """
    if args.checkpoint:
        raise SettingsError(f"finetune starts from --init CKPT: write --init {args.checkpoint}.")
    folder = args.out or inside(runs_folder(), args.name, "name for a run")
    fresh = not (args.resume or args.finish)
    if fresh:
        if not args.manifest:
            raise SettingsError("--manifest is missing: a manifest CSV or a folder of recordings to learn from.")
        read_manifest(args.manifest)  # a mistake in it is told before there is a run
        folder = new_run(_settings(args), folder)
    try:
        status = finetune(folder, args.finish)
    except LockedError:
        if fresh:
            remove_run(folder)  # it was refused, so its name stays free
        raise
    if status.ours:
        raise RunFailed(status.message)
    if status.state == "failed":
        raise SettingsError(f"{status.message} {status.advice}".strip())
    told = _told(status)
    return {"run": str(folder), **told, "notes": [*told["notes"], *unmeasured(read_report(folder))]}


def _settings(args: argparse.Namespace) -> FinetuneSettings:
    return FinetuneSettings(
        name=args.name,
        data=str(Path(args.manifest).absolute()),
        init=args.init,
        minutes=args.minutes,
        learning_rate=args.learning_rate,
        wanted_rate_hz=args.rate,
        view_strength=args.strength,
        batch=args.batch,
        keep_base=args.keep_base,
        licence=args.licence,
        device=args.device,
        seed=args.seed,
        overrides=tuple(args.set),
    )


def _told(status: Status) -> dict:
    names = ("state", "message", "advice", "notes", "step", "total_steps", "elapsed_s", "checkpoint")
    return {name: asdict(status)[name] for name in names}
