"""Fine-tuning within a project: its fields teach, its lock holds, kept models are its versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from phaseguide.jobs.interrupted import runs_folder
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.projects.schema import AskedRatio
from phaseguide.widgets.project.open_project import open_project
from tiny_models import NAMES
from widgets_finetune import band_labels, banded, click
from workbench_helpers import open_part

SCHEME = PhaseScheme.from_names(NAMES)


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def strokes() -> np.ndarray:
    labels = np.zeros_like(band_labels())
    labels[20:180:30] = band_labels()[20:180:30]
    return labels


@pytest.fixture
def project(tmp_path: Path, model_file: Path) -> Project:
    made = Project.create(tmp_path / "steel", SCHEME, model=str(model_file))
    for number in range(3):
        path = tmp_path / f"field{number}.tif"
        tifffile.imwrite(path, banded(number))
        made.add_field(path)
    made.write_edits("field0", strokes())
    made.set_ratio("field1", AskedRatio(shares=[0.3, 0.3, 0.4], uncertainty=0.1, source="field"))
    made.write_truth("field2", band_labels())
    return made


@pytest.fixture
def dock(viewer: Any, project: Project, qtbot: Any) -> Any:
    opened = open_project(viewer)
    opened.open(project.folder)
    _, widget = open_part(viewer, "Fine-tune")
    widget.panel.form.amount.setValue(2)
    widget.panel.form.form.controls["crop"].setValue(96)
    return widget


def test_fields_teach_and_versions_are_kept(dock: Any, viewer: Any, qtbot: Any, model_file: Path) -> None:
    project = dock.project
    assert dock.panel.model_box.path == model_file
    qtbot.waitUntil(lambda: "About" in dock.panel.estimate.text(), timeout=60_000)
    assert [spec.title for spec in dock.panel.sources.specs()] == ["field0", "field1", "field2"]
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(lambda: not dock.runner.running, timeout=120_000)
    assert dock.state.outcome is not None, dock.panel.status.text()
    kinds = {s["name"]: s["kind"] for s in dock.state.outcome.result.record["sources"]}
    assert kinds == {"field0": "edits", "field1": "ratio", "field2": "full"}
    assert list(runs_folder(project).glob("*/job.json")), "a crash now loses nothing"
    click(qtbot, dock.panel.result.keep)
    qtbot.waitUntil(lambda: dock.state.outcome.used == "new" and not dock.state.deciding, timeout=30_000)
    (version,) = project.versions
    assert project.current == version.id and version.data_sha256 == dock.state.outcome.result.data_sha256
    assert version.parent == str(model_file) and version.settings["config"]["epochs"] == 2
    assert dock.panel.model_box.path == project.version_path(version.id)
    click(qtbot, dock.panel.result.back)
    qtbot.waitUntil(lambda: dock.state.outcome.used == "old" and not dock.state.deciding, timeout=30_000)
    assert project.current == str(model_file) and len(project.versions) == 1
    click(qtbot, dock.panel.result.keep)
    qtbot.waitUntil(lambda: dock.state.outcome.used == "new" and not dock.state.deciding, timeout=30_000)
    assert project.current == version.id and len(project.versions) == 1


def test_the_dock_gives_the_weights_of_the_command(dock: Any, qtbot: Any, model_file: Path) -> None:
    from typer.testing import CliRunner

    from phaseguide.cli import app
    from phaseguide.models.model_file import read_card

    project = dock.project
    dock.opened.show("field2")  # the field on show is read from its layers, and comes first in the table
    qtbot.waitUntil(lambda: dock.opened.image_of("field2") is not None, timeout=30_000)
    qtbot.waitUntil(lambda: "About" in dock.panel.estimate.text(), timeout=60_000)
    click(qtbot, dock.panel.start_button)
    qtbot.waitUntil(lambda: not dock.runner.running, timeout=120_000)
    click(qtbot, dock.panel.result.keep)
    qtbot.waitUntil(lambda: dock.state.outcome.used == "new" and not dock.state.deciding, timeout=30_000)
    options = ["--epochs", "2", "--crop", "96", "--from", str(model_file)]
    ran = CliRunner().invoke(app, ["train", "--project", str(project.folder), *options])
    assert ran.exit_code == 0, ran.output
    again = Project.open(project.folder)
    first, second = (read_card(again.version_path(name)) for name in ("v001", "v002"))
    assert first.training["data_sha256"] == second.training["data_sha256"]
    assert first.training["config"] == second.training["config"]
    assert first.tensors_sha256 == second.tensors_sha256


def test_a_training_elsewhere_is_said(dock: Any, qtbot: Any, told: list[str]) -> None:
    qtbot.waitUntil(lambda: "About" in dock.panel.estimate.text(), timeout=60_000)
    with Project.open(dock.project.folder).training_lock():
        click(qtbot, dock.panel.start_button)
        qtbot.waitUntil(lambda: not dock.runner.running, timeout=60_000)
    assert dock.state.outcome is None and told and dock.panel.status.text() == told[-1]
    assert dock.panel.start_button.isEnabled()


def test_a_shown_field_teaches_by_its_layer(dock: Any, viewer: Any, qtbot: Any) -> None:
    dock.opened.show("field0")
    qtbot.waitUntil(lambda: dock.opened.image_of("field0") is not None, timeout=30_000)
    image = dock.opened.image_of("field0")
    lines = dock.panel.sources.lines
    qtbot.waitUntil(lambda: ("image", image.unique_id) in lines and ("field", "field0") not in lines)
    dock.setup.look()
    key = ("image", image.unique_id)
    qtbot.waitUntil(
        lambda: (
            dock.state.found is not None
            and key in dock.state.found.rows
            and dock.state.found.rows[key].labelled > 0
        ),
        timeout=30_000,
    )
    assert dock.state.found.rows[key].labelled == np.count_nonzero(strokes())
