"""The Project dock in a real viewer: fields as layers, autosave, states, results of the Segment widget."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from phaseguide.projects.project import Project
from project_helpers import SCHEME, make_project, settled, write_images
from tiny_models import tiny_model
from widget_helpers import micrograph, stroke
from workbench_helpers import close_workbench, open_part

LINE = [(20.0, 20.0), (30.0, 40.0), (40.0, 60.0)]
PLUGIN = "napari-phaseguide"


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def paint(layer: Any, down: float = 0.0) -> None:
    """Take the brush and drag it along a line, ``down`` pixels lower."""
    layer.mode = "paint"
    points = [layer.data_to_world((row + down, column)) for row, column in LINE]
    stroke(layer, [tuple(float(v) for v in point) for point in points])


def click(qtbot: Any, button: Any) -> None:
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.fixture
def dock(viewer: Any) -> Any:
    _, dock = open_part(viewer, "Project")
    return dock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.fixture
def at_work(dock: Any, folder: Path, qtbot: Any) -> Any:
    """The dock with a project of three fields, the first on show."""
    dock.open(folder)
    settled(dock, qtbot)
    return dock


def show(dock: Any, field_id: str, qtbot: Any) -> None:
    dock.opened.show(field_id)
    qtbot.waitUntil(lambda: dock.opened.current == field_id, timeout=20_000)
    settled(dock, qtbot)


def texts(dock: Any) -> list[str]:
    model = dock.panel.list.fields
    return [model.data(model.index(n)) for n in range(model.rowCount())]


def test_without_a_project(dock: Any) -> None:
    panel = dock.panel
    assert "No project is open" in panel.place.text()
    assert panel.new_button.isEnabled() and panel.open_button.isEnabled()
    for button in (panel.close_button, panel.files_button, panel.next_button, panel.review_button):
        assert not button.isEnabled()


def test_open_shows_the_first_field_with_its_scale(at_work: Any, viewer: Any) -> None:
    assert [layer.name for layer in viewer.layers] == ["steel0", "steel0 edits"]
    image, edits = viewer.layers
    assert image.scale == pytest.approx([0.05, 0.05]) and edits.scale == pytest.approx([0.05, 0.05])
    assert np.array_equal(image.data, micrograph(seed=0))
    assert at_work.opened.field_of(image).id == "steel0" and at_work.opened.image_of("steel0") is image
    assert [text.split(";")[0] for text in texts(at_work)] == ["steel0", "steel1", "steel2"]
    assert all("unreviewed" in text and "not segmented yet" in text for text in texts(at_work))
    assert viewer.layers.selection.active is edits


def test_create_and_add_files(dock: Any, tmp_path: Path, qtbot: Any) -> None:
    dock.create_project(tmp_path / "new", SCHEME, "My steel")
    assert dock.panel.title.text() == "My steel"
    dock.add_images(write_images(tmp_path / "images", 2))
    qtbot.waitUntil(lambda: dock.opened.current == "steel0", timeout=20_000)
    settled(dock, qtbot)
    assert [entry.id for entry in Project.open(tmp_path / "new").fields] == ["steel0", "steel1"]
    assert dock.panel.status.text() == "Added 2 micrographs."
    dock.add_images([tmp_path / "images" / "steel0.tif"])
    qtbot.waitUntil(lambda: "in the project already" in dock.panel.status.text())


def test_a_folder_is_dropped_on_the_list(dock: Any, tmp_path: Path, qtbot: Any) -> None:
    """As a file manager drops it: micrographs become fields, and what is none is told."""
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDragEnterEvent, QDropEvent

    dock.create_project(tmp_path / "new", SCHEME)
    write_images(tmp_path / "scans" / "heat 7", 2)
    (tmp_path / "scans" / "notes.txt").write_text("etched")
    dropped = QMimeData()
    dropped.setUrls([QUrl.fromLocalFile(str(tmp_path / "scans"))])
    left, none = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPointF(5, 5).toPoint(), Qt.DropAction.CopyAction, dropped, left, none)
    dock.panel.list.dragEnterEvent(enter)
    assert enter.isAccepted()
    dock.panel.list.dropEvent(QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, dropped, left, none))
    told = "Added 2 micrographs. Left out: 1 other file (.txt)."
    qtbot.waitUntil(lambda: dock.panel.status.text() == told, timeout=20_000)
    qtbot.waitUntil(lambda: dock.opened.current == "steel0", timeout=20_000)
    settled(dock, qtbot)
    assert len(texts(dock)) == 2
    words = QMimeData()
    words.setText("no file")
    enter = QDragEnterEvent(QPointF(5, 5).toPoint(), Qt.DropAction.CopyAction, words, left, none)
    enter.ignore()
    dock.panel.list.dragEnterEvent(enter)
    assert not enter.isAccepted()


def test_the_size_of_a_pixel_that_was_told_stays_with_the_field(
    at_work: Any, viewer: Any, folder: Path, qtbot: Any
) -> None:
    from phaseguide.widgets.layers import roles
    from phaseguide.widgets.layers.scale.pixel_size import set_pixel_size

    image = viewer.layers["steel0"]
    assert roles.pixel_size_um(image) == pytest.approx(0.05)
    set_pixel_size(viewer, image, 0.08, "two clicks on the bar")
    settled(at_work, qtbot)
    qtbot.waitUntil(lambda: Project.open(folder).field("steel0").pixel_size_um == 0.08, timeout=20_000)
    read = Project.open(folder).read_image("steel0")
    assert (read.pixel_size_um, read.scale_source) == (0.08, "two clicks on the bar")
    at_work.close_project()
    at_work.open(folder)
    settled(at_work, qtbot)
    image = viewer.layers["steel0"]
    assert roles.pixel_size_um(image) == pytest.approx(0.08)
    assert roles.scale_source(image) == "two clicks on the bar"
    assert roles.pixel_size_um(viewer.layers["steel0 edits"]) == pytest.approx(0.08)


def test_strokes_are_saved_by_themselves(at_work: Any, viewer: Any, folder: Path, qtbot: Any) -> None:
    edits = viewer.layers["steel0 edits"]
    edits.selected_label = 2
    paint(edits)
    assert edits.data.any()
    settled(at_work, qtbot)
    stored = Project.open(folder).read_edits("steel0")
    assert np.array_equal(stored, edits.data)
    edits.undo()
    settled(at_work, qtbot)
    assert not Project.open(folder).read_edits("steel0").any(), "an undo is saved, too"
    logged = [line for line in Project.open(folder).read_log() if line["event"] == "edit"]
    assert len(logged) == 2 and logged[0]["field"] == "steel0" and logged[0]["painted_px"] > 0
    assert "edit_log" not in edits.metadata["phaseguide"]


def test_next_and_previous_keep_edits_and_their_undo(at_work: Any, viewer: Any, qtbot: Any) -> None:
    edits = viewer.layers["steel0 edits"]
    paint(edits)
    mine = edits.data.copy()
    click(qtbot, at_work.panel.next_button)
    qtbot.waitUntil(lambda: at_work.opened.current == "steel1", timeout=20_000)
    assert [layer.name for layer in viewer.layers] == ["steel1", "steel1 edits"]
    assert not viewer.layers["steel1 edits"].data.any()
    settled(at_work, qtbot)
    assert np.array_equal(at_work.opened.project.read_edits("steel0"), mine)
    click(qtbot, at_work.panel.previous_button)
    qtbot.waitUntil(lambda: at_work.opened.current == "steel0", timeout=20_000)
    again = viewer.layers["steel0 edits"]
    assert np.array_equal(again.data, mine)
    again.undo()
    assert not again.data.any()
    settled(at_work, qtbot)
    click(qtbot, at_work.panel.previous_button)
    qtbot.waitUntil(lambda: "first field" in at_work.panel.status.text())


def test_a_click_in_the_list_shows_the_field(at_work: Any, viewer: Any, qtbot: Any) -> None:
    listed = at_work.panel.list
    box = listed.visualRect(listed.fields.index(2))
    qtbot.mouseClick(listed.viewport(), Qt.MouseButton.LeftButton, pos=box.center())
    qtbot.waitUntil(lambda: at_work.opened.current == "steel2", timeout=20_000)
    assert "steel2" in viewer.layers and "steel0" not in viewer.layers


def test_users_own_layers_stay(at_work: Any, viewer: Any, qtbot: Any) -> None:
    viewer.add_points(np.zeros((1, 2)), name="mine")
    show(at_work, "steel1", qtbot)
    assert "mine" in viewer.layers


def test_result_goes_into_the_project(
    widget: Any, dock: Any, folder: Path, viewer: Any, segment: Callable[[], None], qtbot: Any
) -> None:
    dock.open(folder)
    settled(dock, qtbot)
    segment()
    settled(dock, qtbot)
    project = Project.open(folder)
    entry = project.field("steel0")
    phases = viewer.layers["steel0 phases"]
    assert np.array_equal(project.read_result("steel0"), phases.data)
    assert entry.result.version == project.current and entry.result.model_sha256
    shown = np.bincount(phases.data.ravel(), minlength=4)[1:4] / phases.data.size
    assert entry.result.achieved == pytest.approx(shown)
    assert f"{shown[0] * 100:.1f} %" in texts(dock)[0]
    assert dock.panel.list.fields.rows[0].picture.thumbnail is not None
    assert not entry.result.constrained and entry.ratio is None


def test_result_and_edits_come_back(
    widget: Any, dock: Any, folder: Path, viewer: Any, segment: Callable[[], None], qtbot: Any
) -> None:
    dock.open(folder)
    settled(dock, qtbot)
    segment()
    edits = viewer.layers["steel0 edits"]
    edits.selected_label = 3
    paint(edits)
    qtbot.waitUntil(lambda: (viewer.layers["steel0 phases"].data[edits.data > 0] == 3).all())
    on_show, painted = viewer.layers["steel0 phases"].data.copy(), edits.data.copy()
    click(qtbot, dock.panel.close_button)
    assert len(viewer.layers) == 0, "the project's layers go with it; they are saved"
    dock.open(folder)
    settled(dock, qtbot)
    assert np.array_equal(viewer.layers["steel0 edits"].data, painted)
    assert np.array_equal(viewer.layers["steel0 phases"].data, on_show)
    edits = viewer.layers["steel0 edits"]
    edits.selected_label = 1
    paint(edits, down=1.5)
    assert (viewer.layers["steel0 phases"].data[edits.data == 1] == 1).all(), "edits lie on top"
    edits.undo()
    assert np.array_equal(viewer.layers["steel0 phases"].data, on_show)


def test_a_reviewed_field_is_frozen(
    napari_window: None,
    widget: Any,
    dock: Any,
    folder: Path,
    viewer: Any,
    segment: Callable[[], None],
    qtbot: Any,
    told: list[str],
) -> None:
    dock.open(folder)
    settled(dock, qtbot)
    segment()
    edits, phases = viewer.layers["steel0 edits"], viewer.layers["steel0 phases"]
    edits.selected_label = 2
    paint(edits)
    settled(dock, qtbot)
    click(qtbot, dock.panel.review_button)
    qtbot.waitUntil(lambda: not edits.editable, timeout=20_000)
    settled(dock, qtbot)
    painted, on_show = edits.data.copy(), phases.data.copy()
    project = Project.open(folder)
    assert project.field("steel0").state == "reviewed"
    assert np.array_equal(project.read_result("steel0"), on_show), (
        "what was reviewed, edits on top, is the result"
    )
    paint(edits, down=1.0)
    assert np.array_equal(edits.data, painted)
    edits.undo()
    assert np.array_equal(edits.data, painted), "an undo cannot change it either"
    edits.data_setitem((np.array([3]), np.array([3])), 1)
    assert np.array_equal(edits.data, painted), "nor can a script"
    assert "reviewed" in told[-1]
    widget.segment()
    assert not widget.runner.running and "reviewed" in widget.panel.status.text()
    widget.live.step(-1)
    assert np.array_equal(phases.data, on_show)
    show(dock, "steel1", qtbot)
    show(dock, "steel0", qtbot)
    assert not viewer.layers["steel0 edits"].editable
    assert "reviewed" in texts(dock)[0]
    click(qtbot, dock.panel.reopen_button)
    qtbot.waitUntil(lambda: viewer.layers["steel0 edits"].editable, timeout=20_000)
    segment()
    settled(dock, qtbot)
    assert Project.open(folder).field("steel0").state == "unreviewed"


def test_a_result_on_trial_is_not_reviewed(
    widget: Any, dock: Any, folder: Path, segment: Callable[[], None], qtbot: Any, told: list[str]
) -> None:
    from widget_helpers import type_into

    dock.open(folder)
    settled(dock, qtbot)
    segment()
    type_into(qtbot, widget.panel.table.boxes[1], "40")
    qtbot.waitUntil(lambda: widget.results.is_provisional(widget.image), timeout=20_000)
    click(qtbot, dock.panel.review_button)
    assert "not kept yet" in dock.panel.status.text()
    widget.live.accept()
    settled(dock, qtbot)
    entry = Project.open(folder).field("steel0")
    assert entry.result.constrained and entry.ratio.shares[1] == pytest.approx(0.4)
    assert entry.ratio.source == widget.state.source.key
    click(qtbot, dock.panel.review_button)
    settled(dock, qtbot)
    assert Project.open(folder).field("steel0").state == "reviewed"


def test_reject_needs_a_reason(at_work: Any, folder: Path, qtbot: Any) -> None:
    at_work.reject("  ")
    assert "needs a reason" in at_work.panel.status.text()
    at_work.reject("out of focus")
    settled(at_work, qtbot)
    assert Project.open(folder).field("steel0").reason == "out of focus"
    assert "rejected: out of focus" in texts(at_work)[0]
    assert at_work.panel.reopen_button.isEnabled() and not at_work.panel.reject_button.isEnabled()


def test_add_images_that_are_open(
    widget: Any,
    dock: Any,
    viewer: Any,
    tmp_path: Path,
    segment: Callable[[], None],
    qtbot: Any,
    told: list[str],
) -> None:
    (path,) = write_images(tmp_path / "images", 1)
    viewer.open(path, plugin=PLUGIN)
    segment()
    edits = viewer.layers["steel0 edits"]
    paint(edits)
    dock.create_project(tmp_path / "new", SCHEME)
    click(qtbot, dock.panel.layers_button)
    qtbot.waitUntil(lambda: dock.opened.current == "steel0", timeout=20_000)
    settled(dock, qtbot)
    project = Project.open(tmp_path / "new")
    assert np.array_equal(project.read_edits("steel0"), edits.data), "what was painted before counts"
    assert np.array_equal(project.read_result("steel0"), viewer.layers["steel0 phases"].data)
    viewer.add_image(micrograph(seed=9), name="in memory")
    click(qtbot, dock.panel.layers_button)
    assert "does not come from a file" in dock.panel.status.text()


def test_an_edits_layer_that_was_deleted_comes_back(
    widget: Any, dock: Any, folder: Path, viewer: Any, segment: Callable[[], None], qtbot: Any
) -> None:
    dock.open(folder)
    settled(dock, qtbot)
    edits = viewer.layers["steel0 edits"]
    paint(edits)
    painted = edits.data.copy()
    viewer.layers.remove(edits)
    segment()
    settled(dock, qtbot)
    assert np.array_equal(viewer.layers["steel0 edits"].data, painted)
    assert np.array_equal(Project.open(folder).read_edits("steel0"), painted)


def test_an_image_that_was_replaced(at_work: Any, folder: Path, qtbot: Any, told: list[str]) -> None:
    write_images(folder.parent / "other", 1)
    os.replace(folder.parent / "other" / "steel0.tif", folder.parent / "images" / "steel1.tif")
    at_work.opened.show("steel1")
    qtbot.waitUntil(lambda: "steel1" in at_work.panel.status.text(), timeout=20_000)
    assert at_work.opened.current == "steel0", "the field on show stays"


def test_layer_data_replaced_by_the_user(at_work: Any, viewer: Any, folder: Path, qtbot: Any) -> None:
    edits = viewer.layers["steel0 edits"]
    paint(edits)
    painted = edits.data.copy()
    viewer.layers["steel0"].data = micrograph(seed=5)
    assert "replaced" in at_work.panel.status.text()
    assert at_work.opened.field_of(viewer.layers["steel0"]) is None
    settled(at_work, qtbot)
    assert np.array_equal(Project.open(folder).read_edits("steel0"), painted), "nothing is lost"


def test_a_disk_that_is_full_loses_nothing(
    at_work: Any, viewer: Any, folder: Path, qtbot: Any, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from phaseguide.errors import PhaseguideError

    def full(*_: Any) -> None:
        raise PhaseguideError("steel0_edits.tif: cannot be written (No space left on device).")

    edits = viewer.layers["steel0 edits"]
    with monkeypatch.context() as patched:
        patched.setattr("phaseguide.projects.maps.write_label_map", full)
        paint(edits)
        qtbot.waitUntil(lambda: "No space left" in at_work.panel.status.text(), timeout=20_000)
        at_work.close_project()
        assert at_work.opened.project is not None and "could not be saved" in at_work.panel.status.text()
    assert at_work.opened.flush()
    assert np.array_equal(Project.open(folder).read_edits("steel0"), edits.data)


def test_closing_the_window_saves(make_napari_viewer: Any, folder: Path, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    _, dock = open_part(viewer, "Project")
    dock.open(folder)
    settled(dock, qtbot)
    edits = viewer.layers["steel0 edits"]
    paint(edits)
    painted = edits.data.copy()
    viewer.close()
    assert np.array_equal(Project.open(folder).read_edits("steel0"), painted)


def test_closing_the_dock_saves_and_the_project_stays_open(
    at_work: Any, viewer: Any, folder: Path, qtbot: Any
) -> None:
    edits = viewer.layers["steel0 edits"]
    paint(edits)
    close_workbench(viewer)
    assert np.array_equal(Project.open(folder).read_edits("steel0"), edits.data)
    paint(edits, down=1.0)
    _, again = open_part(viewer, "Project")
    assert again.opened.current == "steel0" and len(texts(again)) == 3
    settled(again, qtbot)
    assert np.array_equal(Project.open(folder).read_edits("steel0"), edits.data)


def test_fields_of_other_models_are_flagged_and_run_again(
    widget: Any,
    dock: Any,
    folder: Path,
    viewer: Any,
    segment: Callable[[], None],
    tmp_path: Path,
    model_file: Path,
    qtbot: Any,
) -> None:
    dock.open(folder)
    settled(dock, qtbot)
    for field_id in ("steel0", "steel1", "steel2"):
        show(dock, field_id, qtbot)
        segment()
        settled(dock, qtbot)
    edits = viewer.layers["steel2 edits"]
    edits.selected_label = 2
    paint(edits)
    show(dock, "steel0", qtbot)
    click(qtbot, dock.panel.review_button)
    settled(dock, qtbot)
    before = {entry.id: dock.opened.project.read_result(entry.id) for entry in dock.opened.project.fields}
    assert dock.panel.flag_line.isHidden()
    other = tiny_model(tmp_path, seed=7, file_name="other.safetensors")
    dock.opened.do(lambda project: project.use(str(other)))
    settled(dock, qtbot)
    assert "2 unreviewed fields" in dock.panel.flag_line.text()
    assert "not the current one" in texts(dock)[1]
    show(dock, "steel2", qtbot)
    with qtbot.waitSignal(dock.rerun.runner.ended, timeout=60_000):
        click(qtbot, dock.panel.rerun_button)
    settled(dock, qtbot)
    project = Project.open(folder)
    assert [entry.result.version == str(other) for entry in project.fields] == [False, True, True]
    assert np.array_equal(project.read_result("steel0"), before["steel0"]), "reviewed fields stay"
    assert not np.array_equal(project.read_result("steel1"), before["steel1"])
    names = [layer.name for layer in viewer.layers]
    assert names == ["steel2", "steel2 phases", "steel2 edits"]
    assert dock.panel.model_box.currentText() == "other"
    phases, painted = viewer.layers["steel2 phases"].data, viewer.layers["steel2 edits"].data
    assert (phases[painted == 2] == 2).all() and np.array_equal(phases, project.read_result("steel2"))
    assert "different models" in dock.panel.flag_line.text() and dock.panel.rerun_button.isHidden()
