"""``phaseguide benchmark folds``: from a folder and a list of folds to numbers, stopped and gone on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from textures import SCHEME, field

SMALL = [
    "encoder=tu-test_efficientnet",
    "epochs=1",
    "crop=64",
    "batch=2",
    "threads=1",
    "imagenet=false",
    "guidance=none",
    'decoder={"decoder_pyramid_channels":32,"decoder_segmentation_channels":32}',
]


def test_folds_from_the_command_line(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for kind in ("images", "labels"):
        (data / kind).mkdir(parents=True)
    for i in range(3):
        item = field(i, 64, 64)
        Image.fromarray(((item.image[0].numpy() + 1.5) / 3 * 255).astype(np.uint8)).save(
            data / "images" / f"f{i}.png"
        )
        Image.fromarray(item.labels.numpy()).save(data / "labels" / f"f{i}.png")
    (data / "scheme.json").write_text(json.dumps(SCHEME.to_dict()))
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
