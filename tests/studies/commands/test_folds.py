"""``phaseguide benchmark folds``: from a folder and a list of folds to numbers, stopped and gone on."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from phaseguide.cli import app
from textures import write_fields

SMALL = [
    "encoder=tu-test_efficientnet",
    "epochs=1",
    "crop=64",
    "batch=2",
    "threads=1",
    "encoder_weights=none",
    "guidance=none",
    'decoder={"decoder_pyramid_channels":32,"decoder_segmentation_channels":32}',
]


def test_folds_from_the_command_line(tmp_path: Path) -> None:
    data = write_fields(tmp_path / "data")
    folds = tmp_path / "folds.json"
    folds.write_text(json.dumps({"A": ["f0"], "B": ["f1", "f2"]}))
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"inference": {"views": [{"flip": "x"}, {"zoom": 1.5}], "mode": "matched"}}))
    result = tmp_path / "result.json"
    arguments = ["benchmark", "folds", str(data), "--folds", str(folds), "--out", str(tmp_path / "runs")]
    arguments += ["--card", str(card), "--repeats", "2", "--json", str(result)]
    for setting in SMALL:
        arguments += ["--set", setting]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2 and "at least two labelled images" in done.output, "one fold leaves one image"
    folds.write_text(json.dumps({"A": ["f0"], "B": ["f1"], "C": ["f2"]}))
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(result.read_text())
    assert report["images"] == ["f0", "f1", "f2"] and report["training"]["epochs"] == 1
    again = CliRunner().invoke(app, arguments)
    assert "trained before" in again.output and again.exit_code == 0
