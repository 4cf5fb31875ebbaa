"""One way to measure: every task in a process of its own, whose peak memory and imports are then its own.

A module that measures has a task, a row, and ``measure(task, on_stage)``, which returns a row or `Measured`. It is
run as ``python -m module``, reads the task as JSON and writes lines of JSON: ``{"stage": ...}`` before each
measurement, then ``{"row": ...}`` for each row, ``{"machine": ...}`` with what only the worker knows of the
machine, or ``{"error": ...}``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import phaseguide
from phaseguide.errors import PhaseguideError
from phaseguide.events import Progress
from phaseguide.studies.speed.machine import describe_machine

OnStage = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """What one worker measures.

    Attributes
    ----------
    module : str
        Where its ``measure`` is.
    given : dataclass
        What it is told.
    row : type
        Class of its rows.
    what : str
        What is being measured, for progress and errors.
    stages : tuple of str
        Names of its measurements, where progress is to count them.
    """

    module: str
    given: Any
    row: type
    what: str
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """Rows of a task, and what its worker knows of the machine."""

    rows: tuple[Any, ...]
    machine: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SpeedReport:
    """Rows of measurements with the machine they were made on, and what else decides them (``about``)."""

    machine: dict[str, Any]
    about: dict[str, Any]
    rows: tuple[Any, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return what ``--json`` writes."""
        return {
            "machine": self.machine,
            **self.about,
            "rows": [asdict(row) for row in self.rows],
            "version": phaseguide.__version__,
        }


def check_sizes(sizes: Sequence[int], least: int) -> None:
    """Raise `PhaseguideError` where there is no size, or one that is too small to be measured."""
    if not sizes or min(sizes) < least:
        raise PhaseguideError(f"Sizes {list(sizes)} cannot be measured; give sides of at least {least} px.")


def measure_all(tasks: Sequence[Task]) -> Generator[Any, None, list[Measured]]:
    """Measure tasks one by one; yield progress and rows, and return what was measured of each task.

    Close the generator to stop the worker.

    Raises
    ------
    PhaseguideError
        A worker said ``{"error": ...}``, or ended without a row.
    """
    steps = 1 + max((len(task.stages) for task in tasks), default=0)
    total = len(tasks) * steps
    found = []
    for index, task in enumerate(tasks):
        rows, machine = [], {}
        yield Progress(task.what, index * steps, total)
        for message in worker_messages(task.module, asdict(task.given), task.what):
            if "row" in message:
                rows.append(task.row(**_with_tuples(message["row"])))
                yield rows[-1]
            elif "machine" in message:
                machine = message["machine"]
            else:
                stage = message["stage"]
                step = task.stages.index(stage) + 1 if stage in task.stages else 0
                yield Progress(f"{task.what}: {stage}", index * steps + step, total)
        found.append(Measured(tuple(rows), machine))
    yield Progress("Measuring", total, total)
    return found


def report_of(measured: Sequence[Measured], **about: Any) -> SpeedReport:
    """Return the report of all rows, and what else decides them."""
    return SpeedReport(machine_of(measured), about, tuple(row for one in measured for row in one.rows))


def machine_of(measured: Sequence[Measured], threads: int = 0) -> dict[str, Any]:
    """Describe the machine with what the workers know of it; ``threads`` stands where no row tells its own."""
    rows = [row for one in measured for row in one.rows]
    used = next((row.threads for row in rows if hasattr(row, "threads")), threads)
    machine = {**describe_machine(), "threads": used}
    for one in measured:
        machine.update(one.machine)
    return machine


def worker_messages(module: str, task: dict[str, Any], what: str) -> Iterator[dict[str, Any]]:
    """Run ``python -m module`` with a task as JSON on its standard input; yield the JSON lines it writes.

    Close the generator to stop the process.

    Raises
    ------
    PhaseguideError
        The worker said ``{"error": ...}``, or ended with another exit code than 0 or without a word.
    """
    # Errors go to a file: a pipe that nobody reads while the worker talks would fill up and stop it.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        worker = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
        )
        assert worker.stdin is not None and worker.stdout is not None
        spoke = False
        try:
            with suppress(BrokenPipeError):  # it has ended already; what it said tells why
                worker.stdin.write(json.dumps(task))
                worker.stdin.close()
            for line in worker.stdout:
                message: dict[str, Any] = json.loads(line)
                if "error" in message:
                    raise PhaseguideError(message["error"])
                spoke = spoke or "row" in message
                yield message
            code = worker.wait()
            if code or not spoke:
                errors.seek(0)
                last = errors.read().strip().splitlines()[-1:] or [f"exit code {code}"]
                raise PhaseguideError(
                    f"Measuring {what} did not finish ({last[0]}). Memory may have run out; leave it out."
                )
        finally:
            worker.kill()
            worker.wait()
            worker.stdout.close()


def serve(make_task: Callable[..., Any], measure: Callable[[Any, OnStage], Any]) -> None:
    """Be the worker: read a task, measure it, write stages, then the rows or what the user can do."""
    import torch

    def say(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    task = make_task(**json.loads(sys.stdin.read()))
    if task.threads:
        torch.set_num_threads(task.threads)
    try:
        found = measure(task, lambda stage: say({"stage": stage}))
    except PhaseguideError as error:
        say({"error": str(error)})
        return
    measured = found if isinstance(found, Measured) else Measured((found,))
    if measured.machine:
        say({"machine": measured.machine})
    for row in measured.rows:
        say({"row": asdict(row)})


def _with_tuples(data: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
