"""The phase table as a palette: the brush is off until a row is clicked, and Esc puts it away before it cancels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.edit_log import scheme_of
from tiny_models import tiny_model
from widget_helpers import activate, drag, micrograph, type_into
from workbench_helpers import segmented_window

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def armed(widget: Any) -> list[bool]:
    return [bool(row.back.styleSheet()) for row in widget.panel.table.rows]


def take(widget: Any, qtbot: Any, row: int) -> None:
    qtbot.mouseClick(widget.panel.table.rows[row].chip, LEFT)


def test_a_row_takes_the_brush_before_there_is_a_result(widget: Any, viewer: Any, qtbot: Any) -> None:
    viewer.add_image(micrograph(), name="steel")
    assert "off" in widget.panel.table.brush_line.text()
    take(widget, qtbot, 1)
    edits = viewer.layers["steel edits"]
    assert viewer.layers.selection.active == edits
    assert (edits.mode, edits.selected_label) == ("paint", 2)
    assert armed(widget) == [False, True, False]
    assert widget.state.scheme.names[1] in widget.panel.table.brush_line.text()


def test_the_brush_is_off_after_segmenting(done: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    edits = viewer.layers["steel edits"]
    assert viewer.layers.selection.active == edits and edits.mode == "pan_zoom"
    assert armed(done) == [False] * 3
    drag(edits, [(20.0, 20.0), (30.0, 40.0)])
    assert not edits.data.any(), "a stray drag paints nothing"
    take(done, qtbot, 2)
    drag(edits, [(20.0, 20.0), (30.0, 40.0)])
    assert (edits.data == 3).any()
    segment()
    assert edits.mode == "pan_zoom" and armed(done) == [False] * 3


def test_the_rows_of_another_model_know_of_the_brush(
    done: Any, viewer: Any, tmp_path: Path, qtbot: Any
) -> None:
    table = done.panel.table
    take(done, qtbot, 1)
    done.panel.model_box.open_file(tiny_model(tmp_path, names=("a", "b")))
    assert len(table.rows) == 2 and viewer.layers["steel edits"].mode == "paint"
    assert armed(done) == [False, True] and table.brush_line.text() == "Painting b."


def test_the_table_follows_keys_tools_and_layers(done: Any, viewer: Any, qtbot: Any) -> None:
    edits, table = viewer.layers["steel edits"], done.panel.table
    edits.mode = "paint"
    edits.selected_label = 1
    assert armed(done) == [True, False, False]
    edits.selected_label = 255
    assert armed(done) == [False] * 3 and "excluded" in table.brush_line.text()
    edits.mode = "erase"
    assert "Erasing" in table.brush_line.text()
    edits.mode = "fill"
    take(done, qtbot, 1)
    assert edits.mode == "fill", "a tool that draws goes on"
    viewer.layers.selection.active = viewer.layers["steel"]
    assert armed(done) == [False] * 3
    viewer.layers.selection.active = edits
    assert armed(done) == [False, True, False]
    edits.visible = False
    edits.visible = True
    assert edits.mode == "pan_zoom" and armed(done) == [False] * 3, "napari would give the tool back"


def test_another_image_puts_the_brush_away(done: Any, viewer: Any, qtbot: Any) -> None:
    take(done, qtbot, 1)
    viewer.add_image(micrograph(seed=3), name="other")
    assert done.image.name == "other"
    assert viewer.layers["steel edits"].mode == "pan_zoom" and armed(done) == [False] * 3


def test_a_reviewed_field_gives_no_brush(done: Any, viewer: Any, qtbot: Any, told: list[str]) -> None:
    from phaseguide.widgets.layers.review_lock import freeze

    freeze(viewer.layers["steel"], True)
    take(done, qtbot, 1)
    assert viewer.layers["steel edits"].mode == "pan_zoom"
    assert "reviewed" in done.panel.status.text() and told


def test_escape_puts_the_brush_away_before_it_cancels(
    make_napari_viewer: Any, model_file: Any, qtbot: Any
) -> None:
    viewer, widget = segmented_window(make_napari_viewer, model_file, qtbot)
    activate(viewer.window._qt_window, qtbot)
    type_into(qtbot, widget.panel.table.boxes[1], "35")
    qtbot.waitUntil(lambda: widget.live._awaited is None)
    take(widget, qtbot, 1)
    edits, canvas = viewer.layers["steel edits"], viewer.window._qt_viewer.canvas.native
    assert edits.mode == "paint" and widget.panel.table.away_button.isVisible()
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: edits.mode == "pan_zoom")
    assert widget.live.in_series, "the first Esc is about the brush"
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not widget.live.in_series)


def test_edited_pixels_are_counted_beside_the_result(done: Any, viewer: Any, qtbot: Any) -> None:
    from qtpy.QtWidgets import QApplication

    take(done, qtbot, 1)
    edits = viewer.layers["steel edits"]
    edits.data_setitem(np.nonzero(np.indices((96, 128))[0] < 10), 2)
    qtbot.waitUntil(lambda: done.panel.table.note.text() == "1,280 px painted.")
    qtbot.mouseClick(done.panel.results.copy, LEFT)
    assert "with 1,280 px of manual edits" in QApplication.clipboard().text()
    edits.undo()
    qtbot.waitUntil(lambda: "painted" not in done.panel.table.note.text())


def test_strokes_of_other_phases_are_not_taken_for_the_model_s(done: Any, viewer: Any) -> None:
    widget, image = done, done.image
    edits = roles.find_layer(viewer, image, "edits")
    other = PhaseScheme.from_names(["γ", "γ'", "carbide"])
    roles.apply_scheme(edits, other)
    edits.data[:9] = 1
    widget.panel.table.armed.emit(1)
    assert str(edits.mode) == "pan_zoom" and scheme_of(edits).names == other.names
    assert "was painted for" in widget.panel.status.text()
