"""The studies about ratios: what they share, what they find, and what they write."""

from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.errors import PhaseguideError, TrainingError
from phaseguide.events import run_to_end
from phaseguide.models.model_file import load_model, read_card
from phaseguide.studies.guidance.judged import Judging, Trial
from phaseguide.studies.guidance.tokens import Sample, sample_tokens, silhouettes, tokens_of
from phaseguide.studies.named import embedding, inflated, ratio_error, response, steer
from phaseguide.studies.networks.splits import open_study_data
from phaseguide.studies.pictures import coloured, picture_text, text_picture
from phaseguide.studies.study import Given, Study
from phaseguide.training.data import TrainingImage
from phaseguide.training.events import EpochDone
from textures import SCHEME, TINY, field, write_fields
from tiny_models import DEAF, tiny_model

QUICK: dict[str, Any] = {
    "encoder": "tu-test_efficientnet",
    "decoder": TINY,
    "encoder_weights": "none",
    "epochs": 1,
    "guidance_epochs": 1,
    "crop": 32,
    "batch": 2,
    "device": "cpu",
}
STUDIES = (ratio_error.STUDY, response.STUDY, inflated.STUDY, steer.STUDY, embedding.STUDY)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_fields(tmp_path_factory.mktemp("data") / "steel")
    (folder / "folds.json").write_text(json.dumps({"A": ["f0"], "B": ["f1"], "C": ["f2"]}))
    return folder


@pytest.fixture(scope="module")
def given(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Given:
    """What was run: networks on one of three folds."""
    given = Given(
        [open_study_data(folder)],
        tmp_path_factory.mktemp("out"),
        only=["A"],
        conditions=["unet-none", "unet-plm", "unet-plm-staged"],
        settings=QUICK,
    )
    run_to_end(ratio_error.STUDY.run(given))
    return given


def files_of(given: Given) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in given.out.rglob("*") if path.is_file()}


def test_response_reports_the_networks_and_judgements_of_ratio_error(given: Given) -> None:
    before = files_of(given)
    assert len(before) == 6 and not [path for path in before if "checkpoint" in path.name]
    events = list(response.STUDY.run(given))
    assert not any(isinstance(event, EpochDone) for event in events) and files_of(given) == before
    numbers = events[-1].result
    assert numbers == run_to_end(response.STUDY.run(replace(given, train=False)))
    (data,) = numbers["data"]
    assert [c["name"] for c in data["conditions"]] == ["unet-plm", "unet-plm-staged"], (
        "untold ones answer nothing"
    )
    joint = data["conditions"][0]
    assert joint["cells"] == ["A0"] and joint["fields"]["true"]["area"] is not None and joint["verdict"]
    card = read_card(given.out / "networks" / "steel" / "unet-plm" / "seed0" / "fold_A.safetensors")
    assert "f0" not in {*card.training["images"]["train"], *card.training["images"]["validation"]}


def test_a_frozen_network_is_what_it_was_without_a_ratio(given: Given) -> None:
    numbers = run_to_end(ratio_error.STUDY.run(replace(given, train=False)))
    conditions = {c["name"]: c for c in numbers["data"][0]["conditions"]}
    for scope in ("fields", "windows"):
        none, staged = (conditions[n][scope]["rows"][0] for n in ("unet-none", "unet-plm-staged"))
        assert staged["by_image"] == none["by_image"] and staged["to_unguided"]["mean"] == 0
        assert none["to_unguided"] is None
        matched = {r["source"]: r for r in conditions["unet-none"][scope]["rows"] if r["mode"] == "matched"}
        assert matched["own"]["dice"] == none["dice"] and matched["oracle"]["variation"] == 0
        assert matched["guess:0.3"]["variation"] > matched["guess:0.9"]["variation"] > 0
    text = "\n".join(ratio_error.STUDY.lines(numbers))
    assert "66.2" in text and "true (oracle)" in text


def test_what_was_not_run_says_so(given: Given) -> None:
    more = replace(given, train=False, conditions=["unet-plm", "unet-ccrm"])
    text = "\n".join(ratio_error.STUDY.lines(run_to_end(ratio_error.STUDY.run(more))))
    assert "| `unet-ccrm` | ccrm in unet, joint, exact ratios | not run |" in text
    text = "\n".join(response.STUDY.lines(run_to_end(response.STUDY.run(more))))
    assert "| `unet-ccrm` | ccrm | unet | joint | not run |" in text


