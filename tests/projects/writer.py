"""Run as a program: writers on a project are killed, and after each the project is looked at.

Each round forks a process that changes the project as fast as it can and is sent SIGKILL at a random moment.
What it was told to be saved must be there. Fields, ratios and results all carry the name of one phase; the
numbers of the phases are exchanged all the time, so that a change that happened by half shows as two names.

Usage: writer.py FOLDER ROUNDS SEED; prints how often a half-finished change was found, as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from phaseguide.phases import PhaseScheme
from phaseguide.projects.change import STAGING
from phaseguide.projects.project import Project
from phaseguide.projects.schema import AskedRatio

NAMES = ("ferrite", "pearlite", "martensite")
FIELD = "steel-0"
TURNED = {1: 2, 2: 3, 3: 1}


def write_step(project: Project, step: int, tell: Callable[[str], None]) -> None:
    """Make everything about the field one phase; the uncertainty of its ratio tells the step."""
    label = project.scheme.find(NAMES[step % 3]).label
    shares = [float(k == label) for k in (1, 2, 3)]
    labels = np.full(project.field(FIELD).shape, label, np.uint8)
    project.write_edits(FIELD, labels)
    tell("edits")
    project.write_result(
        FIELD, labels, {"step": step}, version=f"m{step}", model_sha256="", own=shares, achieved=shares,
        constrained=False,
    )  # fmt: skip
    tell("result")
    project.set_ratio(FIELD, AskedRatio(shares=list(shares), uncertainty=step))
    tell("ratio")


def write_forever(folder: Path, step: int, told: int) -> None:
    project = Project.open(folder)
    while True:
        step += 1
        write_step(project, step, lambda what: os.write(told, f"{what} {step}\n".encode()))  # noqa: B023
        names = project.scheme.names
        project.change_scheme(PhaseScheme.from_names([names[2], names[0], names[1]]), TURNED)
        project.review(FIELD)
        project.reopen(FIELD)


def kill_one(folder: Path, step: int, rng: random.Random) -> dict[str, int]:
    """Return the last step that was told of each thing."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        write_forever(folder, step, write_end)
    os.close(write_end)
    time.sleep(rng.uniform(0.0, 0.3))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with os.fdopen(read_end) as pipe:
        return {what: int(number) for what, number in (line.split() for line in pipe)}


def look(folder: Path, step: int, told: dict[str, int]) -> int:
    """Check a project whose writer was killed and return the step that it is at."""
    project = Project.open(folder)
    field = project.field(FIELD)
    if field.state == "reviewed":
        field = project.reopen(FIELD)
    names = project.scheme.names
    assert sorted(names) == sorted(NAMES)

    def name_of(labels: np.ndarray) -> str:
        values = np.unique(labels)
        assert len(values) == 1, "a map is whole"
        return names[int(values[0]) - 1]

    saved = told.get("edits", step)
    edits = project.read_edits(FIELD)
    if edits is None:
        assert saved == 0
    else:
        assert name_of(edits) in (NAMES[saved % 3], NAMES[(saved + 1) % 3]), "the last edits, or those after"
    result = project.read_result(FIELD)
    if result is None or field.result is None:
        assert told.get("result", step) == 0
    else:
        record = json.loads((folder / field.result.record).read_text())
        assert field.result.version == f"m{record['step']}", "record and project are of one result"
        assert record["step"] - told.get("result", step) in (0, 1)
        assert name_of(result) == NAMES[record["step"] % 3]
        assert names[int(np.argmax(field.result.achieved))] == name_of(result)
    if field.ratio is not None:
        assert field.ratio.uncertainty - told.get("ratio", step) in (0, 1)
        assert names[int(np.argmax(field.ratio.shares))] == NAMES[int(field.ratio.uncertainty) % 3]
    project.log("looked")
    assert project.read_log()[-1]["event"] == "looked"
    return saved


def main(folder: Path, rounds: int, seed: int) -> None:
    rng = random.Random(seed)
    step = unfinished = 0
    Project.open(folder).change_scheme(PhaseScheme.from_names(NAMES), {1: 1, 2: 2, 3: 3})
    for _ in range(rounds):
        told = kill_one(folder, step, rng)
        unfinished += (folder / STAGING).exists()
        # The next round begins with a step that is whole.
        step = look(folder, step, told) + 1
        write_step(Project.open(folder), step, lambda what: None)
    print(json.dumps({"rounds": rounds, "steps": step, "unfinished": unfinished}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
