"""A process that works on a project is killed at any moment: the project opens, and nothing is half."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from phaseguide.phases import PhaseScheme
from phaseguide.projects.change import STAGING
from phaseguide.projects.project import Project
from tiny_models import tiny_labels

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and fork are POSIX")

WRITER = Path(__file__).with_name("writer.py")


@pytest.mark.parametrize("rounds", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments(project: Project, rounds: int) -> None:
    """So many writers are killed; `writer.look` checks after each."""
    seed = int.from_bytes(os.urandom(4))
    command = [sys.executable, str(WRITER), str(project.folder), str(rounds), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"seed {seed}\n{done.stderr}"
    counted = json.loads(done.stdout)
    print(counted)  # how often a killed writer left something to be finished or swept away
    assert counted["rounds"] == rounds and counted["steps"] > rounds


DIE_AT = """
import os, signal, sys
from phaseguide.phases import PhaseScheme
from phaseguide.projects import change
from phaseguide.projects.project import Project

project, left = Project.open(sys.argv[1]), int(sys.argv[2])

def replace(source, target, real=os.replace):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)

os.replace = replace
names = project.scheme.names
project.change_scheme(PhaseScheme.from_names([names[1], names[0], names[2]]), {1: 2, 2: 1, 3: 3})
"""


def test_kill_9_before_each_step_of_a_change_of_phases(project: Project) -> None:
    """Old or new everywhere, whatever step was the last: staged files, the list, or the moves."""
    labels = tiny_labels()
    swapped = np.array([0, 2, 1, 3], np.uint8)[labels]
    for field in project.fields:
        project.write_edits(field.id, labels)
        project.write_truth(field.id, labels)
    names, kinds, swept = project.scheme.names, set(), 0
    for step in range(40):
        done = subprocess.run([sys.executable, "-c", DIE_AT, str(project.folder), str(step)], timeout=60)
        swept += (project.folder / STAGING).exists()
        project = Project.open(project.folder)
        is_new = project.scheme.names != names
        kinds.add(is_new)
        for field in project.fields:
            for read in (project.read_edits, project.read_truth):
                assert np.array_equal(read(field.id), swapped if is_new else labels), f"step {step}"
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        if is_new:
            project.change_scheme(PhaseScheme.from_names(names), {1: 2, 2: 1, 3: 3})
    assert done.returncode == 0 and kinds == {False, True} and swept > 5
