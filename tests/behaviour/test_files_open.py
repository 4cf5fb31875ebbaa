"""Files that an earlier program wrote open, and say what they said: see ``files/README.md``."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.estimation.point_count import UNCLEAR, UNNAMED
from phaseguide.estimation.point_files import load_count, read_answers
from phaseguide.micrographs import read_label_map
from phaseguide.models.model_file import check_model, load_model, read_card
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from phaseguide.ratios import PresetStore, parse_ratio
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from tiny_models import NAMES

FILES = Path(__file__).parent / "files"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy that may be changed."""
    shutil.copytree(FILES, tmp_path / "files")
    return tmp_path / "files"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(gzip.decompress((FILES / "tiny.safetensors.gz").read_bytes()))
    return path


def run(*arguments: Any) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, f"{arguments}: {done.output}"
    return done.stdout


def test_a_model_opens_and_gives_the_same_map(
    model: Path, files: Path, held: Callable[[str, dict[str, Any]], None]
) -> None:
    before = json.loads((files / "results" / "field0.json").read_text(encoding="utf-8"))
    loaded = load_model(model)
    assert loaded.sha256 == before["model"]["sha256"] == check_model(model).sha256
    held("tiny_card", read_card(model).model_dump(mode="json"))
    with Image.open(files / "project" / "pictures" / "field0.png") as picture:
        session = Session(loaded, np.asarray(picture), device="cpu")
    plain = run_to_end(session.segment(Request()))
    assert plain.achieved == pytest.approx([phase["own"] for phase in before["phases"]], abs=2e-3)
    asked = parse_ratio("ferrite=50%,2=0.3", session.scheme)
    done = run_to_end(session.segment(Request(asked=asked, uncertainty=0.1)))
    there = read_label_map(files / "project" / "results" / "field0_labels.tif")
    assert np.count_nonzero(done.labels != there) <= 8


def test_a_project_opens_and_goes_on(files: Path, model: Path) -> None:
    folder = files / "project"
    project = Project.open(folder)
    assert (project.name, project.scheme.names, project.current) == ("project", NAMES, "tiny")
    first, second = project.fields
    assert [first.state, second.state, second.reason] == ["reviewed", "rejected", "out of focus"]
    assert (
        first.ratio is not None and first.ratio.shares == [0.5, 0.3, None] and first.ratio.source == "field"
    )
    assert first.result is not None and first.result.constrained and first.result.version == "tiny"
    result, edits = project.read_result("field0"), project.read_edits("field0")
    assert result is not None and edits is not None
    assert np.count_nonzero(edits == 3) == np.count_nonzero(edits) == 210
    shares = np.bincount(result.ravel(), minlength=4)[1:] / result.size
    assert first.result.achieved == pytest.approx(shares)
    assert project.read_edits("field1") is None and project.read_image("field1").data.shape == (64, 64)
    assert [line["event"] for line in project.read_log()] == [
        "created", "field added", "field added", "ratio", "segmented", "segmented", "edits saved", "reviewed",
        "rejected",
    ]  # fmt: skip
    before = json.loads((folder / "project.json").read_text(encoding="utf-8"))
    told = json.loads(run("project", "show", folder, "--json", "-"))
    assert {key: told[key] for key in before} == before
    run("models", "add", model, "--name", "tiny")
    run("project", "reopen", folder, "field1")
    run("project", "rerun", folder, "field1", "--device", "cpu")
    again = Project.open(folder).field("field1").result
    assert again is not None and second.result is not None
    assert again.achieved == pytest.approx(second.result.achieved, abs=2e-3)
    run("project", "phases", "merge", folder, "Widmanstätten cementite", "carbide network")
    assert Project.open(folder).scheme.names == NAMES[:2]


def test_a_result_may_be_replaced_by_a_new_run(files: Path, model: Path) -> None:
    picture = files / "project" / "pictures" / "field0.png"
    run("segment", picture, "-m", model, "--out", files / "results", "--device", "cpu", "--overwrite")
    record = json.loads((files / "results" / "field0.json").read_text(encoding="utf-8"))
    assert record["ratio"]["constrained"] is False


def test_a_preset_opens(files: Path) -> None:
    preset = PresetStore(files).load("tiny", "as quenched")
    asked = preset.asked(PhaseScheme.from_names(NAMES), own=[0.5, 0.4, 0.1])
    assert (preset.material, preset.basis, preset.source, preset.scope) == (
        "DP 800",
        "weight",
        "bulk",
        "specimen",
    )
    assert preset.shares == {"ferrite": 0.2, "carbide network": None, "Widmanstätten cementite": None}
    assert asked == pytest.approx([0.1972, np.nan, np.nan], abs=1e-3, nan_ok=True)


def test_a_point_count_opens(files: Path) -> None:
    plan, answers = load_count(files / "points.json")
    assert (len(plan), plan.shape, plan.seed, plan.scheme.names) == (12, (64, 64), 0, NAMES)
    assert (answers == UNNAMED).all()
    told = read_answers(files / "points.csv", plan)
    assert told.tolist() == [1, 2, 3, UNCLEAR, UNNAMED, 2] * 2
    _, kept = load_count(files / "named.json")
    assert kept.tolist() == told.tolist()
    numbers = json.loads(run("estimate", "points", "evaluate", files / "points.csv", "--json", "-"))
    assert (numbers["points"], numbers["named"], numbers["unclear"]) == (12, 8, 2)
