"""A change of the phases is taken back: every map, ratio and result as before, or nothing and a sentence."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from phaseguide.errors import ProjectError
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.projects.schema import AskedRatio

F = "steel-0"
LABELS = np.zeros((64, 96), np.uint8)
LABELS[:16], LABELS[16:32], LABELS[32:40], LABELS[-1] = 1, 2, 3, 255
MERGED = PhaseScheme.from_names(["steel", "cementite"])


@pytest.fixture
def filled(project: Project) -> Project:
    for field in (F, "steel-1"):
        project.write_edits(field, LABELS)
    project.write_truth(F, LABELS)
    project.set_ratio(F, AskedRatio(shares=[0.5, 0.3, 0.2], uncertainty=0.1))
    project.write_result(
        F, LABELS, {"phases": []}, version="uhcs", model_sha256="", own=[0.5, 0.3, 0.2],
        achieved=[0.6, 0.3, 0.1], constrained=True,
    )  # fmt: skip
    return project


@pytest.mark.parametrize(
    ("relabel", "phases"),
    [
        ({1: 1, 2: 2, 3: 2}, MERGED),
        ({1: 1, 2: 2, 3: 0}, MERGED),
        ({1: 1, 2: 2, 3: 3}, PhaseScheme.from_names("abcd")),
    ],
    ids=["merge", "removal", "addition"],
)
def test_everything_is_as_before(filled: Project, relabel: dict[int, int], phases: PhaseScheme) -> None:
    before = filled.file
    record = (filled.folder / before.fields[0].result.record).read_text()  # type: ignore[union-attr]
    step = filled.change_scheme(phases, relabel)
    filled.review(F)
    filled.undo_scheme(step)
    filled.reopen(F)
    again = Project.open(filled.folder)
    assert again.file == filled.file == before
    for labels in (
        again.read_edits(F),
        again.read_truth(F),
        again.read_result(F),
        again.read_edits("steel-1"),
    ):
        assert np.array_equal(labels, LABELS)
    assert (again.folder / before.fields[0].result.record).read_text() == record  # type: ignore[union-attr]


def test_what_was_written_since_is_not_lost(filled: Project) -> None:
    step = filled.change_scheme(MERGED, {1: 1, 2: 2, 3: 2})
    filled.write_edits("steel-1", np.full((64, 96), 2, np.uint8))
    after = filled.file
    with pytest.raises(ProjectError, match=r"steel-1_edits\.tif was written after it.*recycle"):
        filled.undo_scheme(step)
    assert Project.open(filled.folder).file == after
    assert (filled.read_edits("steel-1") == 2).all()


def test_other_changes_since_refuse(filled: Project) -> None:
    step = filled.change_scheme(MERGED, {1: 1, 2: 2, 3: 2})
    filled.set_ratio("steel-1", AskedRatio(shares=[0.5, 0.5], uncertainty=0.1))
    with pytest.raises(ProjectError, match="something was written on field 'steel-1'"):
        filled.undo_scheme(step)
    filled.set_ratio("steel-1", None)
    filled.change_scheme(PhaseScheme.from_names(["x", "y"]), {1: 1, 2: 2})
    with pytest.raises(ProjectError, match="changed again"):
        filled.undo_scheme(step)
    filled.change_scheme(MERGED, {1: 1, 2: 2})
    shutil.rmtree(filled.folder / "recycle" / step.split("/")[1] / "edits")
    with pytest.raises(ProjectError, match="cannot be brought back"):
        filled.undo_scheme(step)
    assert filled.scheme == MERGED and (filled.read_edits(F)[32:40] == 2).all()  # type: ignore[index]


def test_a_change_from_other_phases_than_the_projects_is_refused(filled: Project) -> None:
    with pytest.raises(ProjectError, match="by now"):
        filled.change_scheme(MERGED, {1: 1, 2: 2, 3: 2}, known=PhaseScheme.from_names("abc"))
    assert np.array_equal(filled.read_edits(F), LABELS)
