"""A project folder that somebody sent is data: nothing in it touches a file outside of it, and opening tells."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseguide.errors import PhaseguideError, ProjectError
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project

SCHEME = PhaseScheme.from_names(("a", "b", "c"))
LABELS = np.ones((32, 40), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of one field with edits, beside a file of the user that must stay as it is."""
    image = tmp_path / "images" / "f.tif"
    image.parent.mkdir()
    tifffile.imwrite(image, np.random.default_rng(0).integers(0, 255, LABELS.shape, np.uint8))
    (tmp_path / "thesis.tif").write_bytes(b"years of work")
    project = Project.create(tmp_path / "p", SCHEME)
    field = project.add_field(image)
    project.write_edits(field.id, LABELS)
    return project.folder


def told(folder: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((folder / "project.json").read_text())
    return value


def tell(folder: Path, value: object) -> None:
    (folder / "project.json").write_text(json.dumps(value))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def version(**values: object) -> dict[str, object]:
    origin = {"sha256": "0", "parent": "", "parent_sha256": "", "data_sha256": "", "created": "x"}
    return {"id": "v001", "file": "models/v001.safetensors", **origin, **values}


@pytest.mark.parametrize(
    "moves",
    [
        {"payload": "{out}/thesis.tif"}, {"{out}/thesis.tif": "edits/x.tif"}, {"../thesis.tif": "edits/x.tif"},
        {".staging/x": "../thesis.tif"}, {".staging/x": ".lock"}, {"edits/f_edits.tif": "project.json"},
        {".staging/x": "project.json/x"}, {".staging/x": "training/.lock"}, {"models/a": "edits/f_edits.tif"},
        [], {"a": 1}, {"a": None}, "x",
    ],
    ids=str,
)  # fmt: skip
def test_the_list_of_a_change_moves_nothing_else(folder: Path, moves: object) -> None:
    (folder / ".staging").mkdir()
    (folder / ".staging" / "x").write_text("echo owned")
    (folder / "payload").write_text("echo owned")
    text = json.dumps(moves).replace("{out}", folder.parent.as_posix())
    (folder / ".staging" / "commit.json").write_text(text)
    before = snapshot(folder.parent)
    with pytest.raises(ProjectError, match="Nothing was touched"):
        Project.open(folder)
    after = snapshot(folder.parent)
    after.pop("p/.lock", None)
    before.pop("p/.lock", None)
    assert after == before


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "edits elsewhere": lambda v: v["fields"][0].update(edits="{out}/thesis.tif"),
    "edits above": lambda v: v["fields"][0].update(edits="../thesis.tif"),
    "edits in place of the project": lambda v: v["fields"][0].update(edits="project.json"),
    "truth elsewhere": lambda v: v["fields"][0].update(truth="{out}/thesis.tif"),
    "an image above": lambda v: v["fields"][0]["images"][0].update(path="../thesis.tif"),
    "an id that climbs": lambda v: v["fields"][0].update(id="../../evil"),
    "an id of a device": lambda v: v["fields"][0].update(id="nul"),
    "an empty id": lambda v: v["fields"][0].update(id=""),
    "the same id twice": lambda v: v["fields"].append({**v["fields"][0], "edits": None}),
    "the same id in capitals": lambda v: v["fields"].append({**v["fields"][0], "id": "F", "edits": None}),
    "the same edits twice": lambda v: v["fields"].append({**v["fields"][0], "id": "g"}),
    "a version elsewhere": lambda v: v.update(versions=[version(file="../thesis.tif", deleted=True)]),
    "a version that is no model": lambda v: v.update(versions=[version(file="models/x.tif")]),
    "a version that climbs": lambda v: v.update(versions=[version(id="../x")]),
    "two versions": lambda v: v.update(versions=[version(), version(file="models/b.safetensors")]),
    "a huge field": lambda v: v["fields"][0].update(shape=[10**12, 10**12]),
    "a field of no rows": lambda v: v["fields"][0].update(shape=[0, -4]),
    "a negative pixel": lambda v: v["fields"][0].update(pixel_size_um=-1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_ids_and_paths_that_lead_elsewhere_are_refused(folder: Path, name: str) -> None:
    value = told(folder)
    CHANGES[name](value)
    text = json.dumps(value).replace("{out}", folder.parent.as_posix())
    (folder / "project.json").write_text(text)
    before = snapshot(folder.parent)
    with pytest.raises(ProjectError):
        Project.open(folder)
    assert snapshot(folder.parent) == before


@pytest.mark.parametrize("text", ["[" * 100_000, '{"schema_version": NaN}', '{"name": 1, "name": 2}', "\0"])
def test_a_project_file_that_is_no_sound_json(folder: Path, text: str) -> None:
    (folder / "project.json").write_text(text)
    with pytest.raises(ProjectError, match="is damaged"):
        Project.open(folder)


@pytest.mark.parametrize("name", ["project.json", "log.jsonl", ".staging/commit.json", ".lock"])
def test_a_pipe_is_refused_at_once(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    with pytest.raises(ProjectError, match="not a plain file"):
        Project.open(folder)


@pytest.mark.parametrize("name", ["edits", "truth", "results", "models", "training", "recycle", ".staging"])
def test_a_part_of_the_folder_that_is_a_link_is_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    shutil.rmtree(folder / name, ignore_errors=True)
    (folder / name).symlink_to(outside)
    with pytest.raises(ProjectError, match="is a link"):
        Project.open(folder)
    assert not list(outside.iterdir())


def test_edits_that_are_a_link_are_neither_read_nor_written(folder: Path) -> None:
    path = folder / "edits" / "f_edits.tif"
    path.unlink()
    path.symlink_to(folder.parent / "thesis.tif")
    with pytest.raises(ProjectError, match="link"):
        Project.open(folder)
    assert (folder.parent / "thesis.tif").read_bytes() == b"years of work"


def test_a_link_that_is_made_while_the_project_is_open(folder: Path) -> None:
    project = Project.open(folder)
    path = folder / "edits" / "f_edits.tif"
    path.unlink()
    path.symlink_to(folder.parent / "thesis.tif")
    with pytest.raises(ProjectError, match="link"):
        project.read_edits("f")
    with pytest.raises(ProjectError, match="link"):
        project.write_edits("f", LABELS)
    assert (folder.parent / "thesis.tif").read_bytes() == b"years of work"


def test_what_undoes_a_change_of_phases_is_data_too(folder: Path) -> None:
    project = Project.open(folder)
    step = project.change_scheme(PhaseScheme.from_names(("b", "a", "c")), {1: 2, 2: 1, 3: 3})
    sound = json.loads((folder / step).read_text())
    for key, value in (
        ("recycled", ["../../../thesis.tif"]),
        ("sha256", {"/etc/hostname": ""}),
        ("fields", {"f": {}}),
    ):
        (folder / step).write_text(json.dumps({**sound, key: value}))
        with pytest.raises(ProjectError):
            Project.open(folder).undo_scheme(step)
    assert (folder.parent / "thesis.tif").read_bytes() == b"years of work"


def test_an_image_whose_name_other_systems_misread_is_told_by_its_whole_path(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "p", SCHEME)
    image = project.folder / "steel 12:30.tif"
    tifffile.imwrite(image, np.random.default_rng(0).integers(0, 255, (32, 40), np.uint8))
    field = project.add_field(image)
    assert Path(field.images[0].path) == image
    assert Project.open(project.folder).read_image(field.id).data.shape == (32, 40)


PATHS = st.sampled_from(
    ["../sentinel/a.tif", "/etc/hostname", "edits/../../sentinel/a.tif", "edits/f_edits.tif", "project.json",
     ".lock", "", "edits", "link/a.tif", ".staging/x", "models/x.safetensors", "recycle/a/b", "a\\..\\b",
     "results/f_labels.tif"]
) | st.text(max_size=12)  # fmt: skip
MOVES = st.dictionaries(PATHS, PATHS, max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.fixed_dictionaries({}, optional={"edits": PATHS, "truth": PATHS, "id": PATHS}),
    file=PATHS,
    deleted=st.booleans(),
    moves=st.none() | MOVES,
    link=st.sampled_from(["link", "edits", "models", "recycle", ".staging", "nothing"]),
)
def test_whatever_a_project_says_nothing_outside_changes(
    folder: Path, paths: dict[str, str], file: str, deleted: bool, moves: dict[str, str] | None, link: str
) -> None:
    work = folder.parent / "work"
    shutil.rmtree(work, ignore_errors=True)
    project = work / "p"
    shutil.copytree(folder, project)
    sentinel = work / "sentinel"
    sentinel.mkdir()
    (sentinel / "a.tif").write_bytes((folder / "edits" / "f_edits.tif").read_bytes())
    value = told(project)
    value["fields"][0].update(paths)
    value["versions"] = [version(file=file, deleted=deleted)]
    tell(project, value)
    if link != "nothing" and not (project / link).exists():
        (project / link).symlink_to(sentinel)
    if moves is not None and link != ".staging":
        (project / ".staging").mkdir(exist_ok=True)
        (project / ".staging" / "x").write_text("x")
        (project / ".staging" / "commit.json").write_text(json.dumps(moves))
    before = snapshot(sentinel)
    with suppress(PhaseguideError):
        opened = Project.open(project)
        opened.restore_version("v001") if deleted else opened.delete_version("v001")
    with suppress(PhaseguideError):
        opened = Project.open(project)
        opened.write_truth(opened.fields[0].id, LABELS)
        opened.change_scheme(PhaseScheme.from_names(("b", "a", "c")), {1: 2, 2: 1, 3: 3})
    assert snapshot(sentinel) == before
    assert {p.name for p in work.iterdir()} == {"p", "sentinel"}
