"""``phaseguide estimate painted`` and ``coverage``: numbers, exit codes, and what a user can get wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from tiny_models import tiny_image, tiny_labels, tiny_model

SHAPE = (64, 96)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "steel.png"
    Image.fromarray(tiny_image()).save(path)
    return path


def strokes() -> np.ndarray:
    """Four strokes in each of the three bands, the last band's twice as wide."""
    painted = np.zeros(SHAPE, np.uint8)
    for row in range(4, 60, 15):
        for k, height in enumerate((3, 3, 6)):
            painted[row : row + height, 32 * k + 4 : 32 * k + 26] = k + 1
    return painted


def save(path: Path, labels: np.ndarray) -> Path:
    tifffile.imwrite(path, labels, photometric="minisblack")
    return path


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["estimate", *map(str, arguments)])


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == "" and result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr, result.stderr


def test_a_labelled_rectangle_is_counted(image: Path, model: Path, tmp_path: Path) -> None:
    painted = np.zeros(SHAPE, np.uint8)
    painted[10:50, 16:80] = tiny_labels()[10:50, 16:80]
    result = run(
        "painted", image, "--labels", save(tmp_path / "part.tif", painted), "-m", model,
        "--reading", "painted", "--json", "-",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    areas = [row["area"] for row in data["phases"]]
    assert areas == pytest.approx([0.25, 0.5, 0.25]) and data["reading"] == "painted"
    assert all(row["low"] < row["area"] < row["high"] for row in data["phases"])
    assert [row["pixels"] for row in data["phases"]] == [640, 1280, 640]
    assert "Painted share" in result.stderr and "95 % interval" in result.stderr


def test_strokes_are_extrapolated(image: Path, model: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    result = run(
        "painted", image, "--labels", save(tmp_path / "s.tif", strokes()), "-m", model,
        "--device", "cpu", "--json", target,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    data = json.loads(target.read_text(encoding="utf-8"))
    assert sum(row["area"] for row in data["phases"]) == pytest.approx(1)
    assert data["phases"][2]["area"] == pytest.approx(1 / 3, abs=0.12)
    assert [row["blocks"] for row in data["phases"]] >= [4, 4, 4]
    assert all(row["low"] is row["high"] is None and row["uncertainty"] > 1 for row in data["phases"])
    assert "Extrapolated from strokes" in result.stdout and "ferrite" in result.stdout
    assert "carry no interval" in result.stderr


def test_strokes_are_counted_under_their_own_names(image: Path, model: Path, tmp_path: Path) -> None:
    labels = save(tmp_path / "s.tif", strokes())
    common = ("painted", image, "--labels", labels, "-m", model, "--device", "cpu", "--json", "-")
    data = json.loads(run(*common, "--phases", "gamma, gamma prime, carbide").stdout)
    assert [row["phase"] for row in data["phases"]] == ["gamma", "gamma prime", "carbide"]
    assert sum(row["area"] for row in data["phases"]) == pytest.approx(1)
    fails(
        run(*common, "--phases", "gamma, gamma prime"),
        str(labels),
        "label value 3 is not in the phase scheme",
    )


def test_a_phase_that_is_not_painted_is_null_and_said(image: Path, model: Path, tmp_path: Path) -> None:
    painted = np.where(strokes() == 2, 0, strokes())
    result = run(
        "painted", image, "--labels", save(tmp_path / "s.tif", painted), "-m", model,
        "--device", "cpu", "--json", "-",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["phases"][1]["area"] is None
    assert "carbide network is not painted" in result.stderr


def test_planes_of_a_stack_are_pooled_or_chosen(model: Path, tmp_path: Path) -> None:
    stack = save(tmp_path / "stack.tif", np.stack([tiny_image(k) for k in range(3)]))
    painted = np.zeros((3, *SHAPE), np.uint8)
    painted[0], painted[2] = tiny_labels(), np.roll(tiny_labels(), 16, axis=1)
    painted[2, :, :32] = 1
    labels = save(tmp_path / "labels.tif", painted)
    data = json.loads(
        run("painted", stack, "--labels", labels, "-m", model, "--reading", "painted", "--json", "-").stdout
    )
    assert data["planes"] == 3
    assert [row["pixels"] for row in data["phases"]] == [np.count_nonzero(painted == k) for k in (1, 2, 3)]
    one = json.loads(
        run(
            "painted",
            stack,
            "--labels",
            labels,
            "-m",
            model,
            "--reading",
            "painted",
            "--plane",
            0,
            "--json",
            "-",
        ).stdout
    )
    assert one["phases"][0]["low"] == one["phases"][0]["high"] == pytest.approx(1 / 3)
    fails(run("painted", stack, "--labels", labels, "-m", model, "--plane", 5), "no plane 5")
    fails(
        run("painted", stack, "--labels", labels, "-m", model, "--plane", 1), "plane 1", "nothing is painted"
    )


def test_the_information_bar_is_no_metal(model: Path, tmp_path: Path) -> None:
    """With the bar left out the whole field is painted, and nothing is unknown."""
    picture = np.vstack([tiny_image(shape=(400, 480)), np.zeros((40, 480), np.uint8)])
    picture[405:435, 10:200:6] = 255
    image = tmp_path / "bar.png"
    Image.fromarray(picture).save(image)
    painted = np.zeros(picture.shape, np.uint8)
    painted[:400] = tiny_labels((400, 480))
    labels = save(tmp_path / "l.tif", painted)
    from phaseguide.micrographs import read_micrograph

    rows = read_micrograph(image).info_bar_rows
    assert rows
    painted[-rows:] = 0
    left_out, kept = (
        json.loads(
            run(
                "painted", image, "--labels", labels, "-m", model, flag, "--reading", "painted", "--json", "-"
            ).stdout
        )["phases"][0]
        for flag in ("--exclude-info-bar", "--keep-info-bar")
    )
    assert left_out["high"] - left_out["low"] < kept["high"] - kept["low"]


def test_what_a_user_can_get_wrong(image: Path, model: Path, tmp_path: Path) -> None:
    empty = save(tmp_path / "empty.tif", np.zeros(SHAPE, np.uint8))
    fails(run("painted", image, "--labels", empty, "-m", model), str(empty), "nothing is painted")
    small = save(tmp_path / "small.tif", np.ones((10, 10), np.uint8))
    fails(run("painted", image, "--labels", small, "-m", model), "10 x 10 px", "64 x 96 px")
    foreign = save(tmp_path / "foreign.tif", np.full(SHAPE, 9, np.uint8))
    fails(
        run("painted", image, "--labels", foreign, "-m", model), str(foreign), "9 is not in the phase scheme"
    )
    fails(run("painted", image, "--labels", tmp_path / "none.tif", "-m", model), "none.tif")
    fails(
        run("painted", image, "--labels", empty, "-m", model, "--reading", "both"), "'both'", "extrapolated"
    )
    one = save(tmp_path / "one.tif", np.where(strokes() == 1, 1, 0).astype(np.uint8))
    fails(
        run("painted", image, "--labels", one, "-m", model, "--reading", "extrapolated", "--device", "cpu"),
        str(one), "only ferrite",
    )  # fmt: skip


def test_coverage_tells_each_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.studies.intervals import coverage

    few = (coverage.SCENARIOS[0], coverage.SCENARIOS[-1])
    study = coverage.coverage_study
    monkeypatch.setattr(
        coverage, "coverage_study", lambda fields, seed: study(fields, seed=seed, scenarios=few)
    )
    arguments = ["benchmark", "coverage", "--fields", "3", "--json", str(tmp_path / "c.json")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert few[0].name in result.stdout and f"({few[1].name})" in result.stdout
    rows = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["scenarios"]
    assert [row["meant"] for row in rows] == [True, False] and rows[0]["fields"] == 3


def test_a_result_of_the_program_is_nobodys_paint(image: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made = CliRunner().invoke(
        app, ["segment", str(image), "--model", str(model), "--ratio", "1=30%", "--exact", "--out", str(out)]
    )
    assert made.exit_code == 0, made.output
    result = run("painted", image, "--labels", out / "steel_labels.tif", "--model", model)
    fails(result, "written by the program", "steel.json")
