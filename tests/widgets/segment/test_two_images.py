"""Two images with masks in napari's window: the chosen one owns the canvas, whatever it is chosen with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QStyle, QStyleOptionViewItem

from widget_helpers import SHAPE, micrograph, type_into
from workbench_helpers import close_workbench

LAYERS = {name: {name, f"{name} phases", f"{name} edits"} for name in ("one", "two")}


@pytest.fixture
def two(widget: Any, viewer: Any, segment: Callable[[], None]) -> Any:
    """The widget after both images were segmented; 'two' came last."""
    for seed, name in enumerate(LAYERS):
        viewer.add_image(micrograph(seed=seed), name=name)
        segment()
    return widget


def seen(viewer: Any) -> set[str]:
    return {layer.name for layer in viewer.layers if layer.visible}


def choose(widget: Any, name: str, qtbot: Any) -> None:
    """Go through the box with the arrow keys."""
    box = widget.panel.image_box
    while box.currentText() != name:
        down = box.findText(name) > box.currentIndex()
        qtbot.keyClick(box, Qt.Key.Key_Down if down else Qt.Key.Key_Up)


def click_in_list(viewer: Any, name: str, qtbot: Any, *, eye: bool) -> None:
    """Click on the name of a layer in napari's list, or on its eye."""
    view = viewer.window._qt_viewer.layers
    model = view.model()
    rows = [model.index(row, 0) for row in range(model.rowCount())]
    (index,) = [one for one in rows if model.data(one, Qt.ItemDataRole.DisplayRole) == name]
    option = QStyleOptionViewItem()
    view.initViewItemOption(option)
    view.itemDelegate().initStyleOption(option, index)
    option.rect = view.visualRect(index)
    check = QStyle.SubElement.SE_ItemViewItemCheckIndicator
    place = view.style().subElementRect(check, option, view).center() if eye else option.rect.center()
    qtbot.mouseClick(view.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_the_chosen_image_is_seen_alone_and_the_brush_is_on_it(two: Any, viewer: Any, qtbot: Any) -> None:
    assert seen(viewer) == LAYERS["two"] and viewer.layers.selection.active.name == "two edits"
    choose(two, "one", qtbot)
    assert seen(viewer) == LAYERS["one"] and viewer.layers.selection.active.name == "one edits"
    assert str(viewer.layers["two edits"].mode) == "pan_zoom"
    click_in_list(viewer, "two phases", qtbot, eye=False)
    assert seen(viewer) == LAYERS["two"] and two.panel.image_box.currentText() == "two"
    assert two.image.name == "two"


def test_the_users_own_click_on_an_eye_wins(two: Any, viewer: Any, qtbot: Any) -> None:
    click_in_list(viewer, "two phases", qtbot, eye=True)
    assert seen(viewer) == LAYERS["two"] - {"two phases"}
    choose(two, "one", qtbot)
    click_in_list(viewer, "two", qtbot, eye=True)
    assert seen(viewer) == LAYERS["one"] | {"two"}, "shown by hand beside the chosen one"
    choose(two, "two", qtbot)
    assert seen(viewer) == LAYERS["two"] - {"two phases"}, "hidden by hand, and it stays so"


def test_no_mask_is_drawn_over_another_micrograph(
    make_napari_viewer: Callable[..., Any], viewer: Any, two: Any, qtbot: Any
) -> None:
    viewer.window._qt_window.show()
    choose(two, "one", qtbot)
    qtbot.wait(100)
    on_show = viewer.screenshot(canvas_only=True, flash=False)
    for name in LAYERS["two"]:
        viewer.layers.remove(name)
    qtbot.wait(100)
    assert np.array_equal(on_show, viewer.screenshot(canvas_only=True, flash=False))
    assert len(np.unique(on_show)) > 10, "something was drawn"


def test_a_result_of_another_image_waits_until_that_is_chosen(
    two: Any, viewer: Any, segment: Callable[[], None], qtbot: Any
) -> None:
    for layer in [layer for layer in viewer.layers if layer.name not in LAYERS]:
        viewer.layers.remove(layer)
    choose(two, "one", qtbot)
    two.panel.scope_box.setCurrentIndex(two.panel.scope_box.findData("specimen"))
    type_into(qtbot, two.panel.table.boxes[0], "40")
    segment()
    assert {"one phases", "two phases", "one edits", "two edits"} <= {layer.name for layer in viewer.layers}
    assert seen(viewer) == LAYERS["one"] and viewer.layers.selection.active.name == "one edits"
    choose(two, "two", qtbot)
    assert seen(viewer) == LAYERS["two"]


def test_a_run_that_ends_on_another_image_leaves_the_brush_where_it_is(
    two: Any, viewer: Any, qtbot: Any
) -> None:
    with qtbot.waitSignal(two.runner.ended):
        qtbot.mouseClick(two.panel.segment_button, Qt.MouseButton.LeftButton)
        choose(two, "one", qtbot)
        viewer.layers["one edits"].mode = "erase"
    assert two.image.name == "one" and seen(viewer) == LAYERS["one"]
    assert (
        viewer.layers.selection.active.name == "one edits" and str(viewer.layers["one edits"].mode) == "erase"
    )
    assert "Segmented two" in two.panel.status.text()


def test_what_was_hidden_comes_back_with_the_end_of_the_dock(two: Any, viewer: Any, qtbot: Any) -> None:
    click_in_list(viewer, "two edits", qtbot, eye=True)
    choose(two, "one", qtbot)
    close_workbench(viewer)
    assert two.closed and seen(viewer) == (LAYERS["one"] | LAYERS["two"]) - {"two edits"}


def test_what_is_to_be_known_of_a_result_is_listed_once(
    two: Any, viewer: Any, segment: Callable[[], None], qtbot: Any
) -> None:
    fold, status = two.panel.warnings, two.panel.status
    type_into(qtbot, two.panel.table.boxes[0], "97")
    two.live.accept_now()
    qtbot.waitUntil(lambda: bool(fold.log.of("two")))
    (warned, *_) = fold.log.of("two")
    assert warned not in status.text() and f"two: {warned}" in fold.text.toPlainText()
    segment()
    assert fold.text.toPlainText().count(warned) == 1 and "See Warnings" in status.text()
    choose(two, "one", qtbot)
    assert warned in fold.log.of("two"), "it stays findable"
    assert viewer.layers["one"].data.shape == SHAPE


def test_regions_go_with_the_image_that_they_were_drawn_on(two: Any, viewer: Any, qtbot: Any) -> None:
    told: list[bool] = []
    regions = two.tools.regions
    choose(two, "one", qtbot)
    regions.draw()
    layer = viewer.layers["one regions"]
    layer.add([[10, 10], [10, 60], [60, 60]], shape_type="polygon")
    regions.changed.connect(lambda: told.append(True))
    choose(two, "two", qtbot)
    assert regions.layer is None and not layer.visible and not regions.blocks
    choose(two, "one", qtbot)
    assert regions.layer is layer and layer.visible and len(regions.blocks) == 1
    assert not told, "nobody has changed anything"
    qtbot.keyClick(regions.layer_box, Qt.Key.Key_Home)
    assert regions.layer is None and told
    for name in ("two", "one"):
        choose(two, name, qtbot)
    assert regions.layer is None, "the user does not want them"
