"""A combo box of layers keeps its choice when layers come, go or are renamed, and tells when it cannot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Points

from phaseguide.widgets.layers.layer_choice import ImageBox, LayerBox


@pytest.fixture
def viewer(qapp: Any) -> ViewerModel:
    return ViewerModel()


@pytest.fixture
def box(viewer: ViewerModel) -> Iterator[LayerBox]:
    def points() -> list[Points]:
        return [layer for layer in viewer.layers if isinstance(layer, Points)]

    box = LayerBox(viewer, points, "Points", "none")
    box.told = []
    box.changed.connect(lambda: box.told.append(box.layer))
    yield box
    box.deleteLater()


def names(box: LayerBox) -> list[str]:
    return [box.itemText(row) for row in range(box.count())]


def test_nothing_is_chosen_until_the_user_does(viewer: ViewerModel, box: LayerBox) -> None:
    first = viewer.add_points([[0, 0]], name="first")
    viewer.add_image(np.zeros((4, 4)), name="steel")
    assert names(box) == ["none", "first"] and box.layer is None and not box.told
    box.choose(first)
    assert box.layer is first and box.told == [first]


def test_the_choice_stays(viewer: ViewerModel, box: LayerBox) -> None:
    first = viewer.add_points([[0, 0]], name="first")
    box.choose(first)
    viewer.add_points([[0, 0]], name="second")
    viewer.layers.move(0, 2)
    first.name = "renamed"
    assert names(box) == ["none", "second", "renamed"] and box.layer is first and box.told == [first]


def test_a_chosen_layer_that_goes_is_told_of(viewer: ViewerModel, box: LayerBox) -> None:
    first = viewer.add_points([[0, 0]], name="first")
    box.choose(first)
    viewer.layers.remove(first)
    assert names(box) == ["none"] and box.layer is None and box.told == [first, None]


def test_an_image_box_follows_the_selected_image(viewer: ViewerModel) -> None:
    box = ImageBox(viewer)
    one, two = (viewer.add_image(np.zeros((4, 4)), name=name) for name in ("one", "two"))
    assert box.layers == [one, two] and box.layer is two
    viewer.layers.selection.active = one
    assert box.layer is one
    viewer.add_points([[0, 0]])
    assert box.layer is one
    box.deleteLater()
