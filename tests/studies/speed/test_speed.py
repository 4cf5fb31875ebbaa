"""The speed benchmark on tiny images: rows, memory, the description of the machine, failures."""

from __future__ import annotations

import json
import socket
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.errors import PhaseguideError
from phaseguide.studies import packages
from phaseguide.studies.speed import speed
from phaseguide.studies.speed.clock import benchmark_image
from phaseguide.studies.speed.harness import Task, measure_all
from phaseguide.studies.speed.speed import SpeedRow, SpeedTask
from tiny_models import tiny_dataset, tiny_model


def test_speed_is_measured_printed_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_IMPORTS", {"python": "pass", "phaseguide": "import phaseguide"})
    model = tiny_model(tmp_path)
    target = tmp_path / "speed.json"
    arguments = [
        "--model",
        str(model),
        "--sizes",
        "64",
        "--device",
        "cpu",
        "--threads",
        "1",
        "--repeats",
        "1",
    ]
    result = CliRunner().invoke(app, ["benchmark", "speed", *arguments, "--json", str(target)])
    assert result.exit_code == 0, result.output
    assert "matching s" in result.stdout and "phaseguide" in result.stdout
    text = target.read_text(encoding="utf-8")
    data = json.loads(text)
    assert {"processor", "cores", "threads", "torch", "gpu"} <= set(data["machine"])
    assert socket.gethostname() not in text and str(tmp_path) not in text
    (row,) = data["rows"]
    assert (row["size"], row["device"], row["threads"], row["tiles"], row["views"]) == (64, "cpu", 1, 1, 1)
    assert all(row[key] > 0 for key in ("first_s", "matching_s", "decode_s", "forward_s"))
    parts = row["parts_s"]
    assert row["first_look_s"] is None and parts["second look: encoder"] == 0
    assert parts["first look: encoder"] > 0 and parts["first look: decoder"] > 0
    assert "first look: encoder" in result.stdout and "%)" in result.stdout
    if row["peak_mb"] is not None:
        assert row["peak_mb"] >= row["baseline_mb"] > 50
    assert 0 < data["import_s"]["python"] < 30


def test_a_worker_passes_a_clear_error_on(tmp_path: Path) -> None:
    given = SpeedTask(str(tmp_path / "x.safetensors"), "cpu", 64, 1, 1)
    with pytest.raises(PhaseguideError, match="no such model file"):
        list(measure_all([Task(speed.__name__, given, SpeedRow, "nothing")]))


def test_sizes_that_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(PhaseguideError, match="at least 32 px"):
        list(speed.benchmark_speed(tiny_model(tmp_path), sizes=[8], devices=["cpu"]))
    result = CliRunner().invoke(app, ["benchmark", "speed", "--model", "x.safetensors", "--sizes", "a,b"])
    assert result.exit_code == 2 and "not understood" in result.stderr


@pytest.mark.parametrize("size", [64, 1500])
def test_the_image_is_a_micrograph_of_any_size(size: int) -> None:
    image = benchmark_image(size)
    assert image.shape == (size, size) and image.std() > 5


@pytest.mark.parametrize(("study", "module"), [("sam", "peft"), ("zero-shot", "segment_anything")])
def test_a_missing_package_of_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, study: str, module: str
) -> None:
    data = tiny_dataset(tmp_path / "data", 2)
    given = {"sam": ["--quick"], "zero-shot": [str(data)]}
    monkeypatch.setitem(sys.modules, module, None)
    result = CliRunner().invoke(app, ["benchmark", study, *given[study]])
    assert result.exit_code == 2, result.output
    said = " ".join(result.stderr.split())
    assert packages.NAMES.get(module, module) in said and packages.HOW_TO_INSTALL in said


def test_the_extra_brings_what_studies_ask_for() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    extras = project["optional-dependencies"]
    brought = " ".join([*extras["studies"], *extras["sam"]])
    assert all(name in brought for name in (*packages.NAMES.values(), "peft"))
    assert all("studies" in " ".join(extras[name]) for name in ("all", "test"))
