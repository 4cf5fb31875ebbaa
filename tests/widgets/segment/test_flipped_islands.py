"""The small part of the Segment dock that shows which islands change phase."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from phaseguide.errors import RatioError
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.review.flipped_drawing import DARK, LIGHT
from phaseguide.widgets.layers.roles import KEY, find_layer
from phaseguide.widgets.segment.flipped_islands import FlippedIslandsBox

SCHEME = PhaseScheme.from_names(["ferrite", "carbide", "pearlite"])
SHAPE = (60, 80)


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def labels(*, carbide: int, pearlite: int = 0) -> np.ndarray:
    """Ferrite with squares of carbide and pearlite of a given side."""
    map_ = np.ones(SHAPE, dtype=np.uint8)
    map_[5 : 5 + carbide, 5 : 5 + carbide] = 2
    map_[40 : 40 + pearlite, 40 : 40 + pearlite] = 3
    return map_


class Host:
    """Stands for the widget around the box."""

    def __init__(self, viewer: Any) -> None:
        self.image: Any = None
        self.maps: dict[str, Callable[[], Any]] = {
            "Without guidance": lambda: labels(carbide=20),
            "Expected": lambda: labels(carbide=20, pearlite=10),
            "Same again": lambda: labels(carbide=20),
        }
        self.box = FlippedIslandsBox(viewer, lambda: self.image, lambda: SCHEME, lambda: dict(self.maps))


@pytest.fixture
def host(viewer: Any, qtbot: Any) -> Host:
    host = Host(viewer)
    viewer.window.add_dock_widget(host.box, name="Disputes")
    host.image = viewer.add_image(np.zeros(SHAPE, np.uint8), name="steel", scale=(0.5, 0.5), units="um")
    return host


@pytest.fixture
def press(host: Host, qtbot: Any) -> Callable[[], None]:
    def press() -> None:
        qtbot.mouseClick(host.box.button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not host.box.busy)

    return press


def test_the_layer_and_the_sentence_say_what_flips(host: Host, viewer: Any, press: Any) -> None:
    press()
    layer = viewer.layers["steel disputed"]
    assert layer.data.dtype == np.uint8
    island = labels(carbide=0, pearlite=10) == 3
    inner = np.zeros_like(island)
    inner[41:49, 41:49] = True
    assert np.array_equal(layer.data == 3, inner), "filled with the phase that it becomes"
    assert np.array_equal(layer.data == LIGHT, island & ~inner)
    assert (layer.data[39, 39:51] == DARK).all() and np.count_nonzero(layer.data == DARK) == 12**2 - 10**2
    assert not layer.editable
    assert np.allclose(layer.scale, (0.5, 0.5)) and layer.units == host.image.units
    assert np.allclose(layer.colormap.map(3)[:3], host_colour(3)[:3], atol=0.01)
    assert np.allclose(layer.colormap.map(LIGHT), 1) and np.allclose(layer.colormap.map(DARK), (0, 0, 0, 1))
    assert host.box.answer.text() == (
        "Without guidance → Expected: 1 island (2.1 %) changes, 2.1 % of the area: 2.1 % ferrite → pearlite."
    )
    status = layer.get_status((22, 22), world=True)["value"]
    assert "pearlite" in status and "2.08 % was ferrite" in status


def host_colour(label: int) -> np.ndarray:
    text = SCHEME.phases[label - 1].colour
    return np.array([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)] + [1.0])


def test_the_next_press_replaces_it_in_place(host: Host, viewer: Any, press: Any) -> None:
    press()
    first = find_layer(viewer, host.image, "disputed")
    first.name = "mine"
    first.visible = False
    host.maps["Expected"] = lambda: labels(carbide=0)
    press()
    again = find_layer(viewer, host.image, "disputed")
    assert again is first and again.visible and not again.editable
    assert (again.data[6:24, 6:24] == 1).all() and not (again.data == 3).any()
    assert len(viewer.layers) == 2
    assert again.metadata[KEY]["between"] == ["Without guidance", "Expected"]


def test_the_active_layer_stays_active(host: Host, viewer: Any, press: Any) -> None:
    viewer.layers.selection.active = host.image
    press()
    assert viewer.layers.selection.active is host.image


def test_equal_maps_are_said_to_be_equal_and_nothing_stays_marked(
    host: Host, viewer: Any, press: Any
) -> None:
    press()
    host.box.after.setCurrentText("Same again")
    press()
    assert "no pixel changes its phase" in host.box.answer.text()
    assert not viewer.layers["steel disputed"].data.any()
    host.box.after.setCurrentText("Without guidance")
    press()
    assert "choose two different ones" in host.box.answer.text()


def test_maps_are_made_outside_the_gui_thread(host: Host, press: Any) -> None:
    threads = []
    made = host.maps["Expected"]
    host.maps["Expected"] = lambda: (threads.append(threading.current_thread()), made())[1]
    told: list[bool] = []
    host.box.working.connect(told.append)
    press()
    assert threads and threads[0] is not threading.main_thread()
    assert told == [True, False]


def test_a_map_that_fails_or_is_not_there_is_told_and_the_box_goes_on(
    host: Host, viewer: Any, press: Any
) -> None:
    host.maps["Expected"] = lambda: None
    press()
    assert "no map 'Expected'" in host.box.answer.text()

    def wrong() -> Any:
        raise RatioError("The phases sum to 120 %. Lower one.")

    host.maps["Expected"] = wrong
    press()
    assert host.box.answer.text() == "The phases sum to 120 %. Lower one."
    assert "steel disputed" not in viewer.layers
    host.maps["Expected"] = lambda: labels(carbide=10)
    press()
    assert "steel disputed" in viewer.layers and host.box.button.isEnabled()


def test_an_image_removed_meanwhile_gets_no_layer(host: Host, viewer: Any, press: Any) -> None:
    go = threading.Event()
    host.maps["Expected"] = lambda: (go.wait(10), labels(carbide=1))[1]
    host.box.compare()
    assert host.box.busy and not host.box.button.isEnabled()
    viewer.layers.clear()
    go.set()
    press()
    assert "removed meanwhile" in host.box.answer.text() and not len(viewer.layers)


def test_what_the_user_chose_is_kept_and_the_rest_is_by_order(host: Host) -> None:
    box = host.box
    assert (box.before.currentText(), box.after.currentText()) == ("Without guidance", "Expected")
    box.before.setCurrentText("Same again")
    box.before.activated.emit(box.before.currentIndex())
    host.maps = {"Earlier result": lambda: None, **host.maps}
    box.refresh()
    assert (box.before.currentText(), box.after.currentText()) == ("Same again", "Without guidance")
    host.maps.clear()
    box.refresh()
    assert not box.button.isEnabled() and box.before.count() == 0


def test_a_stack_is_compared_on_the_plane_on_show(host: Host, viewer: Any, press: Any) -> None:
    viewer.layers.clear()
    host.image = viewer.add_image(np.zeros((3, *SHAPE), np.uint8), name="stack")
    viewer.dims.set_current_step(0, 1)
    press()
    data = viewer.layers["stack disputed"].data
    assert [plane.any() for plane in data] == [False, True, False]
    assert "(plane 1)" in host.box.answer.text()
    viewer.dims.set_current_step(0, 2)
    press()
    data = viewer.layers["stack disputed"].data
    assert [plane.any() for plane in data] == [False, False, True], "numbers and marks belong to one plane"
