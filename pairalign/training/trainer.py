"""The bundled trainer: stages I to III with an EMA teacher, resumable (bit for bit on a CPU), stoppable at any step.

A run folder holds: log.jsonl (one JSON object per line), state.safetensors (for --resume), latest.safetensors and
best.safetensors with their sidecars (checkpoints any PairAlign program loads).
"""

import math
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tqdm import tqdm

from pairalign.checkpoint import save_checkpoint
from pairalign.errors import PairAlignError
from pairalign.evaluation.glossary import why_missing
from pairalign.features import FeatureOptions
from pairalign.training import distributed
from pairalign.training.bridge import BRIDGE_FILE, Bridge, make_bridge
from pairalign.training.codes import fit_codebook
from pairalign.training.job import Job, Start, prepare
from pairalign.training.monitor import LOG_FILE, Log, Metrics, alarms, validate
from pairalign.training.optimization import learning_rate, make_optimizer, update_teacher
from pairalign.training.own_strings import own_bridge
from pairalign.training.run import Run
from pairalign.training.stages import step_loss
from pairalign.training.state import STATE_FILE, Progress, ResumeError, load_state, restore_optimizer, save_state

LOG_EVERY, LOG_FIRST = 10, 20  # steps; the first ones all, so that one sees at once how it goes


# sees every step (progress, its statistics, the last validation) and may say in a word why training should end
Watch = Callable[[Progress, dict[str, float], Metrics], str]


def train(job: Job, watch: Watch | None = None, check: Callable[[], None] = lambda: None) -> dict:
    """Run (or resume) training; returns ``{"run", "steps", "checkpoint", "metrics", "ended"}``.

    SIGINT and SIGTERM end it after the current step with everything saved. "ended" tells why it ended: "steps" (all
    done), "time", "signal", or the word of `watch`. `check` is called while the strings to learn are written, which may
    take minutes, and may raise to end it. Raises ValueError for bad data or settings.
    """
    rank, world = distributed.start(job.device)
    if job.config.threads:
        torch.set_num_threads(job.config.threads)
    try:
        return _train(job, rank, world, watch, check)
    finally:
        distributed.stop()


def _train(job: Job, rank: int, world: int, watch: Watch | None, check: Callable[[], None]) -> dict:
    config = job.config
    if not job.resume and (job.out / STATE_FILE).exists():
        raise ResumeError(f"{job.out} already holds a run; add --resume to go on with it, or choose another --out.")
    start = prepare(job, rank, world)
    run, progress, parts = start.run, Progress(), None
    if job.resume:
        parts, progress = load_state(job.out, start.settings)
        run.model.load_state_dict(parts["model"])
        run.teacher.load_state_dict(parts["teacher"])
    job.out.mkdir(parents=True, exist_ok=True)
    if not job.resume:
        (job.out / BRIDGE_FILE).unlink(missing_ok=True)  # of a run that was killed before its first save
    log = Log(job.out / LOG_FILE, progress.step) if rank == 0 else None
    optimizer = make_optimizer(run, config.stage_at(progress.step)[0])
    if parts is not None:
        restore_optimizer(optimizer, parts["optimizer"])
    if start.new_codes and config.stage1_steps == 0 and not job.resume:
        fit_codebook(run)
    if config.stage_at(progress.step)[0] > 1:
        run.bridge = _strings(job, run, check)
    if log and not job.resume:
        log.write(step=0, event="start", config=config.to_dict(), data=start.card, world=world)
    loop = Loop(job, start, optimizer, progress, log, watch)
    if job.init and not job.resume and config.stage1_steps == 0:
        loop.validate(config.stage_at(0)[0])  # what there is to be improved on
    with _Stopper() as stopper:
        loop.go(stopper)
    return loop.finish()


def _strings(job: Job, run: Run, check: Callable[[], None] = lambda: None) -> Bridge:
    """The strings that stages II and III start from."""
    if job.config.targets == "own":
        return own_bridge(run, job.init, job.out, check)
    return make_bridge(run, job.out)


