"""The size of a pixel that a user tells: which layers get it, and what stays on show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.scale.pixel_size import set_pixel_size

SCHEME = PhaseScheme.from_names(["ferrite", "pearlite"])


def test_all_layers_of_the_image_go_along(model_viewer: Any) -> None:
    viewer = model_viewer
    image = viewer.add_image(np.zeros((40, 60)), name="steel")
    edits = roles.ensure_edits_layer(viewer, image, SCHEME)
    shapes = viewer.add_shapes([np.array([[4, 4], [4, 30], [30, 30]])], shape_type="polygon")
    set_pixel_size(viewer, image, 0.05, "typed")
    for layer in (image, edits, shapes):
        assert layer.scale == pytest.approx([0.05, 0.05])
        assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert roles.pixel_size_um(image) == pytest.approx(0.05)
    assert roles.scale_source(image) == "typed"
    assert roles.same_grid(edits, image) is None
    assert "pixel 0.05 µm (typed)" in roles.describe_image(image)
    set_pixel_size(viewer, image, 0.02, "two clicks on the bar")
    assert edits.scale == pytest.approx([0.02, 0.02])
    assert roles.scale_source(image) == "two clicks on the bar"


def test_another_image_and_what_may_be_its_stay(model_viewer: Any) -> None:
    viewer = model_viewer
    image = viewer.add_image(np.zeros((40, 60)), name="steel")
    other = viewer.add_image(np.zeros((40, 60)), name="other")
    edits = roles.ensure_edits_layer(viewer, other, SCHEME)
    set_pixel_size(viewer, image, 0.05, "typed")
    assert other.scale == pytest.approx([1, 1]) and edits.scale == pytest.approx([1, 1])
    assert roles.scale_source(other) is None


def test_planes_of_a_stack_stay_a_step_apart_and_the_view_stays(model_viewer: Any) -> None:
    viewer = model_viewer
    image = viewer.add_image(np.zeros((3, 40, 60)), name="stack", translate=(0, 10, 20))
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 30, 50), 8.0
    before = image.world_to_data((0, *viewer.scene.camera.center[-2:]))
    set_pixel_size(viewer, image, 0.05, "typed")
    assert image.scale == pytest.approx([1, 0.05, 0.05])
    assert [str(unit) for unit in image.units] == ["pixel", "micrometer", "micrometer"]
    assert image.world_to_data((0, *viewer.scene.camera.center[-2:])) == pytest.approx(before)
    assert viewer.scene.camera.zoom == pytest.approx(160)


def test_a_scale_that_was_changed_since_is_not_called_typed(model_viewer: Any) -> None:
    image = model_viewer.add_image(np.zeros((40, 60)), name="steel")
    set_pixel_size(model_viewer, image, 0.05, "typed")
    image.scale = (0.07, 0.07)
    assert roles.scale_source(image) == "scale of the layer"
