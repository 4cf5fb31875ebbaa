"""A count as files: nothing lost, nothing given away, and every fault named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from phaseguide.errors import SchemeError
from phaseguide.estimation.point_count import UNCLEAR, UNNAMED
from phaseguide.estimation.point_files import load_count, points_bytes, read_answers, save_count
from phaseguide.estimation.point_plan import PointCountError, PointPlan, propose_points
from phaseguide.phases import PhaseScheme

SCHEME = PhaseScheme.from_names(["ferrite", "Widmanstätten cementite"])


@pytest.fixture
def plan() -> PointPlan:
    labels = np.ones((40, 60), dtype=np.uint8)
    labels[10:20, 10:30] = 2
    return propose_points(labels, SCHEME, 20, seed=5, map_note="doubtful")


def test_a_half_finished_count_comes_back(plan: PointPlan, tmp_path: Path) -> None:
    answers = np.full(20, UNNAMED)
    answers[:3] = 2, UNCLEAR, 1
    save_count(tmp_path / "count.json", plan, answers)
    again, given = load_count(tmp_path / "count.json")
    assert given.tolist() == answers.tolist()
    for name in ("rows", "columns", "strata", "pixels"):
        assert np.array_equal(getattr(again, name), getattr(plan, name))
    assert (again.scheme, again.shape, again.seed, again.map_note) == (SCHEME, (40, 60), 5, "doubtful")


def test_the_files_do_not_give_the_prediction_away(plan: PointPlan, tmp_path: Path) -> None:
    save_count(tmp_path / "points.json", plan, np.full(20, UNNAMED))
    (tmp_path / "points.csv").write_bytes(points_bytes(plan))
    data = json.loads((tmp_path / "points.json").read_text())
    assert isinstance(data["strata"], str)
    lines = (tmp_path / "points.csv").read_text("utf-8-sig").splitlines()
    assert lines[0] == "point,x,y,phase"
    assert lines[1] == f"1,{plan.columns[0]},{plan.rows[0]},"
    assert len(lines) == 21


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_answers_are_read_as_people_write_them(plan: PointPlan, tmp_path: Path, separator: str) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(points_bytes(plan))
    words = ["Ferrite", "2", "widmanstatten_cementite", "unclear", "?", " Unclear ", "", "1"]
    lines = path.read_text("utf-8-sig").splitlines()
    rows = [line + word for line, word in zip(lines[1:], words, strict=False)]
    rows.reverse()  # as somebody sorted the table
    text = "\n".join([lines[0], *rows, ",,,"]).replace(",", separator)
    path.write_text(text, encoding="utf-8")
    assert read_answers(path, plan).tolist() == [1, 2, 2, 0, 0, 0, UNNAMED, 1] + [UNNAMED] * 12


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1,{x},{y},perlite", ["line 2", "perlite", "1 ferrite", "'unclear'"]),
        ("1,{x},999,ferrite", ["line 2", "y 999", "not in the plan"]),
        ("21,{x},{y},ferrite", ["line 2", "point 21"]),
        ("one,{x},{y},ferrite", ["line 2", "whole numbers"]),
        ("1,{x}", ["line 2", "whole numbers"]),
    ],
)
def test_faults_in_the_table_are_named(plan: PointPlan, tmp_path: Path, line: str, words: list[str]) -> None:
    path = tmp_path / "points.csv"
    path.write_text("point,x,y,phase\n" + line.format(x=plan.columns[0], y=plan.rows[0]) + "\n")
    with pytest.raises(PointCountError) as error:
        read_answers(path, plan)
    for word in ["points.csv", *words]:
        assert word in str(error.value)


def test_tables_that_are_none(plan: PointPlan, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    with pytest.raises(PointCountError, match=r"points\.csv: cannot be read"):
        read_answers(path, plan)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(PointCountError, match="no columns point, x, y, phase"):
        read_answers(path, plan)
    path.write_bytes(b"PK\x03\x04\x00\x81")
    with pytest.raises(PointCountError, match="UTF-8"):
        read_answers(path, plan)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "cake"),
        ("version", 2),
        ("strata", "AAAA"),
        ("strata", "!"),
        ("points", [[1, 2], [3, 4]]),
        ("points", [[1, 99]] * 20),
        ("answers", [1] * 19),
        ("answers", [7] * 20),
        ("pixels", [1, 2]),
        ("phases", []),
        ("shape", None),
    ],
)
def test_damaged_plans(plan: PointPlan, tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "count.json"
    save_count(path, plan, np.full(20, UNNAMED))
    data = json.loads(path.read_text())
    data[key] = value
    path.write_text(json.dumps(data))
    with pytest.raises(Exception, match=r"count\.json|answer") as error:
        load_count(path)
    assert type(error.value).__name__ in ("PointCountError", "SchemeError")


def test_no_plan_at_all(tmp_path: Path) -> None:
    with pytest.raises(PointCountError, match=r"nowhere\.json: cannot be read"):
        load_count(tmp_path / "nowhere.json")
    (tmp_path / "half.json").write_text('{"format": "phaseg')
    with pytest.raises(PointCountError, match=r"half\.json: is damaged"):
        load_count(tmp_path / "half.json")


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [10**15, 10**15]}, {"shape": [40, 0]}, {"shape": [40]}, {"pixels": [10**30] * 3}, {"points": "x"},
        {"seed": "x"}, {"answers": {"a": 1}}, {"strata": "!"}, {"phases": 3}, {"version": 9}, {"answers": [99] * 20},
    ],
    ids=str,
)  # fmt: skip
def test_values_without_sense_are_refused(plan: PointPlan, tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "count.json"
    save_count(path, plan, np.full(20, UNNAMED))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises((PointCountError, SchemeError), match=r"count\.json"):
        load_count(path)


@pytest.mark.parametrize("text", [b"[" * 99_999, b'{"format": NaN}', b"\xff", b'{"a": 1, "a": 2}'])
def test_what_is_no_sound_json_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "count.json"
    path.write_bytes(text)
    with pytest.raises(PointCountError, match="is damaged or no point count"):
        load_count(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "count.json")
    with pytest.raises(PointCountError, match="is a pipe"):
        load_count(tmp_path / "count.json")


def test_a_point_with_two_phases_is_told(plan: PointPlan, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    point = f"1,{plan.columns[0]},{plan.rows[0]},"
    path.write_text(f"point,x,y,phase\n{point}1\n{point}\n{point}ferrite\n")
    assert read_answers(path, plan)[0] == 1
    path.write_text(f"point,x,y,phase\n{point}1\n{point}2\n")
    with pytest.raises(PointCountError, match="line 3: point 1 was given another phase"):
        read_answers(path, plan)
    path.write_text(f"point,x,y,phase,Phase,,\n{point}1,2,,\n")
    with pytest.raises(PointCountError, match="several columns 'phase'"):
        read_answers(path, plan)
