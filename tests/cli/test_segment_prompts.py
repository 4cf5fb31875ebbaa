"""``phaseguide segment --prompts``: a CSV of boxes and points, and every line that cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from phaseguide.errors import MicrographError, PhaseguideError, SchemeError
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.constraints.prompt_files import read_prompts
from prompted_models import prompted_model
from sam_files import offer_base
from tiny_models import NAMES, tiny_image, tiny_model

SCHEME = PhaseScheme.from_names(NAMES)
ALL = "Phase,top,left,bottom,right,row,column\n"


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["segment", *map(str, arguments), "--device", "cpu"])


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "steel.png"
    Image.fromarray(tiny_image()).save(path)
    return path


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prompts.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_boxes_and_points_guide_the_model_and_are_recorded(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = prompted_model(tmp_path, offer_base(monkeypatch, tmp_path))
    file = write(tmp_path, ALL + "carbide network,5,5,40,60,,\nnot 1,,,,,50,80\n")
    assert run(image, "-m", model, "--out", tmp_path / "plain").exit_code == 0
    result = run(image, "-m", model, "--out", tmp_path / "shown", "--prompts", file, "--json", tmp_path / "j")
    assert result.exit_code == 0, result.output
    assert "guided by your boxes and points, not independent" in " ".join(result.stdout.split())
    plain, shown = (json.loads((tmp_path / d / "steel.json").read_text()) for d in ("plain", "shown"))
    assert [row["phase"] for row in shown["prompts"]] == ["carbide network", "not ferrite"]
    assert plain["prompts"] == [] and not plain["ratio"]["constrained"] and shown["ratio"]["constrained"]
    assert [p["own"] for p in shown["phases"]] == pytest.approx([p["own"] for p in plain["phases"]])
    assert [p["achieved"] for p in shown["phases"]] != [p["own"] for p in shown["phases"]]
    assert json.loads((tmp_path / "j").read_text())["images"][0]["constrained"]


def test_what_does_not_go_together(image: Path, tmp_path: Path) -> None:
    file, model = write(tmp_path, "phase,row,column\n1,5,5\n"), tiny_model(tmp_path)
    result = run(image, "-m", model, "--out", tmp_path / "out", "--prompts", file)
    assert result.exit_code == 0 and "takes no boxes and points" in result.stderr
    other = tmp_path / "other.png"
    Image.fromarray(tiny_image()).save(other)
    fails(run(image, other, "-m", model, "--out", tmp_path, "--prompts", file), "--prompts belongs to one")
    ratio = ("--ratio", "1=20%", "--scope", "specimen")
    fails(run(image, "-m", model, "--out", tmp_path, "--prompts", file, *ratio), "--scope field")
    fails(run(image, "-m", model, "--out", tmp_path, "--prompts", tmp_path / "none.csv"), "cannot be read")
    write(tmp_path, "phase,row,column\n1,5,500\n")
    fails(run(image, "-m", model, "--out", tmp_path, "--prompts", file), "prompts.csv, line 2", "outside")


def test_forms_of_the_file(tmp_path: Path) -> None:
    text = "\ufeff# drawn by hand\nleft;top;right;bottom;PHASE\n\n5;6;20;30;Ferrite\n1,5;6;20;30;2\n"
    with pytest.raises(MicrographError, match=r"line 5: left is '1\.000,5', which is no number"):
        read_prompts(write(tmp_path, text.replace("1,5", "1.000,5")), (64, 96), SCHEME)
    prompts = read_prompts(write(tmp_path, text), (64, 96), SCHEME)
    assert prompts.boxes.tolist() == [[6, 5, 30, 20], [6, 1.5, 30, 20]]
    assert prompts.box_phases.tolist() == [1, 2] and prompts.points.shape == (0, 2)
    points = read_prompts(write(tmp_path, "phase\trow\tcolumn\nnot 3\t1\t2\n"), (64, 96), SCHEME)
    assert points.points.tolist() == [[1, 2]] and points.point_phases.tolist() == [-3]
    assert points.boxes.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("", MicrographError, "is empty"),
        ("phase,row,column\n", MicrographError, "no boxes and no points"),
        ("1,5,5\n", MicrographError, "first line is '1,5,5'"),
        ("phase,row\n1,5\n", MicrographError, "Expected a first line"),
        ("phase,row,column,size\n1,5,5,1\n", MicrographError, "Expected a first line"),
        ("row,column\n5,5\n", MicrographError, "Expected a first line"),
        (ALL + "1,5,5,20,,,\n", MicrographError, "line 2: a box needs .* has top, left, bottom"),
        (ALL + "1,5,5,20,30,1,1\n", MicrographError, "line 2: a box needs"),
        (ALL + ",5,5,20,30,,\n", MicrographError, "line 2: no phase"),
        (ALL + "1,5,5,20,30,,,9\n", MicrographError, "8 cells, but 7 columns"),
        (ALL + "bainite,5,5,20,30,,\n", SchemeError, "line 2: Unknown phase 'bainite'.*1 ferrite"),
        (ALL + "not 1,5,5,20,30,,\n", SchemeError, "line 2: The box says what is not in it"),
        (ALL + "1,20,5,20,30,,\n", MicrographError, "line 2: The box .* no area"),
        (ALL + "1,,,,,-4,9\n", MicrographError, "line 2: The point .* outside the image, which has 64 rows"),
        (ALL + "1,,,,,nan,9\n", MicrographError, "row is 'nan', which is no number"),
        ("phase,row,column\n" + "1,5,5\n" * 65, SchemeError, "65 points; at most 64"),
    ],
)
def test_what_cannot_be_meant_names_the_line(
    tmp_path: Path, text: str, error: type[PhaseguideError], words: str
) -> None:
    with pytest.raises(error, match=words) as caught:
        read_prompts(write(tmp_path, text), (64, 96), SCHEME)
    assert "prompts.csv" in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_bytes(b"PK\x03\x04\x00\x81")
    with pytest.raises(MicrographError, match="not text"):
        read_prompts(path, (64, 96), SCHEME)
