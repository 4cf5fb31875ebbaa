"""Measures live mode in a shown viewer, in a process of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtTest import QTest

from phaseguide.errors import PhaseguideError
from phaseguide.studies.speed.clock import benchmark_image
from phaseguide.studies.speed.harness import Measured, OnStage, serve
from phaseguide.studies.speed.live import LAG, TO_CONDITIONED, TO_FRAME, TO_LAYER, LiveRow, LiveTask

WINDOW = (1400, 900)
FIRST_S, ANSWER_S = 3600, 60
TICK_MS = 10
PAUSE_MS = 150
"""Between two changes that are measured by themselves."""

MOVE_MS = 50
"""Between two changes while the values move: a key that repeats quickly."""

LARGE = 2048
FEW = 10
"""From this side on, px, fewer conditioned masks are measured; elsewhere this many."""


class Bench:
    """A viewer with the workbench and one image that is segmented already."""

    def __init__(self, task: LiveTask, on_stage: OnStage) -> None:
        import napari

        from phaseguide.widgets.workbench.open import open_workbench

        self.task, self._on_stage = task, on_stage
        self.viewer = napari.Viewer(show_welcome_screen=False)
        self.viewer.window.resize(*WINDOW)
        workbench = open_workbench(self.viewer)
        workbench.show_step("segment")
        self.widget: Any = workbench.segment
        self.widget.panel.model_box.open_file(task.model)
        self.viewer.add_image(benchmark_image(task.size), name="field")
        self.native = self.viewer.window._qt_viewer.canvas.native
        self.box = self.widget.panel.table.boxes[0]

    def segment(self) -> None:
        """Segment once, which encodes the image, and let the window settle."""
        self._on_stage("first segmentation")
        self.wait(1)
        self.viewer.reset_view()
        self.widget.segment()
        self._until(lambda: not self.widget.runner.running, FIRST_S)
        if self.widget.results.shown(self.widget.image) is None:
            raise PhaseguideError(self.widget.panel.status.text())
        self.layer = self.viewer.layers["field phases"]
        own = float(self.widget.panel.table.result.own[0])
        self.box.setValue(round(100 * min(max(own, 0.15), 0.85), 2))
        self._up = True
        self.wait(2)

    def change(self) -> float:
        """Change a value by the keyboard, and return when."""
        if not 5 < self.box.value() < 95 or abs(self.box.value() - self._start) >= 8:
            self._up = self.box.value() < self._start
        begun = time.perf_counter()
        key = Qt.Key.Key_Up if self._up else Qt.Key.Key_Down
        QTest.keyClick(self.box, key)  # type: ignore[call-overload]  # static in Qt, not in its stubs
        return begun

    @property
    def _start(self) -> float:
        return 100 * min(max(float(self.widget.panel.table.result.own[0]), 0.15), 0.85)

    def answers(self) -> tuple[list[float], list[float]]:
        """Measure single changes: ms to the layer and to the frame."""
        self._on_stage("single changes")
        times = [self._answer() for _ in range(self.task.changes)]
        return [to_layer for to_layer, _ in times], [to_frame for _, to_frame in times]

    def _answer(self) -> tuple[float, float]:
        seen = _Moments(self.layer, self.native)
        begun = self.change()
        self._until(lambda: seen.frame is not None, ANSWER_S)
        seen.close()
        self.wait(PAUSE_MS / 1e3)
        return (seen.data - begun) * 1e3, (seen.frame - begun) * 1e3

    def lag(self) -> list[float]:
        """Move the values and measure how late a timer is, ms."""
        self._on_stage("moving values")
        late: list[float] = []
        last = [time.perf_counter()]

        def tick() -> None:
            now = time.perf_counter()
            late.append(max(0.0, (now - last[0]) * 1e3 - TICK_MS))
            last[0] = now

        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.timeout.connect(tick)
        timer.start(TICK_MS)
        for _ in range(self.task.changes):
            self.change()
            self.wait(MOVE_MS / 1e3)
        timer.stop()
        return late

    def conditioned(self) -> list[float]:
        """Measure changes until the network has looked again, ms."""
        self._on_stage("conditioned changes")
        mode = self.widget.panel.advanced.controls["mode"]
        mode.setCurrentIndex(mode.findData("both"))
        self.wait(3)
        count = min(self.task.changes, 2 if self.task.size >= LARGE else FEW)
        return [self._conditioned() for _ in range(count)]

    def _conditioned(self) -> float:
        done: list[float] = []

        def note(event: Any) -> None:
            if self.layer.metadata["phaseguide"]["mode"] == "both":
                done.append(time.perf_counter())

        begun = self.change()
        self._until(lambda: self.layer.metadata["phaseguide"]["mode"] == "matched", ANSWER_S)
        self.layer.events.set_data.connect(note)
        self._until(lambda: bool(done), FIRST_S)
        self.layer.events.set_data.disconnect(note)
        self.wait(1)
        return (done[0] - begun) * 1e3

    def wait(self, seconds: float) -> None:
        """Let the window work for a while, as Qt does when nobody asks it anything."""
        loop = QEventLoop()
        QTimer.singleShot(round(seconds * 1e3), loop.quit)
        loop.exec()

    def _until(self, done: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not done():
            if time.monotonic() > end:
                raise PhaseguideError(
                    f"No answer within {seconds} s; the widget says: {self.widget.panel.status.text()}"
                )
            self.wait(0.002)


class _Moments:
    """When a layer got its new data, and when the frame that shows it was on the screen."""

    def __init__(self, layer: Any, native: Any) -> None:
        self.data: Any = None
        self.frame: Any = None
        self._layer, self._native = layer, native
        layer.events.set_data.connect(self._on_data)
        native.frameSwapped.connect(self._on_frame)

    def close(self) -> None:
        """Listen no more."""
        self._layer.events.set_data.disconnect(self._on_data)
        self._native.frameSwapped.disconnect(self._on_frame)

    def _on_data(self, event: Any) -> None:
        if self.data is None:
            self.data = time.perf_counter()

    def _on_frame(self) -> None:
        if self.data is not None and self.frame is None:
            self.frame = time.perf_counter()


def measure(task: LiveTask, on_stage: OnStage) -> Measured:
    """Measure one size; ``on_stage`` hears what comes next."""
    bench = Bench(task, on_stage)
    machine = describe_display()
    bench.segment()
    to_layer, to_frame = bench.answers()
    times = {TO_LAYER: to_layer, TO_FRAME: to_frame, LAG: bench.lag()}
    if bench.widget.panel.model_box.card.guidance.takes_ratio:
        times[TO_CONDITIONED] = bench.conditioned()
    bench.viewer.close()
    return Measured(tuple(_row(task.size, what, found) for what, found in times.items()), machine)


def _row(size: int, what: str, times: list[float]) -> LiveRow:
    p50, p95, p99 = (float(value) for value in np.percentile(times, (50, 95, 99)))
    return LiveRow(size, what, len(times), p50, p95, p99, max(times))


def describe_display() -> dict[str, Any]:
    """What draws: napari, Qt, OpenGL, and CPU threads of torch."""
    import napari
    import torch
    from qtpy import QT_VERSION
    from vispy.gloo import gl

    renderer = gl.glGetParameter(gl.GL_RENDERER)
    return {
        "napari": napari.__version__,
        "qt": QT_VERSION,
        "opengl": renderer.decode() if isinstance(renderer, bytes) else str(renderer),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    os.environ["NAPARI_CONFIG"] = ""  # the numbers must not depend on anybody's settings
    serve(LiveTask, measure)