def test_other_settings_are_refused_and_another_network_is_judged_anew(given: Given, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"fold_A\.safetensors: is a model of other settings"):
        list(ratio_error.STUDY.run(replace(given, settings={**QUICK, "learning_rate": 1e-4})))
    with pytest.raises(PhaseguideError, match=r"ratios\.json: is of a network of other settings"):
        list(ratio_error.STUDY.run(replace(given, settings={**QUICK, "crop": 64}, train=False)))
    with pytest.raises(PhaseguideError, match="--set decoder: no-skips-plm has a decoder of its own"):
        list(response.STUDY.run(replace(given, conditions=["no-skips-plm"])))
    with pytest.raises(PhaseguideError, match="--set guidance: is what study ratio-error compares"):
        list(ratio_error.STUDY.run(replace(given, settings={**QUICK, "guidance": "ccrm"})))
    with pytest.raises(PhaseguideError, match=r"no network .* has been judged yet\. Leave --report out"):
        list(steer.STUDY.run(replace(given, conditions=["unet-plm"], train=False)))
    with pytest.raises(TrainingError, match=r"starts from it\. Train unet-none too"):
        list(ratio_error.STUDY.run(replace(given, out=tmp_path, conditions=["unet-plm-staged"])))
    where = given.out / "networks" / "steel" / "unet-none" / "seed0"
    (other := tmp_path / "networks" / "steel" / "unet-none" / "seed0").mkdir(parents=True)
    (other / "fold_A.safetensors").write_bytes((where / "fold_A.safetensors").read_bytes())
    changed = json.loads((where / "fold_A.ratios.json").read_text())
    (other / "fold_A.ratios.json").write_text(json.dumps({**changed, "weights": "of another"}))
    events = list(ratio_error.STUDY.run(replace(given, out=tmp_path, conditions=["unet-none"])))
    assert any("is of another network" in str(event) for event in events)
    assert json.loads((other / "fold_A.ratios.json").read_text()) == changed


def judge(judging: Judging, folder: Path, guidance: str, **options: Any) -> dict[str, Any]:
    """What a tiny network with random weights does on one field of three bands."""
    image = field(1, 64, 96)
    labels = np.repeat(np.array([1, 2, 3], dtype=np.uint8), 32)[None].repeat(64, 0)
    labels[:4] = 255
    one = TrainingImage("f1", image.image, torch.from_numpy(labels))
    model = load_model(tiny_model(folder, guidance, guidance_options=options or None))
    model.segmenter.eval()
    found: dict[str, Any] = run_to_end(judging.judge(Trial(model, [one], [one], torch.device("cpu"))))
    return found


def test_a_network_that_takes_no_ratio_makes_nothing_of_an_inflated_one(tmp_path: Path) -> None:
    (deaf,) = judge(inflated.JUDGING, tmp_path, "none")["fields"]
    assert set(deaf["changed"].values()) == {0.0}
    found = judge(inflated.JUDGING, tmp_path, "plm", width=16, delta=10.0)
    (place,) = found["fields"]
    assert place["changed"]["none"] == 0 and place["changed"]["doubled"] > 0
    assert all(sum(areas) == pytest.approx(1) for areas in place["areas"].values())
    assert np.sum(place["confusion"]["zeros"]) == 60 * 96, "excluded pixels do not count"
    drawn = text_picture(found["picture"]["maps"]["none"])
    assert drawn.shape == (64, 96) and (drawn[:4] == 255).all() and set(np.unique(drawn)) <= {1, 2, 3, 255}


def test_matching_is_steered_to_the_pixel_and_a_deaf_network_not_at_all(tmp_path: Path) -> None:
    curves = judge(steer.JUDGING, tmp_path, "none")["curves"]
    assert curves
    for curve in curves:
        assert np.allclose(curve["matched"], steer.STEPS, atol=1.5 / (60 * 96))
        assert set(curve["conditioned"]) == {curve["start"]}
    ratio = steer.steered(np.array([0.5, 0.3, 0.2]), 0, 0.75)
    assert np.allclose(ratio, [0.75, 0.15, 0.1])


