"""``phaseguide train --project`` in a real process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.finetuning.config import PRESETS, FinetuneConfig
from phaseguide.finetuning.run import finetune
from phaseguide.finetuning.sources import sources_from_project
from phaseguide.jobs.finetune_start import load_start
from phaseguide.models.checksums import tensors_sha256
from phaseguide.models.model_file import load_model, read_card
from phaseguide.models.rephase import rephase
from phaseguide.phases import PhaseScheme
from phaseguide.projects.project import Project
from tiny_models import NAMES, tiny_image, tiny_labels, tiny_model

SHAPE = (96, 128)
QUICK = ("--epochs", "2", "--crop", "64", "--batch", "2", "--threads", "1", "--device", "cpu")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    model = tiny_model(tmp_path)
    made = Project.create(tmp_path / "heat", PhaseScheme.from_names(NAMES), model=str(model))
    for i in range(2):
        path = tmp_path / f"field{i}.png"
        Image.fromarray(tiny_image(i, SHAPE)).save(path)
        made.add_field(path)
    edits = np.zeros(SHAPE, dtype=np.uint8)
    edits[10:80:9, 5:-5] = tiny_labels(SHAPE)[10:80:9, 5:-5]
    made.write_edits("field0", edits)
    return made


def train(*options: str) -> Any:
    return CliRunner().invoke(app, ["train", *options])


def test_the_model_becomes_a_version_and_the_report_says_what_was_learnt(
    project: Project, tmp_path: Path
) -> None:
    target = tmp_path / "report.json"
    ran = train("--project", str(project.folder), *QUICK, "--json", str(target))
    assert ran.exit_code == 0, ran.output
    assert "Version v001" in ran.output
    again = Project.open(project.folder)
    told = json.loads(target.read_text())
    (version,) = again.versions
    assert told["version"] == version.id == "v001"
    assert again.current == project.current, "nothing is put to use that was not asked for"
    assert version.data_sha256 == read_card(again.version_path("v001")).training["data_sha256"]
    assert not list(again.training_folder().glob("*.safetensors")), "the checkpoint is gone"


def test_other_guidance_is_learnt_by_a_word(project: Project) -> None:
    project.write_edits("field1", tiny_labels(SHAPE))
    ran = train("--project", str(project.folder), *QUICK, "--guidance", "ccrm")
    assert ran.exit_code == 0, ran.output
    told = " ".join(ran.output.split())
    assert "guidance of the model to start from (plm, scales: 1) is dropped; a fresh module (ccrm" in told
    again = Project.open(project.folder)
    assert read_card(again.version_path("v001")).guidance.kind == "ccrm"
    wrong = train("--project", str(project.folder), *QUICK, "--guidance", "magic")
    assert wrong.exit_code == 2 and "guidance is 'magic'; choose" in " ".join(wrong.stderr.split())


def test_fresh_guidance_without_any_ratio_is_refused_in_a_sentence(project: Project) -> None:
    ran = train(
        "--project", str(project.folder), *QUICK, "--preset", "as published", "--set", "guidance_scales=2"
    )
    assert ran.exit_code == 2
    assert "Fresh guidance (plm) learns from ratios, but no window of 64 px is labelled all over" in " ".join(
        ran.stderr.split()
    )
    assert not Project.open(project.folder).versions


def test_the_command_gives_the_weights_of_the_same_run_in_the_library(project: Project) -> None:
    ran = train("--project", str(project.folder), *QUICK, "--use")
    assert ran.exit_code == 0, ran.output
    config = FinetuneConfig(epochs=2, crop=64, batch=2, threads=1, device="cpu")
    start = load_model(project.model_path())
    *_, last = finetune(start, list(sources_from_project(project)), config, name=project.name)
    again = Project.open(project.folder)
    assert again.current == "v001"
    stored = load_model(again.version_path("v001")).segmenter
    ours = last.result.model.segmenter
    halved = {
        name: t.half().float() if name in dict(ours.named_parameters()) else t
        for name, t in ours.state_dict().items()
    }
    assert tensors_sha256(stored.state_dict()) == tensors_sha256(halved)


def test_a_new_phase_of_the_project_grows_the_model(project: Project) -> None:
    project.change_scheme(PhaseScheme.from_names((*NAMES, "austenite")), {1: 1, 2: 2, 3: 3})
    edits = project.read_edits("field0")
    edits[85:90] = 4
    project.write_edits("field0", edits)
    ran = train("--project", str(project.folder), *QUICK)
    assert ran.exit_code == 0, ran.output
    assert "New to it: austenite" in ran.output
    card = read_card(Project.open(project.folder).version_path("v001"))
    assert card.scheme.names == (*NAMES, "austenite")


def test_a_new_model_starts_from_imagenet(project: Project) -> None:
    ran = train("--project", str(project.folder), "--from", "imagenet", *QUICK)
    assert ran.exit_code == 0, ran.output
    assert read_card(Project.open(project.folder).version_path("v001")).backbone.architecture == "fpn"


def test_what_cannot_work_is_said(project: Project, tmp_path: Path) -> None:
    folder = str(project.folder)
    for options, words in [
        (("--project", str(tmp_path / "nowhere")), "holds no project"),
        (("--project", folder, "--preset", "slow"), "no preset 'slow'"),
        (("--project", folder, "--set", "speed=3"), "--set 'speed=3'"),
        (("--project", folder, "--set", "guidance_start=half"), "guidance_start takes a number or null"),
        (("--project", folder, "--out", "x.safetensors"), "--out: not used with --project. Leave it out."),
        (("--project", folder, "--split", "70/20/10"), "--split: not used with --project."),
        (
            ("--project", folder, "--validation", "f0", "--checkpoint", "z", "--encoder", "resnet18"),
            "--validation, --checkpoint, --encoder: not used with --project. Leave them out.",
        ),
        (
            ("--project", folder, "--preset", "score head", "--guidance", "plm", "--seed", "1"),
            "guidance: not used with preset 'score head'. Leave it out.",
        ),
        (
            ("--project", folder, "--epochs", "3", "--set", "epochs=4"),
            "epochs is 3 by an option, but 4 by --set.",
        ),
        (("--project", folder, "--from", "nothing"), "There is no model 'nothing'"),
        ((), "--project DIR"),
    ]:
        ran = train(*options)
        assert ran.exit_code != 0
        assert words in " ".join(f"{ran.output} {ran.exception}".split()), words


def test_the_help_lists_every_preset() -> None:
    ran = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "300"})
    told = " ".join(ran.output.split())
    assert all(name in told for name in PRESETS) and "new steel" in told


def test_two_trainings_of_one_project_do_not_run_together(project: Project) -> None:
    with project.training_lock():
        ran = train("--project", str(project.folder), *QUICK)
    assert ran.exit_code != 0
    assert "is learning in this project already" in " ".join(f"{ran.output} {ran.exception}".split())


def test_a_project_without_paint_says_what_to_do(project: Project) -> None:
    project.write_edits("field0", np.zeros(SHAPE, dtype=np.uint8))
    ran = train("--project", str(project.folder), *QUICK)
    assert "Paint some in napari" in " ".join(f"{ran.output} {ran.exception}".split())


def test_renamed_and_merged_phases_keep_their_weights(project: Project) -> None:
    project.change_scheme(PhaseScheme.from_names(["network", "matrix", "slats"]), {1: 2, 2: 1, 3: 3})
    merged = PhaseScheme.from_names(["carbide", "matrix"])
    project.change_scheme(merged, {1: 1, 2: 2, 3: 1})
    model, notice = load_start(project, None, 1)
    assert model.card.scheme.names == ("carbide", "matrix") and "New to it" not in notice
    expected = rephase(load_model(project.model_path()), merged, {1: (2, 3), 2: (1,)}).segmenter
    assert tensors_sha256(model.segmenter.state_dict()) == tensors_sha256(expected.state_dict())
