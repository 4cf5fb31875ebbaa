"""``phaseguide project``: a project from the command line, from the first field to the log."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from phaseguide.micrographs import read_label_map, write_label_map
from phaseguide.projects.project import Project
from tiny_models import tiny_dataset, tiny_image, tiny_labels, tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def folder(tmp_path: Path, model: Path) -> Path:
    """A project with ``field0`` and ``field1`` and the model in use."""
    images = tiny_dataset(tmp_path / "data") / "images"
    project = tmp_path / "heat"
    done("create", project, "--model", model)
    done("add", project, images, "--specimen", "A")
    return project


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["project", *map(str, arguments)])


def done(*arguments: Any) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def fails(*arguments: Any) -> str:
    """A user error: one sentence, exit code 2, no traceback."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    return result.stderr


def test_a_project_is_made_and_shown(folder: Path, model: Path) -> None:
    shown = done("show", folder)
    assert "field0" in shown and "unreviewed" in shown and str(model) in shown
    told = json.loads(done("show", folder, "--json", "-"))
    assert [field["id"] for field in told["fields"]] == ["field0", "field1"]
    assert told["fields"][1]["specimen"] == "A" and told["stale"] == []
    assert "holds a project already" in fails("create", folder, "--model", "uhcs")


@pytest.mark.parametrize("as_file", [False, True])
def test_phases_may_be_named_or_come_from_a_file(tmp_path: Path, as_file: bool) -> None:
    scheme = tmp_path / "scheme.json"
    scheme.write_text(
        json.dumps({"phases": [{"label": 1, "name": "ferrite"}, {"label": 2, "name": "bainite"}]})
    )
    done("create", tmp_path / "new", "--phases", scheme if as_file else "ferrite, bainite")
    assert Project.open(tmp_path / "new").scheme.names == ("ferrite", "bainite")
    assert "needs phases" in fails("create", tmp_path / "none")


