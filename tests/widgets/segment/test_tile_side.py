"""The tile side in the Advanced part: automatic at first, a number where the user wants one."""

from __future__ import annotations

from typing import Any

import pytest

from phaseguide.widgets.segment.preferences import session_options
from widget_helpers import micrograph, type_into


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def test_automatic_until_a_number_is_typed(widget: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    viewer.add_image(micrograph(), name="steel")
    box = widget.panel.advanced.controls["tile"]
    assert box.text() == "automatic" and session_options(widget.panel.advanced.value()).tile is None
    segment()
    (session, _), *_ = widget.store._sessions.values()
    assert session.tile == 1920
    assert widget.history().shown.planes[()].made.settings["tile"] == 1920, "the record tells the number"
    box.stepUp()
    assert session_options(widget.panel.advanced.value()).tile == 256
    type_into(qtbot, box, "640")
    assert session_options(widget.panel.advanced.value()).tile == 640
    segment()
    assert widget.history().shown.planes[()].made.settings["tile"] == 640
    box.setValue(box.minimum())
    assert box.text() == "automatic" and widget.panel.advanced.value().tile == 0
