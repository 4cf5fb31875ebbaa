"""What measured times and memory depend on: the machine, and what this process holds."""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def describe_machine() -> dict[str, Any]:
    """What the numbers depend on: processor, cores, system, versions, GPU; no name of the machine."""
    import numpy
    import torch

    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def load() -> float:
    """Mean number of programs that wanted to run in the last minute; 0 where the system does not tell."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else 0.0


def resident_mb() -> float | None:
    """Resident memory of this process now in MB (10^6 bytes); None where the system does not tell."""
    return _status_mb("VmRSS")


def peak_mb() -> float | None:
    """Highest resident memory of this process so far in MB; None where the system does not tell."""
    peak = _status_mb("VmHWM")  # unlike getrusage, it does not count what the parent process held before
    if peak is not None:
        return peak
    try:
        import resource
    except ImportError:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def forget_peak() -> None:
    """Let the highest resident memory count from now on, where the system allows it (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def growth_mb(before: float | None) -> float | None:
    """How far memory has risen above what was resident before, at its highest; None if not known."""
    peak = peak_mb()
    return None if before is None or peak is None else peak - before


def _status_mb(entry: str) -> float | None:
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(f"{entry}:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None
