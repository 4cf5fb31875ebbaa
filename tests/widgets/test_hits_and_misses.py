"""Two Labels layers compared for one phase: which judges which, what the layer shows, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from phaseguide.phases import PhaseScheme
from phaseguide.widgets.hits_and_misses import hits_and_misses, phase_names, selected_maps
from phaseguide.widgets.layers.roles import add_labels
from widget_helpers import micrograph

SCHEME = PhaseScheme.from_names(["ferrite", "pearlite", "carbide"])


def maps() -> tuple[np.ndarray, np.ndarray]:
    """Columns of a hit, a false alarm, a miss and the rest for phase 2, and two that nobody judges."""
    shape = micrograph().shape
    true, found = np.ones(shape, dtype=np.int64), np.ones(shape, dtype=np.uint8)
    true[:, :10] = found[:, :20] = true[:, 20:30] = 2
    true[:, 40:45], true[:, 45:50] = 0, 255
    found[:, 40:50] = 2
    return true, found


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Answer the question for the phase with the second one; what could be chosen."""
    from qtpy.QtWidgets import QInputDialog

    offered: list[list[str]] = []

    def answer(parent: Any, title: str, question: str, items: list[str], *more: Any) -> tuple[str, bool]:
        offered.append(items)
        return items[1], True

    monkeypatch.setattr(QInputDialog, "getItem", answer)
    return offered


def laid(viewer: Any) -> tuple[Any, Any, Any]:
    """An image, its result, and labels of the user's above it."""
    image = viewer.add_image(micrograph(), name="steel", scale=(0.5, 0.5))
    true, found = maps()
    result = add_labels(viewer, image, found, "phases", SCHEME)
    labels = viewer.add_labels(true, name="by hand", scale=(0.5, 0.5))
    viewer.layers.selection = {labels, result}
    return image, result, labels


def test_the_window_shows_hits_false_alarms_and_misses(
    make_napari_viewer: Any, chosen: list[list[str]], told: list[str], qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    image, result, labels = laid(viewer)
    hits_and_misses(viewer)
    assert chosen == [["1 ferrite", "2 pearlite"]], "those that either has a pixel of"
    height = image.data.shape[0]
    assert told == [
        f"pearlite of 'steel phases', judged by 'by hand': IoU 33.3 %. White: hit, {10 * height} px. Cyan: false "
        f"alarm, {10 * height} px. Magenta: miss, {10 * height} px."
    ]
    made = viewer.layers["steel phases: pearlite, hits and misses"]
    assert not made.editable and tuple(made.scale) == (0.5, 0.5)
    assert made.get_status((5.0, 7.5), world=True)["coordinates"].endswith("false alarm")
    for layer in (image, result, labels):
        layer.visible = False
    qtbot.wait(100)
    viewer.reset_view()
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    for colour in ((255, 255, 255), (0, 255, 255), (255, 0, 255), (64, 64, 64)):
        assert (picture == colour).all(-1).mean() > 0.01, colour


def test_a_second_call_writes_the_layer_anew(
    model_viewer: Any, chosen: list[list[str]], told: list[str]
) -> None:
    _, result, labels = laid(model_viewer)
    hits_and_misses(model_viewer)
    labels.data[:, 10:20] = 2
    model_viewer.layers.selection = {labels, result}
    hits_and_misses(model_viewer)
    assert len(model_viewer.layers) == 4
    assert "IoU 66.7 %" in told[-1]


def test_a_result_is_judged_and_of_two_alike_the_upper_one(model_viewer: Any) -> None:
    _, result, labels = laid(model_viewer)
    assert selected_maps(model_viewer) == (labels, result), "though the result lies below"
    other = model_viewer.add_labels(maps()[1], name="other", scale=(0.5, 0.5))
    model_viewer.layers.selection = {labels, other}
    assert selected_maps(model_viewer) == (labels, other)
    assert phase_names(labels, other) == {1: "", 2: ""}


def test_what_cannot_be_compared_is_told(model_viewer: Any, chosen: list[list[str]], told: list[str]) -> None:
    _, result, labels = laid(model_viewer)
    model_viewer.layers.selection = {labels}
    hits_and_misses(model_viewer)
    assert "Select two Labels layers" in told[-1]
    model_viewer.layers.selection = {labels, result}
    labels.scale = (1.0, 1.0)
    hits_and_misses(model_viewer)
    assert "'by hand' does not lie where 'steel phases' lies" in told[-1]
    labels.data = labels.data[:-1]
    hits_and_misses(model_viewer)
    assert "px. Select two maps of one image" in told[-1]
    assert not chosen and len(model_viewer.layers) == 3
    empty = [model_viewer.add_labels(np.zeros((8, 8), dtype=np.uint8), name=name) for name in ("a", "b")]
    model_viewer.layers.selection = set(empty)
    hits_and_misses(model_viewer)
    assert "Neither 'a' nor 'b' has a pixel of a phase" in told[-1]
