"""Forms are built from the fields of settings: what is set there is what comes out."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.segmentation.settings import Advanced
from phaseguide.settings import Settings
from phaseguide.widgets.qt.form import Form
from widget_helpers import turn


@pytest.mark.parametrize("settings", [FinetuneConfig, Advanced])
def test_every_control_sets_its_field_and_no_other(settings: type[Settings], qtbot: Any) -> None:
    form = Form(settings)
    qtbot.addWidget(form)
    for name, control in form.controls.items():
        before = form.values()
        with qtbot.waitSignal(form.changed):
            turn(control)
        after = form.values()
        assert {key for key in after if after[key] != before[key]} == {name}
        settings(**after)
        form.show_values(before)
        assert form.values() == before, "and back"


def test_a_wheel_that_passes_by_changes_nothing(qtbot: Any) -> None:
    form = Form(FinetuneConfig)
    qtbot.addWidget(form)
    form.show()
    box = form.controls["batch"]
    turn = QWheelEvent(
        QPointF(3, 3), QPointF(3, 3), QPoint(0, 0), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(box, turn)
    assert box.value() == 4


def test_words_of_a_form(qtbot: Any) -> None:
    form = Form(Advanced)
    qtbot.addWidget(form)
    assert form.controls["tile"].text() == "automatic" and form.values()["tile"] == 0
    assert form.controls["device"].currentText() == "fastest found"
    assert form.controls["embeddings_gb"].text() == "10.00 GB"
    assert form.controls["mode"].toolTip().startswith("On the mask")
