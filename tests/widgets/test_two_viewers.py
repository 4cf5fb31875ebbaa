"""Two viewers in one process leave each other alone, and what belonged to an image goes with it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from phaseguide.widgets.layers.hub import RatioOffer, hub_of, tell
from project_helpers import make_project, settled
from widget_helpers import micrograph, stroke
from workbench_helpers import NAMES, close_workbench, open_part


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def open_segment(viewer: Any, model_file: Path, qtbot: Any) -> Any:
    _, widget = open_part(viewer, "Segment")
    widget.panel.model_box.open_file(model_file)
    qtbot.waitUntil(lambda: "looking" not in widget.panel.device_line.text(), timeout=60_000)
    return widget


def press(widget: Any, qtbot: Any) -> None:
    with qtbot.waitSignal(widget.runner.ended, timeout=60_000):
        qtbot.mouseClick(widget.panel.segment_button, Qt.MouseButton.LeftButton)


def paint(edits: Any, row: int) -> None:
    edits.mode, edits.brush_size, edits.selected_label = "paint", 3, 1
    stroke(edits, [(row, 10), (row, 40)])


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def test_two_viewers_leave_each_other_alone(
    make_napari_viewer: Callable[..., Any], model_file: Path, tmp_path: Path, qtbot: Any
) -> None:
    """The same image, by the same name, in both."""
    one, two = make_napari_viewer(), make_napari_viewer()
    first, second = (open_segment(viewer, model_file, qtbot) for viewer in (one, two))
    for viewer in (one, two):
        viewer.add_image(micrograph(), name="steel")
    press(first, qtbot)
    assert names(one) == ["steel", "steel phases", "steel edits"] and names(two) == ["steel"]
    press(second, qtbot)
    paint(one.layers["steel edits"], 30)
    assert not two.layers["steel edits"].data.any()
    before = two.layers["steel phases"].data.copy()
    shares = tuple(np.roll((0.7, 0.2, 0.1), 1))[: len(first.state.scheme)]
    offered = np.array(shares) / sum(shares)
    assert tell(hub_of(one).ratio_offered, RatioOffer(offered, None, "a count"))
    assert second.state.asked is None and first.state.asked is not None
    qtbot.waitUntil(lambda: first.live.worker.idle, timeout=60_000)
    assert np.array_equal(two.layers["steel phases"].data, before)

    _, project = open_part(one, "Project")
    _, other = open_part(two, "Project")
    project.open(make_project(tmp_path))
    settled(project, qtbot)
    assert other.opened is not project.opened and other.opened.project is None
    assert "steel0" in names(one) and "steel0" not in names(two)

    close_workbench(one)
    one.layers.clear()
    paint(two.layers["steel edits"], 60)
    qtbot.waitUntil(lambda: not second._settle.isActive(), timeout=20_000)
    assert (second.current(()).labels[60, 12:38] == 1).all()
    one.close()
    two.layers["steel"].scale = (2, 2)
    assert tuple(two.layers["steel phases"].scale) == (2, 2)
    press(second, qtbot)
    assert second.history().position == 1


def test_what_belongs_to_a_removed_image_is_freed(
    widget: Any, viewer: Any, segment: Callable[[], None], qtbot: Any
) -> None:
    viewer.add_image(micrograph(), name="steel")
    segment()
    widget.tools.painted_fold.expand()
    paint(viewer.layers["steel edits"], 30)
    widget.panel.table.rows[0].box.setValue(60.0)
    qtbot.waitUntil(lambda: widget.live.worker.idle and not widget._settle.isActive(), timeout=60_000)
    session = widget.current_session()
    assert session is not None and widget.results.is_provisional(widget.image)
    known = {layer.name: weakref.ref(layer) for layer in viewer.layers}
    known |= {"session": weakref.ref(session), "run": weakref.ref(widget.history().shown)}
    known |= {f"pixels of {layer.name}": weakref.ref(layer.data) for layer in viewer.layers}
    del session
    viewer.layers.clear()
    viewer.add_image(micrograph(seed=1), name="another")

    def freed() -> bool:
        gc.collect()
        widget.refresh()
        return not [name for name, reference in known.items() if reference() is not None]

    qtbot.waitUntil(freed, timeout=20_000)


def test_results_stay_with_an_image_that_comes_back(
    widget: Any, viewer: Any, segment: Callable[[], None], qtbot: Any
) -> None:
    """As the fields of a project do."""
    image = viewer.add_image(micrograph(), name="steel")
    segment()
    viewer.layers.remove(image)
    gc.collect()
    widget.refresh()
    viewer.layers.append(image)
    viewer.layers.selection.active = image
    assert len(widget.history().runs) == 1 and widget.current_session() is not None


@pytest.mark.parametrize("names", [NAMES, *(pytest.param([name], marks=pytest.mark.slow) for name in NAMES)])
def test_no_dock_holds_a_removed_layer(
    napari_window: None, names: list[str], viewer: Any, qtbot: Any
) -> None:
    for name in names:
        open_part(viewer, name)
    viewer.add_image(micrograph())
    viewer.add_labels(np.ones((96, 128), np.uint8))
    viewer.add_points([[5, 5]])
    viewer.add_shapes([[[0, 0], [0, 9], [9, 9]]], shape_type="polygon")
    for layer in list(viewer.layers):
        viewer.layers.selection.active = layer
        qtbot.wait(1)
    known = [weakref.ref(one) for one in viewer.layers]
    del layer
    viewer.layers.clear()

    def freed() -> bool:
        gc.collect()
        return all(reference() is None for reference in known)

    qtbot.waitUntil(freed, timeout=20_000)
