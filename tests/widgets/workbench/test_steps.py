"""The steps of the workbench in a shown window, at the sizes of a laptop and of a desk: all that is needed is seen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from phaseguide.widgets.qt.status_line import Details
from phaseguide.widgets.workbench.open import open_workbench
from phaseguide.widgets.workbench.state import STEPS
from tiny_models import tiny_model
from widget_helpers import micrograph

PHASES = ("denuded ferrite", "carbide network", "spheroidite", "Widmanstätten cementite")
NAPARI_PX = 2
"""napari's own status bar grows by at most so much when it shows a progress."""

SIZES = [(1366, 768), (1600, 1000)]
LONG = "The values are far from what the model sees in 'steel', and nothing of them was kept. " * 8


@pytest.fixture(params=SIZES, ids=["laptop", "desk"])
def workbench(request: Any, make_napari_viewer: Callable[..., Any], tmp_path: Path, qtbot: Any) -> Any:
    """The workbench in a window of a size, with an image and a model of four phases."""
    viewer = make_napari_viewer(show=True)
    viewer.add_image(micrograph(), name="steel")
    workbench = open_workbench(viewer)
    workbench.segment.panel.model_box.open_file(tiny_model(tmp_path, names=PHASES))
    viewer.window._qt_window.setGeometry(0, 0, *request.param)
    laid_out(workbench, qtbot)
    return workbench


def laid_out(workbench: Any, qtbot: Any) -> None:
    """Wait until the layouts have come to rest, which takes a turn of the event loop for each level."""
    area, before = workbench.segment.panel.table._area, None
    for _ in range(100):
        now = (workbench.size(), workbench.footer.size(), area.size())
        if now == before and area.height() == area.sizeHint().height():
            return
        before = now
        qtbot.wait(50)
    raise AssertionError(f"still moves: {now}, {area.sizeHint()}")


def click_tab(workbench: Any, step: str, qtbot: Any) -> None:
    bar = workbench.tabs.tabBar()
    place = bar.tabRect(list(STEPS).index(step)).center()
    QTest.mouseClick(bar, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place)
    qtbot.waitUntil(lambda: workbench.state.step == step)
    laid_out(workbench, qtbot)


def needed(workbench: Any, step: str) -> list[QWidget]:
    """What a step cannot be done without."""
    panel, tools = workbench.segment.panel, workbench.segment.tools
    ratio, results = tools.ratio, panel.results
    own = {
        "image": [panel.image_box, panel.model_box.combo, panel.model_box.open_button, panel.device_line],
        "segment": [
            panel.source_box, panel.scope_box, ratio.fill_button, ratio.paste_button, ratio.preset_button,
            ratio.basis_box, panel.segment_button, panel.stop_button, panel.live_check, tools.painted_fold.heading,
            tools.regions_fold.heading, panel.advanced.heading,
        ],
        "correct": [panel.keys_line, tools.flipped_fold.heading, tools.inside_fold.heading],
        "teach": [],
        "report": [results.csv, results.png, results.save],
    }[step]  # fmt: skip
    if step == "teach":
        teach = workbench.teach.panel
        own = [
            teach.goal, teach.model_box.combo, teach.name, teach.sources, teach.start_button, teach.pause_button,
            teach.stop_button,
        ]  # fmt: skip
    else:
        own += [*panel.table.boxes, *panel.table.ranges, *panel.table.found, *panel.table.unguided]
        own += [panel.table.sum_line, panel.decisions.accept, panel.decisions.cancel]
        own += [results.back, results.position, results.forward, results.copy]
    return [*own, workbench.header, workbench.tabs.tabBar(), panel.status]


def hidden_parts(controls: list[QWidget]) -> list[str]:
    """Controls of which not everything is seen."""
    return [
        f"{type(one).__name__} {getattr(one, 'text', str)()!r}: {one.visibleRegion().boundingRect()} of {one.rect()}"
        for one in controls
        if not one.isVisible() or one.visibleRegion().boundingRect() != one.rect()
    ]


def test_all_that_a_step_needs_is_seen(workbench: Any, qtbot: Any) -> None:
    for step in ("segment", "correct", "teach", "report", "image"):
        click_tab(workbench, step, qtbot)
        assert hidden_parts(needed(workbench, step)) == [], step


def places(workbench: Any, controls: list[QWidget]) -> list[tuple[int, int, int, int]]:
    corners = [one.mapTo(workbench, QPoint(0, 0)) for one in controls]
    return [(at.x(), at.y(), one.width(), one.height()) for at, one in zip(corners, controls, strict=True)]


def test_nothing_that_is_said_moves_a_button(workbench: Any, qtbot: Any) -> None:
    click_tab(workbench, "segment", qtbot)
    widget = workbench.segment
    controls = needed(workbench, "segment")
    before = np.array(places(workbench, controls))
    widget.say(LONG, alarm=True)
    widget.panel.progress.begin()
    qtbot.wait(100)
    assert abs(places(workbench, controls) - before).max() <= NAPARI_PX
    widget.panel.progress.end()
    with qtbot.waitSignal(widget.runner.ended):
        QTest.mouseClick(widget.panel.segment_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.state.shown is not None and widget.state.phase == "idle")
    qtbot.wait(100)
    assert abs(places(workbench, controls) - before).max() <= NAPARI_PX


def test_the_whole_of_a_long_text_is_a_click_away(workbench: Any, qtbot: Any) -> None:
    status = workbench.segment.panel.status
    workbench.segment.say("Short.")
    assert status.toolTip() == ""
    workbench.segment.say(LONG)
    assert status.text() == LONG and LONG in status.toolTip()
    QTest.mouseClick(status, Qt.MouseButton.LeftButton)
    (details,) = status.findChildren(Details)
    assert details.isVisible() and details.box.toPlainText() == LONG
    details.close()


def test_the_header_opens_the_first_step(workbench: Any, qtbot: Any) -> None:
    click_tab(workbench, "report", qtbot)
    assert "steel" in workbench.header.whole() and "tiny" in workbench.header.whole()
    QTest.mouseClick(workbench.header, Qt.MouseButton.LeftButton)
    assert workbench.state.step == "image" and workbench.segment.panel.image_box.isVisible()


def test_the_table_gives_its_room_to_a_step_and_comes_back(workbench: Any, qtbot: Any) -> None:
    click_tab(workbench, "teach", qtbot)
    table, turn = workbench.segment.panel.table, workbench.footer.table_button
    assert not table.isVisible() and workbench.tabs.height() > workbench.height() * 2 // 3
    QTest.mouseClick(turn, Qt.MouseButton.LeftButton)
    assert table.isVisible()
    click_tab(workbench, "segment", qtbot)
    QTest.mouseClick(turn, Qt.MouseButton.LeftButton)
    assert not table.isVisible()
    click_tab(workbench, "teach", qtbot)
    assert table.isVisible(), "each step keeps its own"
