"""What leaves the widget: clipboard, CSV, overlay, label map and record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QMessageBox

from phaseguide.micrographs import read_label_map, read_micrograph
from tiny_models import NAMES
from widget_helpers import SHAPE, micrograph, numbers, stroke, type_into

NOTE = "constrained by your value, not independent"


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def done(widget: Any, viewer: Any, segment: Any, qtbot: Any) -> Any:
    """A result with a ratio on an image with a scale."""
    viewer.add_image(micrograph(), name="steel 7/a", scale=(0.2, 0.2), units=("µm", "µm"))
    type_into(qtbot, widget.panel.table.boxes[1], "25")
    segment()
    return widget


def choose(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    for dialog, answer in (("getSaveFileName", (str(path), "")), ("getExistingDirectory", str(path))):
        monkeypatch.setattr(
            f"phaseguide.widgets.segment.exporter.QFileDialog.{dialog}",
            lambda *a, _answer=answer, **k: _answer,
        )


def click_and_wait(widget: Any, button: Any, qtbot: Any) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: widget.panel.status.text().startswith("Saved"), timeout=20_000)


def test_table_to_the_clipboard(done: Any, qtbot: Any) -> None:
    qtbot.mouseClick(done.panel.results.copy, Qt.MouseButton.LeftButton)
    header, *rows = [line.split("\t") for line in QApplication.clipboard().text().splitlines()]
    assert header == [
        "Image", "Plane", "Phase", "Expected area %", "Aimed at %", "In mask %", "Without guidance %", "Note",
    ]  # fmt: skip
    assert [row[2] for row in rows] == list(NAMES)
    assert [row[3] for row in rows] == ["", "25.00", ""]
    assert [float(row[5]) for row in rows] == numbers(done.panel.table.found)
    assert [float(row[6]) for row in rows] == numbers(done.panel.table.unguided)
    assert {row[7] for row in rows} == {NOTE}


def test_table_as_csv(done: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, tmp_path / "table")  # the suffix is added
    click_and_wait(done, done.panel.results.csv, qtbot)
    table = pd.read_csv(tmp_path / "table.csv")
    assert list(table["Phase"]) == list(NAMES)
    assert list(table["In mask %"]) == numbers(done.panel.table.found)
    assert set(table["Note"]) == {NOTE}


def test_overlay_as_png(done: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    choose(monkeypatch, tmp_path / "overlay.png")
    click_and_wait(done, done.panel.results.png, qtbot)
    with Image.open(tmp_path / "overlay.png") as picture:
        assert picture.mode == "RGB" and picture.width >= SHAPE[1]
        assert picture.height > SHAPE[0] + 30  # name, scale bar and legend below


def test_label_map_and_record_hold_what_is_shown(
    done: Any, viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits = viewer.layers["steel 7/a edits"]
    edits.selected_label = 3
    stroke(edits, [(4.0, 4.0), (12.0, 20.0)])
    choose(monkeypatch, tmp_path)
    click_and_wait(done, done.panel.results.save, qtbot)
    path = tmp_path / "steel_7_a_labels.tif"
    labels = read_label_map(path)
    assert (labels[edits.data > 0] == 3).all()
    qtbot.waitUntil(lambda: np.array_equal(labels, viewer.layers["steel 7/a phases"].data))
    assert read_micrograph(path).pixel_size_um == pytest.approx(0.2)
    record = json.loads((tmp_path / "steel_7_a.json").read_text(encoding="utf-8"))
    assert record["ratio"]["statement"] == NOTE
    assert record["ratio"]["source"] == "Visual estimate"
    assert record["phases"][1]["asked"] == 0.25
    assert record["phases"][2]["achieved"] == pytest.approx(np.count_nonzero(labels == 3) / labels.size)


def test_replacing_files_is_asked(
    done: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "steel_7_a_labels.tif"
    old.write_text("precious")
    choose(monkeypatch, tmp_path)
    asked: list[str] = []

    def refuse(parent: Any, title: str, text: str, *_: Any) -> Any:
        asked.append(text)
        return QMessageBox.StandardButton.No

    monkeypatch.setattr("phaseguide.widgets.qt.plain_text.QMessageBox.question", refuse)
    qtbot.mouseClick(done.panel.results.save, Qt.MouseButton.LeftButton)
    assert "steel_7_a_labels.tif" in asked[0]
    assert old.read_text() == "precious"


def test_without_a_ratio_there_is_no_note(widget: Any, viewer: Any, segment: Any) -> None:
    assert not widget.panel.results.copy.isEnabled()
    viewer.add_image(micrograph(), name="steel")
    segment()
    rows = widget.exporter.exported().rows()
    assert {row.note for row in rows} == {""}
    assert all(row.expected is None and row.imposed is None for row in rows)


def test_nothing_is_saved_among_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.datasets.samples import open_sample
    from phaseguide.widgets.qt import save_places

    monkeypatch.setattr(save_places, "_chosen", [])
    assert save_places.offered("a.csv", open_sample("uhcs0220").image_path) == "a.csv"


def test_a_dialog_opens_beside_the_image_and_then_where_the_user_went(
    widget: Any, viewer: Any, segment: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phaseguide.widgets.qt import save_places

    monkeypatch.setattr(save_places, "_chosen", [])
    (tmp_path / "scans").mkdir()
    (tmp_path / "report").mkdir()
    file = tmp_path / "scans" / "steel.tif"
    file.write_bytes(b"")
    viewer.add_image(micrograph(), name="steel", metadata={"path": str(file)})
    segment()
    offered = []
    answers = iter(
        [tmp_path / "scans" / "a.csv", tmp_path / "report" / "a.png", tmp_path / "report" / "b.csv"]
    )

    def ask(parent: Any, title: str, start: str, kind: str) -> tuple[str, str]:
        offered.append(Path(start))
        return str(next(answers)), ""

    monkeypatch.setattr("phaseguide.widgets.segment.exporter.QFileDialog.getSaveFileName", ask)
    bar = widget.panel.results
    for number, button in enumerate((bar.csv, bar.png, bar.csv), start=1):
        click_and_wait(widget, button, qtbot)
        qtbot.waitUntil(lambda n=number: len(offered) == n)
    folders = [tmp_path / "scans", tmp_path / "scans", tmp_path / "report"]
    assert [path.parent for path in offered] == folders
    assert offered[0].name == "steel_phases.csv"
