"""The command `python -m pairalign train`: its options, and what they mean for the trainer."""

import argparse
import os
from pathlib import Path

from pairalign.device import pick_device
from pairalign.errors import PairAlignError
from pairalign.model.network import PRESETS
from pairalign.training.config import TrainConfig, parse_overrides
from pairalign.training.job import Job
from pairalign.training.trainer import train


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m pairalign train``."""
    parser.add_argument("--manifest", required=True, type=Path, help="manifest CSV, or a folder of audio")
    parser.add_argument("--words", type=Path, help="CSV of word times: the same word by two speakers becomes a pair")
    parser.add_argument("--lexicon", type=Path, help="CMUdict-like file: phones of the words supervise stages I and II")
    parser.add_argument("--out", required=True, type=Path, help="run folder")
    parser.add_argument("--preset", default="small", choices=sorted(PRESETS), help="size of the network")
    parser.add_argument(
        "--init", metavar="CKPT", help="start from this checkpoint (stage I is then skipped by default)"
    )
    parser.add_argument("--checkpoint", default=None, help="not used here: training starts from --init")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")
    parser.add_argument("--max-minutes", type=float, help="stop and save after this long")
    parser.add_argument(
        "--steps", metavar="I,II,III", help="optimizer steps of the three stages, for example 2500,3000,2000"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any field of TrainConfig")
    parser.add_argument("--cache", type=Path, help="folder for decoded audio, so that a restart is instant")


def run_from_args(args: argparse.Namespace) -> dict:
    """The `train` command. Raises ValueError for a user's mistake."""
    values: dict = {"preset": args.preset, "seed": args.seed}
    if args.checkpoint:
        raise PairAlignError(f"train starts from --init CKPT: write --init {args.checkpoint}.")
    if args.init:
        values["stage1_steps"] = 0
    if args.steps:
        try:
            first, second, third = (int(n) for n in args.steps.split(","))
        except ValueError:
            raise PairAlignError(
                f"--steps {args.steps}: give three whole numbers, for example 2500,3000,2000."
            ) from None
        values |= {"stage1_steps": first, "stage2_steps": second, "stage3_steps": third}
    config = TrainConfig(**{**values, **parse_overrides(args.set)})
    if config.total_steps == 0:
        raise PairAlignError("--steps 0,0,0: nothing to train.")
    if args.max_minutes is not None and args.max_minutes <= 0:
        raise PairAlignError(f"--max-minutes {args.max_minutes}: use a positive number.")
    job = Job(
        args.manifest,
        args.out,
        config,
        args.words,
        args.lexicon,
        args.init,
        args.resume,
        args.max_minutes,
        pick_device(args.device),
        args.cache,
    )
    result = train(job)
    if int(os.environ.get("RANK", "0")) > 0:
        raise SystemExit(0)  # under torchrun the first process speaks for all
    return result
