"""What a measurement was taken on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch


def describe_machine(device: str = "cpu") -> dict[str, Any]:
    """Processor, cores, threads of torch, memory, versions, and how busy it is (load_before: of the last minute)."""
    return {
        "processor": _proc("cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(_kilobytes("meminfo", "MemTotal") / 1e6, 1),
        "device": torch.cuda.get_device_name() if device.startswith("cuda") else "cpu",
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def peak_memory_mb() -> float:
    """The most memory that this process has held so far, MB; 0 where the system does not tell (it is not Linux)."""
    # not getrusage: what it tells of a process begins with the peak of the one that started it
    return round(_kilobytes("self/status", "VmHWM") / 1e3, 1)


def _kilobytes(file: str, name: str) -> int:
    return int(_proc(file, name).removesuffix("kB") or 0)


def _proc(file: str, name: str) -> str:
    """The value of the first line `name: value` of a file in Linux' /proc, or ""."""
    try:
        lines = Path("/proc", file).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "")
