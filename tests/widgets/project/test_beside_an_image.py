"""A project opened beside an image of no project: one of the two owns the canvas. And what a run of it warns of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt

from phaseguide.projects.project import Project
from project_helpers import make_project, settled
from widget_helpers import micrograph, stroke
from workbench_helpers import close_workbench, open_part

LOOSE = {"loose", "loose phases", "loose edits"}
FIELD = {"steel0", "steel0 edits"}


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def seen(viewer: Any) -> set[str]:
    return {layer.name for layer in viewer.layers if layer.visible}


@pytest.fixture
def beside(
    viewer: Any, widget: Any, tmp_path: Path, segment: Callable[[], None], qtbot: Any
) -> tuple[Any, Any]:
    """The Segment dock and the Project dock; a loose image was segmented, then a project was opened."""
    viewer.add_image(micrograph(seed=9), name="loose")
    segment()
    viewer.layers["loose phases"].visible = False
    _, dock = open_part(viewer, "Project")
    dock.open(make_project(tmp_path))
    settled(dock, qtbot)
    return widget, dock


def click_field(dock: Any, number: int, qtbot: Any) -> None:
    view = dock.panel.list
    place = view.visualRect(view.fields.index(number)).center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)
    settled(dock, qtbot)


def test_the_field_on_show_hides_the_loose_image(beside: Any, viewer: Any) -> None:
    widget, dock = beside
    assert seen(viewer) == FIELD and widget.image.name == "steel0"
    assert viewer.layers.selection.active.name == "steel0 edits"
    assert dock.panel.review_button.isEnabled()


def test_going_to_and_fro_leaves_everything_as_it_was(beside: Any, viewer: Any, qtbot: Any) -> None:
    widget, dock = beside
    edits = viewer.layers["steel0 edits"]
    edits.mode = "paint"
    viewer.layers.selection.active = viewer.layers["loose"]
    settled(dock, qtbot)
    assert seen(viewer) == LOOSE - {"loose phases"} and widget.image.name == "loose"
    assert str(edits.mode) == "pan_zoom"
    assert not dock.panel.review_button.isEnabled() and not dock.panel.list.selectedIndexes()
    click_field(dock, 0, qtbot)
    assert seen(viewer) == FIELD and widget.image.name == "steel0"
    assert dock.panel.review_button.isEnabled() and viewer.layers.selection.active.name.startswith("steel0")
    click_field(dock, 1, qtbot)
    assert seen(viewer) == {"steel1", "steel1 edits"} and widget.image.name == "steel1"
    viewer.layers.selection.active = viewer.layers["loose edits"]
    assert seen(viewer) == LOOSE - {"loose phases"}
    click_field(dock, 0, qtbot)
    assert seen(viewer) == FIELD, "though it was taken out while it was hidden"


def test_strokes_go_to_the_image_that_is_seen(beside: Any, viewer: Any, tmp_path: Path, qtbot: Any) -> None:
    widget, dock = beside
    viewer.layers.selection.active = viewer.layers["loose"]
    widget.panel.image_box.choose(viewer.layers["steel0"])
    active = viewer.layers.selection.active
    assert active is viewer.layers["steel0"], "the brush was on no edits"
    viewer.layers.selection.active = edits = viewer.layers["steel0 edits"]
    edits.mode = "paint"
    points = [edits.data_to_world(place) for place in ((10.0, 10.0), (10.0, 40.0))]
    stroke(edits, [tuple(map(float, point)) for point in points])
    settled(dock, qtbot)
    assert not viewer.layers["loose edits"].data.any()
    stored = Project.open(tmp_path / "heat treatment").read_edits("steel0")
    assert stored is not None and stored.any()


def test_the_loose_image_comes_back_with_the_end_of_the_project(beside: Any, viewer: Any, qtbot: Any) -> None:
    widget, dock = beside
    qtbot.mouseClick(dock.panel.close_button, Qt.MouseButton.LeftButton)
    assert seen(viewer) == LOOSE - {"loose phases"} and widget.image.name == "loose"


def test_closing_both_docks_shows_everything(beside: Any, viewer: Any) -> None:
    close_workbench(viewer)
    assert seen(viewer) == FIELD | LOOSE - {"loose phases"}


def test_a_field_that_fails_is_marked_and_named(
    viewer: Any, tmp_path: Path, model_file: Path, qtbot: Any
) -> None:
    folder = make_project(tmp_path, model=str(model_file))
    project = Project.open(folder)
    image = folder / project.field("steel1").images[0].path
    image.write_bytes(b"no picture")
    _, dock = open_part(viewer, "Project")
    dock.open(folder)
    settled(dock, qtbot)
    panel = dock.panel
    with qtbot.waitSignal(dock.rerun.runner.ended):
        qtbot.mouseClick(panel.rerun_button, Qt.MouseButton.LeftButton)
    settled(dock, qtbot)
    model = panel.list.fields
    texts = [model.data(model.index(n)) for n in range(3)]
    assert "warnings: 1" in texts[1] and "warnings" not in texts[0] + texts[2]
    (warned,) = panel.warnings.log.of("steel1")
    assert f"steel1: {warned}" in panel.warnings.text.toPlainText()
    assert warned in model.data(model.index(1), Qt.ItemDataRole.ToolTipRole).replace("\u2060", "")
    assert panel.status.text() == "1 field is left. See Warnings (1)."
    qtbot.mouseClick(panel.warnings.clear_button, Qt.MouseButton.LeftButton)
    assert "warnings" not in model.data(model.index(1))