class Loop:
    """Steps, validation and saving of one process."""

    def __init__(
        self,
        job: Job,
        start: Start,
        optimizer: torch.optim.Optimizer,
        progress: Progress,
        log: Log | None,
        watch: Watch | None = None,
    ) -> None:
        self.job, self.start, self.run, self.watch = job, start, start.run, watch
        self.ended = "steps"
        self.optimizer, self.progress, self.log = optimizer, progress, log
        self.started = time.monotonic() - progress.elapsed_s
        self.session_started = time.monotonic()
        self.saved_at = time.monotonic()
        self.metrics: Metrics = {}
        self.validated_at = -1

    def go(self, stopper: "_Stopper") -> None:
        """Steps until the end, the time limit or a signal."""
        config, progress = self.job.config, self.progress
        bar = tqdm(
            total=config.total_steps, initial=progress.step, file=sys.stderr, disable=self.log is None, unit="step"
        )
        while progress.step < config.total_steps:
            stage, within, length = config.stage_at(progress.step)
            stats = self.step()
            progress.step += 1
            progress.elapsed_s = time.monotonic() - self.started
            if progress.step % LOG_EVERY == 0 or progress.step in (*range(LOG_FIRST + 1), config.total_steps):
                self.write(event="step", stage=stage, **stats)
                bar.set_postfix(stage=stage, loss=f"{stats['loss']:.3f}")
            bar.update()
            ended = within + 1 == length
            if ended:
                self.next_stage(stage)
            if ended or progress.step % config.validate_every == 0:
                self.validate(stage)
            why = self.why_to_stop(stopper, stats)
            stop = distributed.any_rank(bool(why))
            self.ended = why or self.ended
            if stop or ended or time.monotonic() - self.saved_at > config.save_every_s:
                self.save()
            if stop:
                break
        bar.close()

    def why_to_stop(self, stopper: "_Stopper", stats: dict[str, float]) -> str:
        """A word that says why training should end now; "" while it should not."""
        asked = self.watch(self.progress, stats, self.metrics) if self.watch else ""
        return "signal" if stopper.asked else asked or ("time" if self.out_of_time() else "")

    def out_of_time(self) -> bool:
        """Whether this session has used up --max-minutes."""
        limit = self.job.max_minutes
        return limit is not None and time.monotonic() - self.session_started > 60 * limit

    def step(self) -> dict[str, float]:
        """One optimizer step and the teacher's update."""
        run, config = self.run, self.job.config
        stage, within, length = config.stage_at(self.progress.step)
        rate = learning_rate(config, stage, within, length)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        run.model.train()
        run.teacher.eval()
        loss, stats = step_loss(run, self.progress.step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        distributed.average_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)
        if not torch.isfinite(norm):
            raise DivergedError(f"The loss is no longer finite at step {self.progress.step}; lower learning_rate.")
        self.optimizer.step()
        update_teacher(run, config.ema_decay, within)
        return {"loss": float(loss.detach()), "grad_norm": float(norm), "learning_rate": rate, **stats}

    def next_stage(self, finished: int) -> None:
        """What happens between stages: the teacher's encoder and a codebook become the start of the next one."""
        run, config = self.run, self.job.config
        if finished == 1:
            run.model.encoder.load_state_dict(run.teacher.encoder.state_dict())
            penalty = fit_codebook(run)
            self.write(event="codebook", switch_penalty=penalty)
        if finished == 2:
            run.model.load_state_dict(run.teacher.state_dict())
        if finished < 3 and self.progress.step < config.total_steps:
            self.optimizer = make_optimizer(run, config.stage_at(self.progress.step)[0])
        if finished == 1 and self.progress.step < config.total_steps:
            # saved first: a resumed run must find the codebook that the strings are made with
            self.save()
            if run.rank == 0:
                (self.job.out / BRIDGE_FILE).unlink(missing_ok=True)
            distributed.wait()
            run.bridge = _strings(self.job, run)

    def validate(self, stage: int) -> None:
        """Measure the teacher on held-out segments, log it with alarms, and keep it when it is the best so far."""
        if self.log is None:
            return
        held_out, wanted_hz = self.start.held_out, self.job.config.wanted_rate_hz
        related = self.run.bank.related(held_out.utterance_ids.tolist())
        figures = validate(self.run.teacher, held_out, self.run.device, stage > 1, related)
        self.metrics = {k: None if math.isnan(v) else round(v, 5) for k, v in figures.items()}
        missing = [k for k, v in self.metrics.items() if v is None]
        reasons = {k: why_missing(re.sub("^(vq|viterbi)_", "", k)) for k in missing}
        told = {"reasons": reasons} if reasons else {}
        self.validated_at = self.progress.step
        self.write(event="validation", stage=stage, **self.metrics, alarms=alarms(figures, wanted_hz), **told)
        shown = {k: v for k, v in self.metrics.items() if "separation" in k or "tokens" in k}
        summary = " ".join(f"{k}={'–' if v is None else f'{v:.3f}'}" for k, v in shown.items())
        summary += "".join(f" (–: {reason})" for reason in dict.fromkeys(reasons.values()))
        tqdm.write(f"step {self.progress.step} (stage {stage}): {summary}", file=sys.stderr)
        if stage > 1 and figures["separation"] > self.progress.best_separation:
            self.progress.best_separation, self.progress.best_step = figures["separation"], self.progress.step
            self.export("best")

    def write(self, **entry: object) -> None:
        """A line of log.jsonl."""
        if self.log:
            self.log.write(step=self.progress.step, elapsed_s=round(self.progress.elapsed_s, 1), **entry)

    def save(self) -> None:
        """State for --resume."""
        self.saved_at = time.monotonic()
        if self.log is None:
            return
        run = self.run
        save_state(self.job.out, run.model, run.teacher, self.optimizer, self.progress, self.start.settings)

    def export(self, name: str) -> Path:
        """Write the teacher as a checkpoint."""
        run, job = self.run, self.job
        path = job.out / f"{name}.safetensors"
        sidecar = {
            "name": name,
            "architecture": run.model.config.to_dict(),
            "features": FeatureOptions().to_dict(),
            "vocab_size": run.model.config.codes,
            "data": self.start.card,
            "recipe": {
                "config": job.config.to_dict(),
                "steps": self.progress.step,
                "before": self.start.before,
                "minutes": round(self.progress.elapsed_s / 60, 1),
                "device": run.device,
            },
            "metrics": {"validation": self.metrics},
        }
        save_checkpoint(path, run.teacher.state_dict(), sidecar)
        return path

    def finish(self) -> dict:
        """Final validation and checkpoint."""
        result = {"run": str(self.job.out), "steps": self.progress.step, "checkpoint": None, "metrics": {}}
        result["ended"] = self.ended
        if self.log is None:
            return result
        if self.validated_at != self.progress.step:
            self.validate(self.job.config.stage_at(max(0, self.progress.step - 1))[0])
        path = self.export("latest")
        self.write(event="end", checkpoint=path.name, metrics=self.metrics)
        return {**result, "checkpoint": str(path), "metrics": self.metrics}


class DivergedError(PairAlignError):
    """Training has blown up: not the user's data but a setting, so it is told like a user's mistake."""


class _Stopper:
    """Turns SIGINT and SIGTERM into a request to stop after the current step."""

    def __enter__(self) -> "_Stopper":
        self.asked = False
        main = threading.current_thread() is threading.main_thread()  # Python allows handlers nowhere else
        self.previous = {s: signal.signal(s, self._ask) for s in (signal.SIGINT, signal.SIGTERM) if main}
        return self

    def _ask(self, *_: object) -> None:
        self.asked = True

    def __exit__(self, *_: object) -> None:
        for s, handler in self.previous.items():
            signal.signal(s, handler)
