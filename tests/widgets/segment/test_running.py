"""While it runs: the window stays alive, Stop stops, and whatever happens to the layers, nothing breaks."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt, QTimer

from phaseguide.errors import MicrographError, PhaseguideError
from phaseguide.events import Progress
from widget_helpers import micrograph
from workbench_helpers import close_workbench

STEPS = 100


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


class Held:
    """Segmentations that go on in small steps until the test lets them end; how long that is, no clock says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from phaseguide.segmentation.session import Session

        self._begun, self._may_end, self._changed = 0, 0.0, threading.Event()
        self.error: PhaseguideError | None = None
        quick = Session.segment

        def segment(session: Any, request: Any) -> Iterator[Any]:
            self._begun += 1
            mine, step = self._begun, 0
            while mine > self._may_end:
                if self.error is not None:
                    raise self.error
                yield Progress("Encoding the image", min(step, STEPS - 1), STEPS)
                step += 1
                self._changed.wait(0.015)
            yield from quick(session, request)

        monkeypatch.setattr(Session, "segment", segment)

    def let(self, number: float) -> None:
        """Let the first segmentations end, so many of them."""
        self._may_end = number
        self._changed.set()


@pytest.fixture
def held(widget: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    held = Held(monkeypatch)
    yield held
    held.let(math.inf)


@pytest.fixture
def running(widget: Any, viewer: Any, held: Held, qtbot: Any) -> Any:
    """A segmentation of 'steel' that has begun and is held."""
    viewer.add_image(micrograph(), name="steel")
    start(widget, qtbot)
    return widget


def start(widget: Any, qtbot: Any) -> None:
    qtbot.mouseClick(widget.panel.segment_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.panel.progress.format().startswith("Encoding"), timeout=20_000)


def test_progress_tells_stage_and_time_left(running: Any, held: Held, qtbot: Any) -> None:
    bar = running.panel.progress
    qtbot.waitUntil(lambda: " left" in bar.format())
    assert not bar.isHidden() and 0 < bar.value() < 1000
    assert not running.panel.segment_button.isEnabled() and running.panel.stop_button.isEnabled()
    held.let(math.inf)
    qtbot.waitUntil(lambda: not running.runner.running, timeout=20_000)
    assert bar.isHidden()


@pytest.mark.parametrize("end", ["stop", "error", "close"])
def test_the_activity_dock_tells_of_a_run_until_it_ends(
    running: Any, viewer: Any, held: Held, qtbot: Any, told: list[str], end: str
) -> None:
    from napari.utils.progress import progress

    def lines() -> list[str]:
        return [line.desc for line in progress._all_instances]

    qtbot.waitUntil(lambda: any(line.startswith("Segment: Encoding the image") for line in lines()))
    if end == "stop":
        qtbot.mouseClick(running.panel.stop_button, Qt.MouseButton.LeftButton)
    elif end == "error":
        held.error = MicrographError("steel: cannot be read any more. Open it again.")
    else:
        close_workbench(viewer)
    qtbot.waitUntil(lambda: not lines())


def test_stop(running: Any, viewer: Any, held: Held, qtbot: Any) -> None:
    qtbot.mouseClick(running.panel.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not running.runner.running)
    assert running.panel.status.text() == "Stopped. Nothing was changed."
    assert [layer.name for layer in viewer.layers] == ["steel"]
    held.let(math.inf)
    with qtbot.waitSignal(running.runner.ended, timeout=20_000):
        qtbot.mouseClick(running.panel.segment_button, Qt.MouseButton.LeftButton)
    assert viewer.layers["steel phases"].data.all()


def test_stop_keeps_the_planes_that_are_done(widget: Any, viewer: Any, held: Held, qtbot: Any) -> None:
    viewer.add_image(np.stack([micrograph(seed=i) for i in range(4)]), name="stack")
    widget.panel.planes_box.setCurrentIndex(1)
    held.let(1)
    qtbot.mouseClick(widget.panel.segment_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "stack phases" in viewer.layers, timeout=20_000)
    qtbot.mouseClick(widget.panel.stop_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not widget.runner.running)
    assert "1 planes are done" in widget.panel.status.text()
    data = viewer.layers["stack phases"].data
    assert data[0].all() and not data[1:].any()


def test_image_removed_meanwhile(running: Any, viewer: Any, held: Held, qtbot: Any) -> None:
    viewer.layers.remove("steel")
    held.let(math.inf)
    qtbot.waitUntil(lambda: not running.runner.running)
    assert running.panel.status.text() == "'steel' was removed meanwhile, so its result was dropped."
    assert len(viewer.layers) == 0


def test_data_replaced_meanwhile(running: Any, viewer: Any, held: Held, qtbot: Any) -> None:
    viewer.layers["steel"].data = micrograph((64, 80))
    held.let(math.inf)
    qtbot.waitUntil(lambda: not running.runner.running, timeout=20_000)
    assert "were replaced meanwhile" in running.panel.status.text()
    assert len(viewer.layers) == 1
    with qtbot.waitSignal(running.runner.ended, timeout=20_000):
        running.segment()
    assert viewer.layers["steel phases"].data.shape == (64, 80)


def test_new_shape_after_a_result(
    widget: Any, viewer: Any, segment: Any, qtbot: Any, told: list[str]
) -> None:
    layer = viewer.add_image(micrograph(), name="steel")
    segment()
    layer.data = micrograph((64, 80))
    assert widget.panel.table.found[0].text() == "–"
    qtbot.mouseClick(widget.panel.segment_button, Qt.MouseButton.LeftButton)
    assert "'steel edits' is 96 x 128 px" in told[0], "edits are never thrown away"
    viewer.layers["steel edits"].name = "old edits"
    viewer.layers.remove("old edits")
    segment()
    assert viewer.layers["steel phases"].data.shape == (64, 80)
    assert not viewer.layers["steel phases"].editable


def test_dock_closed_meanwhile(napari_window: None, running: Any, viewer: Any, qtbot: Any) -> None:
    edits = viewer.add_labels(np.zeros((96, 128), np.uint8), name="mine")
    edits.data[:4] = 1
    worker = running.runner._worker
    close_workbench(viewer)
    qtbot.waitUntil(lambda: not worker.is_running, timeout=20_000)
    qtbot.wait(50)
    assert [layer.name for layer in viewer.layers] == ["steel", "mine"]
    assert (edits.data[:4] == 1).all()


def test_viewer_closed_meanwhile(napari_window: None, running: Any, viewer: Any, qtbot: Any) -> None:
    worker = running.runner._worker
    viewer.close()
    qtbot.waitUntil(lambda: not worker.is_running, timeout=20_000)
    qtbot.wait(50)


def test_window_stays_alive(napari_window: None, widget: Any, viewer: Any, held: Held, qtbot: Any) -> None:
    """The window answers while the network works: the work ends only when a timer of the window has run often."""
    viewer.add_image(micrograph((768, 768)), name="steel")
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 50:
            held.let(math.inf)

    timer = QTimer()
    timer.setInterval(10)
    timer.timeout.connect(tick)
    start(widget, qtbot)
    timer.start()
    qtbot.waitUntil(lambda: not widget.runner.running)
    timer.stop()
    assert ticks >= 50 and viewer.layers["steel phases"].data.all()


IN_A_DRAWING_PROCESS = """
import os, sys, time
os.environ["NAPARI_CONFIG"] = ""
import numpy as np
from napari import Viewer
from napari.qt import get_qapp
app, viewer = get_qapp(), Viewer(show=True)
_, workbench = viewer.window.add_plugin_dock_widget("napari-phaseguide", "Phase Guide")
workbench.show_step("segment")
widget = workbench.segment
widget.panel.model_box.open_file(sys.argv[1])
viewer.add_image(np.random.default_rng(0).integers(0, 255, (64, 96)).astype("u1"), name="steel")
until = time.monotonic() + 0.5
while time.monotonic() < until:
    app.processEvents()
assert "torch" not in sys.modules or widget.panel.device_line.text()
widget.segment()
while widget.runner.running:
    app.processEvents()
    time.sleep(0.01)
assert viewer.layers["steel phases"].data.all(), widget.panel.status.text()
viewer.close()
print("segmented")
"""


@pytest.mark.window
def test_torch_comes_into_a_process_that_draws(model_file: Path) -> None:
    """Software OpenGL and triton bring two LLVM libraries, which together crash unless one is kept out."""
    done = subprocess.run(
        [sys.executable, "-c", IN_A_DRAWING_PROCESS, str(model_file)],
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "segmented" in done.stdout
