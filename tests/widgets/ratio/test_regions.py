"""Regions in the widget: shapes of a layer become regions of the image, and follow what the user does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QSignalSpy

from phaseguide.errors import MicrographError, RatioError
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.constraints.regions import REST, RegionShares
from phaseguide.widgets.ratio.regions import RegionsBox
from widget_helpers import micrograph, numbers, type_into

SCHEME = PhaseScheme.from_names(["ferrite", "carbide", "Widmanstätten cementite"])
SHAPE = (60, 80)
SQUARE = np.array([[9.5, 19.5], [9.5, 39.5], [29.5, 39.5], [29.5, 19.5]])
"""20 x 20 pixels: rows 10 to 29, columns 20 to 39."""


@pytest.fixture
def viewer() -> Any:
    """Layers without a window, which is all that most of these tests need and takes no time to open."""
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def image(viewer: Any) -> Any:
    return viewer.add_image(micrograph(SHAPE), name="steel")


@pytest.fixture
def box(viewer: Any, image: Any, qtbot: Any) -> RegionsBox:
    box = RegionsBox(viewer, lambda: image)
    box.set_scheme(SCHEME)
    qtbot.addWidget(box)
    box.show()
    return box


def add_shapes(viewer: Any, box: RegionsBox, data: Any, kind: Any = "polygon", **more: Any) -> Any:
    layer = viewer.add_shapes(data, shape_type=kind, name="zones", **more)
    box.layer_box.setCurrentText("zones")
    return layer


def regions(box: RegionsBox, image: Any, index: tuple[int, ...] = ()) -> Any:
    return box.regions(image, index, SCHEME)


def test_no_layer_means_no_regions(viewer: Any, box: RegionsBox, image: Any):
    assert regions(box, image) == () and box.blocks == []
    viewer.add_shapes([SQUARE])
    assert regions(box, image) == (), "a layer counts only when it is chosen"


def test_a_polygon_and_its_values(viewer: Any, box: RegionsBox, image: Any, qtbot: Any):
    add_shapes(viewer, box, [SQUARE])
    heard = QSignalSpy(box.changed)
    type_into(qtbot, box.blocks[0].boxes[1], "20")
    assert len(heard) > 0
    box.set_uncertainty((0.1, 0.2, 0.3))
    (region,) = regions(box, image)
    wanted = np.zeros(SHAPE, dtype=bool)
    wanted[10:30, 20:40] = True
    np.testing.assert_array_equal(region.mask, wanted)
    np.testing.assert_array_equal(region.asked, [np.nan, 0.2, np.nan])
    assert region.name == "Region 1" and region.uncertainty == (0.1, 0.2, 0.3)
    assert regions(box, image)[0] is region, "known again while nothing changes"
    type_into(qtbot, box.blocks[0].boxes[1], "30")
    assert regions(box, image)[0].asked[1] == 0.3


def test_ellipses_and_turned_rectangles(viewer: Any, box: RegionsBox, image: Any):
    turned = np.array([[10, 40], [20, 50], [30, 40], [20, 30]])
    add_shapes(viewer, box, [SQUARE, turned], ["ellipse", "rectangle"])
    ellipse, rectangle = regions(box, image)
    rows, columns = np.indices(SHAPE)
    inside = (rows - 19.5) ** 2 + (columns - 29.5) ** 2 < 100
    np.testing.assert_array_equal(ellipse.mask, inside)
    diamond = abs(rows - 20) + abs(columns - 40) < 10
    assert np.count_nonzero(rectangle.mask ^ diamond) <= 40, "only centres on the outline may differ"


@pytest.mark.parametrize(
    "geometry",
    [
        {"scale": (0.5, 0.25), "translate": (3, -7)},
        {"scale": (0.4, 0.3), "rotate": 30, "translate": (5, 0)},
        {"units": ("nm", "nm"), "scale": (500, 250)},
    ],
)
def test_both_transforms_count(viewer: Any, box: RegionsBox, image: Any, geometry: dict[str, Any]):
    image.units = ("um", "um")
    image.scale, image.translate = (0.5, 0.25), (1.0, 2.0)
    layer = add_shapes(viewer, box, [SQUARE], **{"units": ("um", "um"), **geometry})
    factor = 1e-3 if "nm" in str(geometry) else 1.0
    world = np.array([layer.data_to_world(tuple(corner)) for corner in SQUARE]) * factor
    # Drawn into the same place by a layer that lies on the image itself.
    corners = np.array([image.world_to_data(place) for place in world])
    (region,) = regions(box, image)
    layer.scale, layer.translate, layer.rotate = image.scale, image.translate, 0
    layer.units = image.units
    layer.data = [corners]
    (same,) = regions(box, image)
    assert region.mask.any()
    assert np.count_nonzero(region.mask ^ same.mask) <= 2


def test_names_come_from_features_or_text_or_the_user(viewer: Any, box: RegionsBox, image: Any, qtbot: Any):
    layer = add_shapes(viewer, box, [SQUARE, SQUARE + 25], features={"Name": ["coating", ""]})
    assert [one.name for one in regions(box, image)] == ["coating", "Region 2"]
    layer.features = {"Name": ["coating", "coating"]}
    assert [one.name for one in regions(box, image)] == ["coating", "coating (2)"]
    line = box.blocks[1].name_line
    line.setFocus()
    line.selectAll()
    qtbot.keyClicks(line, "weld")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    assert [one.name for one in regions(box, image)] == ["coating", "weld"]
    box.layer_box.setCurrentText("none")
    viewer.add_shapes([SQUARE, SQUARE + 25], text=["oxide", "metal"], name="others")
    box.layer_box.setCurrentText("others")
    assert [one.name for one in regions(box, image)] == ["oxide", "metal"]
    box.layer_box.setCurrentText("zones")
    assert [one.name for one in regions(box, image)] == ["coating", "weld"], "what was typed is kept"


def test_values_stay_with_their_shape(viewer: Any, box: RegionsBox, image: Any, qtbot: Any):
    layer = add_shapes(viewer, box, [SQUARE, SQUARE + 25])
    for block, text in zip(box.blocks, ("10", "70"), strict=True):
        type_into(qtbot, block.boxes[0], text)
    layer.selected_data = {0}
    layer.remove_selected()
    assert len(box.blocks) == 1
    (left,) = regions(box, image)
    assert left.asked[0] == 0.7 and left.mask[35, 45]
    layer.add_polygons(SQUARE)
    assert [one.asked[0] for one in regions(box, image)] == pytest.approx([0.7, np.nan], nan_ok=True)
    heard = QSignalSpy(box.changed)
    layer.data = [SQUARE + 5, SQUARE]  # moved
    assert len(heard) > 0
    assert regions(box, image)[0].mask[15, 25] and regions(box, image)[0].asked[0] == 0.7
    layer.data = []
    assert box.blocks == [] and regions(box, image) == ()


def test_what_lies_on_top_wins(viewer: Any, box: RegionsBox, image: Any):
    layer = add_shapes(viewer, box, [SQUARE, SQUARE + 10], features={"name": ["first", "second"]})
    assert [one.name for one in regions(box, image)] == ["first", "second"]
    layer.selected_data = {0}
    layer.move_to_front()
    assert [one.name for one in regions(box, image)] == ["second", "first"], "the last one lies on top"


def test_shapes_that_are_no_regions(viewer: Any, box: RegionsBox, image: Any, qtbot: Any):
    layer = add_shapes(viewer, box, [SQUARE])
    layer.add_paths(SQUARE[:3])
    with pytest.raises(MicrographError, match="'Region 2' is a path, which encloses nothing"):
        regions(box, image)
    assert "It is a path" in box.blocks[1].sum_line.text() and box.blocks[1].sum_line.styleSheet()
    assert not box.blocks[1].boxes[0].isEnabled()
    layer.data = [(SQUARE, "polygon"), (SQUARE + 500, "polygon")]
    with pytest.raises(MicrographError, match="'Region 2' holds no pixel"):
        regions(box, image)
    layer.data = [(SQUARE, "polygon")]
    type_into(qtbot, box.blocks[0].boxes[0], "80")
    type_into(qtbot, box.blocks[0].boxes[1], "40")
    assert "120.00 %, more than 100 %" in box.blocks[0].sum_line.text()
    with pytest.raises(RatioError, match="'Region 1': The phases sum to 120"):
        regions(box, image)


def test_stacks(viewer: Any, box: RegionsBox, image: Any):
    viewer.layers.remove(image)
    stack = viewer.add_image(np.stack([micrograph(SHAPE)] * 3), name="stack", scale=(2, 0.5, 0.5))
    drawn = np.array([np.insert(SQUARE, 0, plane, axis=1) for plane in (0, 2)])
    layer = add_shapes(viewer, box, list(drawn), scale=(2, 0.5, 0.5))
    assert [len(regions(box, stack, (plane,))) for plane in range(3)] == [1, 0, 1]
    assert np.count_nonzero(regions(box, stack, (2,))[0].mask) == 400
    slanted = drawn[0].copy()
    slanted[2:, 0] = 2
    layer.data = [slanted]
    with pytest.raises(MicrographError, match="across several planes"):
        regions(box, stack, (2,))
    layer.name = "old"
    flat = add_shapes(viewer, box, [SQUARE], scale=(0.5, 0.5))
    assert flat.ndim == 2
    assert all(np.count_nonzero(regions(box, stack, (p,))[0].mask) == 400 for p in range(3))


def test_results_are_shown_by_name_and_never_alone(viewer: Any, box: RegionsBox, image: Any):
    layer = add_shapes(viewer, box, [SQUARE, SQUARE + 25])
    own, achieved = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.5, 0.3])
    shares = [
        RegionShares("Region 2", 400, achieved, 0.3, own, achieved, achieved),
        RegionShares(REST, 9000, None, None, own, None, own),
    ]
    box.show_shares(shares)
    assert numbers(box.blocks[1].found) == [20, 50, 30]
    assert numbers(box.blocks[1].unguided) == [50, 30, 20]
    assert [label.text() for label in box.blocks[0].found] == ["–"] * 3
    assert box.note.isVisibleTo(box) and "constrained by your value" in box.note.text()
    layer.data = [SQUARE, SQUARE + 26]
    assert [label.text() for label in box.blocks[1].found] == ["–"] * 3, "these were other pixels"
    assert not box.note.isVisibleTo(box)
    box.show_shares([])
    assert not box.note.isVisibleTo(box)


def test_another_model_keeps_what_was_typed_for_a_phase(viewer: Any, box: RegionsBox, image: Any, qtbot: Any):
    add_shapes(viewer, box, [SQUARE])
    type_into(qtbot, box.blocks[0].boxes[2], "5")
    box.set_scheme(PhaseScheme.from_names(["widmanstatten cementite", "pearlite"]))
    assert box.blocks[0].boxes[0].text() == "5.00" and len(box.blocks[0].boxes) == 2
    box.set_scheme(None)
    assert box.blocks == []


def test_draw_on_the_image_in_a_window(make_napari_viewer: Any, qtbot: Any):
    viewer = make_napari_viewer()
    image = viewer.add_image(micrograph(SHAPE), name="steel", scale=(0.5, 0.5), units=("um", "um"))
    box = RegionsBox(viewer, lambda: image)
    box.set_scheme(SCHEME)
    viewer.window.add_dock_widget(box, name="Regions")
    qtbot.mouseClick(box.draw_button, Qt.MouseButton.LeftButton)
    layer = box.layer
    assert layer.name == "steel regions" and layer.mode == "add_polygon"
    assert viewer.layers.selection.active is layer
    draw(layer, SQUARE * 0.5)
    assert len(box.blocks) == 1, "a shape is a region when it is closed"
    assert np.count_nonzero(regions(box, image)[0].mask) == 400
    layer.mode = "pan_zoom"
    qtbot.mouseClick(box.draw_button, Qt.MouseButton.LeftButton)
    assert layer.mode == "add_polygon" and len(viewer.layers) == 2, "the chosen layer is taken again"
    draw(layer, SQUARE * 0.5 + 10)
    box.blocks[0].entered.emit()
    assert layer.selected_data == {0}, "the shape of the block is outlined"


def draw(layer: Any, corners: np.ndarray) -> None:
    """Click corners, in world units, and double-click at the last one."""
    from napari.utils._test_utils import read_only_mouse_event as event
    from napari.utils.interactions import (
        mouse_double_click_callbacks,
        mouse_move_callbacks,
        mouse_press_callbacks,
        mouse_release_callbacks,
    )

    for place in corners:
        at = {"position": tuple(place), "pos": tuple(place)}
        mouse_move_callbacks(layer, event(type="mouse_move", is_dragging=False, **at))
        mouse_press_callbacks(layer, event(type="mouse_press", button=1, **at))
        mouse_release_callbacks(layer, event(type="mouse_release", button=1, **at))
    mouse_double_click_callbacks(layer, event(type="mouse_double_click", button=1, **at))


def test_draw_without_an_image_says_so(viewer: Any, qtbot: Any, told: list[str]):
    box = RegionsBox(viewer, lambda: None)
    qtbot.addWidget(box)
    box.draw()
    assert "no image" in told[0] and not viewer.layers


def test_the_choice_survives_other_layers_and_ends_with_its_own(viewer: Any, box: RegionsBox, image: Any):
    layer = add_shapes(viewer, box, [SQUARE])
    viewer.add_shapes([SQUARE], name="a")
    layer.name = "renamed"
    viewer.layers.move(0, 2)
    assert box.layer.name == "renamed" and box.layer_box.currentText() == "renamed"
    heard = QSignalSpy(box.changed)
    viewer.layers.remove("renamed")
    assert box.layer is None and box.blocks == [] and len(heard) == 1
    layer.add_polygons(SQUARE)  # nobody listens to it any more
    assert len(heard) == 1


def test_a_row_of_regions_scrolls_and_fits(viewer: Any, box: RegionsBox, image: Any, qtbot: Any):
    add_shapes(viewer, box, [SQUARE + k for k in range(6)])
    qtbot.waitUntil(lambda: box._area.height() == 380)
    assert box.minimumSizeHint().width() <= 380
