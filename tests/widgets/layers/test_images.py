"""Every kind of image that napari may hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from phaseguide.widgets.layers.roles import pixel_size_um
from widget_helpers import SHAPE, impose_exactly, micrograph, numbers, type_into


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
@pytest.mark.parametrize("rgb", [False, True])
def test_types(widget: Any, viewer: Any, segment: Any, dtype: Any, rgb: bool) -> None:
    data = micrograph((*SHAPE, 3) if rgb else SHAPE, dtype)
    viewer.add_image(data, rgb=rgb, name="steel")
    segment()
    assert viewer.layers["steel phases"].data.shape == SHAPE
    assert ("RGB" in widget.panel.image_info.text()) == rgb
    assert np.dtype(dtype).name in widget.panel.image_info.text()


def test_transparency_is_dropped(viewer: Any, widget: Any, segment: Any) -> None:
    rgb = micrograph((*SHAPE, 3))
    viewer.add_image(np.dstack([rgb, np.full(SHAPE, 255, np.uint8)]), rgb=True, name="steel")
    segment()
    assert viewer.layers["steel phases"].data.shape == SHAPE


def test_result_lies_on_the_image(widget: Any, viewer: Any, segment: Any) -> None:
    image = viewer.add_image(
        micrograph(),
        name="steel",
        scale=(0.5, 0.5),
        translate=(3, -7),
        rotate=12,
        shear=[0.1],
        units=("µm", "µm"),
    )
    segment()
    for name in ("steel phases", "steel edits"):
        layer = viewer.layers[name]
        for point in ((0, 0), (95, 127)):
            assert layer.data_to_world(point) == pytest.approx(image.data_to_world(point))
        assert layer.units == image.units and layer.axis_labels == image.axis_labels
    assert pixel_size_um(image) == pytest.approx(0.5)
    assert "0.5 µm" in widget.panel.image_info.text()


def test_units_are_converted(viewer: Any) -> None:
    assert pixel_size_um(viewer.add_image(micrograph(), scale=(40, 40), units=("nm", "nm"))) == pytest.approx(
        0.04
    )
    assert pixel_size_um(viewer.add_image(micrograph())) is None
    assert pixel_size_um(viewer.add_image(micrograph(), scale=(1, 2), units=("µm", "µm"))) is None


def test_multiscale_uses_the_finest_level(widget: Any, viewer: Any, segment: Any) -> None:
    data = micrograph()
    viewer.add_image([data, data[::2, ::2]], multiscale=True, name="steel")
    segment()
    assert viewer.layers["steel phases"].data.shape == SHAPE


def test_dask_is_read_plane_by_plane_in_the_worker(widget: Any, viewer: Any, segment: Any) -> None:
    import threading

    import dask.array as da

    read: list[tuple[bool, int]] = []

    def load(block_info: Any = None) -> np.ndarray:
        index = block_info[None]["chunk-location"][0]
        read.append((threading.current_thread() is threading.main_thread(), index))
        return micrograph(seed=index)[None]

    stack = da.map_blocks(load, chunks=((1,) * 6, (96,), (128,)), dtype=np.uint8)
    viewer.add_image(stack, name="stack", contrast_limits=(0, 255))
    viewer.dims.set_current_step(0, 4)
    read.clear()
    segment()
    assert (False, 4) in read
    assert {index for in_main, index in read if not in_main} == {4}


def test_current_plane_of_a_stack(widget: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    stack = np.stack([micrograph(seed=i) for i in range(3)])
    viewer.add_image(stack, name="stack", scale=(2, 1, 1), translate=(10, 0, 0))
    viewer.dims.set_point(0, 12)  # plane 1
    segment()
    phases = viewer.layers["stack phases"].data
    assert phases.shape == stack.shape
    assert phases[1].all() and not phases[0].any() and not phases[2].any()
    first = phases[1].copy()
    viewer.dims.set_point(0, 14)
    qtbot.waitUntil(lambda: widget.panel.table.found[0].text() == "–")
    segment()
    assert phases[2].all() and np.array_equal(phases[1], first), "planes done before are kept"
    viewer.dims.set_point(0, 12)
    share = np.count_nonzero(first == 1) / first.size * 100
    qtbot.waitUntil(lambda: numbers(widget.panel.table.found)[0] == pytest.approx(share, abs=0.006))


def test_all_planes_with_a_ratio_each(widget: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    stack = np.stack([micrograph(seed=i) for i in range(3)])
    viewer.add_image(stack, name="stack")
    box = widget.panel.planes_box
    assert not box.isHidden() and box.itemText(1) == "All 3 planes"
    box.setCurrentIndex(1)
    impose_exactly(widget)
    type_into(qtbot, widget.panel.table.boxes[0], "40")
    segment()
    for plane in viewer.layers["stack phases"].data:
        assert np.count_nonzero(plane == 1) / plane.size == pytest.approx(0.4, abs=0.001)
    rows = widget.exporter.exported().rows()
    assert [row.plane for row in rows] == ["0"] * 3 + ["1"] * 3 + ["2"] * 3
    assert all(row.note == "constrained by your value, not independent" for row in rows)


def test_plain_images_offer_no_planes(widget: Any, viewer: Any) -> None:
    viewer.add_image(micrograph())
    assert widget.panel.planes_box.isHidden()
    assert not widget.state.every_plane


def test_information_bar_is_proposed_as_excluded(widget: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    data = micrograph((200, 240))
    data[180:] = 0
    data[186:192, 20:60] = 255
    viewer.add_image(data, name="with bar")
    check = widget.panel.bar_check
    qtbot.waitUntil(lambda: not check.isHidden())
    assert "20 rows" in check.text() and check.isChecked()
    segment()
    phases, edits = viewer.layers["with bar phases"].data, viewer.layers["with bar edits"].data
    assert (phases[180:] == 255).all() and not (phases[:180] == 255).any()
    assert not edits.any(), "the edits are the user's alone"
    check.setChecked(False)
    segment()
    assert not (viewer.layers["with bar phases"].data == 255).any()


def test_an_empty_rim_is_proposed_as_excluded(widget: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    data = micrograph((200, 240))
    data[:, :40] = 255
    viewer.add_image(data, name="framed")
    check = widget.panel.bar_check
    qtbot.waitUntil(lambda: not check.isHidden())
    assert "empty rim" in check.text() and check.isChecked()
    segment()
    phases = viewer.layers["framed phases"].data
    assert (phases[:, :40] == 255).all() and not (phases[:, 43:] == 255).any()


def test_each_plane_has_its_own_rim_and_transparent_corners_are_one(
    widget: Any, viewer: Any, segment: Any, qtbot: Any
) -> None:
    data = np.stack([micrograph((200, 240), seed=i) for i in range(2)])
    data[0, :, :40], data[1, 160:] = 0, 255
    viewer.add_image(data, name="drift")
    qtbot.waitUntil(lambda: not widget.panel.bar_check.isHidden())
    margins = widget.bars.margins(viewer.layers["drift"], (0,))
    assert margins.rim is not None and margins.rim[:, :40].all() and not margins.rim[:, 43:].any()
    rgba = np.dstack([micrograph((200, 240, 3)), np.full((200, 240), 255, np.uint8)])
    rgba[:60, :50, 3] = 0
    image = viewer.add_image(rgba, rgb=True, name="corners")
    qtbot.waitUntil(lambda: bool(widget.bars.margins(image, ())))
    assert np.array_equal(widget.bars.margins(image, ()).rim, rgba[..., 3] == 0)
