"""Which phases of a model those of a project come from, whatever they are called by now."""

from __future__ import annotations

from pathlib import Path

from phaseguide.phases import PhaseScheme
from phaseguide.projects.lineage import origin_for
from phaseguide.projects.project import Project

ABC = PhaseScheme.from_names("abc")


def make(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "project", ABC)


def names(text: str) -> PhaseScheme:
    return PhaseScheme.from_names(text.split())


def test_renamed_merged_reordered_and_new(tmp_path: Path) -> None:
    project = make(tmp_path)
    project.change_scheme(names("matrix b c"), {1: 1, 2: 2, 3: 3})
    project.change_scheme(names("c matrix b"), {1: 2, 2: 3, 3: 1})
    project.change_scheme(names("carbide matrix"), {1: 1, 2: 2, 3: 1})
    project.change_scheme(names("carbide matrix new"), {1: 1, 2: 2})
    assert origin_for(project.scheme, project.read_log(), ABC) == {1: (2, 3), 2: (1,)}
    assert origin_for(project.scheme, project.read_log(), names("matrix b c")) == {1: (2, 3), 2: (1,)}
    assert origin_for(project.scheme, project.read_log(), names("c matrix b")) == {1: (1, 3), 2: (2,)}
    assert origin_for(project.scheme, project.read_log(), project.scheme) == {1: (1,), 2: (2,), 3: (3,)}


def test_names_that_were_exchanged_are_followed(tmp_path: Path) -> None:
    project = make(tmp_path)
    project.change_scheme(names("x b c"), {1: 1, 2: 2, 3: 3})
    project.change_scheme(names("x a c"), {1: 1, 2: 2, 3: 3})
    project.change_scheme(names("b a c"), {1: 1, 2: 2, 3: 3})
    assert origin_for(project.scheme, project.read_log(), ABC) == {1: (1,), 2: (2,), 3: (3,)}


def test_what_was_taken_back_did_not_happen(tmp_path: Path) -> None:
    project = make(tmp_path)
    step = project.change_scheme(names("a b"), {1: 1, 2: 2, 3: 2})
    project.undo_scheme(step)
    project.change_scheme(names("x b c"), {1: 1, 2: 2, 3: 3})
    assert origin_for(project.scheme, project.read_log(), ABC) == {1: (1,), 2: (2,), 3: (3,)}


def test_by_name_where_the_log_does_not_help(tmp_path: Path) -> None:
    project = make(tmp_path)
    assert origin_for(project.scheme, project.read_log(), names("c z B")) == {2: (3,), 3: (1,)}
    project.change_scheme(names("x b c"), {1: 1, 2: 2, 3: 3})
    log = project.folder / "log.jsonl"
    whole = log.read_text().splitlines(keepends=True)
    log.write_text("".join(whole[:-1]))  # a process died before it could tell
    assert origin_for(project.scheme, project.read_log(), ABC) == {2: (2,), 3: (3,)}
    project.change_scheme(names("y b c"), {1: 1, 2: 2, 3: 3})
    assert origin_for(project.scheme, project.read_log(), ABC) == {2: (2,), 3: (3,)}, "a line is missing"


def test_a_phase_that_went_and_came_back_keeps_its_weights(tmp_path: Path) -> None:
    project = make(tmp_path)
    project.change_scheme(names("a b"), {1: 1, 2: 2, 3: 0})
    project.change_scheme(names("a b C"), {1: 1, 2: 2})
    project.change_scheme(names("x b C"), {1: 1, 2: 2, 3: 3})
    assert origin_for(project.scheme, project.read_log(), ABC) == {1: (1,), 2: (2,), 3: (3,)}
