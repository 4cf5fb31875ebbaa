"""The speed benchmark on tiny images: rows, memory, the description of the machine, failures."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.errors import PhaseguideError
from phaseguide.studies.speed import speed
from phaseguide.studies.speed.speed_worker import Task, benchmark_image
from tiny_models import tiny_model


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
    if row["peak_mb"] is not None:
        assert row["peak_mb"] >= row["baseline_mb"] > 50
    assert 0 < data["import_s"]["python"] < 30


def test_a_worker_passes_a_clear_error_on(tmp_path: Path) -> None:
    with pytest.raises(PhaseguideError, match="no such model file"):
        list(speed.run_worker(Task(str(tmp_path / "x.safetensors"), "cpu", 64, 1, 1)))


def test_sizes_that_cannot_be_measured(tmp_path: Path) -> None:
    with pytest.raises(PhaseguideError, match="at least 32 px"):
        list(speed.benchmark_speed(tiny_model(tmp_path), sizes=[8], devices=["cpu"]))
    result = CliRunner().invoke(app, ["benchmark", "speed", "--model", "x.safetensors", "--sizes", "a,b"])
    assert result.exit_code == 2 and "not understood" in result.stderr


@pytest.mark.parametrize("size", [64, 1500])
def test_the_image_is_a_micrograph_of_any_size(size: int) -> None:
    image = benchmark_image(size)
    assert image.shape == (size, size) and image.std() > 5


TASK = Task("x.safetensors", "cpu", 64, 1, 1)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("print(json.dumps({'error': 'said at the end'}))", "said at the end"),
        ("sys.exit('the last words')", r"did not finish \(the last words\)"),
    ],
)
def test_a_worker_that_complains_a_lot_does_not_stand_still(
    monkeypatch: pytest.MonkeyPatch, end: str, said: str
) -> None:
    much = "sys.stderr.write('warning' * 200_000 + chr(10)); sys.stderr.flush()"
    monkeypatch.setattr(speed, "_WORKER", ("-c", f"import json, sys; sys.stdin.read(); {much}; {end}"))
    with pytest.raises(PhaseguideError, match=said):
        list(speed.run_worker(TASK))


def test_a_worker_that_dies_at_once_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_WORKER", ("-c", "import os; os._exit(3)"))
    with pytest.raises(PhaseguideError, match="exit code 3"):
        list(speed.run_worker(TASK))
