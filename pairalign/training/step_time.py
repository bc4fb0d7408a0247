"""How long a training step takes on this device: measured, so that a number of minutes can be turned into steps."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from pairalign.audio import SAMPLE_RATE_HZ
from pairalign.babble import babble
from pairalign.model import PairAlignModel
from pairalign.model.encoder import FRAME_RATE_HZ
from pairalign.model.loading import load_model
from pairalign.training.bank import AudioBank
from pairalign.training.bridge import Bridge
from pairalign.training.corpora import Utterance
from pairalign.training.data import evaluation_segments
from pairalign.training.job import Job, Start, prepare
from pairalign.training.optimization import make_optimizer
from pairalign.training.run import Run
from pairalign.training.state import Progress
from pairalign.training.trainer import Loop

MADE_UP_RATE_HZ = 10.0
TIMED_STEPS = 3
TRIAL_RECORDINGS, TRIAL_S = 30, 4.0


def step_seconds(job: Job) -> float:
    """Seconds of one step of this job, from a few steps with made-up strings on its own recordings."""
    return float(np.mean(step_times(job, prepare(job, 0, 1), TIMED_STEPS)))


def trial_step_seconds(init: str, job: Job) -> float:
    """The same on made-up recordings, for an estimate before there are any; `job` need not have data."""
    return float(np.mean(step_times(job, trial_start(load_model(init)[0], job), TIMED_STEPS)))


def trial_start(model: PairAlignModel, job: Job) -> Start:
    """A run on made-up recordings that starts from this network; `job` need not have data."""
    length = round(TRIAL_S * SAMPLE_RATE_HZ)
    samples = [32767 * babble(TRIAL_S, seed) for seed in range(TRIAL_RECORDINGS)]
    utterances = [Utterance(Path(f"{k}.wav")) for k in range(TRIAL_RECORDINGS)]
    offsets = np.arange(TRIAL_RECORDINGS + 1) * length
    bank = AudioBank(utterances, np.concatenate(samples).astype(np.int16), offsets)
    model = model.to(job.device)
    teacher = copy.deepcopy(model).requires_grad_(False)
    run = Run(job.config, model, teacher, bank, list(range(TRIAL_RECORDINGS)), None, None, job.device)
    return Start(run, evaluation_segments(bank, run.items, 1), {}, None, {}, False)


def step_times(job: Job, start: Start, steps: int, first: int = 0) -> list[float]:
    """Seconds of so many steps from step `first` on; one before them, which warms up, does not count."""
    start = replace(start, run=replace(start.run, bridge=_made_up_bridge(start.run)))
    stage, _, _ = job.config.stage_at(first)
    loop = Loop(job, start, make_optimizer(start.run, stage), Progress(step=first), None)
    times = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        loop.step()  # its statistics are numbers, so the device has finished
        loop.progress.step += 1  # batches differ in length
        times.append(time.perf_counter() - started)
    return times[1:]


def _made_up_bridge(run: Run) -> Bridge:
    rng = np.random.default_rng(0)
    ids, edges = {}, {}
    for item in run.items:
        frames = int(run.bank.durations_s[item] * FRAME_RATE_HZ)
        count = max(1, round(frames / FRAME_RATE_HZ * MADE_UP_RATE_HZ))
        ids[item] = rng.integers(run.model.config.codes, size=count).astype(np.int32)
        edges[item] = np.linspace(0, frames, count + 1).astype(np.int32)
    return Bridge(ids, edges)
