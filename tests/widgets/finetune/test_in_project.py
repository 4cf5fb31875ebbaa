"""The Fine-tune dock and the project it works in: phases, rejected fields, review, provenance."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from phaseguide.jobs.finetune_start import FinetuneJob, Start
from phaseguide.jobs.keep_model import Outcome, go_back, keep_model
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.widgets.project.open_project import open_project
from tiny_models import NAMES, tiny_model
from widgets_finetune import band_labels, banded
from workbench_helpers import open_part

SCHEME = PhaseScheme.from_names(NAMES)


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def project(tmp_path: Path, model_file: Path) -> Project:
    made = Project.create(tmp_path / "steel", SCHEME, model=str(model_file))
    for number in range(2):
        path = tmp_path / f"field{number}.tif"
        tifffile.imwrite(path, banded(number))
        made.add_field(path)
        made.write_edits(f"field{number}", band_labels())
    return made


@pytest.fixture
def dock(viewer: Any, project: Project, qtbot: Any) -> Any:
    open_project(viewer).open(project.folder)
    _, widget = open_part(viewer, "Fine-tune")
    return widget


def followed(dock: Any) -> Project:
    dock.opened.worker.wait(60.0)
    return Project.open(dock.project.folder)


@pytest.mark.parametrize("how", ["merge", "remove", "add"])
def test_a_change_of_the_phases_is_taken_back_in_the_project(dock: Any, how: str) -> None:
    before, editor = dock.project.file, dock.panel.phases
    {"merge": lambda: editor.merge(2, 1), "remove": lambda: editor.remove(0), "add": editor.add}[how]()
    assert followed(dock).scheme == editor.scheme != SCHEME
    editor.undo()
    again = followed(dock)
    assert again.file == before and editor.scheme == SCHEME
    for field in ("field0", "field1"):
        assert np.array_equal(again.read_edits(field), band_labels())


def test_undo_at_once_while_the_project_has_not_followed_yet(dock: Any) -> None:
    before, editor = dock.project.file, dock.panel.phases
    editor.merge(2, 1)
    editor.undo()
    editor.merge(0, 1)
    editor.undo()
    assert followed(dock).file == before
    assert np.array_equal(followed(dock).read_edits("field1"), band_labels())


def test_phases_that_cannot_be_wait_for_those_that_can(dock: Any) -> None:
    editor = dock.panel.phases
    editor.remove(2)
    editor.remove(0)  # one is left, which no model can have
    assert followed(dock).scheme.names == NAMES[:2]
    editor.add()
    again = followed(dock)
    assert again.scheme.names == (NAMES[1], "phase 2")
    assert np.array_equal(again.read_edits("field0"), np.array([0, 0, 1, 0], np.uint8)[band_labels()])
    for _ in range(3):
        editor.undo()
    assert np.array_equal(followed(dock).read_edits("field0"), band_labels())


def test_an_undo_that_would_lose_work_says_so(dock: Any, told: list[str]) -> None:
    dock.panel.phases.merge(2, 1)
    painted = np.full_like(band_labels(), 2)
    followed(dock).write_edits("field1", painted)
    dock.panel.phases.undo()
    again = followed(dock)
    assert "cannot be taken back" in dock.panel.status.text()
    assert np.array_equal(again.read_edits("field1"), painted)
    assert dock.panel.phases.scheme == again.scheme and len(again.scheme) == 2, "they agree again"


def test_a_model_of_other_phases_leaves_the_project_alone(
    dock: Any, tmp_path: Path, qtbot: Any, told: list[str]
) -> None:
    turned = (NAMES[1], NAMES[0], "slag")
    dock.panel.model_box.open_file(tiny_model(tmp_path, names=turned, file_name="other.safetensors"))
    start = dock.setup.start_of()
    assert start.scheme == SCHEME and start.origin == ((2,), (1,), ())
    dock.panel.phases.recolour(0, "#123456")
    again = followed(dock)
    assert again.scheme.names == NAMES and again.scheme.phases[0].colour == "#123456"
    assert np.array_equal(again.read_edits("field0"), band_labels())


def test_a_field_not_on_show_is_read_by_name(project: Project) -> None:
    from phaseguide.errors import SchemeError
    from phaseguide.widgets.finetune.source_readers import field_reader

    turned = PhaseScheme.from_names((NAMES[1], NAMES[0], NAMES[2]))
    assert len(list(field_reader(project, "field0", SCHEME)())) == 1
    with pytest.raises(SchemeError, match="'field0' was painted for"):
        list(field_reader(project, "field0", turned)())


def test_a_rejected_field_on_show_teaches_nothing(dock: Any, qtbot: Any) -> None:
    dock.opened.show("field0")
    qtbot.waitUntil(lambda: dock.opened.current == "field0", timeout=30_000)
    assert {spec.title for spec in dock.panel.sources.specs()} == {"field0", "field1"}
    dock.opened.reject("out of focus")
    dock.opened.worker.wait(60.0)
    assert {spec.title for spec in dock.panel.sources.specs()} == {"field1"}
    dock.setup.look()
    key = ("image", dock.opened.image_of("field0").unique_id)
    line = dock.panel.sources.lines[key]
    qtbot.waitUntil(lambda: "rejected (out of focus)" in line.problem.text().lower(), timeout=30_000)


def test_a_review_whose_edits_cannot_be_written_is_none(
    dock: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, failures = dock.opened, []
    opened.failed.connect(failures.append)
    opened.show("field0")
    qtbot.waitUntil(lambda: opened.current == "field0", timeout=30_000)
    edits = dock.viewer.layers[f"{opened.image_of('field0').name} edits"]
    edits.data_setitem((np.array([3]), np.array([3])), np.array([3], np.uint8))
    real = Project.write_edits

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Project, "write_edits", full)
        opened.review()
        opened.worker.wait(60.0)
    assert Project.write_edits is real
    assert followed(dock).field("field0").state == "unreviewed"
    assert failures, "it is said"
    opened.review()
    again = followed(dock)
    assert again.field("field0").state == "reviewed"
    assert again.read_edits("field0")[3, 3] == 3
    assert opened.flush(), "nothing waits to be written on a frozen field"


def test_a_missing_version_does_not_keep_the_dock_closed(
    viewer: Any, project: Project, tmp_path: Path, told: list[str]
) -> None:
    gone = tiny_model(tmp_path, file_name="gone.safetensors")
    project.use(str(gone))
    gone.unlink()
    open_project(viewer).open(project.folder)
    _, dock = open_part(viewer, "Fine-tune")
    assert "gone.safetensors" in dock.panel.status.text()
    assert dock.panel.phases.scheme == SCHEME


class _Result:
    """The end of a run that learnt nothing."""

    def __init__(self, model: Any) -> None:
        self.model, self.before, self.after, self.data_sha256 = model, None, None, "d"
        self.record = {
            "config": {"epochs": 1},
            "seconds": 2.0,
            "sources": [],
            "parent_sha256": model.card.tensors_sha256,
        }


def test_provenance_and_going_back_to_no_model(tmp_path: Path, model_file: Path) -> None:
    from phaseguide.models.model_file import load_model

    project = Project.create(tmp_path / "steel", SCHEME)
    start, other = load_model(model_file), tiny_model(tmp_path, seed=1, file_name="other.safetensors")
    job = FinetuneJob(
        Start(model_file, False, SCHEME),
        (),
        None,
        "new",
        project,
        tmp_path / "run",  # type: ignore[arg-type]
    )
    outcome = Outcome(_Result(start), job, start)  # type: ignore[arg-type]
    keep_model(outcome)
    (version,) = project.versions
    assert version.parent == str(model_file) and version.settings == outcome.result.record
    assert go_back(outcome) == model_file
    assert project.current == "", "no model was in use before"
    project.use(str(other))
    later = Outcome(_Result(start), job, start)  # type: ignore[arg-type]
    keep_model(later)
    assert project.versions[1].parent == str(model_file), "the model in use by now taught it nothing"
    assert go_back(later) == other, "what the project used, and not what was learnt from"
    assert project.current == str(other)


def test_going_back_from_a_new_model_brings_what_was_segmented_with(tmp_path: Path, model_file: Path) -> None:
    job = FinetuneJob(Start(None, True, SCHEME), (), None, "new", None, tmp_path / "run")  # type: ignore[arg-type]
    outcome = Outcome(None, job, None, used="new", segmented_with=model_file)  # type: ignore[arg-type]
    assert go_back(outcome) == model_file and outcome.used == "old"
    assert go_back(Outcome(None, job, None, used="new")) is None, "ImageNet is no model to go back to"  # type: ignore[arg-type]
