"""Boxes and points in the widget: what layers say, whatever their place in the world, and the mask that follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QSignalSpy

from phaseguide.errors import MicrographError, SchemeError
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.saving import SHOWN
from phaseguide.widgets.ratio.prompts import PromptsBox
from prompted_models import prompted_model
from sam_files import offer_base
from widget_helpers import micrograph

SCHEME = PhaseScheme.from_names(["ferrite", "carbide", "pearlite"])
SHAPE = (60, 80)
RECTANGLE = np.array([[10, 20], [10, 40], [30, 40], [30, 20.0]])


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def bare() -> Any:
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def image(bare: Any) -> Any:
    return bare.add_image(micrograph(SHAPE), name="steel")


@pytest.fixture
def box(bare: Any, image: Any, qtbot: Any) -> PromptsBox:
    box = PromptsBox(bare, lambda: image)
    box.set_scheme(SCHEME)
    qtbot.addWidget(box)
    return box


def read(box: PromptsBox, image: Any, index: tuple[int, ...] = ()) -> Any:
    return box.prompts(image, index, SCHEME)


def test_nothing_is_said_until_a_layer_is_chosen(bare: Any, box: PromptsBox, image: Any) -> None:
    heard = QSignalSpy(box.changed)
    bare.add_shapes([RECTANGLE], name="boxes")
    box.phase_box.setCurrentIndex(1)
    assert read(box, image) is None and len(heard) == 0
    box.layer_boxes["boxes"].setCurrentText("boxes")
    assert len(heard) == 1
    prompts = read(box, image)
    assert prompts.boxes.tolist() == [[10, 20, 30, 40]] and prompts.box_phases.tolist() == [2]
    assert not len(prompts.points)


def test_the_phase_is_in_the_feature_or_the_colour_or_the_combo(
    bare: Any, box: PromptsBox, image: Any
) -> None:
    colours = ["white", SCHEME.phases[1].colour, "white"]
    layer = bare.add_shapes(
        [RECTANGLE] * 3, edge_color=colours, features={"Phase": ["Pearlite", "", ""]}, name="b"
    )
    box.layer_boxes["boxes"].setCurrentText("b")
    assert read(box, image).box_phases.tolist() == [3, 2, 1]
    layer.features = {"Phase": ["bainite", "", ""]}
    with pytest.raises(SchemeError, match=r"Box 1 of layer 'b'.*bainite"):
        read(box, image)
    bare.add_points([[5, 6], [7, 8.0]], features={"phase": ["not carbide", ""]}, name="p")
    layer.features = {"Phase": ["1", "", ""]}
    box.layer_boxes["points"].setCurrentText("p")
    box.absent.setChecked(True)
    assert read(box, image).point_phases.tolist() == [-2, -1]
    assert read(box, image).box_phases.tolist() == [1, 2, 1], "a box is never what is not there"


@pytest.mark.parametrize("kind", ["boxes", "points"])
def test_layers_may_lie_elsewhere_in_the_world(bare: Any, box: PromptsBox, image: Any, kind: str) -> None:
    image.scale, image.translate, image.units = (0.5, 0.5), (3.0, -2.0), ("um", "um")
    about = {"scale": (250, 500), "translate": (3000, -2000), "units": ("nm", "nm"), "name": "x"}
    # In nanometres, and with rows half as high: rows 2r of this layer are rows r of the image.
    data = RECTANGLE * (2, 1)
    if kind == "boxes":
        bare.add_shapes([data], **about)
    else:
        bare.add_points(data[:1], **about)
    box.layer_boxes[kind].setCurrentText("x")
    prompts = read(box, image)
    if kind == "boxes":
        assert prompts.boxes[0] == pytest.approx([10, 20, 30, 40])
    else:
        assert prompts.points[0] == pytest.approx([10, 20])


def test_of_a_stack_the_plane_counts(bare: Any, qtbot: Any) -> None:
    stack = bare.add_image(np.stack([micrograph(SHAPE)] * 2), name="stack")
    box = PromptsBox(bare, lambda: stack)
    qtbot.addWidget(box)
    box.set_scheme(SCHEME)
    on_one = np.insert(RECTANGLE, 0, 1, axis=1)
    bare.add_shapes([on_one], name="b")
    bare.add_points([[0, 5, 5.0], [1, 6, 6.0]], name="p")
    box.layer_boxes["boxes"].setCurrentText("b")
    box.layer_boxes["points"].setCurrentText("p")
    assert read(box, stack, (0,)).points.tolist() == [[5, 5]] and not len(read(box, stack, (0,)).boxes)
    assert read(box, stack, (1,)).points.tolist() == [[6, 6]] and len(read(box, stack, (1,)).boxes) == 1


def test_what_cannot_be_meant_is_said(bare: Any, box: PromptsBox, image: Any) -> None:
    layer = bare.add_shapes([RECTANGLE + 500], name="far")
    box.layer_boxes["boxes"].setCurrentText("far")
    with pytest.raises(MicrographError, match=r"Box 1 of layer 'far' .* outside the image"):
        read(box, image)
    layer.data = []
    layer.add([[1, 1], [20, 20]], shape_type="line")
    with pytest.raises(MicrographError, match="is a line"):
        read(box, image)


def test_drawing_marks_what_comes_next_and_what_is_selected(bare: Any, box: PromptsBox, image: Any) -> None:
    image.scale = (0.2, 0.2)
    box.phase_box.setCurrentIndex(1)
    box.draw("boxes")
    layer = box.layer("boxes")
    assert layer.mode == "add_rectangle" and bare.layers.selection.active is layer
    heard = QSignalSpy(box.changed)
    layer.add(RECTANGLE, shape_type="rectangle")
    assert len(heard) == 1
    layer.selected_data = {0}  # as it is after drawing, with the tool still in hand
    box.phase_box.setCurrentIndex(2)
    layer.add(RECTANGLE + 5, shape_type="rectangle")
    assert read(box, image).box_phases.tolist() == [2, 3]
    assert read(box, image).boxes[0] == pytest.approx([10, 20, 30, 40])
    colours = np.round(layer.edge_color[:, :3] * 255).astype(int).tolist()
    assert colours == [[int(SCHEME.phases[k].colour[i : i + 2], 16) for i in (1, 3, 5)] for k in (1, 2)]
    layer.mode = "select"
    layer.selected_data = {0}
    box.phase_box.setCurrentIndex(0)
    assert read(box, image).box_phases.tolist() == [1, 3]
    box.draw("points")
    box.absent.setChecked(True)
    box.layer("points").add([[4, 4.0]])
    assert read(box, image).point_phases.tolist() == [-1]
    assert read(box, image).box_phases.tolist() == [1, 3]


def test_a_model_that_takes_none_hides_it(widget: Any) -> None:
    assert widget.tools.prompts.isHidden() and widget.tools.prompts.scheme is None


def test_the_mask_follows_a_box(
    napari_window: None,
    widget: Any,
    viewer: Any,
    segment: Any,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    base = offer_base(monkeypatch, tmp_path)
    widget.panel.model_box.open_file(prompted_model(tmp_path, base))
    box = widget.tools.prompts
    qtbot.waitUntil(lambda: box.scheme is not None, timeout=20_000)
    assert not box.isHidden()
    image = viewer.add_image(micrograph((96, 128)), name="steel", scale=(0.5, 0.5))
    segment()
    plain = widget.current(()).labels.copy()
    assert not widget.panel.table.note.isVisibleTo(widget.panel.table)
    widget.panel.advanced.expand()
    box.phase_box.setCurrentIndex(1)
    qtbot.mouseClick(box.buttons["boxes"], Qt.MouseButton.LeftButton)
    layer = box.layer("boxes")
    layer.add(RECTANGLE, shape_type="rectangle")
    qtbot.waitUntil(lambda: widget.current(()).prompts is not None, timeout=30_000)
    standing = widget.current(())
    assert (standing.labels != plain).any() and np.array_equal(standing.own_labels, plain)
    assert standing.prompts.boxes[0] == pytest.approx([10, 20, 30, 40])
    assert SHOWN.lower() in widget.panel.table.note.text().lower()
    viewer.window.screenshot(path=str(tmp_path / "prompts.png"), canvas_only=False, flash=False)
    layer.data = [RECTANGLE + 30]
    qtbot.waitUntil(lambda: widget.current(()).prompts.boxes[0][0] == 40, timeout=30_000)
    layer.data = []
    qtbot.waitUntil(lambda: widget.current(()).prompts is None, timeout=30_000)
    assert np.array_equal(widget.current(()).labels, plain)
    assert image in viewer.layers