def test_tokens_have_the_phase_of_most_of_their_pixels() -> None:
    labels = np.ones((40, 64), dtype=np.uint8)
    labels[:, 20:] = 2  # the second column of tokens has 12 columns of phase 2
    labels[:, 48:] = 255
    features = np.arange(2 * 4 * 4, dtype=np.float32).reshape(2, 4, 4)
    found, phases = tokens_of(features, labels, 32)  # padded to 64 x 64; a token is 16 x 16
    assert phases.reshape(4, 4).tolist() == [[1, 2, 2, 0], [1, 2, 2, 0], [1, 2, 2, 0], [0, 0, 0, 0]]
    assert np.array_equal(found[5], features[:, 1, 1])
    chosen = sample_tokens(phases, 2, "f0")
    assert [int((phases[chosen] == k).sum()) for k in (0, 1, 2)] == [0, 2, 2]
    assert np.array_equal(chosen, sample_tokens(phases, 2, "f0"))


def test_silhouettes_tell_phases_that_lie_apart() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.array([1, 2], dtype=np.uint8), 50)
    noise = rng.normal(size=(100, 8)).astype(np.float32)
    apart = silhouettes(Sample(noise + 20 * labels[:, None], labels), 3)
    mixed = silhouettes(Sample(noise, labels), 3)
    assert apart["all"] > 0.8 and abs(mixed["all"]) < 0.1 and apart["phases"][2] is None
    assert silhouettes(Sample(noise[:50], labels[:50]), 3)["all"] is None, (
        "one phase has nothing to lie apart from"
    )


def test_features_are_compared_before_and_after_guidance(tmp_path: Path) -> None:
    none = judge(embedding.JUDGING, tmp_path, "none")
    assert list(none["pooled"]) == [embedding.BEFORE] and none["tokens"] > 0
    plm = judge(embedding.JUDGING, tmp_path, "plm")
    assert plm["pooled"][embedding.BEFORE] == none["pooled"][embedding.BEFORE], "of one encoder"
    assert plm["pooled"][embedding.TRUE] != plm["pooled"][embedding.BEFORE]
    aware = judge(embedding.JUDGING, tmp_path, "plm", **DEAF)
    assert (
        aware["pooled"][embedding.TRUE] == aware["pooled"][embedding.OWN] != aware["pooled"][embedding.BEFORE]
    )


def test_pictures_are_kept_as_text() -> None:
    labels = np.tile(np.array([1, 2, 255], dtype=np.uint8), (600, 200))
    small = text_picture(picture_text(labels))
    assert np.array_equal(small, labels[::3, ::3])
    colours = coloured(labels, SCHEME.to_dict())
    assert "#{:02x}{:02x}{:02x}".format(*colours[0, 1]) == SCHEME.phases[1].colour and not colours[0, 2].any()


@pytest.fixture(scope="module")
def reports(given: Given) -> dict[str, Any]:
    """Numbers of all five studies on the same networks."""
    chosen = {
        "inflated": ["unet-plm"],
        "steer": ["unet-plm"],
        "embedding": ["unet-none", "sa-fa-xy", "unet-plm"],
    }
    return {
        study.name: run_to_end(study.run(replace(given, conditions=chosen.get(study.name, given.conditions))))
        for study in STUDIES
    }


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_every_study_has_numbers_tables_and_a_figure(study: Study, reports: dict[str, Any]) -> None:
    numbers = json.loads(json.dumps(reports[study.name], allow_nan=False))
    text = "\n".join(study.lines(numbers))
    assert "epochs = 1" in text and "instead of 1e-5" in text
    assert ("steel" in text and "nan" not in text and "Published" in text) or "published" in text
    figure = study.figure(numbers)
    assert figure is not None
    buffer = BytesIO()
    figure.savefig(buffer, dpi=40)
    assert Image.open(buffer).width > 100
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows if "`unet-plm`" in line}) <= 6


def test_a_study_of_ratios_from_the_command_line(folder: Path, given: Given) -> None:
    arguments = ["study", "inflated", str(folder), "--out", str(given.out), "--only", "A"]
    arguments += ["--conditions", "unet-plm,unet-ccrm", "--report"]
    for key, value in QUICK.items():
        if key != "device":
            arguments += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    run_to_end(inflated.STUDY.run(replace(given, conditions=["unet-plm"])))
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "not run" in done.output and (given.out / "inflated.png").exists()
    numbers = json.loads((given.out / "inflated.json").read_text())
    assert numbers["data"][0]["conditions"][0]["told"]["doubled"]["to_true"] is not None
    wrong = CliRunner().invoke(app, [*arguments, "--conditions", "plm-unet"])
    assert wrong.exit_code == 2 and "no condition 'plm-unet'" in wrong.output
