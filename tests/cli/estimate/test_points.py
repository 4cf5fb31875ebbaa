"""``phaseguide estimate points``: from a label map to points, from named points to areas."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from phaseguide.micrographs import write_label_map
from phaseguide.phases import PhaseScheme

NAMES = ("ferrite", "Widmanstätten cementite")


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, ["estimate", "points", *(str(a) for a in arguments)])


def fails(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A map with its record beside it, as the command segment writes them."""
    array = np.ones((60, 80), dtype=np.uint8)
    array[20:30] = 2
    array[-5:] = 255
    path = tmp_path / "field_labels.tif"
    write_label_map(path, array)
    (tmp_path / "field.json").write_text(
        json.dumps(PhaseScheme.from_names(NAMES).to_dict()), encoding="utf-8"
    )
    return path


def name_points(path: Path, answer: Any) -> None:
    """Fill the column ``phase`` in by a function of x, y and the number of the point."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["phase"] = answer(int(row["x"]), int(row["y"]), int(row["point"]))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_from_a_map_to_areas(labels: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.csv"
    proposed = run("propose", labels, "--count", 60, "--out", points)
    assert proposed.exit_code == 0, proposed.output
    for word in ("50 points", "60 points", "100 points", "200 points", *NAMES):
        assert word in proposed.stdout, proposed.stdout
    # The truth: the strip reaches two rows further than the map says.
    name_points(points, lambda x, y, n: "unclear" if n == 7 else NAMES[20 <= y < 32])
    done = run("evaluate", points, "--json", tmp_path / "areas.json")
    assert done.exit_code == 0, done.output
    assert "1 of 60 points were unclear" in done.stderr.replace("\n", " ")
    result = json.loads((tmp_path / "areas.json").read_text(encoding="utf-8"))
    assert (result["points"], result["named"], result["unclear"]) == (60, 59, 1)
    strip = result["phases"][1]
    assert strip["phase"] == NAMES[1] and strip["in_map"] == pytest.approx(10 / 55)
    assert strip["low"] <= 12 / 55 <= strip["high"]
    assert strip["area"] == pytest.approx(12 / 55, abs=3 * strip["standard_error"])
    assert strip["if_no_unclear_point"] <= strip["area"] <= strip["if_every_unclear_point"]
    assert f"{strip['area'] * 100:.2f}" in done.stdout


def test_plan_elsewhere_and_json_on_standard_output(labels: Path, tmp_path: Path) -> None:
    points, plan = tmp_path / "points.csv", tmp_path / "elsewhere" / "plan.json"
    assert run("propose", labels, "--count", 20, "--out", points, "--seed", 4).exit_code == 0
    name_points(points, lambda x, y, n: "1")
    plan.parent.mkdir()
    points.with_suffix(".json").rename(plan)
    fails(run("evaluate", points), "points.json", "cannot be read")
    result = json.loads(run("evaluate", points, "--plan", plan, "--json", "-").stdout)
    assert result["phases"][0]["area"] == 1
    assert result["phases"][1]["standard_error"] > 0


def test_a_saved_count_is_evaluated_without_a_table(labels: Path, tmp_path: Path) -> None:
    from phaseguide.estimation.point_files import load_count, save_count

    assert run("propose", labels, "--count", 20, "--out", tmp_path / "points.csv").exit_code == 0
    plan, _ = load_count(tmp_path / "points.json")
    save_count(tmp_path / "mine.json", plan, plan.strata.astype(int))
    result = json.loads(run("evaluate", tmp_path / "mine.json", "--json", "-").stdout)
    assert result["phases"][1]["area"] == pytest.approx(10 / 55)


def test_a_constrained_map_is_called_that(labels: Path, tmp_path: Path) -> None:
    record = PhaseScheme.from_names(NAMES).to_dict()
    for row, own in zip(record["phases"], (0.875, 0.125), strict=True):
        row["own"] = own
    (tmp_path / "field.json").write_text(json.dumps({**record, "ratio": {"constrained": True}}))
    points = tmp_path / "points.csv"
    assert run("propose", labels, "--count", 20, "--out", points).exit_code == 0
    name_points(points, lambda x, y, n: "1")
    said = run("evaluate", points).stderr.replace("\n", " ")
    assert "constrained by your value, not independent" in said and "ferrite 87.50 %" in said


def test_phases_from_elsewhere(labels: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.csv"
    (tmp_path / "field.json").unlink()
    nameless = run("propose", labels, "--count", 20, "--out", points)
    assert "phase 2" in nameless.stdout and "--phases" in nameless.stderr
    assert run("propose", labels, "--phases", "a, b,c", "--out", points, "--overwrite").exit_code == 0
    scheme = tmp_path / "scheme.json"
    scheme.write_text(json.dumps(PhaseScheme.from_names(["only"]).to_dict()))
    fails(
        run("propose", labels, "--phases", scheme, "--out", points, "--overwrite"),
        "label value 2 is not in the phase scheme",
    )


def test_nothing_is_replaced_unasked(labels: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.csv"
    assert run("propose", labels, "--count", 20, "--out", points).exit_code == 0
    name_points(points, lambda x, y, n: "1")
    before = points.read_bytes()
    fails(run("propose", labels, "--count", 20, "--out", points), "points.csv", "--overwrite")
    # Nor is a record of this name: the plan would take its place.
    fails(run("propose", labels, "--count", 20, "--out", tmp_path / "field.csv"), "field.json", "exists")
    fails(run("propose", labels, "--count", 20, "--out", tmp_path / "x.json"), "x.json", "cannot end")
    assert points.read_bytes() == before


def test_user_errors_are_one_sentence(labels: Path, tmp_path: Path) -> None:
    points = tmp_path / "points.csv"
    fails(run("propose", labels, "--count", 3, "--out", points), "3 points cannot be drawn", "Ask for 4 to")
    fails(run("propose", tmp_path / "none.tif", "--out", points), "none.tif")
    stack = tmp_path / "stack_labels.tif"
    write_label_map(stack, np.ones((2, 30, 30), dtype=np.uint8))
    fails(run("propose", stack, "--plane", 2, "--out", points), "planes 0 to 1")
    assert run("propose", stack, "--plane", 1, "--count", 20, "--phases", "a", "--out", points).exit_code == 0
    fails(run("evaluate", points), "Name some points")
    name_points(points, lambda x, y, n: "bainite")
    fails(run("evaluate", points), "points.csv, line 2", "bainite")


def test_help_teaches_with_an_example() -> None:
    for command in ("propose", "evaluate"):
        result = run(command, "--help")
        assert result.exit_code == 0
        assert f"phaseguide estimate points {command}" in result.stdout.split("Example", 1)[1]
