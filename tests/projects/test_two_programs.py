"""Two programs on one project: each writes what it changed, and what it read before it was overtaken is not written."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phaseguide.errors import ProjectBusyError, ProjectError, SchemeError
from phaseguide.files.locks import exclusive
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from tiny_models import tiny_labels

F = "steel-0"
EMPTY = np.zeros((64, 96), np.uint8)


def painted(base: NDArray[np.uint8], rows: slice, label: int) -> NDArray[np.uint8]:
    edits = base.copy()
    edits[rows] = label
    return edits


def test_strokes_of_two_viewers_are_both_kept(project: Project) -> None:
    other = Project.open(project.folder)
    one, two = painted(EMPTY, slice(0, 8), 1), painted(EMPTY, slice(20, 30), 2)
    project.write_edits(F, one, EMPTY)
    other.write_edits(F, two, EMPTY)
    again = painted(one, slice(40, 44), 3)
    project.write_edits(F, again, one)
    assert np.array_equal(Project.open(project.folder).read_edits(F), np.maximum(again, two))


def test_what_one_viewer_erases_is_erased_and_nothing_else(project: Project) -> None:
    other = Project.open(project.folder)
    both = painted(painted(EMPTY, slice(0, 8), 1), slice(20, 30), 2)
    project.write_edits(F, both, EMPTY)
    other.write_edits(F, painted(both, slice(50, 60), 3), both)
    project.write_edits(F, painted(both, slice(0, 8), 0), both)
    wanted = painted(painted(EMPTY, slice(20, 30), 2), slice(50, 60), 3)
    assert np.array_equal(project.read_edits(F), wanted)
    assert not (project.folder / "recycle").exists(), "nobody painted over another's pixels"


def test_a_pixel_that_both_painted_is_the_later_ones_and_the_earlier_map_is_recycled(
    project: Project,
) -> None:
    other = Project.open(project.folder)
    project.write_edits(F, painted(EMPTY, slice(0, 8), 1), EMPTY)
    before = (project.folder / "edits" / f"{F}_edits.tif").read_bytes()
    other.write_edits(F, painted(EMPTY, slice(4, 12), 2), EMPTY)
    assert np.array_equal(project.read_edits(F), painted(painted(EMPTY, slice(0, 8), 1), slice(4, 12), 2))
    kept = list((project.folder / "recycle").rglob("*_edits.tif"))
    assert [path.read_bytes() for path in kept] == [before]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 63), st.integers(1, 20), st.sampled_from([0, 1, 2, 3, 255])),
        max_size=8,
    )
)
def test_whatever_two_viewers_paint_the_disk_holds_every_stroke(
    project: Project, strokes: list[tuple[bool, int, int, int]]
) -> None:
    """The disk is as if all strokes had been made in one place, in their order."""
    project.write_edits(F, EMPTY)
    programs = (project, Project.open(project.folder))
    shown = [EMPTY, EMPTY]
    wanted = EMPTY
    for second, top, height, label in strokes:
        rows = slice(top, top + height)
        now = painted(shown[second], rows, label)
        # A stroke over what the viewer shows with that label already says nothing new.
        wanted = np.where(now != shown[second], now, wanted)
        programs[second].write_edits(F, now, shown[second])
        shown[second] = now
    assert np.array_equal(project.read_edits(F), wanted)


def test_edits_of_another_size_or_with_no_phase_are_refused(project: Project) -> None:
    project.write_edits(F, tiny_labels())
    for edits, base in ((EMPTY[:5], EMPTY[:5]), (EMPTY, EMPTY[:5])):
        with pytest.raises(ProjectError, match="pixel by pixel"):
            project.write_edits(F, edits, base)
    with pytest.raises(SchemeError):
        project.write_edits(F, painted(EMPTY, slice(0, 2), 77), EMPTY)
    assert np.array_equal(project.read_edits(F), tiny_labels())


def test_a_field_that_another_program_reviewed_takes_no_edits(project: Project) -> None:
    Project.open(project.folder).review(F)
    assert project.field(F).state == "unreviewed", "as this program read it"
    with pytest.raises(ProjectError, match="is reviewed"):
        project.write_edits(F, tiny_labels(), EMPTY)


def test_labels_that_were_read_before_the_phases_changed_are_not_written(project: Project) -> None:
    other = Project.open(project.folder)
    other.write_edits(F, tiny_labels())
    names = other.scheme.names
    other.change_scheme(PhaseScheme.from_names([names[1], names[0], names[2]]), {1: 2, 2: 1, 3: 3})
    stored = other.read_edits(F)
    for write in (project.write_edits, project.write_truth):
        with pytest.raises(ProjectError, match=r"another program changed them.*Open the project again"):
            write(F, tiny_labels())
    with pytest.raises(ProjectError, match="another program changed them"):
        project.set_ratio(F, None)
    assert np.array_equal(Project.open(project.folder).read_edits(F), stored)
    other.write_edits(F, EMPTY)  # who changed them goes on


def test_truth_that_is_replaced_is_recycled(project: Project) -> None:
    project.write_truth(F, tiny_labels())
    before = (project.folder / "truth" / f"{F}_truth.tif").read_bytes()
    project.write_truth(F, EMPTY)
    kept = list((project.folder / "recycle").rglob("*_truth.tif"))
    assert [path.read_bytes() for path in kept] == [before]


def test_a_wait_can_be_shortened_while_it_lasts(project: Project) -> None:
    project.wait_s = 600.0
    refused: list[BaseException] = []

    def save() -> None:
        try:
            project.write_edits(F, tiny_labels(), EMPTY)
        except ProjectBusyError as error:
            refused.append(error)

    with exclusive(project.folder / ".lock", ""):
        saving = threading.Thread(target=save)
        saving.start()
        project.wait_s = 0.0
        saving.join()
    assert "another program is changing this project" in str(refused[0])
    assert project.read_edits(F) is None
    project.write_edits(F, tiny_labels(), EMPTY)


def test_what_a_killed_program_left_is_swept_and_holds_no_name(project: Project) -> None:
    staging = project.folder / ".staging"
    for name in ("models/v001.safetensors", "edits/.steel-0_edits-abc.tif", "project.json"):
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).write_bytes(b"half")
    opened = Project.open(project.folder)
    assert opened.file == project.file and not opened.versions
    opened.review(F)
    assert not staging.exists()


def test_a_folder_that_another_program_sweeps_while_it_is_looked_at(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.folder / ".staging" / "edits").mkdir(parents=True)
    real = os.scandir

    def scandir(path: Any) -> Any:
        if not isinstance(path, int) and Path(path).name == ".staging":
            shutil.rmtree(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert Project.open(project.folder).file == project.file


def test_a_project_that_is_gone_is_not_made_again(project: Project, tmp_path: Path) -> None:
    project.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(ProjectError, match="holds no project"):
        project.review(F)
    assert not project.folder.exists()
