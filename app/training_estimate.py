"""How long a training step takes on this device, before a run is started: from the last run, or measured now."""

from __future__ import annotations

from pathlib import Path

from app.training_runs import TrainingRuns
from pairalign.checkpoint import resolve_checkpoint
from pairalign.device import pick_device
from pairalign.training.finetune_settings import FinetuneSettings
from pairalign.training.job import Job
from pairalign.training.step_time import trial_step_seconds

TRIAL_RATE_HZ = 10.0


def step_seconds(runs: TrainingRuns, settings: FinetuneSettings) -> tuple[float, str, str]:
    """Seconds per step, the device, and where the figure comes from. Raises ValueError for a lost checkpoint."""
    device = pick_device(settings.device)
    resolve_checkpoint(settings.init)
    for name in runs.names():
        look = runs.look(name)
        same = (look.settings.init, look.settings.batch) == (settings.init, settings.batch)
        if same and look.report.get("device") == device and look.report.get("step_seconds"):
            return float(look.report["step_seconds"]), device, f"measured by the run {name}"
    config = settings.config(10, TRIAL_RATE_HZ)
    job = Job(Path(), Path(), config, init=settings.init, device=device)
    return trial_step_seconds(settings.init, job), device, "measured just now"
