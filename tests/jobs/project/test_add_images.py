"""What is dropped on a project: which files become fields, and what is told of the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phaseguide.jobs.project.add_images import add_images, search_images
from phaseguide.micrographs.records import write_result
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from tiny_models import NAMES

SCHEME = PhaseScheme.from_names(NAMES)


def picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    grey = np.random.default_rng(seed).integers(0, 255, (40, 50), dtype=np.uint8)
    Image.fromarray(grey).save(path)
    return path


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder as people have them: specimens, notes, results, a data set, a project, hidden files."""
    root = tmp_path / "scans"
    picture(root / "b.png", 1)
    picture(root / "a.tif", 2)
    picture(root / "heat 7" / "c.jpg", 3)
    picture(root / "set" / "images" / "d.png", 4)
    picture(root / "set" / "labels" / "d.png", 5)
    picture(root / ".hidden" / "e.png", 6)
    (root / "notes.txt").write_text("etched")
    (root / "old.xlsx").write_bytes(b"")
    labels = root / "a_labels.tif"
    picture(labels, 7)
    data = labels.read_bytes()
    labels.unlink()
    write_result(root / "a.json", {"labels": labels.name, "model": {}}, {labels: data})
    Project.create(root / "project", SCHEME)
    picture(root / "project" / "results" / "f.png", 8)
    return root


def test_a_folder_is_searched_for_micrographs(scans: Path) -> None:
    found = search_images([scans])
    names = [path.relative_to(scans).as_posix() for path in found.images]
    assert names == ["a.tif", "b.png", "heat 7/c.jpg", "set/images/d.png"]
    assert found.results == 2 and found.projects == [scans / "project"]
    assert found.others == {".txt": 1, ".xlsx": 1}


def test_what_was_left_out_is_told_and_the_rest_added(scans: Path, tmp_path: Path) -> None:
    project = Project.create(tmp_path / "mine", SCHEME)
    project.add_field(scans / "b.png")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    added = add_images(project, [scans, broken, scans / "a.tif"])
    assert sorted(entry.id for entry in added.entries) == ["a", "c", "d"]
    assert added.told.startswith(
        "Added 3 micrographs. Left out: 2 files of earlier results, 2 other files (.txt, .xlsx), "
        "1 project (project). 2 images could not be added: "
    )
    assert "in the project already" in added.told and "And 1 more." in added.told


def test_nothing_found_is_told(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "mine", SCHEME)
    (tmp_path / "empty").mkdir()
    assert add_images(project, [tmp_path / "empty"]).told == "No micrograph was added."
