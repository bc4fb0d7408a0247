"""Where a training step spends its time: python -m benchmarks.training_profile --manifest CSV [--words CSV] …

Trains a few steps of each stage on real data (nothing is saved) and prints a table, or JSON with --json. Every part is
timed by itself with the device synchronised, so on a GPU the parts add up to more than an undisturbed step, which is
timed too. Batches have the sizes that training has; `--steps` sets how many steps are averaged.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import torch

from pairalign.device import pick_device
from pairalign.model import PairAlignModel
from pairalign.model.decoder import Decoder
from pairalign.training import bridge, frame_stage, string_stage
from pairalign.training.codes import fit_codebook
from pairalign.training.config import TrainConfig
from pairalign.training.job import Job, prepare
from pairalign.training.optimization import make_optimizer, update_teacher
from pairalign.training.run import Run
from pairalign.training.stages import step_loss
from pairalign.views import View

# part -> where its functions are looked up
PARTS: dict[str, list[tuple[object, str]]] = {
    "host: batches": [
        (frame_stage, "augmentation_batch"),
        (frame_stage, "realization_batch"),
        (string_stage, "augmentation_batch"),
    ],
    "host: matching words": [(frame_stage, "match_words"), (frame_stage, "phone_labels")],
    "views": [(frame_stage, "make_view"), (string_stage, "make_view")],
    "features": [(View, "log_mel")],
    "encoder": [(PairAlignModel, "encode")],
    "condition": [(PairAlignModel, "condition")],
    "decoder": [(Decoder, "forward")],
    "teacher decoding": [(string_stage, "teacher_targets")],
    "backward": [(torch.Tensor, "backward")],
    "optimizer and teacher": [(torch.optim.AdamW, "step"), (sys.modules[__name__], "update_teacher")],
}


class Clock:
    """Seconds spent in each part; a part inside another one counts for the inner one only."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self.inner = [0.0]

    def now(self) -> float:
        """Seconds, after everything the device was asked to do."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter()

    def timed(self, part: str, function: Callable) -> Callable:
        """The function, timed."""

        def call(*args: object, **options: object) -> object:
            start = self.now()
            self.inner.append(0.0)
            try:
                return function(*args, **options)
            finally:
                spent = self.now() - start
                self.seconds[part] += spent - self.inner.pop()
                self.inner[-1] += spent

        return call

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Time every part while inside."""
        with ExitStack() as stack:
            for part, places in PARTS.items():
                for owner, name in places:
                    stack.enter_context(mock.patch.object(owner, name, self.timed(part, getattr(owner, name))))
            yield


def profile(run: Run, steps: int, warm_up: int = 2) -> dict[str, dict[str, float]]:
    """{stage: {part: milliseconds per step, "step": of an undisturbed one}}."""
    table = {}
    for stage, first in ((1, 0), (2, run.config.stage1_steps), (3, run.config.stage1_steps + run.config.stage2_steps)):
        optimizer = make_optimizer(run, stage)
        middle = first + (run.config.stage1_steps // 2)  # as training is most of the time, not as it begins

        def train(step: int, optimizer: torch.optim.Optimizer = optimizer) -> None:
            loss, _ = step_loss(run, step)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            update_teacher(run, run.config.ema_decay, step)

        for step in range(warm_up):
            train(middle + step)
        clock = Clock(run.device)
        start = clock.now()
        for step in range(steps):
            train(middle + warm_up + step)
        whole = clock.now() - start
        start = clock.now()
        with clock.watching():
            for step in range(steps):
                train(middle + warm_up + step)
        watched = clock.now() - start
        parts = {part: seconds / steps * 1000 for part, seconds in clock.seconds.items()}
        rest = (watched - sum(clock.seconds.values())) / steps * 1000
        table[f"stage {stage}"] = {**parts, "losses and the rest": rest, "step": whole / steps * 1000}
    return table


def main() -> int:
    """Command line; 2 for a mistake of the user's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--words", type=Path)
    parser.add_argument("--lexicon", type=Path)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    try:
        device = pick_device(args.device)
        table = profile(_prepared(args, device), args.steps)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps({"device": device, "threads": torch.get_num_threads(), "ms_per_step": table}))
        return 0
    print("| ms per step | " + " | ".join(table) + " |\n|---|" + "---|" * len(table))
    for part in next(iter(table.values())):
        print(f"| {part} | " + " | ".join(f"{values[part]:.0f}" for values in table.values()) + " |")
    return 0


def _prepared(args: argparse.Namespace, device: str) -> Run:
    """Networks, data, codebook and strings for a profile."""
    if args.steps < 1:
        raise ValueError(f"--steps is {args.steps}; use 1 or more.")
    thousand = {"stage1_steps": 1000, "stage2_steps": 1000, "stage3_steps": 1000}
    config = TrainConfig(preset=args.preset, **thousand)
    job = Job(args.manifest, Path("unused"), config, args.words, args.lexicon, device=device, cache=args.cache)
    run = prepare(job, 0, 1).run
    run.items = run.items[:: max(1, len(run.items) // 200)]  # enough for a profile, and the bridge is soon made
    fit_codebook(run)
    run.bridge = bridge.make_bridge(run)
    return run


if __name__ == "__main__":
    sys.exit(main())
