"""Names from files and users in every dock: shown as they are, never read as HTML, keys or formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qtpy.QtCore import Qt
from qtpy.QtGui import QAction
from qtpy.QtWidgets import QAbstractButton, QLabel, QWidget

from phaseguide.models.zoo import add_model
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.widgets.qt.plain_text import Label, as_plain, on_button, on_plot, one_line
from phaseguide.widgets.segment import known_models
from project_helpers import settled, write_images
from tiny_models import tiny_model
from workbench_helpers import NAMES, open_part

HOSTILE = (
    "<b>bold</b> &Ferrite",
    '<img src="file:///etc/passwd"> [/]',
    r"_$\frac{a}{$ <a href=x>here</a>",
    "two lines \u202e turned <h1>large",
    "long " + "x" * 190,
)


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def guessed_rich(text: str) -> bool:
    return bool(Qt.mightBeRichText(text))


def test_a_label_shows_what_it_is_given(qtbot: Any) -> None:
    for text in HOSTILE[:3]:
        label = Label(text)
        qtbot.addWidget(label)
        assert label.textFormat() == Qt.TextFormat.PlainText and label.text() == text
    label.setText(HOSTILE[3])
    assert "\u202e" not in label.text()
    label.setText(HOSTILE[4] * 3)
    assert len(label.text()) < 2100


@given(
    text=st.text(max_size=80) | st.lists(st.sampled_from(["<b>", "</", "&", "\n", "<!--", "x"])).map("".join)
)
def test_helpers(text: str) -> None:
    assert not guessed_rich(as_plain(text))
    assert "\n" not in one_line(text) and len(one_line(text * 9)) <= 48
    assert on_button(text).replace("&&", "").count("&") == 0
    assert not on_plot(text).startswith("_")


def test_numbers_that_are_smaller_stay_as_they_are() -> None:
    assert as_plain("p < 0.05, a<1 & b>2") == "p < 0.05, a<1 & b>2"


def texts_at_risk(dock: QWidget) -> list[str]:
    """What Qt would read as something else than text, anywhere in a dock."""
    found = []
    for widget in [dock, *dock.findChildren(QWidget)]:
        if guessed_rich(widget.toolTip()):
            found.append(f"tip of {widget!r}: {widget.toolTip()}")
        if isinstance(widget, QLabel):
            form = widget.textFormat()
            if form == Qt.TextFormat.AutoText and guessed_rich(widget.text()):
                found.append(f"label: {widget.text()}")
            if form == Qt.TextFormat.RichText and any(
                t in widget.text() for t in ("<b>", "<img", "<a ", "<h1>")
            ):
                found.append(f"rich label: {widget.text()}")
        if isinstance(widget, QAbstractButton) and "Ferrite" in widget.text() and "&&" not in widget.text():
            found.append(f"button: {widget.text()}")
        model = getattr(widget, "model", lambda: None)()
        for row in range(model.rowCount()) if model is not None else ():
            tip = model.data(model.index(row, 0), Qt.ItemDataRole.ToolTipRole)
            if tip and guessed_rich(str(tip)):
                found.append(f"tip of an item: {tip}")
    for action in dock.findChildren(QAction):
        if guessed_rich(action.toolTip()) or ("Ferrite" in action.text() and "&&" not in action.text()):
            found.append(f"action: {action.text()}")
    return found


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A project and a model that somebody else made."""
    scheme = PhaseScheme.from_names(HOSTILE)
    folder = Project.create(tmp_path / "project", scheme, name=HOSTILE[0]).folder
    for path in write_images(tmp_path / "images", 2):
        renamed = path.with_name(f"<b>{path.stem}</b>".replace("/", "") + path.suffix)
        path.rename(renamed)
        Project.open(folder).add_field(renamed, specimen=HOSTILE[1])
    add_model(tiny_model(tmp_path, names=HOSTILE), "theirs")
    return folder


def test_no_dock_reads_names_as_anything_else(
    viewer: Any, hostile: Path, tmp_path: Path, qtbot: Any, told: list[str]
) -> None:
    docks = {}
    for name in NAMES:
        _, docks[name] = open_part(viewer, name)
    docks["Project"].open(hostile)
    settled(docks["Project"], qtbot)
    image = viewer.layers[0]
    image.name = f"{HOSTILE[1]} {HOSTILE[0]}"
    model = tmp_path / "tiny-plm.safetensors"
    docks["Segment"].panel.model_box.open_file(model)
    docks["Fine-tune"].panel.model_box.open_file(model)
    docks["Segment"].panel.live_check.setChecked(False)
    docks["Segment"].fail(ValueError(HOSTILE[1]))
    docks["Project"].fail(ValueError(HOSTILE[0]))
    docks["Fine-tune"].fail(ValueError(HOSTILE[2]))
    docks["Models"].fail(ValueError(HOSTILE[3]))
    qtbot.wait(300)
    assert {name: texts_at_risk(dock) for name, dock in docks.items()} == {name: [] for name in docks}
    assert told and not any(guessed_rich(text) for text in told)
    widest = {name: dock.minimumSizeHint().width() for name, dock in docks.items()}
    assert max(widest.values()) < 600, widest


def test_names_in_curves(qtbot: Any) -> None:
    from phaseguide.widgets.finetune.curves import GAUGES, Curves

    curves = Curves()
    qtbot.addWidget(curves)
    curves.points[GAUGES] = {name: [(1, 0.5), (2, 0.6)] for name in HOSTILE[:4]}
    curves.draw()
    curves.canvas.draw()  # a broken formula would raise here
    legend = curves.axes[GAUGES].get_legend()
    assert [one.get_text().strip() for one in legend.get_texts()] == [one_line(name) for name in HOSTILE[:4]]


@pytest.mark.parametrize(
    "error", [ValueError("x"), KeyError("<b>"), RuntimeError(), MemoryError("m"), OSError(5, "io")]
)
def test_docks_open_whatever_is_wrong_with_the_models(
    viewer: Any, told: list[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> Any:
        raise error

    monkeypatch.setattr(known_models, "list_models", fail)
    for name in NAMES:
        open_part(viewer, name)
    assert told and all("cannot be listed" in text for text in told)


def test_a_card_that_cannot_be_described_is_a_row_with_a_reason(
    viewer: Any, tmp_path: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from phaseguide.widgets.models import list as models_list

    add_model(tiny_model(tmp_path), "theirs")

    def fail(card: Any) -> Any:
        raise TypeError("unhashable")

    monkeypatch.setattr(models_list, "main_score", fail)
    _, dock = open_part(viewer, "Models")
    rows = [item.data(0, models_list.ROLE) for item in dock.list.items()]
    assert "theirs" in {row.name for row in rows} and all("unhashable" in row.problem for row in rows)
