"""Odd things that lie anywhere in a project's folder, and odd values that a user or a file gives it."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from phaseguide.errors import PhaseguideError, ProjectError
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.projects.schema import AskedRatio
from tiny_models import tiny_image, tiny_labels

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")

F = "steel-0"
SWAPPED = PhaseScheme.from_names(["b", "a", "c"])


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "thesis.tif"
    path.write_bytes(b"years of work")
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    found = {p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def tell(project: Project, **values: Any) -> None:
    path = project.folder / "project.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def stage(project: Project, moves: Any) -> None:
    (project.folder / ".staging").mkdir()
    (project.folder / ".staging" / "x").write_text("x")
    (project.folder / ".staging" / "commit.json").write_text(json.dumps(moves))


@pytest.mark.parametrize("kind", ["pipe", "link out", "folder link", "round"])
@pytest.mark.parametrize(
    "place", ["edits/x.tif", "models/deep/er/x", "training/20260101/x", "recycle/t/edits/x"]
)
def test_pipes_and_links_are_refused_wherever_they_lie(
    project: Project, secret: Path, place: str, kind: str
) -> None:
    path = project.folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"link out": secret, "folder link": project.folder / "edits", "round": path}[kind])
    if kind == "folder link":
        (project.folder / "edits").mkdir(exist_ok=True)
    before = snapshot(project.folder.parent)
    for act in (lambda: Project.open(project.folder), lambda: project.review(F)):
        with pytest.raises(ProjectError, match="Nothing was touched"):
            act()
    assert snapshot(project.folder.parent) == before


def test_a_link_that_stays_inside_is_followed_for_reading_and_replaced_by_a_file(project: Project) -> None:
    """As version control for large files leaves them."""
    project.write_edits(F, tiny_labels())
    path, store = project.folder / "edits" / f"{F}_edits.tif", project.folder / "objects" / "1"
    store.parent.mkdir()
    path.rename(store)
    path.symlink_to(Path("..") / "objects" / "1")
    before, opened = store.read_bytes(), Project.open(project.folder)
    assert np.array_equal(opened.read_edits(F), tiny_labels())
    opened.write_edits(F, np.zeros((64, 96), np.uint8))
    assert not path.is_symlink() and store.read_bytes() == before


@pytest.mark.parametrize("name", ["log.jsonl", ".lock", ".staging", "edits"])
def test_a_project_is_not_begun_in_a_folder_with_links(tmp_path: Path, secret: Path, name: str) -> None:
    folder = tmp_path / "begun"
    folder.mkdir()
    (folder / name).symlink_to(secret if name[0] == "l" or name == ".lock" else tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(ProjectError, match="is a link"):
        Project.create(folder, SWAPPED)
    assert snapshot(tmp_path) == before


def test_a_project_file_that_is_a_link_to_another_project(project: Project, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    sent.mkdir()
    (sent / "project.json").symlink_to(project.folder / "project.json")
    for told in (sent, sent / "project.json"):
        with pytest.raises(ProjectError, match="leads out of that folder"):
            Project.open(told)


@pytest.mark.parametrize(
    "moves",
    [{".staging/x": "edits/y.tif"}, {"edits/steel-0_edits.tif": "recycle/1/edits/steel-0_edits.tif"},
     {".staging/training/x": "training/x"}, {".staging/.lock": ".lock"}, {".staging/log.jsonl": "log.jsonl"},
     {"models/a.safetensors": "models/b.safetensors"}, {"recycle/1/models/a": "recycle/2/models/a"},
     {".staging/edits/x": "edits/x", ".staging/../../thesis.tif": "../../thesis.tif"}],
    ids=str,
)  # fmt: skip
def test_only_what_a_change_moves_is_moved(project: Project, secret: Path, moves: dict[str, str]) -> None:
    project.write_edits(F, tiny_labels())
    stage(project, moves)
    before = snapshot(project.folder.parent)
    for act in (lambda: Project.open(project.folder), lambda: project.review(F)):
        with pytest.raises(ProjectError, match="Nothing was touched"):
            act()
    assert snapshot(project.folder.parent) == before


@pytest.mark.parametrize(
    ("values", "sentence"), [({"schema_version": 2}, "newer"), ({"colour": "red"}, "is damaged")]
)
def test_a_project_that_is_not_understood_is_not_finished(
    project: Project, values: dict[str, Any], sentence: str
) -> None:
    stage(project, {".staging/edits/x": "edits/x"})
    tell(project, **values)
    before = snapshot(project.folder)
    for act in (lambda: Project.open(project.folder), lambda: project.review(F)):
        with pytest.raises(ProjectError, match=sentence):
            act()
    assert snapshot(project.folder) == before


def _field(project: Project, **values: Any) -> dict[str, Any]:
    return {"fields": [{**project.field(F).model_dump(), **values}]}


def _result(**values: Any) -> dict[str, Any]:
    sound = {"labels": f"results/{F}_labels.tif", "record": f"results/{F}.json", "version": "uhcs"}
    shares = [1.0, 0.0, 0.0]
    return {**sound, "own": shares, "achieved": shares, "constrained": False, "time": "", **values}


def _version(**values: Any) -> dict[str, Any]:
    origin = dict.fromkeys(("sha256", "parent", "parent_sha256", "data_sha256", "created"), "")
    return {"versions": [{"id": "v001", "file": "models/v001.safetensors", **origin, **values}]}


VALUES: dict[str, Callable[[Project], dict[str, Any]]] = {
    "edits of another field": lambda p: _field(p, edits="edits/steel-1_edits.tif"),
    "edits among the results": lambda p: _field(p, edits=f"results/{F}_labels.tif"),
    "a record that is the project": lambda p: _field(p, result=_result(record="project.json")),
    "too few area shares": lambda p: _field(p, result=_result(own=[1.0])),
    "a ratio of too many": lambda p: _field(p, ratio={"shares": [0.1] * 9, "uncertainty": 0.1}),
    "a ratio over all": lambda p: _field(p, ratio={"shares": [7.0, None, None], "uncertainty": 0.1}),
    "an endless name": lambda p: _field(p, name="x" * 100_000),
    "an image of no path": lambda p: _field(p, images=[{"path": "", "sha256": ""}]),
    "a version that hides a model": lambda p: _version(id="uhcs", file="models/uhcs.safetensors"),
    "a version of a number without end": lambda p: _version(id="v" + "9" * 300),
    "a deleted version that was never moved": lambda p: _version(deleted=True),
    "a deleted version above": lambda p: _version(file="recycle/../models/v001.safetensors", deleted=True),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_without_sense_are_refused_at_once(project: Project, name: str) -> None:
    tell(project, **VALUES[name](project))
    before = snapshot(project.folder)
    with pytest.raises(ProjectError, match="is damaged"):
        Project.open(project.folder)
    assert snapshot(project.folder) == before


def test_what_cannot_be_read_again_is_not_written(project: Project, images: list[Path]) -> None:
    """A value that a user gives never makes a project that does not open any more."""
    for act in (
        lambda: project.reject(F, "x" * 100_000),
        lambda: project.set_ratio(F, AskedRatio(shares=[2.0, None, None], uncertainty=0.1)),
        lambda: project.reject(F, "\udcff"),
    ):
        with pytest.raises(PhaseguideError):
            act()
    assert Project.open(project.folder).file == project.file


@pytest.mark.skipif(sys.platform == "darwin", reason="the system refuses such names itself")
def test_an_image_whose_name_is_no_text_is_refused_with_a_sentence(project: Project, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    Image.fromarray(tiny_image(7)).save(path)
    with pytest.raises(ProjectError, match=r"caf\\udce9.*not UTF-8. Rename it"):
        project.add_field(path)
    project.log("looked", image=str(path))
    assert project.read_log()[-1]["image"] == str(path)
    assert Project.open(project.folder).file == project.file


def test_a_project_from_another_system_opens_and_its_images_are_told_anew(
    project: Project, images: list[Path]
) -> None:
    image = {**project.field(F).images[0].model_dump(), "path": "C:\\Users\\me\\steel 0.png"}
    tell(project, **_field(project, images=[image]))
    opened = Project.open(project.folder)
    with pytest.raises(ProjectError, match=r"is not there any more.*relink"):
        opened.read_image(F)
    opened.relink(F, images[0])
    assert np.array_equal(opened.read_image(F).data, tiny_image(0))


def test_a_pipe_is_no_image_and_holds_nobody(project: Project, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for act in (lambda: project.relink(F, pipe), lambda: project.add_field(pipe)):
        with pytest.raises(PhaseguideError):
            act()
    image = {**project.field(F).images[0].model_dump(), "path": str(pipe)}
    tell(project, **_field(project, images=[image]))
    with pytest.raises(ProjectError, match="is not there any more"):
        Project.open(project.folder).read_image(F)


@pytest.mark.parametrize(
    "line", [b"[" * 200_000, b'{"a": NaN}', b"\xff\xfe\x00", b'{"a": ' + b"1" * 2_000_000 + b"}", b'"x"', b"\0" * 99]
)  # fmt: skip
def test_a_log_with_odd_lines_tells_the_others(project: Project, line: bytes) -> None:
    with (project.folder / "log.jsonl").open("ab") as file:
        file.write(line + b"\n")
    project.log("looked")
    told = [row["event"] for row in project.read_log()]
    assert told[-1] == "looked" and told.count("field added") == 2


@pytest.mark.parametrize(
    "record", ["[]", '{"relabelled": "x"}', '{"relabelled": {"a": 1}}', "[" * 99_999, ""]
)
def test_a_record_that_is_something_else_does_not_stop_a_change_of_phases(
    project: Project, record: str
) -> None:
    project.write_result(
        F,
        tiny_labels(),
        {},
        version="",
        model_sha256="",
        own=[1, 0, 0],
        achieved=[1, 0, 0],
        constrained=False,
    )
    (project.folder / "results" / f"{F}.json").write_text(record)
    project.change_scheme(SWAPPED, {1: 2, 2: 1, 3: 3})
    assert np.array_equal(project.read_result(F), np.array([0, 2, 1, 3], np.uint8)[tiny_labels()])


def test_a_map_of_another_size_is_not_taken_for_the_field(project: Project) -> None:
    project.write_truth(F, tiny_labels())
    Image.fromarray(np.ones((8, 8), np.uint8)).save(project.folder / "truth" / f"{F}_truth.tif")
    for act in (lambda: project.read_truth(F), lambda: project.change_scheme(SWAPPED, {1: 2, 2: 1, 3: 3})):
        with pytest.raises(ProjectError, match="8 x 8 px"):
            act()


NAMES = ["project.json", "log.jsonl", ".lock", ".staging", "edits", "truth", "results", "models", "recycle",
         "training", "edits/steel-0_edits.tif", "truth/steel-0_truth.tif", "results/steel-0.json",
         "models/v001.safetensors", "training/.lock", ".staging/commit.json", ".staging/edits"]  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    odd=st.dictionaries(
        st.sampled_from(NAMES),
        st.sampled_from(
            ["pipe", "link to a file", "link to a folder", "link to nothing", "folder", "junk", "deep"]
        ),
        min_size=1,
        max_size=3,
    ),
    moves=st.none()
    | st.dictionaries(
        st.sampled_from(
            [*NAMES, "../out/a.tif", ".staging/edits/a", "{out}/a.tif", ".staging/../../out/a.tif"]
        ),
        st.sampled_from(
            [*NAMES, "../out/a.tif", "edits/a", "{out}/a.tif", "recycle/1/models/v001.safetensors"]
        ),
    ),
)
def test_whatever_lies_in_the_folder_nothing_outside_changes(
    project: Project, odd: dict[str, str], moves: dict[str, str] | None
) -> None:
    work = project.folder.parent / "work"
    shutil.rmtree(work, ignore_errors=True)
    folder, out = work / "p", work / "out"
    shutil.copytree(project.folder, folder)
    (out / "b").mkdir(parents=True)
    (out / "a.tif").write_bytes(b"years of work")
    if moves is not None:
        (folder / ".staging" / "edits").mkdir(parents=True)
        (folder / ".staging" / "edits" / "a").write_text("x")
        text = json.dumps(moves).replace("{out}", out.as_posix())
        (folder / ".staging" / "commit.json").write_text(text)
    for name, kind in odd.items():
        with suppress(OSError):
            _put(folder / name, kind, out)
    before = snapshot(out)
    for act in ACTS:
        with suppress(PhaseguideError):
            act(folder)
    assert snapshot(out) == before
    assert {path.name for path in work.iterdir()} == {"p", "out"}


def _put(path: Path, kind: str, out: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind.startswith("link"):
        path.symlink_to(
            {"link to a file": out / "a.tif", "link to a folder": out / "b"}.get(kind, out / "new")
        )
    else:
        path.write_bytes(b"\xff" * 99 if kind == "junk" else b"[" * 5000)


def _train(folder: Path) -> None:
    with Project.open(folder).training_lock():
        pass


ACTS: list[Callable[[Path], Any]] = [
    Project.open,
    lambda folder: Project.create(folder, SWAPPED),
    lambda folder: Project.open(folder).read_log(),
    lambda folder: Project.open(folder).write_edits(F, tiny_labels()),
    lambda folder: Project.open(folder).write_truth(F, tiny_labels()),
    lambda folder: Project.open(folder).change_scheme(SWAPPED, {1: 2, 2: 1, 3: 3}),
    lambda folder: Project.open(folder).reject(F, "odd"),
    _train,
]
