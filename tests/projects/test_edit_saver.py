"""Edits on their way into a project: what it cannot take is told and rescued, and keeps nothing else back."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from phaseguide.errors import PhaseguideError, ProjectError
from phaseguide.files import atomic
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.projects.edit_saver import EditSaver, Painted, save_elsewhere
from phaseguide.projects.places import FILE, LOCK
from phaseguide.projects.project import Project
from phaseguide.projects.rescue import discard_copy, find_copies, read_copy, rescue_folder

SHAPE = (64, 96)
FIELD = "steel-0"


class Hand:
    """An edits layer of a field, as a dock has it."""

    def __init__(self, project: Project, saver: EditSaver | None = None) -> None:
        self.saver = EditSaver(project) if saver is None else saver
        shown, self.known = self.saver.begin(FIELD)
        self.layer = np.zeros(SHAPE, np.uint8) if shown is None else shown.copy()

    def paint(self, row: int, label: int) -> None:
        self.layer[row, 10:30] = label

    def save(self) -> str:
        return Painted(self.layer.copy(), self.known, self.saver).save(FIELD)


@pytest.fixture
def hand(project: Project) -> Hand:
    return Hand(project)


def on_disk(project: Project) -> np.ndarray:
    found = Project.open(project.folder).read_edits(FIELD)
    return np.zeros(SHAPE, np.uint8) if found is None else found


def copies() -> list[Path]:
    return sorted(rescue_folder().glob("*")) if rescue_folder().is_dir() else []


@pytest.mark.parametrize("label", [4, 9, 254])
def test_a_stray_stroke_is_told_and_keeps_no_other_from_the_disk(
    hand: Hand, project: Project, label: int
) -> None:
    hand.paint(5, 1)
    assert hand.save() == "" and not copies()
    hand.paint(5, label)
    hand.paint(7, 2)
    told = hand.save()
    assert f"label {label} (the first pixel at row 5, column 10)" in told and FIELD in told
    saved = on_disk(project)
    assert (saved[7, 10:30] == 2).all() and (saved[5, 10:30] == 1).all(), (
        "below the stray stroke nothing changes"
    )
    (copy,) = copies()
    assert np.array_equal(read_copy(copy)[0], hand.layer)
    hand.paint(5, 0)
    assert hand.save() == "" and not copies() and not on_disk(project)[5].any()


def test_labels_that_no_byte_holds_are_strays_too(hand: Hand, project: Project) -> None:
    hand.layer = hand.layer.astype(np.int32)
    hand.paint(5, 300)
    hand.paint(6, -1)
    hand.paint(7, EXCLUDED)
    assert "label -1" in (told := hand.save()) and "label 300" in told
    assert np.count_nonzero(on_disk(project)) == 20
    assert np.array_equal(read_copy(copies()[0])[0], hand.layer)


def test_a_full_disk(hand: Hand, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    real = atomic._temporary_beside

    def full(path: Path) -> Path:
        if path.is_relative_to(project.folder):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path)

    hand.paint(5, 1)
    with monkeypatch.context() as patched:
        patched.setattr(atomic, "_temporary_beside", full)
        with pytest.raises(ProjectError, match=r"No space left.*rescue copy is kept"):
            hand.save()
        with pytest.raises(ProjectError, match="not all saved"):
            hand.saver.check(FIELD)
        assert np.array_equal(Hand(project, hand.saver).layer, hand.layer), "a layer made anew shows them"
    assert len(copies()) == 1
    assert hand.save() == "" and np.array_equal(on_disk(project), hand.layer) and not copies()
    hand.saver.check(FIELD)


def test_neither_project_nor_rescue_can_be_written(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    hand.paint(5, 1)
    with monkeypatch.context() as patched:
        patched.setattr(atomic, "_temporary_beside", full)
        with pytest.raises(ProjectError, match="could not be kept either"):
            hand.save()
    assert hand.save() == ""


def test_a_folder_that_is_away_leaves_no_ghost(hand: Hand, project: Project, tmp_path: Path) -> None:
    hand.paint(5, 1)
    shutil.move(project.folder, tmp_path / "away")
    with pytest.raises(ProjectError, match="no longer there"):
        hand.save()
    assert not project.folder.exists() and len(copies()) == 1
    moved = Project.open(tmp_path / "away")
    assert [copy.field_id for copy in find_copies(moved).values()] == [FIELD], "it is known after a move"
    shutil.move(tmp_path / "away", project.folder)
    assert hand.save() == "" and np.array_equal(on_disk(project), hand.layer)


def test_a_lock_that_somebody_holds(hand: Hand, project: Project) -> None:
    hand.paint(5, 1)
    hand.saver.finish_by(0.0)
    with FileLock(project.folder / LOCK), pytest.raises(ProjectError, match="another program"):
        hand.save()
    (found,) = find_copies(project).values()
    assert "another program" in found.describe() and found.phases == list(project.scheme.names)
    assert not find_copies(project, but=hand.saver.token), "a session is not offered its own"
    assert hand.save() == "" and not copies()


def test_two_docks_keep_each_others_strokes(hand: Hand, project: Project) -> None:
    other = Hand(Project.open(project.folder))
    hand.paint(5, 1)
    other.paint(9, 2)
    assert hand.save() == other.save() == ""
    hand.paint(5, 0)
    assert hand.save() == ""
    saved = on_disk(project)
    assert not saved[5].any() and (saved[9, 10:30] == 2).all()


def test_a_stroke_that_was_under_way_follows_other_phases(hand: Hand, project: Project) -> None:
    hand.paint(5, 2)
    assert hand.save() == ""
    two = PhaseScheme.from_names(project.scheme.names[:2])
    moves = {1: 1, 2: 1, 3: 2}
    hand.paint(7, 3)  # in the old numbers
    project.change_scheme(two, moves)
    hand.saver.followed(moves)
    assert hand.save() == ""
    saved = on_disk(project)
    assert (saved[5, 10:30] == 1).all() and (saved[7, 10:30] == 2).all()
    assert np.array_equal(Hand(project, hand.saver).layer, saved)


def test_phases_that_another_program_changed(hand: Hand, project: Project) -> None:
    names = project.scheme.names
    Project.open(project.folder).change_scheme(PhaseScheme.from_names(names[::-1]), {1: 3, 2: 2, 3: 1})
    hand.paint(5, 1)
    with pytest.raises(ProjectError, match="phases"):
        hand.save()
    (copy,) = find_copies(Project.open(project.folder)).values()
    assert copy.phases == list(names), "the copy says what its numbers mean"


def test_copies_that_are_damaged_stay_and_others_are_found(
    hand: Hand, project: Project, tmp_path: Path
) -> None:
    hand.paint(5, 9)
    hand.save()
    (copy,) = copies()
    (rescue_folder() / "cut.tif").write_bytes(copy.read_bytes()[:200])
    (rescue_folder() / "other.tif").write_bytes(b"no picture")
    (rescue_folder() / f".{copy.name}").write_bytes(copy.read_bytes())  # killed before it was in its place
    assert list(find_copies(project)) == [copy] and len(copies()) == 4
    with pytest.raises(ProjectError, match="cannot be read"):
        read_copy(rescue_folder() / "cut.tif")
    there = discard_copy(copy)
    assert not copy.exists() and there.is_file()


def test_saved_elsewhere_without_replacing(hand: Hand, tmp_path: Path) -> None:
    hand.paint(5, 1)
    unsaved = {FIELD: Painted(hand.layer, hand.known, hand.saver)}
    first, second = save_elsewhere(tmp_path, unsaved) + save_elsewhere(tmp_path, unsaved)
    assert (
        first.name == f"{FIELD}_edits.tif" and second != first and first.read_bytes() == second.read_bytes()
    )


def test_a_layer_of_another_shape(hand: Hand, project: Project) -> None:
    hand.layer = np.ones((10, 10), np.uint8)
    with pytest.raises(PhaseguideError, match="10 x 10"):
        hand.save()
    assert np.array_equal(read_copy(copies()[0])[0], hand.layer)


maps = arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 1, 2, 3, 4, 200, EXCLUDED]), fill=st.just(0))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(strokes=st.lists(maps, min_size=1, max_size=3))
def test_whatever_is_painted_is_on_the_disk_or_rescued(project: Project, strokes: list[Any]) -> None:
    hand = Hand(project)
    for layer in strokes:
        before = on_disk(project)
        hand.layer = layer
        hand.save()
        sound = np.isin(layer, [0, 1, 2, 3, EXCLUDED])
        assert np.array_equal(on_disk(project), np.where(sound, layer, before))
        rescued = [path for path in copies() if path.stem.endswith(hand.saver.token)]
        assert bool(rescued) == (not sound.all())
        assert all(np.array_equal(read_copy(path)[0], layer) for path in rescued)
    assert (project.folder / FILE).is_file()
