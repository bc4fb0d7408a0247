"""`python -m pairalign bench`: how long things take on this machine."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

from pairalign.checkpoint import resolve_checkpoint
from pairalign.errors import PairAlignError
from pairalign.terminal import times_words

WHAT = ("tokenize", "search", "sweep", "train")
ROUNDS = 20


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Options of `bench`, beside the common ones."""
    command.add_argument("--what", default=",".join(WHAT), help=f"any of {', '.join(WHAT)} (default all)")
    command.add_argument("--threads", type=int, metavar="N", help="of torch (default: as many as it takes by itself)")
    command.add_argument(
        "--rounds", type=int, default=ROUNDS, metavar="N", help=f"how often short things are timed (default {ROUNDS})"
    )


def run_from_args(args: argparse.Namespace) -> dict[str, Any]:
    """The JSON document of the contract. Raises ValueError for a user's mistake."""
    what = list(dict.fromkeys(name.strip() for name in args.what.split(",") if name.strip()))
    unknown = [name for name in what if name not in WHAT]
    if unknown or not what:
        raise PairAlignError(f"--what is {args.what!r}; use one or more of {', '.join(WHAT)}, separated by commas.")
    if not 1 <= args.rounds <= 10_000:
        raise PairAlignError(f"--rounds is {args.rounds}; use 1 to 10000.")
    if args.threads is not None and not 1 <= args.threads <= 1024:
        raise PairAlignError(f"--threads is {args.threads}; use 1 to 1024.")
    resolve_checkpoint(args.checkpoint)  # a wrong name is told at once, not after loading torch
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(args.threads or before)
    try:
        return _measured(what, args)
    finally:
        torch.set_num_threads(before)


def _measured(what: list[str], args: argparse.Namespace) -> dict[str, Any]:
    from pairalign.bench.machine import describe_machine
    from pairalign.bench.tasks import MEASURES
    from pairalign.tokenizer import load

    tokenizer = load(args.checkpoint, args.device)
    machine = describe_machine(tokenizer.device)
    machine |= {"checkpoint": tokenizer.name, "parameters": tokenizer.model.parameter_count()}
    results = []
    for name in what:
        print(f"{name} …", file=sys.stderr)
        results += [asdict(result) for result in MEASURES[name](tokenizer, args.rounds)]
    return {"machine": machine, "results": results}


def show(result: dict[str, Any], args: argparse.Namespace) -> None:
    """A table."""
    machine = result["machine"]
    print(
        f"{machine['checkpoint']}, {machine['parameters'] / 1e6:.1f} M parameters, on {machine['device']}; "
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; "
        f"torch {machine['torch']}; load {machine['load_before']}\n"
    )
    print(f"{'':<40} {'n':>4} {'p50 ms':>9} {'p95 ms':>9} {'per s':>9} {'x real time':>11}")
    for one in result["results"]:
        factor = "" if one["real_time_factor"] is None else times_words(one["real_time_factor"])
        times = f"{one['p50_ms']:>9.1f} {one['p95_ms']:>9.1f} {one['per_s']:>9.1f}"
        print(f"{one['name']:<40} {one['n']:>4} {times} {factor:>11}")
