"""What the ``phaseguide project`` commands share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from phaseguide.projects.project import Project

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the project.")]


def open_with(folder: Path, fields: Iterable[str] = ()) -> Project:
    """Open a project that has these fields, so that a wrong id is told before the first is changed."""
    from phaseguide.projects.project import Project

    project = Project.open(folder)
    for field in fields:
        project.field(field)
    return project
