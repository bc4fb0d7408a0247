"""The files of a fine-tuning run: removed without touching anything else that lies in its folder."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

from pairalign.training.bridge import BRIDGE_FILE
from pairalign.training.finetune_settings import SETTINGS_FILE
from pairalign.training.monitor import LOG_FILE
from pairalign.training.state import STATE_FILE
from pairalign.training.status import RESERVE_FILE, STATUS_FILE, read_status

CLIPS, UPLOADS = "clips", "uploads"
CONFIG_FILE, REPORT_FILE, STOP_FILE, OUTPUT_FILE, LIST_FILE = (
    "config.json", "report.json", "stop", "output.log", "recordings.csv",
)  # fmt: skip
CHECKPOINTS = tuple(f"{name}{ending}" for name in ("best", "latest", "result") for ending in (".safetensors", ".json"))
STARTING_S = 90  # a busy machine takes its time to import PyTorch; after that a silent start is a failed one
_FILES = (
    STATUS_FILE, CONFIG_FILE, REPORT_FILE, STOP_FILE, OUTPUT_FILE, LIST_FILE, LOG_FILE, STATE_FILE, BRIDGE_FILE,
    RESERVE_FILE, *CHECKPOINTS, SETTINGS_FILE,
)  # fmt: skip


def remove_run(folder: Path) -> None:
    """Remove what a run has written into its folder, its settings last, and the folder where nothing is left in it."""
    for name in (CLIPS, UPLOADS):
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
    for name in _FILES:
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # somebody keeps other things there
        folder.rmdir()


def came_to_nothing(folder: Path) -> bool:
    """Whether a run failed before its first step, or was never begun: its name may be used again."""
    status = read_status(folder)
    if status is None:
        return time.time() - (folder / SETTINGS_FILE).stat().st_mtime > STARTING_S
    return status.state == "failed" and status.step == 0 and not (folder / STATE_FILE).is_file()
