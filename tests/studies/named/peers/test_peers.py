"""The study ``peers``: same strokes for all, resumable, judged where nothing was painted, and honest about its rows."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.errors import PhaseguideError
from phaseguide.events import Notice, Progress, run_to_end
from phaseguide.models.model_file import LoadedModel, load_model, save_model
from phaseguide.phases import EXCLUDED
from phaseguide.ratios import ratio_from_labels
from phaseguide.studies.finetune.data import Field
from phaseguide.studies.named.peers import matrix
from phaseguide.studies.named.peers.boosted import BoostingOptions
from phaseguide.studies.named.peers.conditions import BOOSTED, FOREST, OURS, PRETRAINED
from phaseguide.studies.named.peers.matrix import asked_of
from phaseguide.studies.named.peers.methods import ASKS, CONDITIONS, NONE, TRUE
from phaseguide.studies.named.peers.painting import paint
from phaseguide.studies.named.peers.study import STUDY
from phaseguide.studies.networks.splits import open_study_data
from phaseguide.studies.study import Given
from textures import SCHEME, write_fields
from tiny_models import tiny_model

SETTINGS = {"device": "cpu", "epochs": 1, "crop": 32, "batch": 2}


@pytest.fixture(scope="module", autouse=True)
def quick(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Tiny networks, few trees."""
    folder = tmp_path_factory.mktemp("start")

    def tiny(*_: object, guidance: str = "", **__: object) -> LoadedModel:
        return load_model(tiny_model(folder, guidance or "plm", names=SCHEME.names))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrix, "new_model", tiny)
        patch.setattr(matrix, "BoostingOptions", lambda **_: BoostingOptions(rounds=5, depth=3, pixels=500))
        yield


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("peers")
    data = write_fields(folder / "steel", 4)
    (data / "folds.json").write_text(json.dumps({"A": ["f0", "f1"], "B": ["f2", "f3"]}))
    out = folder / "out"
    models = out / "steel" / "models" / "seed0"
    models.mkdir(parents=True)
    tiny_model(models, "plm", names=SCHEME.names, file_name="fold_A.safetensors")
    return Given([open_study_data(data)], out, only=["A"], settings=SETTINGS)


@pytest.fixture(scope="module")
def numbers(given: Given) -> dict[str, Any]:
    found: dict[str, Any] = run_to_end(STUDY.run(given))
    return found


def test_every_method_has_its_rows(numbers: dict[str, Any]) -> None:
    (found,) = numbers["data_sets"]
    assert found["images"] == 2 and found["strokes"] == 6 and 0 < found["painted_share"] < 1
    assert [c["name"] for c in found["conditions"]] == list(CONDITIONS)
    for condition in found["conditions"]:
        assert len(condition["rows"]) == len(CONDITIONS[condition["name"]].asks)
        assert condition["rows"][0]["to_none"] is None
        assert (condition["parameters"] is None) == condition["name"].startswith(("forest", "boosted"))
    rows = {c["name"]: c["rows"] for c in found["conditions"]}
    assert rows[OURS][1]["error_pp"]["mean"] < 0.1, "a true ratio that is matched leaves no error of areas"
    assert rows[OURS][1]["to_none"]["dice"]["n"] == 2
    assert rows[BOOSTED][1]["to_boosted"] is None and rows[OURS][1]["to_boosted"]["dice"]["n"] == 2
    assert rows[FOREST][0]["to_boosted"]["dice"]["n"] == 2


def test_the_report_names_the_oracle_and_what_was_not_run(numbers: dict[str, Any], given: Given) -> None:
    text = "\n".join(STUDY.lines(numbers))
    assert "true (oracle)" in text and "not from the strokes alone" in text and "not run" not in text
    assert STUDY.figure(numbers) is not None
    part = run_to_end(STUDY.run(replace(given, conditions=[FOREST], train=False)))
    assert "| `ours` | not run |" in "\n".join(STUDY.lines(part))
    nothing = run_to_end(STUDY.run(replace(given, only=["B"], train=False)))
    assert "not run" in "\n".join(STUDY.lines(nothing)) and STUDY.figure(nothing) is None


def test_nothing_is_done_twice_and_other_settings_are_refused(numbers: dict[str, Any], given: Given) -> None:
    again = list(STUDY.run(given))
    assert not any(isinstance(event, Progress) for event in again)
    assert again[-1].result == numbers
    with pytest.raises(PhaseguideError, match="other settings"):
        run_to_end(STUDY.run(replace(given, settings={**SETTINGS, "epochs": 2})))


