"""``phaseguide benchmark sam --quick`` from the command line, with its workers in this process to save time."""

from __future__ import annotations

import importlib
import json
import socket
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.studies.sam import rows
from phaseguide.studies.speed import harness

TASKS = {"encoder": "EncoderTask", "ratio": "RatioTask", "step": "StepTask"}


def here(module: str, task: dict[str, Any], what: str) -> Iterator[dict[str, Any]]:
    """Measure as a worker would; what it writes passes through JSON too."""
    loaded = importlib.import_module(module)
    stages: list[str] = []
    found = loaded.measure(getattr(rows, TASKS[module.rpartition(".")[2]])(**task), stages.append)
    for stage in stages:
        yield {"stage": stage}
    for row in getattr(found, "rows", (found,)):
        yield json.loads(json.dumps({"row": asdict(row)}))


def test_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "worker_messages", here)
    target = tmp_path / "sam.json"
    arguments = ["benchmark", "sam", "--quick", "--device", "cpu", "--threads", "1", "--json", str(target)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for title in ("Encoder", "Changed ratio", "Training step", "40 epochs over 20 images", "Aims"):
        assert f"**{title}" in result.stdout
    assert "everything on CUDA: no CUDA device was at hand" in result.stdout
    text = target.read_text(encoding="utf-8")
    assert socket.gethostname() not in text and str(tmp_path) not in text
    data = json.loads(text)
    assert data["machine"]["cores"] >= 1 and len(data["load"]) == 2
    assert [len(data[part]) for part in ("encoder", "ratio", "step", "run")] == [6, 2, 6, 3]
    assert data["forty_epochs"][0]["share"] == 1.0


def test_only_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "worker_messages", here)
    result = CliRunner().invoke(
        app, ["benchmark", "sam", "--quick", "--only", "ratio", "--device", "cpu", "--json", "-"]
    )
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["ratio"] and not data["encoder"] and "encoder: left out by choice" in data["not_measured"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--size", "vit_x"], "vit_b"),
        (["--quick", "--only", "speed"], "no part speed"),
        (["--quick", "--device", "mps"], "cpu and cuda"),
    ],
)
def test_what_cannot_be_meant(arguments: list[str], told: str) -> None:
    result = CliRunner().invoke(app, ["benchmark", "sam", *arguments])
    assert result.exit_code == 2 and told in result.stderr and "Traceback" not in result.stderr


def test_help_teaches_with_an_example() -> None:
    result = CliRunner().invoke(app, ["benchmark", "sam", "--help"])
    assert result.exit_code == 0 and "phaseguide benchmark sam" in result.stdout.split("Examples")[1]
