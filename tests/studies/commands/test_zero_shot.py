"""``phaseguide benchmark zero-shot`` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from sam_files import write_base
from textures import SCHEME, field
from weights_server import isolate


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for i in range(2):
        item = field(i, 64, 80)
        grey = ((item.image[0].numpy() + 1.5) / 3 * 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / "images" / f"f{i}.png")
        Image.fromarray(item.labels.numpy()).save(folder / "labels" / f"f{i}.png")
    (folder / "scheme.json").write_text(json.dumps(SCHEME.to_dict()))
    return folder


def test_from_a_folder_to_a_table(tmp_path: Path, data: Path) -> None:
    base, _ = write_base(tmp_path / "sam")
    (tmp_path / "folds.json").write_text(json.dumps({"A": ["f0"], "B": ["f1"]}))
    target = tmp_path / "zero.json"
    arguments = [
        "benchmark",
        "zero-shot",
        str(data),
        "--size",
        "vit_tiny",
        "--base",
        str(base),
        "--points",
        "3",
    ]
    arguments += ["--folds", str(tmp_path / "folds.json"), "--device", "cpu", "--json", str(target)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "vit_tiny, zero-shot, 3 points a phase" in result.stdout
    report = json.loads(target.read_text())
    assert [row["source"] for row in report["rows"]] == ["points", "boxes"] and str(tmp_path) not in str(
        report
    )


def test_without_weights(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    isolate(monkeypatch, tmp_path / "home")
    result = CliRunner().invoke(app, ["benchmark", "zero-shot", str(data), "--device", "cpu"])
    assert result.exit_code == 2 and "phaseguide models base get vit_b" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_teaches_with_an_example() -> None:
    result = CliRunner().invoke(app, ["benchmark", "zero-shot", "--help"])
    assert result.exit_code == 0 and "phaseguide benchmark zero-shot" in result.stdout.split("Examples")[1]
