"""A project of three small fields in a viewer, for the tests of the Project dock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tifffile

from phaseguide.phases import PhaseScheme
from tiny_models import NAMES
from widget_helpers import micrograph

SCHEME = PhaseScheme.from_names(NAMES)


def write_images(folder: Path, count: int = 3) -> list[Path]:
    """Write micrographs with a pixel of 0.05 um."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"steel{n}.tif" for n in range(count)]
    for n, path in enumerate(paths):
        tifffile.imwrite(
            path, micrograph(seed=n), imagej=True, resolution=(20, 20), metadata={"unit": "um", "axes": "YX"}
        )
    return paths


def make_project(folder: Path, count: int = 3, model: str = "") -> Path:
    """Make a project of some fields on the disk."""
    from phaseguide.projects.project import Project

    project = Project.create(folder / "heat treatment", SCHEME, model=model)
    for path in write_images(folder / "images", count):
        project.add_field(path)
    return project.folder


def settled(dock: Any, qtbot: Any) -> None:
    """Wait until nothing is under way: files, layers, pictures."""
    opened = dock.opened
    qtbot.waitUntil(
        lambda: not opened.autosave.pending and dock.pictures.idle and not dock._settle.isActive(),
        timeout=20_000,
    )
