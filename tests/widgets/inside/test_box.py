"""Look inside, in a real viewer: layers that lie exactly on the micrograph; the next look replaces only them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from phaseguide.segmentation.inside.views import InsideView
from phaseguide.widgets.inside.layers import find_inside, placed, show_inside, view_on_show
from phaseguide.widgets.layers.roles import KEY
from phaseguide.widgets.segment.dock import SegmentWidget
from phaseguide.widgets.segment.plan import middle_on_show
from tiny_models import tiny_model
from widget_helpers import SHAPE, micrograph

WAIT = 60_000
STAGES = [f"stage {n}" for n in range(1, 6)]


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def look(widget: SegmentWidget, qtbot: Any) -> Callable[[], list[Any]]:
    """Press the button, wait for the end, and return the layers."""

    def press() -> list[Any]:
        box = widget.tools.inside
        widget.tools.inside_fold.expand()
        with qtbot.waitSignal(box.ended, timeout=WAIT):
            qtbot.mouseClick(box.button, Qt.MouseButton.LeftButton)
        return find_inside(widget.viewer, widget.image)

    return press


def fake(name: str, encoder: Any, seed: int) -> InsideView:
    rgb = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return InsideView(name, encoder, rgb, (0.5, 0.2, 0.1), (16.0, 16.0), (32, 16))


def fakes() -> list[InsideView]:
    base = [fake(name, "base", i) for i, name in enumerate(("block 1", "block 2", "encoder output"))]
    names = ("block 1", "block 2", "encoder output", "after guidance, no ratio")
    return base + [fake(name, "adapted", 10 + i) for i, name in enumerate(names)]


def shown_of(viewer: Any, image: Any, index: tuple[int, ...]) -> list[Any]:
    return [one for one in show_inside(viewer, image, index, fakes(), "ImageNet") if one is not None]


def test_stages_lie_on_the_micrograph(viewer: Any, widget: SegmentWidget, look: Any, qtbot: Any) -> None:
    image = viewer.add_image(micrograph(), name="steel", scale=(0.5, 0.5), translate=(10, 20), units="um")
    widget.panel.table.boxes[0].setValue(30.0)
    viewer.layers.selection.active = image
    layers = look()
    assert [layer.name for layer in layers] == [
        *(f"steel inside: {stage}" for stage in STAGES),
        "steel inside: after guidance, no ratio", "steel inside: after guidance, with 30 % ferrite",
    ]  # fmt: skip
    assert viewer.layers.selection.active is image and widget.image is image
    for layer, stride in zip(layers, (2, 4, 8, 16, 32, 32, 32), strict=True):
        assert layer.rgb and layer.scale == pytest.approx([0.5 * stride] * 2)
        corner = layer.data_to_world((-0.5, -0.5))
        assert corner == pytest.approx(image.data_to_world((-0.5, -0.5)))
        assert layer.data.shape[:2] == (SHAPE[0] // stride, SHAPE[1] // stride)
        assert layer.units == image.units
        assert layer.metadata[KEY]["views"][0]["explained"][0] > 0
    assert [layer.name for layer in layers if layer.visible] == ["steel inside: stage 3"]
    assert "stage 3: " in widget.tools.inside.answer.text() and "%" in widget.tools.inside.answer.text()
    assert widget.panel.image_box.layers == [image], "the pictures are no micrographs"


def test_without_guidance_the_values_are_not_asked_for(
    viewer: Any, widget: SegmentWidget, look: Any, tmp_path: Path
) -> None:
    viewer.add_image(micrograph(), name="steel")
    widget.panel.table.boxes[0].setValue(30.0)
    widget.panel.model_box.open_file(tiny_model(tmp_path, "none"))
    assert widget.state.asked is not None
    assert [layer.name for layer in look()] == [f"steel inside: {stage}" for stage in STAGES]


def test_the_next_look_replaces_only_its_own(viewer: Any, widget: SegmentWidget, look: Any) -> None:
    image = viewer.add_image(micrograph(), name="steel")
    mine = viewer.add_image(micrograph(), name="steel inside: stage 1", visible=False)
    viewer.layers.selection.active = image
    first = look()
    first[0].visible = True
    image.data = micrograph(seed=5)
    before = [layer.data for layer in first]
    second = look()
    assert first == second, "layers of the same blocks are written anew"
    assert not any(np.array_equal(old, layer.data) for old, layer in zip(before, second, strict=True))
    assert first[0].visible and mine in viewer.layers and len(viewer.layers) == 2 + 6
    image.data = micrograph((128, 96), seed=5)
    third = look()
    assert len(third) == 6 and not any(layer in viewer.layers for layer in first)
    assert mine in viewer.layers and len(viewer.layers) == 2 + 6


def test_stop_and_errors_change_no_layer(
    viewer: Any, widget: SegmentWidget, look: Any, qtbot: Any, told: list[str]
) -> None:
    box = widget.tools.inside
    qtbot.mouseClick(box.button, Qt.MouseButton.LeftButton)
    assert "no image layer" in box.answer.text()
    image = viewer.add_image(micrograph(), name="steel")
    with qtbot.waitSignal(box.ended, timeout=WAIT):
        box.look()
        assert not box.button.isEnabled()
        qtbot.mouseClick(box.stop_button, Qt.MouseButton.LeftButton)
    assert "Stopped" in box.answer.text() and list(viewer.layers) == [image]
    assert box.button.isEnabled() and not box.stop_button.isEnabled()
    image.data = np.zeros(SHAPE, np.uint8)
    assert look() == [] and "all black" in box.answer.text()
    image.data = micrograph()
    assert len(look()) == 6, "and it works again"


def test_the_menu_entry_looks_in_one_click(
    napari_window: None, viewer: Any, widget: SegmentWidget, qtbot: Any
) -> None:
    from napari._app_model import get_app_model

    viewer.add_image(micrograph(), name="steel")
    with qtbot.waitSignal(widget.tools.inside.ended, timeout=WAIT):
        get_app_model().commands.execute_command("napari-phaseguide.look_inside").result()
    assert widget.tools.inside_fold.isExpanded()
    assert len(find_inside(viewer, widget.image)) == 6


def test_blocks_of_one_grid_are_one_layer_with_a_slider(viewer: Any, widget: SegmentWidget) -> None:
    stack = viewer.add_image(np.stack([micrograph((160, 160), seed=i) for i in range(3)]), name="steel")
    stack.scale = (2, 0.5, 0.5)
    base, adapted = shown_of(viewer, stack, (1,))
    assert (base.name, adapted.name) == ("steel inside: base", "steel inside: adapted")
    assert adapted.data.shape == (4, 1, 6, 8, 3) and adapted.visible and not base.visible
    # Row 32 + 7.5 of plane 1 is the middle of the first token.
    assert adapted.data_to_world((0, 0, 0, 0)) == pytest.approx((0, 2, 19.75, 11.75))
    assert viewer.dims.ndim == 4 and viewer.dims.point[0] == 2, "the slider is at the encoder's output"
    assert view_on_show(adapted, viewer)["name"] == "encoder output"
    viewer.dims.set_point(0, 3)
    assert view_on_show(adapted, viewer)["name"] == "after guidance, no ratio"
    assert view_on_show(base, viewer) is None
    viewer.dims.set_point(0, 1)
    assert "adapted, block 2: 50 + 20 + 10 %" in _described(widget)


def _described(widget: SegmentWidget) -> str:
    widget.tools.inside.describe()
    return str(widget.tools.inside.answer.text())


def test_the_base_goes_beside_the_image_and_back(viewer: Any, widget: SegmentWidget) -> None:
    image = viewer.add_image(micrograph((160, 160)), name="steel", scale=(0.5, 0.5))
    base, _ = shown_of(viewer, image, ())
    before = base.data_to_world((0, 0, 0))
    widget.tools.inside.beside.setChecked(True)
    after = base.data_to_world((0, 0, 0))
    assert base.visible and after[1] == before[1] and after[2] > before[2] + 8 * 16 * 0.5
    assert "base (ImageNet), encoder output" in _described(widget)
    widget.tools.inside.beside.setChecked(False)
    assert base.data_to_world((0, 0, 0)) == pytest.approx(before) and not base.visible


def test_a_turned_image_is_followed(viewer: Any) -> None:
    from napari.layers import Image

    image = Image(
        micrograph(), rotate=30, scale=(0.5, 2), translate=(5, 7), affine=[[1, 0.2, 3], [0, 1, 0], [0, 0, 1]]
    )
    layer = Image(np.zeros((4, 6, 8, 3), np.uint8), rgb=True, **placed(image, (39.5, 23.5), (16, 16), 1))
    assert layer.data_to_world((2, 1, 3))[1:] == pytest.approx(image.data_to_world((55.5, 71.5)))


def test_the_middle_of_what_is_on_show(viewer: Any) -> None:
    image = viewer.add_image(micrograph(), scale=(0.5, 0.5), translate=(10, 20))
    viewer.scene.camera.center = (0, 10 + 0.5 * 30, 20 + 0.5 * 70)
    assert middle_on_show(viewer, image) == pytest.approx((30, 70))


def test_all_layers_go_with_one_click_and_napari_collects_garbage_once(
    napari_window: None,
    viewer: Any,
    widget: SegmentWidget,
    look: Any,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It does so for every layer that goes alone, which took a second each."""
    import gc

    from napari._vispy import canvas

    image = viewer.add_image(micrograph(), name="steel")
    box = widget.tools.inside
    assert not box.remove_button.isEnabled()
    assert len(look()) == 6 and box.remove_button.isEnabled()
    collected = []
    monkeypatch.setattr(canvas, "gc", SimpleNamespace(collect=lambda: collected.append(gc.collect())))
    with qtbot.waitSignal(box.ended, timeout=WAIT):
        qtbot.mouseClick(box.remove_button, Qt.MouseButton.LeftButton)
        assert not box.button.isEnabled()
    assert list(viewer.layers) == [image] and len(collected) == 1
    assert not box.remove_button.isEnabled() and not box.answer.isVisibleTo(box)
    look()
    collected.clear()
    look()
    assert not collected, "the next look of the same blocks removes no layer"


def test_an_image_that_goes_while_layers_are_added_ends_it(
    viewer: Any, widget: SegmentWidget, qtbot: Any
) -> None:
    image = viewer.add_image(micrograph(), name="steel")
    box = widget.tools.inside
    viewer.layers.events.inserted.connect(lambda _: image in viewer.layers and viewer.layers.remove(image))
    with qtbot.waitSignal(box.ended, timeout=WAIT):
        box.look()
    assert len(viewer.layers) == 1 and not box.busy and box.button.isEnabled()
