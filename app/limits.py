"""How much one run may ask for: a minute of a laptop at home, a few seconds where strangers wait for each other."""

from __future__ import annotations

from dataclasses import dataclass

from pairalign.sweeps.sweep import MAX_STEPS


@dataclass(frozen=True)
class RunLimits:
    """The largest file and runs. `way_out` ends a refusal with what else one can do."""

    upload_mb: int
    sweep_values: int  # of one sweep
    average_windows: int  # recordings times values of an average sweep
    recordings: int  # of an average or a comparison
    archive_sample: int  # recordings that an average takes from an archive
    way_out: str = ""


LOCAL = RunLimits(upload_mb=500, sweep_values=MAX_STEPS + 1, average_windows=1_500, recordings=40, archive_sample=24)
PUBLIC = RunLimits(
    upload_mb=20,
    sweep_values=101,
    average_windows=400,
    recordings=16,
    archive_sample=8,
    way_out=", or start your own with python app.py, which allows more",
)
