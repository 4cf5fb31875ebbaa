"""A small project with two fields."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from tiny_models import NAMES, tiny_image


@pytest.fixture
def scheme() -> PhaseScheme:
    return PhaseScheme.from_names(NAMES)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Two micrographs outside the project."""
    paths = [tmp_path / f"steel {n}.png" for n in range(2)]
    for n, path in enumerate(paths):
        Image.fromarray(tiny_image(n)).save(path)
    return paths


@pytest.fixture
def project(tmp_path: Path, scheme: PhaseScheme, images: list[Path]) -> Project:
    """Fields ``steel-0`` and ``steel-1``, 64 x 96 px, three phases, no model."""
    made = Project.create(tmp_path / "project", scheme)
    for path in images:
        made.add_field(path, specimen="A")
    return made
