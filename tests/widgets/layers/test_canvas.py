"""The chosen image owns the canvas: layers of the others are hidden with it and come back as they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.canvas import canvas_of
from phaseguide.widgets.layers.identity import give_role
from widget_helpers import micrograph

SCHEME = PhaseScheme.from_names(("ferrite", "pearlite"))


class Holder:
    """Stands for a dock."""


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def holder(viewer: Any) -> Holder:
    holder = Holder()
    canvas_of(viewer).hold(holder)
    return holder


@pytest.fixture
def two(viewer: Any, holder: Holder) -> tuple[Any, Any]:
    """Images 'a' and 'b', each with a result and edits; 'b' came last."""
    images = tuple(viewer.add_image(micrograph(seed=n), name=name) for n, name in enumerate("ab"))
    for image in images:
        with roles.keeping_active(viewer):
            for role in ("phases", "edits"):
                roles.add_labels(viewer, image, np.zeros(image.data.shape, np.uint8), role, SCHEME)
    return images


def seen(viewer: Any) -> set[str]:
    return {layer.name for layer in viewer.layers if layer.visible}


ALL_OF = {name: {name, f"{name} phases", f"{name} edits"} for name in "ab"}


def select(viewer: Any, name: str) -> None:
    viewer.layers.selection.active = viewer.layers[name]


def test_selecting_an_image_or_a_layer_on_it_shows_that_image_alone(viewer: Any, two: Any) -> None:
    assert seen(viewer) == ALL_OF["b"]
    for name in ("a", "b edits", "a phases"):
        select(viewer, name)
        assert seen(viewer) == ALL_OF[name[0]]
        assert canvas_of(viewer).owner is viewer.layers[name[0]]


def test_layers_of_nobody_stay_as_they_are(viewer: Any, two: Any) -> None:
    viewer.add_labels(np.zeros((4, 4), np.uint8), name="mine")
    viewer.add_points([[1, 1]], name="hidden", visible=False)
    for name in "aba":
        select(viewer, name)
        assert seen(viewer) == ALL_OF[name] | {"mine"}


def test_what_the_user_hid_stays_hidden(viewer: Any, two: Any) -> None:
    viewer.layers["b phases"].visible = False
    select(viewer, "a")
    select(viewer, "b")
    assert seen(viewer) == ALL_OF["b"] - {"b phases"}


def test_what_the_user_shows_by_hand_stays_until_another_image_is_chosen(viewer: Any, two: Any) -> None:
    viewer.layers["a phases"].visible = True
    viewer.add_points([[1, 1]], name="anything else")
    with roles.keeping_active(viewer):
        roles.add_labels(viewer, two[0], np.zeros(two[0].data.shape, np.uint8), "before", SCHEME)
    assert seen(viewer) == ALL_OF["b"] | {"a phases", "anything else"}, "a layer that comes hides no other"
    select(viewer, "a")
    assert seen(viewer) == ALL_OF["a"] | {"a before", "anything else"}
    select(viewer, "b")
    assert seen(viewer) == ALL_OF["b"] | {"anything else"}


def test_what_the_user_shows_and_hides_again_stays_hidden(viewer: Any, two: Any) -> None:
    viewer.layers["a edits"].visible = True
    viewer.layers["a edits"].visible = False
    select(viewer, "a")
    assert seen(viewer) == ALL_OF["a"] - {"a edits"}


def test_the_brush_never_sits_on_another_image(viewer: Any, two: Any) -> None:
    select(viewer, "a edits")
    viewer.layers["a edits"].mode = "paint"
    canvas_of(viewer).show(two[1])
    assert viewer.layers.selection.active is viewer.layers["b edits"]
    assert str(viewer.layers["a edits"].mode) == "pan_zoom"
    viewer.layers.remove("a edits")
    canvas_of(viewer).show(two[0])
    assert viewer.layers.selection.active is two[0], "there is nothing to paint on"
    select(viewer, "a phases")
    canvas_of(viewer).show(two[1])
    assert viewer.layers.selection.active is two[1]


def test_a_tool_does_not_come_back_with_its_layer(viewer: Any, two: Any) -> None:
    select(viewer, "a edits")
    viewer.layers["a edits"].mode = "paint"
    for image in (two[1], two[0]):
        canvas_of(viewer).show(image)
    assert viewer.layers["a edits"].visible and str(viewer.layers["a edits"].mode) == "pan_zoom"


def test_side_by_side_in_the_grid_nothing_is_hidden(viewer: Any, two: Any) -> None:
    viewer.layers["a edits"].visible = True
    viewer.layers["a edits"].visible = False
    viewer.canvas.grid.enabled = True
    assert seen(viewer) == (ALL_OF["a"] | ALL_OF["b"]) - {"a edits"}
    select(viewer, "a")
    assert seen(viewer) == (ALL_OF["a"] | ALL_OF["b"]) - {"a edits"}
    viewer.canvas.grid.enabled = False
    assert seen(viewer) == ALL_OF["a"] - {"a edits"}


def test_everything_comes_back_with_the_last_dock(viewer: Any, two: Any, holder: Holder) -> None:
    other = Holder()
    canvas_of(viewer).hold(other)
    viewer.layers["b phases"].visible = False
    canvas_of(viewer).let_go(holder)
    assert seen(viewer) == ALL_OF["b"] - {"b phases"}, "the other dock still holds it"
    canvas_of(viewer).let_go(other)
    assert seen(viewer) == ALL_OF["a"] | ALL_OF["b"] - {"b phases"}


def test_a_dock_that_is_gone_holds_nothing(viewer: Any) -> None:
    canvas = canvas_of(viewer)
    canvas.hold(Holder())
    for name in "ab":
        viewer.add_image(micrograph(), name=name)
    assert seen(viewer) == {"a", "b"}


def test_a_mask_whose_image_was_removed_is_not_drawn_over_another(viewer: Any, two: Any) -> None:
    select(viewer, "a")
    viewer.layers.remove("a")
    select(viewer, "b")
    assert seen(viewer) == ALL_OF["b"]


def test_when_the_chosen_image_goes_nobody_owns_the_canvas(viewer: Any, two: Any) -> None:
    for name in ("b phases", "b edits"):
        viewer.layers.remove(name)
    viewer.layers.selection.clear()
    viewer.layers.remove("b")
    assert canvas_of(viewer).owner in (None, two[0]) and ALL_OF["a"] <= seen(viewer)


def test_layers_that_the_program_adds_choose_nothing(viewer: Any, two: Any) -> None:
    told: list[Any] = []
    hear: Callable[[Any], None] = told.append
    canvas_of(viewer).chosen.connect(hear)
    with roles.keeping_active(viewer):
        layer = roles.add_labels(viewer, two[0], np.zeros(two[0].data.shape, np.uint8), "preview", SCHEME)
    assert not told and not layer.visible and canvas_of(viewer).owner is two[1]
    select(viewer, "a")
    assert layer.visible and told[-1] is two[0]


def test_layers_come_back_with_a_layer_that_was_out_of_the_viewer(viewer: Any, two: Any) -> None:
    away = [layer for layer in viewer.layers if layer.name in ALL_OF["a"]]
    for layer in away:
        viewer.layers.remove(layer)
    for layer in away:
        viewer.add_layer(layer)
    assert seen(viewer) == ALL_OF["a"]


def test_what_comes_late_for_another_image_is_seen_when_that_is_chosen(viewer: Any, two: Any) -> None:
    viewer.layers["a phases"].visible = True
    viewer.layers["b phases"].visible = False
    for name in ("a phases", "b phases"):
        canvas_of(viewer).bring_up(viewer.layers[name])
    assert seen(viewer) == ALL_OF["b"]
    select(viewer, "a")
    assert seen(viewer) == ALL_OF["a"]


def test_lent_layers_are_left_alone_and_then_as_they_were(viewer: Any, two: Any) -> None:
    canvas, before = canvas_of(viewer), seen(viewer)
    lent = canvas.lend()
    for layer in viewer.layers:
        layer.visible = layer.name == "a"
    canvas.show(two[0])
    assert seen(viewer) == {"a"}
    canvas.take_back(lent)
    assert seen(viewer) == ALL_OF["a"]
    select(viewer, "b")
    assert seen(viewer) == before


def test_images_of_another_size_are_looked_at_where_they_were(viewer: Any, holder: Holder) -> None:
    small = viewer.add_image(micrograph(), name="small")
    viewer.scene.camera.zoom = 7.0
    viewer.scene.camera.center = (0.0, 20.0, 30.0)
    viewer.add_image(micrograph(), name="large", scale=(50, 50))
    assert viewer.scene.camera.zoom < 1, "it fits"
    viewer.add_image(micrograph(seed=1), name="as large", scale=(50, 50))
    zoom = viewer.scene.camera.zoom
    canvas_of(viewer).show(small)
    assert viewer.scene.camera.zoom == 7.0 and tuple(viewer.scene.camera.center)[1:] == (20.0, 30.0)
    select(viewer, "large")
    viewer.scene.camera.zoom = zoom * 2
    select(viewer, "as large")
    assert viewer.scene.camera.zoom == zoom * 2, "the same place of both is compared"


def test_copies_of_layers_are_nobodys(viewer: Any, two: Any) -> None:
    from napari.layers import Labels

    give_role(viewer.layers["a phases"], "phases", two[0])
    copy = Labels.create(*viewer.layers["a phases"].as_layer_data_tuple())
    copy.name, copy.visible = "kept", True
    viewer.add_layer(copy)
    for name in "ab":
        select(viewer, name)
        assert seen(viewer) == ALL_OF[name] | {"kept"}
