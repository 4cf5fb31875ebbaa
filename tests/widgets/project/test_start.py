"""``phaseguide napari --project DIR``, the keys for the next field, and what the list shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog, QLineEdit, QPushButton
from typer.testing import CliRunner

from phaseguide.cli import app, napari
from phaseguide.projects.project import Project
from phaseguide.widgets.project.new_project import OWN, ProjectDialog
from phaseguide.widgets.project_start import set_up
from project_helpers import make_project, settled
from widget_helpers import activate
from workbench_helpers import open_part


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, started = make_project(tmp_path, 1), []
    monkeypatch.setattr(napari, "run_python", lambda *arguments: started.append(arguments))
    assert CliRunner().invoke(app, ["napari", "--project", str(folder)]).exit_code == 0
    assert started == [("-m", "phaseguide.widgets.project_start", str(folder))]
    refused = CliRunner().invoke(app, ["napari", "--project", str(tmp_path)])
    assert refused.exit_code != 0 and "no project folder" in " ".join(refused.output.split())
    assert len(started) == 1


def test_the_fields_and_the_model_of_the_project(
    viewer: Any, tmp_path: Path, model_file: Path, qtbot: Any
) -> None:
    folder = make_project(tmp_path, 2, model=str(model_file))
    Project.open(folder).review("steel0")
    dock = set_up(viewer, str(folder), [])
    settled(dock, qtbot)
    assert dock.opened.current == "steel1", "the first that is not reviewed"
    _, segment = open_part(viewer, "Segment")
    assert segment.panel.model_box.path == model_file.resolve()
    assert segment.image is viewer.layers["steel1"]


def test_a_folder_that_is_no_project(model_viewer: Any, tmp_path: Path, told: list[str]) -> None:
    dock = set_up(model_viewer, str(tmp_path), [])
    assert dock.opened.project is None and str(tmp_path) in dock.panel.status.text()


def test_keys_go_through_the_fields(make_napari_viewer: Any, tmp_path: Path, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    _, dock = open_part(viewer, "Project")
    dock.open(make_project(tmp_path, 2))
    settled(dock, qtbot)
    window, canvas = viewer.window._qt_window, viewer.window._qt_viewer.canvas.native
    activate(window, qtbot)
    for key, field_id in ((Qt.Key.Key_PageDown, "steel1"), (Qt.Key.Key_PageUp, "steel0")):
        canvas.setFocus()
        qtbot.wait(20)
        QTest.keyClick(canvas, key, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda field_id=field_id: dock.opened.current == field_id, timeout=20_000)


def test_the_list_is_drawn(make_napari_viewer: Any, tmp_path: Path, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    _, dock = open_part(viewer, "Project")
    folder = make_project(tmp_path, 2)
    project = Project.open(folder)
    half = np.repeat(np.array([[1, 3]], dtype=np.uint8), 96, axis=0).repeat(64, axis=1)
    shares = [0.5, 0.0, 0.5]
    project.write_result(
        "steel0", half, {}, version="v001", model_sha256="", own=shares, achieved=shares, constrained=True
    )
    dock.open(folder)
    settled(dock, qtbot)
    listed = dock.panel.list
    row = listed.fields.rows[0]
    assert row.shares == pytest.approx((0.5, 0.0, 0.5)) and row.stale
    assert "constrained by your value" in row.tip(project.scheme)
    drawn = listed.viewport().grab().toImage()
    box = listed.visualRect(listed.fields.index(0))
    seen = {drawn.pixelColor(x, y).name() for x in range(box.width()) for y in range(0, box.height(), 2)}
    assert {phase.colour for phase in (project.scheme.phases[0], project.scheme.phases[2])} <= seen
    assert "#f5a623" in seen, "the flag of another model"


def test_dialog_of_a_new_project(qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dialog = ProjectDialog()
    qtbot.addWidget(dialog)
    dialog.buttons.accepted.emit()
    assert dialog.problem.text() == "Choose a folder." and dialog.wanted is None
    controls = dialog.form.controls
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda above, title: str(tmp_path / title))
    qtbot.mouseClick(controls["folder"].findChild(QPushButton), Qt.MouseButton.LeftButton)
    assert dialog.settings.folder == tmp_path / "Folder of the new project"
    controls["folder"].findChild(QLineEdit).setText(str(tmp_path / "new"))
    assert len(dialog.scheme()) == 4 and dialog.settings.model == "uhcs"
    assert not controls["phases"].isEnabled()
    controls["model"].setCurrentText(OWN)
    assert controls["phases"].isEnabled()
    controls["phases"].setText("ferrite, ferrite")
    dialog.buttons.accepted.emit()
    assert "same name" in dialog.problem.text()
    controls["phases"].setText("ferrite, pearlite ,")
    dialog.buttons.accepted.emit()
    assert dialog.wanted is not None
    assert dialog.wanted.scheme.names == ("ferrite", "pearlite") and dialog.wanted.model == ""
    assert dialog.wanted.name == "new"