@pytest.mark.parametrize(("changed", "refused"), [("f0", FOREST), ("f2", BOOSTED)])
def test_other_labels_are_refused(
    numbers: dict[str, Any], given: Given, tmp_path: Path, changed: str, refused: str
) -> None:
    """Those of a test image, and those that chose the weight of a term."""
    folder = shutil.copytree(given.data[0].dataset.folder, tmp_path / "steel")
    Image.new("L", (64, 64), 1).save(folder / "labels" / f"{changed}.png")
    with pytest.raises(PhaseguideError, match="of other images or labels, than now"):
        run_to_end(
            STUDY.run(replace(given, data=[open_study_data(folder)], conditions=[refused], train=False))
        )


def test_a_model_that_saw_a_test_image_is_refused(given: Given, tmp_path: Path) -> None:
    path = tmp_path / "steel" / "models" / "seed0" / "fold_A.safetensors"
    path.parent.mkdir(parents=True)
    model = load_model(given.out / "steel" / "models" / "seed0" / "fold_A.safetensors")
    seen = model.card.model_copy(update={"training": {"images": {"train": ["f2"], "validation": ["f1"]}}})
    save_model(path, model.segmenter, seen)
    with pytest.raises(PhaseguideError, match="f1"):
        run_to_end(STUDY.run(replace(given, out=tmp_path, conditions=[PRETRAINED])))


def test_another_pretrained_model_is_judged_anew(given: Given, tmp_path: Path) -> None:
    models = tmp_path / "steel" / "models" / "seed0"
    models.mkdir(parents=True)
    asked = replace(given, out=tmp_path, conditions=[PRETRAINED])
    for seed in (0, 1):
        (models / "fold_A.safetensors").unlink(missing_ok=True)
        tiny_model(models, "plm", names=SCHEME.names, seed=seed, file_name="fold_A.safetensors")
        if seed:
            part = run_to_end(STUDY.run(replace(asked, train=False)))
            assert part["data_sets"][0]["images"] == 0, "what is of another network is not reported"
        events = list(STUDY.run(asked))
        assert sum(isinstance(event, Notice) for event in events) == 2 * seed


def test_strokes_lie_in_their_phases_and_depend_on_no_method() -> None:
    truth = np.ones((80, 90), np.uint8)
    truth[:, 40:] = 2
    truth[70:] = EXCLUDED
    one = Field("a", truth, truth)
    painted = paint(one, 2, seed=0)
    assert (painted.marks[painted.known] == truth[painted.known]).all()
    assert painted.strokes == 6 and painted.pixels == np.count_nonzero(painted.known) > 0
    assert (painted.unpainted_truth[painted.known] == 0).all()
    assert painted.excluded is not None and (painted.excluded[70:] == EXCLUDED).all()
    assert np.array_equal(paint(one, 2, seed=0).marks, painted.marks)
    assert not np.array_equal(paint(one, 2, seed=1).marks, painted.marks)


def test_all_methods_are_told_the_same_of_every_phase() -> None:
    true = ratio_from_labels(np.array([[1, 1, 2, 2]], np.uint8), 3)
    assert true is not None
    assert asked_of(NONE, true, "a", experts=3, seed=0) == [None]
    (exact,) = asked_of(TRUE, true, "a", experts=3, seed=0)
    assert exact is not None and np.array_equal(exact, true)
    for ask in ASKS[2:]:
        drawn = asked_of(ask, true, "a", experts=3, seed=0)
        assert len(drawn) == 3
        for ratio in drawn:
            assert ratio is not None and ratio.sum() == pytest.approx(1) and ratio[2] == 0
    # An expert who says how sure they are says the same numbers.
    sure, unsure = (asked_of(ask, true, "a", experts=1, seed=0)[0] for ask in ASKS[2:4])
    assert sure is not None and unsure is not None and np.array_equal(sure, unsure)


def test_the_command_writes_its_report(given: Given, numbers: dict[str, Any]) -> None:
    folder = given.data[0].dataset.folder
    arguments = ["study", "peers", str(folder), "--out", str(given.out), "--only", "A", "--report"]
    for name, value in SETTINGS.items():
        arguments += ["--set", f"{name}={value}"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    for kind in ("md", "json", "png"):
        assert (given.out / f"peers.{kind}").stat().st_size
    assert json.loads((given.out / "peers.json").read_text())["size"] == numbers["size"]
    done = CliRunner().invoke(app, [*arguments, "--set", "encoder=tu-regnety_002"])
    assert done.exit_code == 2 and "key=value" in done.output, (
        "it learns by fine-tuning, which has no encoder"
    )
