"""The parts around the table, in the whole widget: estimates, paste, painted labels, regions, disputed islands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from phaseguide.segmentation.review.flipped_drawing import DARK, LIGHT
from phaseguide.widgets.segment.dock import SegmentWidget
from tiny_models import NAMES
from widget_helpers import SHAPE, impose_exactly, micrograph, numbers, stroke

WAIT = 30_000


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def segmented(
    viewer: Any,
    widget: SegmentWidget,
    segment: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Any, SegmentWidget]:
    """A viewer with an image that was segmented once with a tiny model."""
    monkeypatch.setenv("PHASEGUIDE_DATA_DIR", str(tmp_path))
    viewer.add_image(micrograph(), name="steel")
    segment()
    return viewer, widget


def settled(widget: SegmentWidget, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: widget.live.worker.idle, timeout=WAIT)


def test_the_model_finds_the_ratio_and_typing_takes_it_back(segmented: Any, qtbot: Any) -> None:
    _, widget = segmented
    widget.panel.table.boxes[0].setValue(40.0)
    settled(widget, qtbot)
    widget.tools.ratio.auto_wanted.emit("own")
    qtbot.waitUntil(
        lambda: widget.panel.table.result is not None and widget.panel.table.result.asked is None,
        timeout=WAIT,
    )
    result = widget.panel.table.result
    assert widget.state.asked is None and result.imposed is not None and not result.constrained
    assert "the model finds" in widget.panel.table.sum_line.text()
    widget.panel.table.boxes[1].setValue(30.0)
    qtbot.waitUntil(lambda: widget.panel.table.result.constrained, timeout=WAIT)
    assert not widget.state.inputs.auto


def test_an_estimate_that_is_fed_back_waits_for_segment_and_tells_its_rounds(
    segmented: Any, segment: Any, qtbot: Any
) -> None:
    _, widget = segmented
    before = widget.panel.table.result
    widget.tools.ratio.auto_wanted.emit("autoregressive")
    assert widget.panel.table.result is before
    assert "Press Segment" in widget.panel.status.text()
    segment()
    result = widget.panel.table.result
    assert result.mode == "conditioned" and result.found.estimator == "autoregressive"
    assert f"{result.found.rounds} round" in widget.panel.warnings.text.toPlainText()
    widget.tools.ratio.auto_wanted.emit("prior-shift")
    settled(widget, qtbot)
    qtbot.waitUntil(lambda: widget.panel.table.result.found.estimator == "prior-shift", timeout=WAIT)


def test_cells_of_a_spreadsheet_move_the_mask(segmented: Any, qtbot: Any) -> None:
    _, widget = segmented
    impose_exactly(widget)
    QApplication.clipboard().setText("20\t30\t50")
    qtbot.mouseClick(widget.tools.ratio.paste_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.panel.table.result.constrained, timeout=WAIT)
    settled(widget, qtbot)
    assert [box.value() for box in widget.panel.table.boxes] == [20.0, 30.0, 50.0]
    assert widget.panel.table.spreads() == (None,) * 3, "locks are not for the next values"
    impose_exactly(widget)
    settled(widget, qtbot)
    assert numbers(widget.panel.table.found) == pytest.approx([20, 30, 50], abs=0.1)


def test_painted_shares_are_offered_with_their_uncertainty(segmented: Any, qtbot: Any) -> None:
    viewer, widget = segmented
    impose_exactly(widget)
    edits = viewer.layers["steel edits"]
    widget.tools.painted_fold.expand()
    for label, row in ((1, 20), (2, 45), (3, 70)):
        for column in (10, 40, 70, 100):
            edits.selected_label = label
            stroke(edits, [(row, column), (row, column + 10)])
    qtbot.waitUntil(lambda: widget.tools.painted.estimate is not None, timeout=WAIT)
    qtbot.waitUntil(lambda: not widget.tools.painted.busy, timeout=WAIT)
    shares = widget.tools.painted.estimate.shares
    qtbot.mouseClick(widget.tools.painted.use_button, Qt.MouseButton.LeftButton)
    assert widget.state.asked == pytest.approx(shares, abs=1e-4)
    assert isinstance(widget.state.uncertainty, tuple)
    assert min(widget.state.uncertainty) > 0 and not widget.panel.table.lock_all.isChecked()
    assert "steel edits" in widget.state.inputs.title


def test_a_region_gets_its_own_ratio(segmented: Any, qtbot: Any) -> None:
    viewer, widget = segmented
    tools = widget.tools
    tools.regions_fold.expand()
    shapes = viewer.add_shapes(
        [np.array([[0, 0], [0, 60], [SHAPE[0], 60], [SHAPE[0], 0]])], shape_type="polygon", name="coating"
    )
    box = tools.regions.layer_box
    box.setCurrentIndex(box.findText("coating"))
    tools.regions.blocks[0].boxes[0].setValue(60.0)
    qtbot.mouseClick(tools.regions.blocks[0].lock, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: bool(widget.panel.table.result.regions), timeout=WAIT)
    settled(widget, qtbot)
    part = next(p for p in widget.panel.table.result.regions if p.asked is not None)
    assert part.achieved[0] == pytest.approx(0.6, abs=0.01)
    assert widget.panel.table.result.constrained
    shapes.data = [np.array([[500, 500], [500, 560], [560, 560]])]
    qtbot.waitUntil(lambda: "outside the image" in widget.panel.status.text(), timeout=WAIT)


def test_islands_that_change_phase_become_a_layer_of_their_own(segmented: Any, qtbot: Any) -> None:
    viewer, widget = segmented
    impose_exactly(widget)
    widget.panel.table.boxes[0].setValue(60.0)
    settled(widget, qtbot)
    tools = widget.tools
    tools.flipped_fold.expand()
    tools.flipped.refresh()
    chosen = (tools.flipped.before.currentText(), tools.flipped.after.currentText())
    assert chosen == ("Without guidance", "Expected values"), "what it starts with"
    qtbot.mouseClick(tools.flipped.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: any("disputed" in layer.name for layer in viewer.layers), timeout=WAIT)
    layer = next(layer for layer in viewer.layers if "disputed" in layer.name)
    assert layer.data.any() and not layer.editable
    assert set(np.unique(layer.data)) <= {*range(len(NAMES) + 1), LIGHT, DARK}
