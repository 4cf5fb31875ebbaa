"""A process that dies while it paints: the project opens again, with every stroke that was saved."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.phases import EXCLUDED
from phaseguide.projects.project import Project
from project_helpers import make_project, settled
from workbench_helpers import open_part

PAINTER = """
import sys
from qtpy.QtWidgets import QApplication
app = QApplication([])
from napari.components import ViewerModel
from phaseguide.widgets.project import autosave
from phaseguide.widgets.project.open_project import open_project
from widget_helpers import stroke
from workbench_helpers import open_part
autosave.QUIET_MS = 5
viewer = ViewerModel()
opened = open_project(viewer)
opened.failed.connect(lambda error: print("failed", error, flush=True))
opened.open(sys.argv[1])
opened.show("steel0")
while not opened.current:
    app.processEvents()
edits = viewer.layers["steel0 edits"]
edits.mode, edits.brush_size, row = "paint", 1, 0
print("ready", flush=True)
while True:
    for label in (1, 2, 3, 255):
        edits.selected_label = label
        for row in range(96):
            stroke(edits, [edits.data_to_world((row, 0)), edits.data_to_world((row, 127))])
            app.processEvents()
            if not row % 8 and opened.flush():  # the other rows are saved by the timer
                print("saved", label, row, flush=True)
"""


def paint_and_die(folder: Path, seconds: float) -> tuple[int, int] | None:
    """Start a process that paints line by line, kill it; return label and line that it said to be saved last."""
    places = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(places), "QT_QPA_PLATFORM": "offscreen"}
    process = subprocess.Popen(
        [sys.executable, "-c", PAINTER, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        process.kill()
        raise AssertionError(process.communicate()[1])
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    told = [
        line.split() for line in process.communicate()[0].splitlines() if line.endswith(tuple("0123456789"))
    ]
    assert not any(line[0] == "failed" for line in told), told
    return (int(told[-1][1]), int(told[-1][2])) if told else None


def check(folder: Path, saved: tuple[int, int] | None) -> None:
    """Every line up to the last saved one is there, in its label or in that of a later round."""
    edits = Project.open(folder).read_edits("steel0")
    if saved is None:
        return
    assert edits is not None and edits.shape == (96, 128)
    assert (edits == edits[:, :1]).all(), "a line is there or not, never a part of it"
    label, row = saved
    rounds = [1, 2, 3, EXCLUDED]
    following = [label, *rounds[rounds.index(label) + 1 :], *rounds[: rounds.index(label)]]
    assert np.isin(edits[: row + 1, 0], following).all() and (edits[: row + 1, 0] > 0).all()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("moments", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_any_moment(model_viewer: Any, tmp_path: Path, qtbot: Any, moments: int) -> None:
    folder = make_project(tmp_path, 1)
    rng = random.Random(moments)
    seen = []
    for _ in range(moments):
        seen.append(paint_and_die(folder, rng.uniform(0.02, 1.5)))
        check(folder, seen[-1])
    assert any(seen), "at least one process lived long enough to save a stroke"
    _, dock = open_part(model_viewer, "Project")
    dock.open(folder)
    settled(dock, qtbot)
    assert np.array_equal(model_viewer.layers["steel0 edits"].data, Project.open(folder).read_edits("steel0"))
