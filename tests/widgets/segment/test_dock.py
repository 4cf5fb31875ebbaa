"""The Segment widget in a real viewer: from an image to a map, without and with a ratio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from tiny_models import NAMES, tiny_model
from widget_helpers import impose_exactly, micrograph, numbers, type_into
from workbench_helpers import open_part


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def test_first_segmentation(widget: Any, viewer: Any, segment: Any) -> None:
    image = viewer.add_image(micrograph(), name="steel")
    segment()
    phases, edits = viewer.layers["steel phases"], viewer.layers["steel edits"]
    assert phases.data.dtype == np.uint8 and phases.data.shape == image.data.shape
    assert set(np.unique(phases.data)) <= {1, 2, 3}
    assert not phases.editable
    assert not edits.data.any()
    assert viewer.layers.selection.active == edits
    assert edits.mode == "pan_zoom" and edits.selected_label == 1
    table = widget.panel.table
    assert sum(numbers(table.found)) == pytest.approx(100, abs=0.02)
    assert numbers(table.found) == numbers(table.unguided)
    assert table.note.isHidden()
    assert "click a phase" in widget.panel.status.text()


def test_ratio_is_met_and_marked(widget: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    viewer.add_image(micrograph(), name="steel")
    table = widget.panel.table
    impose_exactly(widget)
    type_into(qtbot, table.boxes[1], "35")
    segment()
    assert numbers(table.found)[1] == pytest.approx(35, abs=0.02)
    assert numbers(table.unguided)[1] != pytest.approx(35, abs=0.5)
    assert not table.note.isHidden()
    assert "Constrained by your value, not independent" in table.note.text()
    mark = viewer.layers["steel phases"].metadata["phaseguide"]
    assert mark["note"] == "constrained by your value, not independent"
    assert mark["asked"] == {NAMES[0]: None, NAMES[1]: 0.35, NAMES[2]: None}
    assert set(mark["own"]) == set(NAMES)
    counts = np.bincount(viewer.layers["steel phases"].data.ravel(), minlength=4)[1:]
    assert counts[1] / counts.sum() == pytest.approx(0.35, abs=1 / counts.sum())


def test_without_force_the_value_is_weighed(widget: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    viewer.add_image(micrograph(), name="steel")
    segment()
    table = widget.panel.table
    own = numbers(table.unguided)[1]
    wish = own + 30 if own < 50 else own - 30
    type_into(qtbot, table.boxes[1], f"{wish:.2f}")
    segment()
    low, high = sorted((own, wish))
    assert low < numbers(table.found)[1] < high
    assert "Your values" in table.note.toolTip()


def test_another_ratio_does_not_encode_again(
    widget: Any, viewer: Any, segment: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phaseguide.segmentation.network.encoding import EncodedImage

    viewer.add_image(micrograph(), name="steel")
    segment()
    made: list[Any] = []
    monkeypatch.setattr(EncodedImage, "__init__", lambda self, *a, **k: made.append(self))
    type_into(qtbot, widget.panel.table.boxes[0], "40")
    segment()
    assert not made
    assert "Segmented" in widget.panel.status.text()


def test_image_changed_in_place_is_encoded_again(widget: Any, viewer: Any, segment: Any) -> None:
    layer = viewer.add_image(micrograph(), name="steel")
    segment()
    before = numbers(widget.panel.table.found)
    layer.data[:] = micrograph(seed=1)
    layer.refresh()
    segment()
    assert numbers(widget.panel.table.found) != before


@pytest.mark.parametrize("mode", ["conditioned", "both"])
def test_ratio_can_act_in_the_network(widget: Any, viewer: Any, segment: Any, qtbot: Any, mode: str) -> None:
    viewer.add_image(micrograph(), name="steel")
    combo = widget.panel.advanced.controls["mode"]
    combo.setCurrentIndex(combo.findData(mode))
    type_into(qtbot, widget.panel.table.boxes[0], "40")
    segment()
    assert viewer.layers["steel phases"].metadata["phaseguide"]["mode"] == mode


def test_options_reach_the_session(widget: Any, viewer: Any, segment: Any) -> None:
    viewer.add_image(micrograph(), name="steel")
    controls = widget.panel.advanced.controls
    controls["invert"].setChecked(True)
    controls["flips"].setCurrentIndex(controls["flips"].findData("on"))
    controls["min_island_px"].setValue(40)
    controls["smoothing_px"].setValue(1.5)
    controls["tile"].setValue(512)
    segment()
    (session, _), *_ = widget.store._sessions.values()
    assert session._scoring._options["invert"] and len(session.views) == 4
    assert session._scoring._tile == 512
    made = widget.history().shown.planes[()].made.settings
    assert made["min_island_px"] == 40 and made["smoothing_px"] == 1.5


def test_earlier_results_are_one_click_away(widget: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    viewer.add_image(micrograph(), name="steel")
    segment()
    first = viewer.layers["steel phases"].data.copy()
    shown = [label.text() for label in widget.panel.table.found]
    impose_exactly(widget)
    type_into(qtbot, widget.panel.table.boxes[0], "70")
    segment()
    second = viewer.layers["steel phases"].data.copy()
    assert not np.array_equal(first, second)
    qtbot.mouseClick(widget.panel.results.back, Qt.MouseButton.LeftButton)
    assert np.array_equal(viewer.layers["steel phases"].data, first)
    assert [label.text() for label in widget.panel.table.found] == shown
    assert widget.panel.table.note.isHidden()
    assert widget.panel.table.boxes[0].text() == "", "its values come with it"
    qtbot.mouseClick(widget.panel.results.forward, Qt.MouseButton.LeftButton)
    assert np.array_equal(viewer.layers["steel phases"].data, second)
    assert not viewer.layers["steel phases"].editable


def test_device_line_says_why_it_is_the_cpu(widget: Any, qtbot: Any) -> None:
    combo = widget.panel.advanced.controls["device"]
    combo.setCurrentIndex(combo.findData("cpu"))
    qtbot.waitUntil(lambda: "chosen by you" in widget.panel.device_line.text())
    assert "CPU" in widget.panel.device_line.text()


def test_another_model_keeps_values_of_the_same_phases(
    widget: Any, viewer: Any, qtbot: Any, tmp_path: Path, segment: Any
) -> None:
    viewer.add_image(micrograph(), name="steel")
    type_into(qtbot, widget.panel.table.boxes[0], "20")
    segment()
    other = tiny_model(tmp_path, guidance="none", names=("Bainite", "FERRITE"))
    widget.panel.model_box.open_file(other)
    assert [box.text() for box in widget.panel.table.boxes] == ["", "20.00"]
    assert widget.panel.table.found[0].text() == "–", "the result on show belongs to another model"
    segment()
    assert list(viewer.layers["steel phases"].features["phase"]) == [
        "not classified", "Bainite", "FERRITE", "excluded",
    ]  # fmt: skip


def test_images_come_and_go(widget: Any, viewer: Any) -> None:
    box = widget.panel.image_box
    assert box.count() == 0 and widget.image is None
    first = viewer.add_image(micrograph(), name="first")
    second = viewer.add_image(micrograph(), name="second")
    viewer.add_labels(np.zeros((8, 8), np.uint8))
    assert [box.itemText(i) for i in range(box.count())] == ["first", "second"]
    assert widget.image == second, "the newest is the active one"
    viewer.layers.selection.active = first
    assert widget.image == first
    first.name = "renamed"
    assert box.currentText() == "renamed"
    viewer.layers.remove(first)
    assert widget.image == second


def test_user_models_are_offered_and_damaged_ones_greyed(
    viewer: Any, model_file: Path, data_dir: Path, qtbot: Any
) -> None:
    from phaseguide.folders import user_model_folder
    from phaseguide.models.zoo import add_model

    add_model(model_file, "mine")
    (user_model_folder() / "broken.safetensors").write_bytes(b"nothing")
    _, widget = open_part(viewer, "Segment")
    combo = widget.panel.model_box.combo
    texts = [combo.itemText(i) for i in range(combo.count())]
    assert "mine (user)" in texts
    broken = texts.index("broken (user)")
    assert not combo.model().item(broken).isEnabled()
    assert "not a model file" in combo.itemData(broken, Qt.ItemDataRole.ToolTipRole)
    assert combo.currentIndex() != broken
