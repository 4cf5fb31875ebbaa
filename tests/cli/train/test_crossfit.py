"""``phaseguide train`` with cross-fitting: one command, its parts, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from phaseguide.cli.train import dataset as train_module
from phaseguide.models.model_file import load_model
from textures import write_fields

SMALL = [
    "encoder=tu-test_efficientnet", "epochs=1", "crop=64", "batch=2", "threads=1", "encoder_weights=none",
    "guidance=none",
    'decoder={"decoder_pyramid_channels":32,"decoder_segmentation_channels":32}',
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_fields(tmp_path / "data")


def run(data: Path, *options: object) -> Result:
    settings = [text for setting in SMALL for text in ("--set", setting)]
    out = data.parent / "m.safetensors"
    told = ["train", data, "--out", out, "--device", "cpu", *options, *settings]
    return CliRunner().invoke(app, [str(part) for part in told])


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def test_one_command_trains_calibrates_and_sweeps(data: Path) -> None:
    numbers, checkpoint = data.parent / "numbers.json", data.parent / "run.safetensors"
    card = write(data.parent / "card.json", {"inference": {"views": [{"flip": "x"}]}, "description": "told"})
    done = run(
        data, "--set", "crossfit=3", "--checkpoint", checkpoint, "--json", numbers, "--card", card
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "(fold 1, backbone)" in done.output and "by models that had not seen them" in done.output
    model = load_model(data.parent / "m.safetensors").card
    assert model.calibration.source.startswith("folds 1, 2, 3: 3 images")
    assert model.description == "told" and model.inference.views[0].flip == "x"
    told = json.loads(numbers.read_text())
    assert sorted(stem for test in told["folds"].values() for stem in test) == ["f0", "f1", "f2"]
    assert told["crossfit"]["miou"] == pytest.approx(model.scores["crossfit"]["miou"])
    assert checkpoint.exists() and not checkpoint.with_name("run.safetensors.parts").exists()


def test_a_model_that_cannot_be_saved_leaves_the_parts(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_module, "save_or_rescue", refuse)
    checkpoint = data.parent / "run.safetensors"
    assert run(data, "--set", "crossfit=3", "--checkpoint", checkpoint).exit_code != 0
    assert len(list((data.parent / "run.safetensors.parts").glob("scores_*"))) == 3


def test_folds_come_from_a_file(data: Path) -> None:
    folds = write(data.parent / "folds.json", {"A": ["f2"], "B": ["f0"], "C": ["f1"]})
    assert run(data, "--folds", folds, "--set", "crossfit_epochs=2").exit_code == 0
    card = load_model(data.parent / "m.safetensors").card
    assert card.training["folds"] == {"A": ["f2"], "B": ["f0"], "C": ["f1"]}
    assert card.training["config"]["crossfit"] == 3


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--folds", "{folds}", "--set", "crossfit=2"], "has 3 folds, but crossfit is 2. Keep one."),
        (["--folds", "{folds}", "--exclude", "f0"], "image f0 is not labelled in"),
        (["--set", "crossfit=1"], "crossfit is 1; it must lie between 2 and 100, or be 0 (no cross-fitting)."),
        (["--set", "crossfit=5"], "crossfit is 5, but"),
        (["--set", "crossfit=2", "--exclude", "f1", "--exclude", "f2"], "cross-fitting needs 3 at least."),
        (["--set", "crossfit_epochs=1"], "crossfit_epochs is 1, but crossfit is 0, so there are no folds."),
        (["--set", "crossfit=3", "--card", "{card}"], "has an entry calibration, and crossfit measures one."),
        (["--set", "crossfit=3", "--checkpoint", "{foreign}"], "holds something else than the parts of a cross-fit"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_sentence(data: Path, options: list[str], sentence: str) -> None:
    (data.parent / "run.parts").mkdir()
    (data.parent / "run.parts" / "thesis.txt").write_text("mine")
    names = {
        "folds": write(data.parent / "folds.json", {"A": ["f2"], "B": ["f0"], "C": ["f1"]}),
        "card": write(data.parent / "card.json", {"calibration": {"own_error": [0.1, 0.1]}}),
        "foreign": data.parent / "run",
    }
    done = run(data, *(option.format(**names) for option in options))
    assert done.exit_code == 2 and sentence in done.stderr and done.stderr.count("\n") == 1, done.output
    assert not (data.parent / "m.safetensors").exists()
    assert (data.parent / "run.parts" / "thesis.txt").read_text() == "mine"


def test_a_project_takes_no_folds(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", "--project", str(tmp_path), "--folds", "folds.json"])
    assert done.exit_code == 2 and "--folds: not used with --project" in done.output
