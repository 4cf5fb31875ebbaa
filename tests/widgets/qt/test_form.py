"""Forms are built from the fields of settings: what is set there is what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QLineEdit

from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.segmentation.settings import Advanced
from phaseguide.settings import Settings, setting
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


class Texts(Settings):
    one: str = setting("", "One line", example="as this")
    more: str = setting("", "More lines", lines=3)
    known: str = setting("", "One of some")
    folder: Path | None = setting(None, "Folder", "Which folder")


def test_texts_and_folders_come_out_as_they_are_shown(qtbot: Any) -> None:
    tags = "<b>no</b> <img src='file:///x'>\n  and so on"
    start = Texts(one="<i>long</i> " * 30, more=tags, known="b")
    form = Form(Texts, start=start, choices={"known": [("first", "a"), ("second", "b")]})
    qtbot.addWidget(form)
    assert Texts(**form.values()) == start, "a text with tags is a text"
    assert form.controls["one"].cursorPosition() == 0 and form.controls["known"].currentText() == "second"
    assert form.controls["one"].placeholderText() == "as this"
    for name, change in (
        ("one", lambda: form.controls["one"].setText("new")),
        ("more", lambda: form.controls["more"].setPlainText("new")),
        ("known", lambda: form.controls["known"].setCurrentIndex(0)),
        ("folder", lambda: form.controls["folder"].findChild(QLineEdit).setText("/new")),
    ):
        before = form.values()
        with qtbot.waitSignal(form.changed):
            change()
        after = form.values()
        assert {key for key in after if after[key] != before[key]} == {name}
    assert form.values()["folder"] == Path("/new")
    form.controls["folder"].findChild(QLineEdit).clear()
    assert form.values()["folder"] is None
