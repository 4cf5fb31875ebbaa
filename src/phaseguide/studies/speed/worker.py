"""Measuring in a process of its own, whose peak memory and imports are then its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from phaseguide.errors import PhaseguideError


def worker_messages(module: str, task: dict[str, Any], what: str) -> Iterator[dict[str, Any]]:
    """Run ``python -m module`` with a task as JSON on its standard input; yield the JSON lines it writes.

    Close the generator to stop the process.

    Parameters
    ----------
    module : str
    task : dict
    what : str
        What is being measured, for errors.

    Raises
    ------
    PhaseguideError
        The worker said ``{"error": ...}``, or ended with another exit code than 0.
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
        try:
            with suppress(BrokenPipeError):  # it has ended already; what it said tells why
                worker.stdin.write(json.dumps(task))
                worker.stdin.close()
            for line in worker.stdout:
                message: dict[str, Any] = json.loads(line)
                if "error" in message:
                    raise PhaseguideError(message["error"])
                yield message
            code = worker.wait()
            if code:
                errors.seek(0)
                last = errors.read().strip().splitlines()[-1:] or [f"exit code {code}"]
                raise PhaseguideError(
                    f"Measuring {what} did not finish ({last[0]}). Memory may have run out; leave it out."
                )
        finally:
            worker.kill()
            worker.wait()
            worker.stdout.close()


def serve(make_task: Callable[..., Any], measure: Callable[[Any, Callable[[str], None]], Any]) -> None:
    """Be the worker: read a task, measure it, write stages, then the row or what the user can do.

    Parameters
    ----------
    make_task : callable
        Makes a task from the keys that `worker_messages` was given.
    measure : callable
        ``measure(task, say_stage)`` returns the row, a dataclass.
    """

    def say(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    task = make_task(**json.loads(sys.stdin.read()))
    try:
        say({"row": asdict(measure(task, lambda stage: say({"stage": stage})))})
    except PhaseguideError as error:
        say({"error": str(error)})
