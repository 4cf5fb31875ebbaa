"""Speed and memory on this machine: start-up, first result, changed ratio, against the plain network."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import phaseguide
from phaseguide.errors import PhaseguideError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.files import resolved
from phaseguide.studies.speed.speed_worker import STAGES, SpeedRow, Task

SIZES = (512, 1024, 4096)
LARGE = 2048
"""From this side on, px, everything is measured once."""

_WORKER = ("-m", "phaseguide.studies.speed.speed_worker")
_IMPORTS = {
    "python": "pass",
    "phaseguide": "import phaseguide",
    "phaseguide.cli": "import phaseguide.cli",
    "torch": "import torch",
    "session": "import phaseguide.segmentation.session",
}


@dataclass(frozen=True)
class SpeedReport:
    """Rows of measurements with the machine they were made on.

    Attributes
    ----------
    import_s : dict
        Seconds from the start of Python to the end of an import, best of three; ``python`` is Python
        alone.
    """

    machine: dict[str, Any]
    model: str
    model_sha256: str
    import_s: dict[str, float]
    rows: tuple[SpeedRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``phaseguide benchmark speed --json`` writes."""
        return {**asdict(self), "rows": [asdict(r) for r in self.rows], "version": phaseguide.__version__}


SpeedEvent = Progress | Notice | SpeedRow | Finished[SpeedReport]


def benchmark_speed(
    model: str | Path,
    *,
    sizes: Sequence[int] = SIZES,
    devices: Sequence[str] | None = None,
    threads: int = 0,
    repeats: int = 3,
) -> Iterator[SpeedEvent]:
    """Measure start-up, speed and memory; stop it by closing the generator.

    Parameters
    ----------
    model : path
        A model file.
    sizes : sequence of int
        Sides of the square images in px.
    devices : sequence of str, optional
        None: the CPU, and CUDA where there is one.
    threads : int
        CPU threads of torch; 0 leaves its default.
    repeats : int
        Of every measurement below `LARGE`; the median counts.

    Yields
    ------
    Progress, Notice, SpeedRow
        While working.
    Finished of SpeedReport
        Last.

    Raises
    ------
    PhaseguideError
        A size that is too small, a device that is not there, or a worker that failed.
    """
    import torch

    from phaseguide.micrographs.records import sha256_of_file
    from phaseguide.models.model_file import read_card
    from phaseguide.segmentation.network.device import choose_device

    if not sizes or min(sizes) < 32:
        raise PhaseguideError(f"Sizes {list(sizes)} cannot be measured; give sides of at least 32 px.")
    if devices is None:
        devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
        if len(devices) == 1:
            yield Notice("There is no CUDA device here; measuring the CPU alone.")
    for device in devices:
        choose_device(device)
    card = read_card(model)
    tasks = [
        Task(str(resolved(model)), device, size, threads, 1 if size >= LARGE else repeats)
        for device in devices
        for size in sizes
    ]
    steps_per_task = len(STAGES) + 1
    total = 1 + len(tasks) * steps_per_task
    yield Progress("Measuring start-up", 0, total)
    import_s = {name: import_seconds(code) for name, code in _IMPORTS.items()}
    rows = []
    for index, task in enumerate(tasks):
        for message in run_worker(task):
            if isinstance(message, SpeedRow):
                rows.append(message)
                yield message
            else:
                step = 1 + index * steps_per_task + (STAGES.index(message) + 1 if message in STAGES else 0)
                yield Progress(f"{task.device}, {task.size} px: {message}", step, total)
    yield Progress("Measuring", total, total)
    machine = {**describe_machine(), "threads": rows[0].threads}
    yield Finished(SpeedReport(machine, card.name, sha256_of_file(model), import_s, tuple(rows)))


def import_seconds(code: str, *, repeats: int = 3) -> float:
    """Seconds that a fresh Python takes from its start to the end of ``code``; the best of ``repeats``."""
    import time

    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        best = min(best, time.perf_counter() - started)
    return best


def run_worker(task: Task) -> Iterator[str | SpeedRow]:
    """Run one task in a process of its own; yields the names of its stages, then its row."""
    # Errors go to a file: a pipe that nobody reads while the worker talks would fill up and stop it.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        worker = subprocess.Popen(
            [sys.executable, *_WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
        )
        assert worker.stdin is not None and worker.stdout is not None
        try:
            with suppress(BrokenPipeError):  # it has ended already; what it said tells why
                worker.stdin.write(json.dumps(asdict(task)))
                worker.stdin.close()
            row: SpeedRow | None = None
            for line in worker.stdout:
                message = json.loads(line)
                if "error" in message:
                    raise PhaseguideError(message["error"])
                if "row" in message:
                    row = SpeedRow(**message["row"])
                else:
                    yield str(message["stage"])
            if row is None:
                code = worker.wait()
                errors.seek(0)
                last = errors.read().strip().splitlines()[-1:] or [f"exit code {code}"]
                raise PhaseguideError(
                    f"Measuring {task.size} px on {task.device} did not finish ({last[0]}). "
                    "Memory may have run out; leave this size out with --sizes."
                )
            yield row
        finally:
            worker.kill()
            worker.wait()
            worker.stdout.close()


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
