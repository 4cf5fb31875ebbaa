"""Labels corrected elsewhere become edits: all of them or only where they differ; one step of undo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from phaseguide.micrographs.label_maps import write_label_map
from phaseguide.projects.project import Project
from phaseguide.widgets.project.import_labels import DIFFERENT, WHOLE
from project_helpers import make_project, settled
from widget_helpers import micrograph
from workbench_helpers import open_part


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def dock(widget: Any, viewer: Any, segment: Any) -> Any:
    """The Project dock beside a segmented image, without a project."""
    viewer.add_image(micrograph(), name="steel")
    segment()
    _, dock = open_part(viewer, "Project")
    return dock


def corrected(viewer: Any) -> np.ndarray:
    """The result, with a rectangle that somebody changed elsewhere and a corner that says nothing."""
    labels = viewer.layers["steel phases"].data.copy()
    labels[10:20, 10:30] = 3
    labels[90:, 100:] = 0
    return labels.astype(np.int32)


def take(dock: Any, how: str, qtbot: Any) -> None:
    box = dock.panel.import_box
    box.reset_choices()
    box.layer_box.setCurrentText("corrected")
    box.how_box.setCurrentText(how)
    dock.panel.import_fold.expand()
    qtbot.mouseClick(box.take_button, Qt.MouseButton.LeftButton)


def test_only_where_they_differ(dock: Any, viewer: Any, qtbot: Any) -> None:
    shown, labels = viewer.layers["steel phases"].data.copy(), corrected(viewer)
    viewer.add_labels(labels, name="corrected")
    take(dock, DIFFERENT, qtbot)
    edits = viewer.layers["steel edits"]
    differs = (labels != shown) & (labels > 0)
    assert differs.any() and np.array_equal(edits.data > 0, differs)
    assert (edits.data[differs] == 3).all()
    assert f"{np.count_nonzero(differs)} px" in dock.panel.status.text()
    edits.undo()
    assert not edits.data.any(), "one step of undo"
    edits.redo()
    take(dock, DIFFERENT, qtbot)
    assert "says nothing" in dock.panel.status.text()


def test_all_of_them_as_truth(dock: Any, viewer: Any, qtbot: Any) -> None:
    labels = corrected(viewer)
    viewer.add_labels(labels, name="corrected")
    edits = viewer.layers["steel edits"]
    edits.data[95, 127] = 2  # said before, where the labels say nothing
    take(dock, WHOLE, qtbot)
    expected = labels.copy()
    expected[95, 127] = 2
    assert np.array_equal(edits.data, expected)
    edits.undo()
    assert np.count_nonzero(edits.data) == 1


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        (np.ones((5, 5), dtype=np.uint8), "5 x 5 px"),
        (np.full((96, 128), 9, dtype=np.uint8), "label value 9"),
        (np.zeros((96, 128), dtype=np.uint8), "holds no label"),
    ],
)
def test_what_cannot_be_meant(
    dock: Any, viewer: Any, qtbot: Any, told: list[str], labels: np.ndarray, word: str
) -> None:
    viewer.add_labels(labels, name="corrected")
    take(dock, WHOLE, qtbot)
    assert word in dock.panel.status.text()
    assert not viewer.layers["steel edits"].data.any()


def test_a_file_into_a_project(viewer: Any, tmp_path: Path, qtbot: Any, told: list[str]) -> None:
    folder = make_project(tmp_path, 1)
    _, dock = open_part(viewer, "Project")
    dock.open(folder)
    settled(dock, qtbot)
    labels = np.tile(np.array([1, 2, 3, 0], dtype=np.uint8), (96, 32))
    write_label_map(tmp_path / "mine.tif", labels)
    box = dock.panel.import_box
    box.take_file(tmp_path / "mine.tif")
    qtbot.waitUntil(lambda: "no result" in dock.panel.status.text(), timeout=10_000)
    box.how_box.setCurrentText(WHOLE)
    box.take_file(tmp_path / "mine.tif")
    qtbot.waitUntil(lambda: viewer.layers["steel0 edits"].data.any(), timeout=10_000)
    settled(dock, qtbot)
    assert np.array_equal(Project.open(folder).read_edits("steel0"), labels)
    dock.opened.review()
    settled(dock, qtbot)
    box.take_file(tmp_path / "mine.tif")
    qtbot.waitUntil(lambda: "reviewed" in dock.panel.status.text(), timeout=10_000)
