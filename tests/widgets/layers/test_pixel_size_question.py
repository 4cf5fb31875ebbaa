"""The question for the size of a pixel: typed, or two clicks on the bar."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.scale.question import ENDS
from widget_helpers import micrograph


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def dialog(widget: Any, viewer: Any) -> Any:
    viewer.add_image(micrograph(), name="steel")
    assert "scale unknown" in widget.panel.image_info.text()
    widget.panel.pixel_size.button.click()
    return widget.panel.pixel_size.dialog


def write(edit: Any, text: str) -> None:
    edit.setText(text)
    edit.textEdited.emit(text)


def test_typed(widget: Any, viewer: Any, dialog: Any) -> None:
    assert not dialog.set_button.isEnabled()
    write(dialog.size_edit, "0.05")
    assert not dialog.set_button.isEnabled() and "unit" in dialog.answer.text()
    write(dialog.size_edit, "50 nm")
    assert "the image is" in dialog.answer.text()
    dialog.set_button.click()
    image = widget.image
    assert roles.pixel_size_um(image) == pytest.approx(0.05)
    assert roles.scale_source(image) == "typed"
    assert "0.05 µm (typed)" in widget.panel.image_info.text()


def test_two_clicks_on_the_bar(widget: Any, viewer: Any, dialog: Any, qtbot: Any) -> None:
    before = viewer.layers.selection.active
    dialog.mark_button.click()
    assert viewer.layers.selection.active.name == ENDS and dialog.ends.mode == "add"
    assert not dialog.length_edit.isEnabled()
    dialog.ends.add((50.0, 10.0))
    qtbot.waitUntil(lambda: "other end" in dialog.mark_note.text())
    dialog.ends.add((50.0, 60.0))
    qtbot.waitUntil(dialog.length_edit.isEnabled)
    assert dialog.ends.mode == "select"
    write(dialog.length_edit, "10 µm")
    dialog.set_button.click()
    assert roles.pixel_size_um(widget.image) == pytest.approx(0.2)
    assert roles.scale_source(widget.image) == "two clicks on the bar"
    assert ENDS not in [layer.name for layer in viewer.layers]
    assert viewer.layers.selection.active is before


def test_a_bar_too_short_is_refused_and_cancel_leaves_nothing(
    widget: Any, viewer: Any, dialog: Any, qtbot: Any
) -> None:
    dialog.mark_button.click()
    dialog.ends.data = np.array([[5.0, 5.0], [5.0, 7.0]])
    qtbot.waitUntil(dialog.length_edit.isEnabled)
    write(dialog.length_edit, "10 µm")
    assert "only 2.0 px" in dialog.answer.text() and not dialog.set_button.isEnabled()
    dialog.reject()
    assert ENDS not in [layer.name for layer in viewer.layers]
    assert roles.pixel_size_um(widget.image) is None
    assert widget.panel.pixel_size.button.isEnabled()


def test_the_question_goes_with_its_image(widget: Any, viewer: Any, dialog: Any) -> None:
    dialog.mark_button.click()
    viewer.layers.remove(widget.image)
    assert ENDS not in [layer.name for layer in viewer.layers]
    assert not widget.panel.pixel_size.button.isEnabled()
