"""``phaseguide train`` with Segment Anything: on a data set by preset, and on a project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.cli.train.sam import dataset_config
from phaseguide.finetuning.config import PRESETS
from phaseguide.jobs.finetune_start import make_config, sam_size
from phaseguide.models.model_file import read_card, save_model
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from sam_files import offer_base, write_base
from sam_steel import experienced_sam
from tiny_models import NAMES, tiny_dataset, tiny_image, tiny_labels, tiny_model

SHAPE = (96, 128)
QUICK = ("--epochs", "1", "--crop", "64", "--batch", "2", "--threads", "1", "--device", "cpu")
SMALL = ("--encoder", "vit_tiny", "--set", 'adapter={"rank": 4}', "--set", "guidance_epochs=1", *QUICK)
SCHEME = PhaseScheme.from_names(NAMES)


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.setenv("PHASEGUIDE_DATA_DIR", str(tmp_path / "data"))
    return offer_base(monkeypatch, tmp_path)


@pytest.fixture
def project(base: str, tmp_path: Path) -> Project:
    model = tmp_path / "sam.safetensors"
    start = experienced_sam(base, SCHEME)
    save_model(model, start.segmenter, start.card)
    made = Project.create(tmp_path / "heat", SCHEME, model=str(model))
    path = tmp_path / "field0.png"
    Image.fromarray(tiny_image(0, SHAPE)).save(path)
    made.add_field(path)
    edits = np.zeros(SHAPE, dtype=np.uint8)
    edits[10:80:9, 5:-5] = tiny_labels(SHAPE)[10:80:9, 5:-5]
    made.write_edits("field0", edits)
    return made


def train(*options: Any) -> Any:
    return CliRunner().invoke(app, ["train", *map(str, options)])


def version_card(project: Project, number: int = 1) -> Any:
    return read_card(Project.open(project.folder).version_path(f"v{number:03}"))


def test_one_short_command_trains_it_on_a_data_set(base: str, tmp_path: Path) -> None:
    steel, out = tiny_dataset(tmp_path / "steel", count=3), tmp_path / "sam.safetensors"
    ran = train(steel, "--out", out, "--preset", "sam", "--base", base, *SMALL)
    assert ran.exit_code == 0, ran.output
    card = read_card(out)
    assert card.backbone.architecture == "sam" and card.guidance.kind == "plm"
    assert card.backbone.adapter["base"] == base and card.backbone.adapter["rank"] == 4
    assert card.guidance.scales == 1 and card.guidance.options["width"] == 256
    again = tmp_path / "again.safetensors"
    ran = train(steel, "--out", again, "--from", out, "--set", "guidance_epochs=1", *QUICK)
    assert ran.exit_code == 0, ran.output
    config = read_card(again).training["config"]
    assert (config["architecture"], config["learning_rate"]) == ("sam", 3e-4), "it goes on as it began"


def test_a_base_by_its_file_and_a_size_by_from(base: str, tmp_path: Path) -> None:
    steel, out = tiny_dataset(tmp_path / "steel", count=2), tmp_path / "sam.safetensors"
    file, checksum = write_base(tmp_path / "elsewhere", seed=7)
    told = [option for option in SMALL if option not in ("--encoder", "vit_tiny")]
    ran = train(steel, "--out", out, "--from", "sam:vit_tiny", "--base", file, *told)
    assert ran.exit_code == 0, ran.output
    assert read_card(out).backbone.adapter["base"] == checksum


def test_a_project_learns_adapters_unless_told_otherwise(project: Project, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    ran = train("--project", project.folder, *QUICK, "--json", target)
    assert ran.exit_code == 0, ran.output
    assert json.loads(target.read_text())["record"]["config"]["parts"] == "adapters"
    card = version_card(project)
    assert card.training["config"]["learning_rate"] == PRESETS["adapters"].learning_rate
    ran = train("--project", project.folder, "--preset", "fast", *QUICK)
    assert ran.exit_code == 0, ran.output
    assert version_card(project, 2).training["config"]["parts"] == "fast"
    with_network = tiny_model(tmp_path)
    ran = train("--project", project.folder, "--from", with_network, *QUICK)
    assert ran.exit_code == 0, ran.output
    assert version_card(project, 3).training["config"]["parts"] == "fast"
    ran = train("--project", project.folder, "--from", with_network, "--preset", "adapters", *QUICK)
    assert ran.exit_code != 0 and "has no adapters that could learn" in " ".join(ran.output.split())


def test_a_new_model_of_a_project_starts_from_segment_anything(project: Project, base: str) -> None:
    ran = train("--project", project.folder, "--from", "sam:vit_tiny", "--base", base, *QUICK)
    assert ran.exit_code == 0, ran.output
    card, (version,) = version_card(project), Project.open(project.folder).versions
    assert card.backbone.adapter["base"] == base and card.training["config"]["parts"] == "adapters"
    assert version.parent == "sam:vit_tiny"


def test_what_cannot_work_is_said_before_anything_is_read(
    project: Project, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steel, folder = tiny_dataset(tmp_path / "steel"), project.folder
    out, lost = tmp_path / "x.safetensors", "0" * 64
    monkeypatch.setenv("HOME", str(tmp_path))
    for options, words in [
        ((steel, "--out", out, "--preset", "sam"), "sam_vit_b_01ec64.pth"),
        ((steel, "--out", out, "--architecture", "sam", "--encoder", "vit_l"), "sam_vit_l_0b3195.pth"),
        (
            (steel, "--out", out, "--preset", "sam", "--encoder", "vit_tiny"),
            "no official weights of vit_tiny",
        ),
        ((steel, "--out", out, "--preset", "sam", "--encoder", "resnet18"), "no Segment Anything encoder"),
        ((steel, "--out", out, "--preset", "sam", "--base", lost), lost[:12]),
        ((steel, "--out", out, "--preset", "sam", "--base", "nowhere.pth"), "there is no such file"),
        ((steel, "--out", out, "--base", base), "Add --preset sam"),
        ((steel, "--out", out, "--preset", "thorough"), "no preset 'thorough' for a data set"),
        ((steel, "--out", out, "--preset", "sam", "--architecture", "unet"), "not architecture 'unet'"),
        ((steel, "--out", out, "--from", "sam:vit_b", "--encoder", "vit_l"), "differ. Keep one"),
        (
            (steel, "--out", out, "--preset", "sam", "--base", base, *SMALL, "--set", "guidance_scales=4"),
            "1 maps",
        ),
        (
            (steel, "--out", out, "--from", tmp_path / "sam.safetensors", "--base", base),
            "names its base itself",
        ),
        (("--project", folder, "--from", "sam:vit_b"), "sam_vit_b_01ec64.pth"),
        (("--project", folder, "--from", "sam:big"), "no Segment Anything encoder 'big'"),
        (("--project", folder, "--base", base), "--base is for a new model"),
        (("--project", folder, "--preset", "sam"), "no preset 'sam'"),
    ]:
        ran = train(*options)
        assert ran.exit_code != 0
        assert words in " ".join(f"{ran.output} {ran.exception}".split()), (words, ran.output, ran.exception)
    assert not out.exists()


def test_other_models_get_the_settings_they_always_got() -> None:
    from phaseguide.training.config import TrainingConfig

    assert dataset_config(None, {}, None, "", "cpu") == TrainingConfig(device="cpu")
    assert (
        make_config(None, {}) == PRESETS["fast"] and make_config(None, {}, {"rank": 4}) == PRESETS["adapters"]
    )
    assert sam_size("sam") == "vit_b" and sam_size("sam:vit_h") == "vit_h"
    assert sam_size(None) == sam_size("uhcs") == sam_size("samples") == ""
