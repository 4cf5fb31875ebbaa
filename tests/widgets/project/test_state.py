"""The state of the Project dock: it tells of changes, and only of changes. No window is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.widgets.project.state import ProjectState, Shown
from project_helpers import SCHEME


class Ear:
    """Hears one field, as parts do: by a bound method, which is held weakly."""

    def __init__(self, state: ProjectState, field: str) -> None:
        self.heard: list[Any] = []
        getattr(state.events, field).connect(self.heard.append)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "steel", SCHEME)


def test_another_project_is_told_once(project: Project, tmp_path: Path) -> None:
    state = ProjectState()
    shown, models = Ear(state, "shown"), Ear(state, "models")
    state.take(project)
    state.take(project)
    assert shown.heard == [Shown(project, SCHEME)] and state.project is project
    assert not models.heard, "neither has a model"
    state.take(Project.create(tmp_path / "other", SCHEME))
    state.take(None)
    assert len(shown.heard) == 3 and state.shown == Shown()


def test_other_phases_of_the_same_project_are_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    state = ProjectState()
    state.take(project)
    shown = Ear(state, "shown")
    other = PhaseScheme.from_names(["ferrite", "bainite", "pearlite"])
    monkeypatch.setattr(Project, "scheme", other)
    state.take(project)
    assert shown.heard == [Shown(project, other)]


def test_another_model_is_told_and_nothing_else(project: Project) -> None:
    state = ProjectState()
    state.take(project)
    shown, models = Ear(state, "shown"), Ear(state, "models")
    project.use("uhcs")
    state.take(project)
    state.take(project)
    assert models.heard == [(project.current, project.versions)] and not shown.heard
