"""Correcting a result: the edits layer is the user's alone, the result layer cannot be painted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtTest import QTest

from phaseguide.phases import EXCLUDED
from phaseguide.widgets.layer_commands import use_as_edits
from widget_helpers import impose_exactly, micrograph, numbers, stroke, type_into
from workbench_helpers import segmented_window

LINE = [(20.0, 20.0), (30.0, 40.0), (40.0, 60.0)]


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def settled(widget: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not widget._settle.isActive())


def test_correcting_is_just_painting(done: Any, viewer: Any, qtbot: Any) -> None:
    edits = viewer.layers["steel edits"]
    before = done.history().shown.planes[()].segmentation.labels.copy()
    edits.selected_label = 2
    stroke(edits, LINE)
    settled(done, qtbot)
    painted = edits.data > 0
    assert painted.any() and set(np.unique(edits.data[painted])) == {2}
    shown = viewer.layers["steel phases"].data
    assert (shown[painted] == 2).all()
    assert np.array_equal(shown[~painted], before[~painted])
    share = np.count_nonzero(shown == 2) / shown.size * 100
    assert numbers(done.panel.table.found)[1] == pytest.approx(share, abs=0.006)


def test_undo_and_erasing_withdraw_an_edit(done: Any, viewer: Any, qtbot: Any) -> None:
    edits = viewer.layers["steel edits"]
    before = viewer.layers["steel phases"].data.copy()
    table = [label.text() for label in done.panel.table.found]
    stroke(edits, LINE)
    settled(done, qtbot)
    edits.undo()
    settled(done, qtbot)
    assert not edits.data.any()
    assert np.array_equal(viewer.layers["steel phases"].data, before)
    assert [label.text() for label in done.panel.table.found] == table
    edits.redo()
    settled(done, qtbot)
    assert edits.data.any()


def test_edits_survive_every_segmentation(done: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    edits = viewer.layers["steel edits"]
    edits.selected_label = 3
    stroke(edits, LINE)
    mine = edits.data.copy()
    impose_exactly(done)
    type_into(qtbot, done.panel.table.boxes[2], "30")
    segment()
    assert np.array_equal(edits.data, mine), "no program writes into the edits"
    assert (viewer.layers["steel phases"].data[mine > 0] == 3).all()
    assert numbers(done.panel.table.found)[2] == pytest.approx(30, abs=0.02)
    edits.undo()
    assert not edits.data.any(), "the history of the user's strokes is whole"


def test_erasing_after_a_run_shows_the_prediction_there(
    done: Any, viewer: Any, segment: Any, qtbot: Any
) -> None:
    edits = viewer.layers["steel edits"]
    before = viewer.layers["steel phases"].data.copy()
    edits.selected_label = 3
    stroke(edits, LINE)
    segment()
    edits.undo()
    settled(done, qtbot)
    qtbot.waitUntil(lambda: np.array_equal(viewer.layers["steel phases"].data, before))


def test_excluded_area_leaves_every_denominator(done: Any, viewer: Any, qtbot: Any, segment: Any) -> None:
    edits = viewer.layers["steel edits"]
    edits.data_setitem(np.nonzero(np.arange(96)[:, None] + np.zeros(128) < 48), EXCLUDED)
    settled(done, qtbot)
    shown = viewer.layers["steel phases"].data
    assert (shown[:48] == EXCLUDED).all()
    rest = np.bincount(shown[48:].ravel(), minlength=4)[1:4] / shown[48:].size * 100
    qtbot.waitUntil(lambda: numbers(done.panel.table.found) == pytest.approx(rest, abs=0.006))
    assert numbers(done.panel.table.unguided) == pytest.approx(rest, abs=0.006)
    impose_exactly(done)
    type_into(qtbot, done.panel.table.boxes[1], "50")
    segment()
    shown = viewer.layers["steel phases"].data
    assert np.count_nonzero(shown == 2) / shown[48:].size == pytest.approx(0.5, abs=0.001)


def test_a_stroke_on_the_result_tells_where_to_paint(done: Any, viewer: Any, told: list[str]) -> None:
    phases = viewer.layers["steel phases"]
    before = phases.data.copy()
    viewer.layers.selection.active = phases
    phases.mode = "paint"
    assert phases.mode == "pan_zoom"
    stroke(phases, LINE)
    assert np.array_equal(phases.data, before)
    assert told == [
        "'steel phases' holds the result and cannot be painted. Paint on 'steel edits': click a phase in "
        "the table of Phase Guide, and drag."
    ]


def test_brush_goes_to_the_next_phase_unless_the_user_chose_one(done: Any, viewer: Any, segment: Any) -> None:
    edits = viewer.layers["steel edits"]
    stroke(edits, LINE)
    segment()
    assert edits.selected_label == 2
    edits.selected_label = 1
    viewer.layers.selection.active = viewer.layers["steel"]
    segment()
    assert edits.selected_label == 1
    assert viewer.layers.selection.active == edits and edits.mode == "pan_zoom"


def test_layers_that_were_deleted_or_renamed(done: Any, viewer: Any, segment: Any) -> None:
    edits = viewer.layers["steel edits"]
    edits.name = "my corrections"
    viewer.layers.remove("steel phases")
    segment()
    names = [layer.name for layer in viewer.layers]
    assert names.count("steel phases") == 1 and "steel edits" not in names
    viewer.layers.remove(edits)
    segment()
    assert not viewer.layers["steel edits"].data.any()


def test_edits_from_an_earlier_session_count_when_the_user_says_so(
    widget: Any, viewer: Any, segment: Any, told: list[str]
) -> None:
    viewer.add_image(micrograph(), name="steel")
    stored = np.zeros((96, 128), dtype=np.int32)
    stored[10:20, 10:20] = 2
    opened = viewer.add_labels(stored, name="steel edits")
    segment()
    assert not (viewer.layers["steel phases"].data[10:20, 10:20] == 2).all(), "a name tells nothing"
    (hint,) = [one for one in told if "Use as edits" in one]
    assert "'steel edits'" in hint
    viewer.layers.selection = {opened, viewer.layers["steel"]}
    use_as_edits(viewer)
    segment()
    assert (viewer.layers["steel phases"].data[10:20, 10:20] == 2).all()
    viewer.layers["steel edits [1]"].undo()
    segment()
    assert not (viewer.layers["steel phases"].data[10:20, 10:20] == 2).all()
    assert (opened.data == stored).all()


def test_status_bar_names_the_phase(done: Any, viewer: Any) -> None:
    phases = viewer.layers["steel phases"]
    value = phases.data[5, 5]
    assert (
        f"phase: {done.state.scheme.names[value - 1]}" in phases.get_status((5, 5), world=True)["coordinates"]
    )
    colour = phases.get_color(int(value))
    assert np.allclose(
        colour[:3] * 255, [int(done.state.scheme.phases[value - 1].colour[i : i + 2], 16) for i in (1, 3, 5)]
    )


def drag(viewer: Any, points: list[tuple[float, float]], qtbot: Any) -> None:
    """Drag the left mouse button over the canvas of a shown viewer; points are (row, column) in the world."""

    canvas = viewer.window._qt_viewer.canvas
    where = []
    for y, x in points:
        mapped = canvas.view.scene.transform.map((x, y, 0, 1))
        where.append(QPointF(*(float(v) for v in mapped[:2] / mapped[3])).toPoint())
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QTest.mouseMove(canvas.native, where[0])
    QTest.mousePress(canvas.native, left, none, where[0])
    for point in where[1:]:
        QTest.mouseMove(canvas.native, point)
        qtbot.wait(20)
    QTest.mouseRelease(canvas.native, left, none, where[-1])
    qtbot.wait(50)


def test_real_mouse_on_a_shown_canvas(
    make_napari_viewer: Any, model_file: Any, qtbot: Any, told: list[str]
) -> None:
    viewer, widget = segmented_window(make_napari_viewer, model_file, qtbot)
    viewer.reset_view()
    qtbot.wait(200)
    drag(viewer, LINE, qtbot)
    edits = viewer.layers["steel edits"]
    assert not edits.data.any(), "the brush is off until it is asked for"
    viewer.reset_view()
    qtbot.mouseClick(widget.panel.table.rows[1].chip, Qt.MouseButton.LeftButton)
    drag(viewer, LINE, qtbot)
    assert edits.data[30, 40] == edits.selected_label == 2
    qtbot.waitUntil(lambda: viewer.layers["steel phases"].data[30, 40] == edits.selected_label)
    viewer.layers.selection.active = viewer.layers["steel phases"]
    drag(viewer, [(60.0, 20.0), (70.0, 30.0), (75.0, 50.0)], qtbot)
    assert told == [
        "'steel phases' holds the result and cannot be painted. Paint on 'steel edits': click a phase in "
        "the table of Phase Guide, and drag."
    ]
