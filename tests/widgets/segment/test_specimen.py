"""Scope: a ratio of the specimen is met by the mean of its fields, and their scatter stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from phaseguide.jobs.inputs import FIELD, SPECIMEN
from widget_helpers import impose_exactly, micrograph, stroke, type_into


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def choose(widget: Any, scope: str) -> None:
    widget.panel.scope_box.setCurrentIndex(widget.panel.scope_box.findData(scope))


def shares(data: Any, label: int) -> np.ndarray:
    return np.array([np.count_nonzero(plane == label) / plane.size for plane in data])


def test_the_mean_of_a_stack_meets_the_ratio(widget: Any, viewer: Any, qtbot: Any, segment: Any) -> None:
    viewer.add_image(np.stack([micrograph(seed=i) for i in range(3)]), name="steel")
    impose_exactly(widget)
    choose(widget, SPECIMEN)
    assert not widget.panel.live_check.isEnabled() and not widget.panel.planes_box.isEnabled()
    type_into(qtbot, widget.panel.table.boxes[1], "45")
    segment()
    found = shares(viewer.layers["steel phases"].data, 2)
    assert found.mean() == pytest.approx(0.45, abs=0.001)
    run = widget.history().shown
    own = np.array([run.planes[(i,)].segmentation.own[1] for i in range(3)])
    assert np.ptp(found) > 0 and np.array_equal(np.argsort(found), np.argsort(own)), "their scatter stays"
    assert all(run.planes[(i,)].segmentation.asked[1] == 0.45 for i in range(3))
    assert run.planes[(0,)].made.settings["scope"] == "specimen"
    assert run.inputs.scope == SPECIMEN


def test_all_open_images_are_one_specimen(widget: Any, viewer: Any, qtbot: Any, segment: Any) -> None:
    for number in range(3):
        viewer.add_image(micrograph(seed=number), name=f"field {number}")
    viewer.add_image(np.zeros((2, 96, 128), np.uint8), name="a stack is no field of it")
    viewer.layers.selection.active = viewer.layers["field 1"]
    impose_exactly(widget)
    choose(widget, SPECIMEN)
    type_into(qtbot, widget.panel.table.boxes[1], "45")
    segment()
    maps = [viewer.layers[f"field {number} phases"].data for number in range(3)]
    assert shares(maps, 2).mean() == pytest.approx(0.45, abs=0.001)
    assert viewer.layers.selection.active.name == "field 1 edits"
    for number in range(3):
        viewer.layers.selection.active = viewer.layers[f"field {number}"]
        assert len(widget.history().runs) == 1
        assert f"{shares(maps, 2)[number] * 100:.2f}" == widget.panel.table.found[1].text()


def test_without_a_ratio_every_field_is_segmented_by_itself(widget: Any, viewer: Any, segment: Any) -> None:
    viewer.add_image(np.stack([micrograph(seed=i) for i in range(2)]), name="steel")
    choose(widget, SPECIMEN)
    segment()
    assert viewer.layers["steel phases"].data.all()
    assert not widget.history().shown.planes[(0,)].segmentation.constrained


def test_a_field_that_cannot_be_segmented_is_left_out(
    widget: Any, viewer: Any, qtbot: Any, segment: Any
) -> None:
    viewer.add_image(micrograph(), name="good")
    viewer.add_image(np.zeros((96, 128), np.uint8), name="black", contrast_limits=(0, 1))
    choose(widget, SPECIMEN)
    type_into(qtbot, widget.panel.table.boxes[1], "45")
    segment()
    assert "good phases" in viewer.layers and "black phases" not in viewer.layers
    assert "Left out: black" in widget.panel.warnings.text.toPlainText()
    assert "See Warnings" in widget.panel.status.text()


def test_edits_count_in_every_field(widget: Any, viewer: Any, qtbot: Any, segment: Any) -> None:
    for number in range(2):
        viewer.add_image(micrograph(seed=number), name=f"field {number}")
    choose(widget, SPECIMEN)
    segment()
    edits = viewer.layers["field 0 edits"]
    edits.selected_label = 3
    stroke(edits, [(20.0, 20.0), (30.0, 40.0)])
    type_into(qtbot, widget.panel.table.boxes[1], "45")
    assert "Press Segment" in widget.panel.status.text(), "a specimen is not live"
    segment()
    assert (viewer.layers["field 0 phases"].data[edits.data > 0] == 3).all()


def test_back_brings_the_scope_back(widget: Any, viewer: Any, qtbot: Any, segment: Any) -> None:
    viewer.add_image(np.stack([micrograph(seed=i) for i in range(2)]), name="steel")
    segment()
    choose(widget, SPECIMEN)
    type_into(qtbot, widget.panel.table.boxes[1], "45")
    segment()
    widget.live.step(-1)
    assert widget.state.inputs.scope == FIELD and widget.panel.live_check.isEnabled()
    widget.live.step(1)
    assert widget.state.inputs.scope == SPECIMEN and not widget.panel.live_check.isEnabled()
