"""``phaseguide models from-strokes``: strokes in files become a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.folders import user_model_folder
from phaseguide.models.model_file import read_card
from tiny_models import tiny_dataset, tiny_labels, tiny_model


def strokes_folder(folder: Path, marks: np.ndarray) -> Path:
    """Two images of which one is painted."""
    tiny_dataset(folder, 2, names=None)
    files = sorted((folder / "labels").iterdir())
    Image.fromarray(marks).save(files[0])
    files[1].unlink()
    return folder


def test_strokes_become_a_model_of_the_user(tmp_path: Path) -> None:
    marks = tiny_labels()
    marks[4:30] = 0
    marks[34:] = 0
    folder = strokes_folder(tmp_path / "data", marks)
    arguments = ["models", "from-strokes", folder, "alloy", "--phases", "dark,middle,bright"]
    options = ["--from", tiny_model(tmp_path), "--device", "cpu", "--json", tmp_path / "told.json"]
    done = CliRunner().invoke(app, [str(a) for a in (*arguments, *options)])
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert told["model"] == "alloy" and told["images"] == 1
    assert sum(told["painted_px"].values()) == np.count_nonzero(marks) == told["held_out_px"]
    assert "not learnt from" in done.output
    card = read_card(user_model_folder() / "alloy.safetensors")
    assert card.scheme.names == ("dark", "middle", "bright") and card.backbone.architecture == "pixels"


def test_one_phase_is_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = strokes_folder(tmp_path / "data", np.where(tiny_labels() == 1, 1, 0).astype(np.uint8))
    arguments = ["models", "from-strokes", folder, "alloy", "--phases", "dark,bright"]
    done = CliRunner().invoke(app, [str(a) for a in (*arguments, "--from", tiny_model(tmp_path))])
    assert done.exit_code == 2 and "two phases" in done.stderr
    assert not (user_model_folder() / "alloy.safetensors").exists()
