"""The New material dock, worked as a person does: phases named, strokes, a mask, a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.folders import user_model_folder
from phaseguide.models.model_file import read_card
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.edit_log import scheme_of
from phaseguide.widgets.layers.hub import hub_of
from phaseguide.widgets.project.open_project import open_project
from phaseguide.widgets.strokes.dock import REST_MS
from widgets_finetune import band_labels, banded, click, paint_bands
from workbench_helpers import NAME, PLUGIN, open_part

THREE = PhaseScheme.from_names(["dark", "middle", "bright"])


@pytest.fixture
def dock(model_viewer: Any, model_file: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("phaseguide.widgets.strokes.dock.find_model", lambda name: model_file)
    model_viewer.add_image(banded(), name="alloy")
    _, widget = open_part(model_viewer, "New material")
    return widget


def name_phases(dock: Any) -> None:
    editor = dock.panel.phases
    for index, name in enumerate(THREE.names):
        if index == len(editor.names):
            editor.add()
        editor.names[index].setText(name)
        editor.names[index].editingFinished.emit()


def edits_of(dock: Any) -> Any:
    return roles.find_layer(dock.viewer, dock.image, "edits")


def paint(dock: Any, qtbot: Any, row: int) -> None:
    """Paint one stroke in each band with the brush that the dock has put into the hand."""
    before, edits = dock.answer, edits_of(dock)
    for phase in (1, 2, 3):
        where = np.nonzero((band_labels() == phase) & (np.arange(192)[:, None] // 6 == row // 6))
        edits.data_setitem(where, np.full(len(where[0]), phase, dtype=np.uint8))
    qtbot.waitUntil(lambda: dock.answer is not None and dock.answer is not before)


def test_a_mask_is_shown_only_while_the_step_is(dock: Any, qtbot: Any) -> None:
    name_phases(dock)
    click(qtbot, dock.panel.paint_button)
    paint(dock, qtbot, 24)
    open_part(dock.viewer, "Segment")
    other = dock.viewer.add_image(banded()[::-1].copy(), name="other")
    qtbot.waitUntil(lambda: dock.image is not None and dock.image.name == "other")
    qtbot.wait(5 * REST_MS)
    assert dock.worker.idle and dock.answer is None
    assert roles.find_layer(dock.viewer, other, "first model") is None, "nobody asked for it there"


def test_the_mask_follows_each_stroke_and_becomes_a_model(dock: Any, qtbot: Any) -> None:
    told: list[Path] = []
    hub_of(dock.viewer).model_chosen.connect(told.append)
    name_phases(dock)
    assert [dock.panel.brush_box.itemText(i) for i in range(3)] == list(THREE.names)
    assert not dock.panel.save_button.isEnabled()
    click(qtbot, dock.panel.paint_button)
    edits = edits_of(dock)
    assert edits.mode == "paint" and scheme_of(edits).names == THREE.names
    dock.panel.brush_box.setCurrentIndex(2)
    assert edits.selected_label == 3
    edits.selected_label = 2  # by its key
    assert dock.panel.brush_box.currentIndex() == 1
    paint(dock, qtbot, 24)
    assert dock.panel.areas.text().startswith("dark ")
    paint(dock, qtbot, 120)
    assert (dock.answer.labels == band_labels()).mean() > 0.7  # a random encoder
    preview = roles.find_layer(dock.viewer, dock.image, "first model")
    np.testing.assert_array_equal(preview.data, dock.answer.labels)
    assert (preview.data[edits.data > 0] == edits.data[edits.data > 0]).all()
    qtbot.waitUntil(lambda: "had not learnt from" in dock.panel.evidence.text())
    dock.panel.name.setText("my alloy")
    click(qtbot, dock.panel.save_button)
    qtbot.waitUntil(lambda: bool(told))
    assert told == [user_model_folder() / "my alloy.safetensors"]
    card = read_card(told[0])
    assert card.scheme.names == THREE.names and card.training["method"] == "strokes"
    assert roles.find_layer(dock.viewer, dock.image, "first model") is None
    _, workbench = dock.viewer.window.add_plugin_dock_widget(PLUGIN, NAME)
    assert workbench.state.step == "segment", "the saved model takes over where ratios act"
    qtbot.waitUntil(
        lambda: workbench.segment.state.shown is not None and not workbench.segment.runner.running
    )
    assert workbench.segment.state.shown.scheme.names == THREE.names


def test_an_undo_counts_as_a_stroke_and_nothing_painted_is_nothing_shown(dock: Any, qtbot: Any) -> None:
    name_phases(dock)
    dock.paint(True)
    paint(dock, qtbot, 24)
    first, edits = dock.answer, edits_of(dock)
    edits.undo()
    qtbot.waitUntil(lambda: dock.answer is not first)
    assert dock.answer.fitted.painted[2] == 0 and "bright" in dock.panel.status.text()
    edits.data = np.zeros_like(edits.data)
    qtbot.waitUntil(lambda: dock.answer is None)
    assert roles.find_layer(dock.viewer, dock.image, "first model") is None
    assert not dock.panel.save_button.isEnabled()


def test_one_phase_is_not_enough_and_it_is_said(dock: Any, qtbot: Any) -> None:
    dock.paint(True)
    edits_of(dock).data_setitem((np.array([5, 5]), np.array([5, 6])), np.array([1, 1], dtype=np.uint8))
    qtbot.waitUntil(lambda: "two phases" in dock.panel.status.text())


def test_strokes_of_other_phases_are_never_read_as_these(dock: Any, qtbot: Any) -> None:
    other = PhaseScheme.from_names(["ferrite", "pearlite"])
    edits = paint_bands_of_two(dock, other)
    before = edits.data.copy()
    name_phases(dock)
    dock.paint(True)
    assert "strokes of other phases" in dock.panel.status.text()
    assert not dock.panel.paint_button.isChecked() and dock.answer is None
    np.testing.assert_array_equal(edits.data, before)
    assert scheme_of(edits) == other
    dock.say("")
    edits.refresh()
    qtbot.waitUntil(lambda: "strokes of other phases" in dock.panel.status.text())


def paint_bands_of_two(dock: Any, scheme: PhaseScheme) -> Any:
    edits = roles.ensure_edits_layer(dock.viewer, dock.image, scheme)
    edits.data[10:20, 10:200] = 2
    return edits


def test_strokes_that_are_there_bring_their_phases(
    model_viewer: Any, model_file: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    monkeypatch.setattr("phaseguide.widgets.strokes.dock.find_model", lambda name: model_file)
    image = model_viewer.add_image(banded(), name="alloy")
    paint_bands(model_viewer, image, THREE)
    _, widget = open_part(model_viewer, "New material")
    assert widget.panel.phases.scheme == THREE
    qtbot.waitUntil(lambda: widget.answer is not None)


def test_a_renamed_phase_keeps_its_strokes(dock: Any, qtbot: Any) -> None:
    name_phases(dock)
    dock.paint(True)
    paint(dock, qtbot, 24)
    first = dock.answer
    dock.panel.phases.names[0].setText("matrix")
    dock.panel.phases.names[0].editingFinished.emit()
    qtbot.waitUntil(lambda: dock.answer is not None and dock.answer is not first)
    assert dock.answer.request.scheme.names[0] == "matrix"
    assert dock.answer.fitted.painted == first.fitted.painted


def test_an_older_result_is_hidden_while_the_mask_is_on_show(dock: Any, qtbot: Any) -> None:
    labels = band_labels()
    result = roles.add_labels(dock.viewer, dock.image, labels, "phases", THREE, opacity=0.5)
    name_phases(dock)
    dock.paint(True)
    paint(dock, qtbot, 24)
    assert not result.visible
    dock.close_down()
    assert result.visible and roles.find_layer(dock.viewer, dock.image, "first model") is None


def test_in_a_project_its_phases_count_and_a_version_is_saved(
    model_viewer: Any, model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    import tifffile

    monkeypatch.setattr("phaseguide.widgets.strokes.dock.find_model", lambda name: model_file)
    made = Project.create(tmp_path / "alloy", THREE)
    tifffile.imwrite(tmp_path / "field0.tif", banded())
    made.add_field(tmp_path / "field0.tif")
    strokes = np.where(np.arange(192)[:, None] % 60 < 6, band_labels(), 0).astype(np.uint8)
    made.write_edits("field0", strokes)
    opened = open_project(model_viewer)
    opened.open(made.folder)
    opened.show("field0")
    _, widget = open_part(model_viewer, "New material")
    assert widget.panel.phases.scheme == THREE and not widget.panel.phases.isEnabled()
    qtbot.waitUntil(lambda: widget.answer is not None)
    told: list[Path] = []
    hub_of(model_viewer).model_chosen.connect(told.append)
    click(qtbot, widget.panel.save_button)
    qtbot.waitUntil(lambda: bool(told))
    again = Project.open(made.folder)
    assert again.model_path() == told[0] and again.file.versions[0].note == "new-material"
    opened.worker.wait(60.0)
