"""One key per phase on the edits layer, the confirming key, and the log of what each edit does to the areas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest

from phaseguide.phases import EXCLUDED
from phaseguide.widgets.layers.roles import KEY
from widget_helpers import activate, stroke
from workbench_helpers import segmented_window

LINE = [(20.0, 20.0), (30.0, 40.0), (40.0, 60.0)]


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def records(layer: Any) -> list[dict[str, Any]]:
    found = layer.metadata[KEY].get("edit_log", [])
    assert isinstance(found, list)
    return found


def percent(labels: np.ndarray, k: int) -> float:
    return float(np.count_nonzero(labels == k) / np.count_nonzero((labels > 0) & (labels < 255)) * 100)


def press(viewer: Any, key: str) -> None:
    """Press a key as napari hears it on the canvas."""
    from app_model.types import KeyBinding

    binding = KeyBinding.from_str(key)
    viewer.window._qt_viewer.canvas._key_map_handler.press_key(binding.part0)


def release(viewer: Any, key: str) -> None:
    from app_model.types import KeyBinding

    viewer.window._qt_viewer.canvas._key_map_handler.release_key(KeyBinding.from_str(key).part0)


def test_every_phase_has_a_key(napari_window: None, done: Any, viewer: Any, told: list[str]) -> None:
    edits = viewer.layers["steel edits"]
    viewer.layers.selection.active = edits
    for key, label in (("2", 2), ("3", 3), ("1", 1), ("0", EXCLUDED)):
        press(viewer, key)
        assert edits.selected_label == label and edits.mode == "paint"
    edits.mode = "erase"
    press(viewer, "2")
    assert edits.mode == "paint", "whoever takes a phase wants to paint it"
    edits.mode = "fill"
    press(viewer, "3")
    assert (edits.mode, edits.selected_label) == ("fill", 3), "a tool that draws goes on"
    press(viewer, "7")
    assert edits.selected_label == 3 and "3 phases" in told[-1]
    press(viewer, "E")
    assert edits.mode == "erase", "napari's own letters work as ever"


def test_other_labels_layers_keep_their_keys(napari_window: None, done: Any, viewer: Any) -> None:
    other = viewer.add_labels(np.zeros((96, 128), dtype=np.uint8), name="mine")
    viewer.layers.selection.active = other
    press(viewer, "1")
    assert other.mode == "erase"


def test_keys_are_listed_where_napari_lists_keys(napari_window: None, done: Any, viewer: Any) -> None:
    from napari._qt.widgets.qt_keyboard_settings import ShortcutEditor

    listed = ShortcutEditor().key_bindings_strs["Labels layer"]
    action = listed["phaseguide:brush_2"]
    assert "phase 2 (key 2 on an edits layer)" in action.description
    edits, other = viewer.layers["steel edits"], viewer.add_labels(np.zeros((96, 128), np.uint8))
    for layer in (edits, other):
        action.command(layer)
    assert (edits.mode, edits.selected_label) == ("paint", 2)
    assert (other.mode, other.selected_label) == ("pan_zoom", 1), "no layer of Phase Guide"


def test_keys_are_shown(done: Any) -> None:
    assert [row.chip.text() for row in done.panel.table.rows] == ["1", "2", "3"]
    tips = [row.name.toolTip() for row in done.panel.table.rows]
    assert all(f"Key {key} " in tip for key, tip in enumerate(tips, start=1))
    assert "carbide network" in tips[1]


def test_area_before_and_after_each_edit(done: Any, viewer: Any, qtbot: Any) -> None:
    edits, phases = viewer.layers["steel edits"], viewer.layers["steel phases"]
    first = phases.data.copy()
    edits.selected_label = 2
    stroke(edits, LINE)
    painted = edits.data == 2
    second = np.where(painted, 2, first)
    (record,) = records(edits)
    assert record["painted_px"] == np.count_nonzero(painted) and record["withdrawn_px"] == 0
    assert record["confirmed_px"] == np.count_nonzero(first[painted] == 2)
    names = done.state.scheme.names
    for k, name in enumerate(names, start=1):
        assert record["area_percent_before"][name] == pytest.approx(percent(first, k), abs=1e-3)
        assert record["area_percent_after"][name] == pytest.approx(percent(second, k), abs=1e-3)
    qtbot.waitUntil(lambda: np.array_equal(phases.data, second))
    edits.undo()
    record = records(edits)[1]
    assert record["withdrawn_px"] == np.count_nonzero(painted) and record["painted_px"] == 0
    assert record["area_percent_after"][names[1]] == pytest.approx(percent(first, 2), abs=1e-3)
    edits.redo()
    assert len(records(edits)) == 3
    edits.refresh()
    assert len(records(edits)) == 3, "a redraw is no edit"


def test_painting_a_phase_over_itself_confirms_it(done: Any, viewer: Any) -> None:
    edits, phases = viewer.layers["steel edits"], viewer.layers["steel phases"]
    label = int(phases.data[30, 40])
    edits.selected_label, edits.brush_size = label, 1
    stroke(edits, [(30.0, 40.0), (30.0, 40.0)])
    assert edits.data[30, 40] == label
    (record,) = records(edits)
    assert record["confirmed_px"] == record["painted_px"] == np.count_nonzero(edits.data)
    assert record["area_percent_before"] == record["area_percent_after"]


def test_the_confirming_key_writes_what_is_there(napari_window: None, done: Any, viewer: Any) -> None:
    edits, phases = viewer.layers["steel edits"], viewer.layers["steel phases"]
    viewer.layers.selection.active = edits
    edits.brush_size = 9
    edits.data[40, 50] = 3  # what was said already stays
    viewer.cursor.position = (40.0, 50.0)
    press(viewer, "C")
    viewer.cursor.position = (40.0, 70.0)
    release(viewer, "C")
    viewer.cursor.position = (80.0, 100.0)
    written = edits.data > 0
    written[40, 50] = False
    assert written[40, 52] and written[40, 70] and not written[80, 100]
    assert np.array_equal(edits.data[written], phases.data[written])
    assert edits.data[40, 50] == 3
    edits.undo()
    assert np.count_nonzero(edits.data) == 1, "one press is one step of undo"


def test_keys_and_brush_in_a_shown_window(make_napari_viewer: Any, model_file: Any, qtbot: Any) -> None:
    viewer, _ = segmented_window(make_napari_viewer, model_file, qtbot)
    viewer.reset_view()
    canvas = viewer.window._qt_viewer.canvas
    window = viewer.window._qt_window
    activate(window, qtbot)
    canvas.native.setFocus()
    qtbot.wait(200)

    def place(row: float, column: float) -> Any:
        mapped = canvas.view.scene.transform.map((column, row, 0, 1))
        return QPointF(*(float(v) for v in mapped[:2] / mapped[3])).toPoint()

    edits = viewer.layers["steel edits"]
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    for key, label, row in ((Qt.Key.Key_3, 3, 20.0), (Qt.Key.Key_2, 2, 60.0)):
        QTest.keyClick(canvas.native, key)
        qtbot.wait(20)
        QTest.mouseMove(canvas.native, place(row, 30))
        QTest.mousePress(canvas.native, left, none, place(row, 30))
        for column in (45.0, 60.0):
            QTest.mouseMove(canvas.native, place(row, column))
            qtbot.wait(20)
        QTest.mouseRelease(canvas.native, left, none, place(row, 60))
        qtbot.wait(50)
        assert edits.data[int(row), 45] == label
    assert len(records(edits)) == 2
