"""The window while a model learns: lateness of a timer in a real viewer with real brush strokes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest

from widgets_finetune import click, paint_bands
from workbench_helpers import open_part

TICK_MS = 10
SECONDS = 20


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., Any]) -> Any:
    return make_napari_viewer(show=True)


def lateness(viewer: Any, qtbot: Any) -> np.ndarray:
    """Paint strokes for a while and return by how much each tick of a timer was late, in ms."""
    canvas = viewer.window._qt_viewer.canvas.native
    late: list[float] = []
    due = [time.perf_counter() + TICK_MS / 1000]

    def tick() -> None:
        now = time.perf_counter()
        late.append(max(0.0, now - due[0]) * 1000)
        due[0] = now + TICK_MS / 1000

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(tick)
    timer.start(TICK_MS)
    rng, end = np.random.default_rng(0), time.time() + SECONDS
    while time.time() < end:
        x, y = (int(v) for v in rng.integers(60, 300, 2))
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(x, y))
        for k in range(1, 9):
            QTest.mouseMove(canvas, QPoint(x + 4 * k, y + 2 * k))
            qtbot.wait(15)
        QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(x + 36, y + 18))
        qtbot.wait(250)
    timer.stop()
    return np.array(late)


def describe(late: np.ndarray) -> str:
    return (
        f"n = {len(late)}, p50 = {np.percentile(late, 50):.1f} ms, p99 = {np.percentile(late, 99):.1f} ms, "
        f"max = {late.max():.0f} ms"
    )


@pytest.mark.slow
def test_the_window_stays_responsive(viewer: Any, qtbot: Any) -> None:
    (image, *_) = viewer.open_sample("napari-phaseguide", "uhcs0220")
    _, dock = open_part(viewer, "Fine-tune")
    edits = paint_bands(viewer, image, dock.panel.scheme(), rows=(40, 120, 200, 280))
    viewer.layers.selection.active = edits
    edits.mode, edits.brush_size = "paint", 12
    viewer.reset_view()
    dock.panel.form.amount.setValue(2000)
    dock.panel.form.form.controls["patience"].setValue(0)
    qtbot.waitUntil(lambda: "About" in dock.panel.estimate.text(), timeout=120_000)
    idle = lateness(viewer, qtbot)
    qtbot.waitUntil(lambda: "About" in dock.panel.estimate.text(), timeout=120_000)
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(lambda: "uhcs0220 preview" in viewer.layers, timeout=120_000)
    busy = lateness(viewer, qtbot)
    assert dock.runner.running, dock.panel.status.text()
    dock.stop()
    qtbot.waitUntil(lambda: not dock.runner.running, timeout=120_000)
    print(f"\nstrokes alone: {describe(idle)}\nwhile learning: {describe(busy)}")
    assert len(busy) > len(idle) / 2, "the window turns as it does without learning"
