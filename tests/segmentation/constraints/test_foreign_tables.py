"""Prompts, regions, phases and point counts are read as spreadsheets and editors of any country save them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from phaseguide.errors import MicrographError
from phaseguide.estimation.point_count import UNNAMED
from phaseguide.estimation.point_files import read_answers
from phaseguide.estimation.point_plan import propose_points
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.constraints.prompt_files import read_prompts
from phaseguide.segmentation.constraints.region_files import read_regions

SCHEME = PhaseScheme.from_names(["ferrite", "Widmanstätten"])
ENCODINGS = pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])


def save(path: Path, text: str, encoding: str, end: str = "\r\n") -> Path:
    path.write_bytes(text.replace("\n", end).encode(encoding))
    return path


@ENCODINGS
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_prompts(tmp_path: Path, encoding: str, separator: str, end: str) -> None:
    text = 'Phase,Top,Left,Bottom,Right,Row,Column\nWidmanstätten,1,2,30,40.5,,\n\n"ferrite",,,,,7,8\n'
    text = text.replace(",", separator)
    if separator != ",":
        text = f"sep={separator}\n" + text.replace(".", ",")
    prompts = read_prompts(save(tmp_path / "a.csv", text, encoding, end), (50, 60), SCHEME)
    assert prompts.boxes.tolist() == [[1, 2, 30, 40.5]] and prompts.box_phases.tolist() == [2]
    assert prompts.points.tolist() == [[7, 8]] and prompts.point_phases.tolist() == [1]


def test_the_line_of_a_fault_is_that_of_the_file(tmp_path: Path) -> None:
    path = save(tmp_path / "a.csv", "sep=;\n\nphase;row;column\n# mine\nferrite;7;8\nferrite;7;x\n", "utf-16")
    with pytest.raises(MicrographError, match=r"a\.csv, line 6: column is 'x'"):
        read_prompts(path, (50, 60), SCHEME)


def test_a_picture_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    with pytest.raises(MicrographError, match=r"a\.csv: is not text.*Expected a first line"):
        read_prompts(tmp_path / "a.csv", (50, 60), SCHEME)


@ENCODINGS
def test_regions_and_phases(tmp_path: Path, encoding: str) -> None:
    row = {"name": "Überzug", "polygon": [[2, 2], [2, 12], [12, 12], [12, 2]], "ratio": "Widmanstätten=20%"}
    text = json.dumps({"regions": [row]}, ensure_ascii=False, indent=1)
    (region,) = read_regions(save(tmp_path / "a.json", text, encoding), (20, 30), SCHEME)
    assert region.name == "Überzug" and region.asked[1] == 0.2
    text = json.dumps(SCHEME.to_dict(), ensure_ascii=False)
    assert PhaseScheme.read(save(tmp_path / "scheme.json", text, encoding)) == SCHEME


@ENCODINGS
def test_point_counts(tmp_path: Path, encoding: str) -> None:
    labels = np.ones((40, 60), dtype=np.uint8)
    labels[10:20, 10:30] = 2
    plan = propose_points(labels, SCHEME, 20, seed=5)
    text = "sep=;\nPoint;X;Y;Phase;Remark\n"
    text += f"1,0;{plan.columns[0]};{plan.rows[0]};Widmanstätten;sure\n;;;;\n2;{plan.columns[1]};{plan.rows[1]};1;\n"
    answers = read_answers(save(tmp_path / "a.csv", text, encoding), plan)
    assert answers.tolist() == [2, 1] + [UNNAMED] * 18