def test_a_second_detector_is_of_the_same_field(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(tiny_image(7)).save(tmp_path / "bse.png")
    done("add", folder, tmp_path / "bse.png", "--to", "field0", "--detector", "BSE")
    assert [image.detector for image in Project.open(folder).field("field0").images] == ["", "BSE"]


def test_fields_are_run_with_their_ratios(folder: Path) -> None:
    done("ratio", folder, "field0", "ferrite=50%,2=0.3", "--source", "field", "--exact")
    shown = done("rerun", folder, "--device", "cpu")
    assert "field0" in shown and "50.00" in shown
    assert "achieved of field0: constrained by your value, not independent" in shown
    assert "achieved of field0: constrained by your value" in done("show", folder)
    project = Project.open(folder)
    assert project.field("field0").result.achieved[:2] == pytest.approx([0.5, 0.3], abs=1e-3)  # type: ignore[union-attr]
    assert "Nothing to do" in done("rerun", folder)
    done("use", folder, "uhcs")
    assert "(not in use)" in done("show", folder)


def test_an_image_that_cannot_be_added_keeps_no_other_from_it(folder: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "a.png").write_bytes(b"no picture")
    (more / "b.png").symlink_to(tmp_path / "nowhere.png")
    Image.fromarray(tiny_image(1)).save(more / "c.png")  # field1 again
    Image.fromarray(tiny_image(5)).save(more / "d.png")
    result = run("add", folder, more)
    assert result.exit_code == 1 and "Field d:" in result.stdout
    assert "3 of 4 images could not be added" in result.stderr and "as field 'field1'" in result.stderr
    assert [field.id for field in Project.open(folder).fields] == ["field0", "field1", "d"]
    fails("add", folder, more / "a.png")
    fails("add", folder, more / "d.png", "--to", "none", "--detector", "BSE")


def test_a_field_that_fails_gives_an_exit_code_of_its_own(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "images" / "field0.png").unlink()
    result = run("rerun", folder, "--device", "cpu", "--json", tmp_path / "out.json")
    assert result.exit_code == 1 and "not there any more" in result.stderr
    told = json.loads((tmp_path / "out.json").read_text())
    assert list(told["failed"]) == ["field0"] and [field["id"] for field in told["done"]] == ["field1"]


def test_a_moved_image_is_found_again(folder: Path, tmp_path: Path) -> None:
    moved = (tmp_path / "data" / "images" / "field0.png").rename(tmp_path / "moved.png")
    done("relink", folder, "field0", moved)
    assert Project.open(folder).read_image("field0").path == moved


def test_what_a_ratio_says(folder: Path) -> None:
    done("ratio", folder, "field0", "1=20%", "--source", "bulk")
    ratio = Project.open(folder).field("field0").ratio
    assert ratio is not None and ratio.shares == [0.2, None, None] and ratio.uncertainty == 0.2
    done("ratio", folder, "field0", "20;;")  # cells of a spreadsheet, as everywhere
    assert Project.open(folder).field("field0").ratio.shares == [0.2, None, None]  # type: ignore[union-attr]
    assert "Unknown phase" in fails("ratio", folder, "field0", "gold=20%")
    assert "not known" in fails("ratio", folder, "field0", "1=20%", "--source", "gossip")
    done("ratio", folder, "field0", "none")
    assert Project.open(folder).field("field0").ratio is None


def test_corrected_labels_are_read_where_they_differ(folder: Path, tmp_path: Path) -> None:
    corrected = tmp_path / "corrected.tif"
    write_label_map(corrected, tiny_labels())
    assert "no result" in fails("edits", folder, "field0", corrected)
    done("rerun", folder, "field0", "--device", "cpu")
    result = Project.open(folder).read_result("field0")
    assert result is not None
    said = result.copy()
    said[:4, :10] = result[:4, :10] % 3 + 1
    said[4:8] = 0
    write_label_map(corrected, said)
    assert "40 px" in done("edits", folder, "field0", corrected)
    edits = Project.open(folder).read_edits("field0")
    expected = np.zeros_like(said)
    expected[:4, :10] = said[:4, :10]
    assert np.array_equal(edits, expected)
    # What was painted is part of what was corrected; labels that withdraw an edit say so anew.
    write_label_map(corrected, result)
    assert "40 px" in done("edits", folder, "field0", corrected)
    assert "0 px" in done("edits", folder, "field0", corrected)


def test_labels_as_a_whole_are_truth(folder: Path, tmp_path: Path) -> None:
    write_label_map(tmp_path / "truth.tif", tiny_labels())
    done("edits", folder, "field0", tmp_path / "truth.tif", "--whole")
    project = Project.open(folder)
    assert np.array_equal(project.read_truth("field0"), tiny_labels())
    assert project.read_edits("field0") is None
    write_label_map(tmp_path / "from_zero.tif", tiny_labels() - 1)
    assert "from 0, add 1" in done("edits", folder, "field0", tmp_path / "from_zero.tif", "--whole")


def test_fields_are_frozen_left_out_and_opened(folder: Path) -> None:
    done("review", folder, "field0")
    done("reject", folder, "field1", "--reason", "out of focus")
    shown = done("show", folder)
    assert "reviewed" in shown and "rejected: out of focus" in shown
    done("reopen", folder, "field0", "field1")
    assert {field.state for field in Project.open(folder).fields} == {"unreviewed"}
    assert "no field 'field9'" in fails("review", folder, "field0", "field9")
    assert Project.open(folder).field("field0").state == "unreviewed", "a wrong id is told before any change"


def test_phases_change_and_labels_follow(folder: Path) -> None:
    Project.open(folder).write_edits("field0", tiny_labels())
    done("phases", "rename", folder, "ferrite", "matrix")
    done("phases", "recolour", folder, "matrix", "#102030")
    done("phases", "add", folder, "pearlite")
    done("phases", "merge", folder, "carbide network", "pearlite")
    project = Project.open(folder)
    assert project.scheme.names == ("matrix", "Widmanstätten cementite", "pearlite")
    assert project.scheme.phases[0].colour == "#102030"
    assert np.array_equal(project.read_edits("field0"), np.array([0, 1, 3, 2], np.uint8)[tiny_labels()])
    done("phases", "remove", folder, "2")
    edits = Project.open(folder).read_edits("field0")
    assert np.array_equal(edits, np.array([0, 1, 2, 0], np.uint8)[tiny_labels()])
    recycled = sorted((folder / "recycle").rglob("field0_edits.tif"))
    assert np.array_equal(read_label_map(recycled[0]), tiny_labels())
    assert "into itself" in fails("phases", "merge", folder, "1", "matrix")


def test_a_version_is_deleted_and_comes_back(folder: Path, model: Path) -> None:
    from phaseguide.models.model_file import load_model

    loaded = load_model(model)
    Project.open(folder).add_version(
        loaded.segmenter, loaded.card, parent="uhcs", parent_sha256="", data_sha256="", settings={},
        before={}, after={}, note="first",
    )  # fmt: skip
    done("use", folder, "v001")
    assert "in use" in fails("delete", folder, "v001")
    done("use", folder, model)
    done("delete", folder, "v001")
    assert "first (deleted)" in done("show", folder)
    assert "was deleted" in fails("use", folder, "v001")
    done("restore", folder, "v001")
    done("use", folder, "v001")


def test_the_log_tells_what_happened(folder: Path) -> None:
    done("review", folder, "field0")
    assert "reviewed: field field0" in done("log", folder)
    last = json.loads(done("log", folder, "--last", "1", "--json", "-"))
    assert [line["event"] for line in last] == ["reviewed"]


@pytest.mark.parametrize(
    "odd", ["../../evil", "/etc", "..", "", ".", "a/b", "field0\x00", "FIELD0", "[/]", "x" * 5000]
)
def test_ids_that_there_are_not_end_in_a_sentence(folder: Path, tmp_path: Path, odd: str) -> None:
    labels = tmp_path / "labels.tif"
    write_label_map(labels, tiny_labels())
    before = {p.relative_to(tmp_path): p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()}
    for command in (("edits", folder, odd, labels, "--whole"), ("relink", folder, odd, labels),
                    ("ratio", folder, odd, "none"), ("review", folder, odd), ("reopen", folder, "field0", odd),
                    ("reject", folder, odd, "--reason", "x"), ("rerun", folder, odd),
                    ("add", folder, tmp_path / "data" / "images", "--to", odd)):  # fmt: skip
        assert "there is no field" in fails(*command)
    for command in (("delete", folder, odd), ("restore", folder, odd)):
        assert "there is no version" in fails(*command)
    assert before == {p.relative_to(tmp_path): p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", ["pipe", "folder", "nothing", "text"])
def test_files_that_cannot_be_meant_end_in_a_sentence(folder: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "odd.tif"
    if kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no pipes with names here")
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "text":
        path.write_text("years of work")
    for command in (("edits", folder, "field0", path), ("relink", folder, "field0", path), ("add", folder, path),
                    ("use", folder, path), ("create", tmp_path / "new", "--phases", path.with_suffix(".json")),
                    ("create", tmp_path / "new", "--model", path), ("show", path)):  # fmt: skip
        assert fails(*command)
    assert not (tmp_path / "new").exists() and (kind != "text" or path.read_text() == "years of work")


def test_edits_that_are_imported_keep_what_was_painted_meanwhile(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = Project.open(folder).field("field0").shape
    result, said = np.ones(shape, np.uint8), np.ones(shape, np.uint8)
    said[:4] = 2
    write_label_map(tmp_path / "said.tif", said)
    Project.open(folder).write_result(
        "field0",
        result,
        {},
        version="",
        model_sha256="",
        own=[1, 0, 0],
        achieved=[1, 0, 0],
        constrained=False,
    )
    real = Project.write_edits

    def overtaken(project: Project, field: str, edits: Any, base: Any = None) -> Any:
        painted = np.zeros(shape, np.uint8)
        painted[10:12] = 3
        real(Project.open(folder), field, painted)
        return real(project, field, edits, base)

    monkeypatch.setattr(Project, "write_edits", overtaken)
    done("edits", folder, "field0", tmp_path / "said.tif")
    edits = Project.open(folder).read_edits("field0")
    assert edits is not None and (edits[:4] == 2).all() and (edits[10:12] == 3).all()
