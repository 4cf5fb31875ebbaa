"""The keys of Accept, Cancel, Back and Forward, pressed in a shown window: on the canvas and in a box."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from widget_helpers import activate, type_into
from workbench_helpers import close_workbench, segmented_window

CONTROL, NONE = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def shown(make_napari_viewer: Any, model_file: Any, qtbot: Any) -> Any:
    """A shown viewer with a result, its widget, and the places where a key can be pressed."""
    viewer, widget = segmented_window(make_napari_viewer, model_file, qtbot)
    window = viewer.window._qt_window
    activate(window, qtbot)
    return viewer, widget


def change(widget: Any, qtbot: Any, text: str) -> None:
    type_into(qtbot, widget.panel.table.boxes[1], text)
    qtbot.waitUntil(lambda: widget.live._awaited is None, timeout=20_000)


def press(place: Any, key: Any, modifier: Any, qtbot: Any) -> None:
    place.setFocus()
    qtbot.wait(20)
    QTest.keyClick(place, key, modifier)
    qtbot.wait(20)


@pytest.mark.parametrize("where", ["canvas", "box"])
def test_keys_work_everywhere(shown: Any, qtbot: Any, where: str) -> None:
    viewer, widget = shown
    place = {
        "canvas": viewer.window._qt_viewer.canvas.native,
        "box": widget.panel.table.boxes[0],
    }[where]
    phases = viewer.layers["steel phases"]

    def shows(labels: np.ndarray, share: str) -> None:
        qtbot.waitUntil(
            lambda: np.array_equal(phases.data, labels) and widget.panel.table.boxes[1].text() == share
        )

    assert viewer.layers.selection.active.name == "steel edits", "a Labels layer has keys of its own"
    first = phases.data.copy()
    change(widget, qtbot, "35")
    second = phases.data.copy()
    press(place, Qt.Key.Key_Return, CONTROL, qtbot)
    qtbot.waitUntil(lambda: len(widget.history().runs) == 2 and not widget.live.in_series)
    change(widget, qtbot, "60")
    press(place, Qt.Key.Key_Escape, NONE, qtbot)
    shows(second, "35.00")
    press(place, Qt.Key.Key_BracketLeft, CONTROL, qtbot)
    shows(first, "")
    press(place, Qt.Key.Key_BracketRight, CONTROL, qtbot)
    shows(second, "35.00")


def test_buttons_name_their_keys(shown: Any) -> None:
    _, widget = shown
    decisions, results = widget.panel.decisions, widget.panel.results
    assert "Ctrl+Return" in decisions.accept.toolTip() and "Esc" in decisions.cancel.toolTip()
    assert "Ctrl+[" in results.back.toolTip() and "Ctrl+]" in results.forward.toolTip()


def test_escape_is_left_to_others_when_nothing_is_on_trial(shown: Any, qtbot: Any) -> None:
    """A polygon on the edits layer is dropped with Escape, as everywhere in napari."""
    _, widget = shown
    assert not any(shortcut.isEnabled() for shortcut in widget._keys._shortcuts.values())
    change(widget, qtbot, "35")
    assert widget._keys._shortcuts["Esc"].isEnabled()


def test_closed_dock_gives_the_keys_back(shown: Any, qtbot: Any) -> None:
    viewer, widget = shown
    change(widget, qtbot, "35")
    close_workbench(viewer)
    press(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_Escape, NONE, qtbot)
    assert widget.live.in_series


def test_escape_in_the_popup_only_closes_it(shown: Any, qtbot: Any) -> None:
    _, widget = shown
    change(widget, qtbot, "35")
    button = widget.panel.table.ranges[1]
    button.click()
    qtbot.wait(50)
    popup = button._popup
    popup.spin.setValue(10)
    QTest.keyClick(popup.spin, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: button._popup is None)
    assert widget.live.in_series and widget.state.uncertainty == (0.3, 0.1, 0.3)
