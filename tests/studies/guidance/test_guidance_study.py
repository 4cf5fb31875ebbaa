"""The study of guidance: a resumable matrix, windows with their own ratios, and what is computed from them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from phaseguide.cli import app
from phaseguide.datasets.folder import Dataset, open_dataset
from phaseguide.errors import PhaseguideError, TrainingError
from phaseguide.evaluation.confusion import scores_from_confusion
from phaseguide.events import run_to_end
from phaseguide.models.model_file import load_model, read_card
from phaseguide.ratios import ratio_from_labels, total_variation
from phaseguide.studies.guidance.asking import ASKS, OTHER, Ask, Key, asked_ratios
from phaseguide.studies.guidance.conditions import CONDITIONS, NONE
from phaseguide.studies.guidance.judging import Drawing, judge_place
from phaseguide.studies.guidance.places import DIFFERENT, Place, fields, ratio_of_another, windows
from phaseguide.studies.guidance.study import Plan, guidance_study, read_judged
from phaseguide.studies.guidance.summary import break_even, summarise
from phaseguide.studies.networks.training import Condition
from phaseguide.training.config import TrainingConfig
from phaseguide.training.crossfit.folds import Folds
from phaseguide.training.data import TrainingImage
from phaseguide.training.events import EpochDone
from textures import SCHEME, TINY, field
from tiny_models import tiny_labels, tiny_model

FOLDS: Folds = {"A": ("f0",), "B": ("f1",), "C": ("f2",)}
QUICK = {
    "architecture": "unet",
    "encoder": "tu-test_efficientnet",
    "decoder": TINY,
    "encoder_weights": "none",
    "epochs": 1,
    "guidance_epochs": 1,
    "crop": 32,
    "batch": 2,
    "patience": 0,
    "threads": 1,
}
TOLD = {**QUICK, "guidance": "plm", "guidance_options": {"width": 8, "delta": 0.5}, "guidance_scales": 1}
TABLE = {
    "none": Condition("unguided", {**QUICK, "guidance": "none"}),
    "joint": Condition("joint", {**TOLD, "schedule": "joint"}, "none"),
    "staged": Condition("staged", {**TOLD, "schedule": "guidance"}, "none", start="none"),
}
PLAN = Plan(["none", "joint", "staged"], ["A", "C"], [0], side=32, experts=2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for i in range(3):
        item = field(i, 72, 80)
        grey = ((item.image[0].numpy() + 1.5) / 3 * 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / "images" / f"f{i}.png")
        Image.fromarray(item.labels.numpy()).save(folder / "labels" / f"f{i}.png")
    (folder / "scheme.json").write_text(json.dumps(SCHEME.to_dict()))
    return open_dataset(folder)


@pytest.fixture(scope="module")
def out(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study."""
    folder = tmp_path_factory.mktemp("out")
    run_to_end(guidance_study(dataset, SCHEME, FOLDS, TABLE, PLAN, folder, {"device": "cpu"}))
    return folder


def again(dataset: Dataset, out: Path, plan: Plan = PLAN, **settings: object) -> list[object]:
    return list(guidance_study(dataset, SCHEME, FOLDS, TABLE, plan, out, {"device": "cpu", **settings}))


def test_what_is_done_is_not_done_again(dataset: Dataset, out: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert len(files) == 12 and not [path for path in files if "checkpoint" in path.name]
    events = again(dataset, out)
    assert not any(isinstance(event, EpochDone) for event in events)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    for fold, tested in FOLDS.items():
        path = out / "joint" / "seed0" / f"fold_{fold}.safetensors"
        assert path.exists() is (fold in PLAN.folds)
        if path.exists():
            images = read_card(path).training["images"]
            assert not set(tested) & {*images["train"], *images["validation"]}


def test_a_network_that_was_stopped_goes_on_and_another_is_judged_anew(
    dataset: Dataset, out: Path, tmp_path: Path
) -> None:
    plan = replace(PLAN, conditions=["none"], folds=["A"])
    events = guidance_study(dataset, SCHEME, FOLDS, TABLE, plan, tmp_path, {"device": "cpu", "epochs": 2})
    next(event for event in events if isinstance(event, EpochDone))
    events.close()  # type: ignore[attr-defined]
    assert not read_judged(plan, tmp_path)
    rest = again(dataset, tmp_path, plan, epochs=2)
    assert [e.epoch for e in rest if isinstance(e, EpochDone)] == [2]
    where = Path("none", "seed0")
    (other := tmp_path / "other").joinpath(where).mkdir(parents=True)
    (other / where / "fold_A.safetensors").write_bytes((out / where / "fold_A.safetensors").read_bytes())
    (other / where / "fold_A.json").write_bytes((tmp_path / where / "fold_A.json").read_bytes())
    said = " ".join(str(event) for event in again(dataset, other, plan))
    assert "of another network; this one is judged anew" in said
    assert (other / where / "fold_A.json").read_bytes() == (out / where / "fold_A.json").read_bytes()


def test_changed_settings_are_refused_in_a_sentence(dataset: Dataset, out: Path) -> None:
    with pytest.raises(TrainingError, match=r"fold_A\.safetensors: is a model of other settings or images"):
        again(dataset, out, learning_rate=1e-4)
    with pytest.raises(
        PhaseguideError, match=r"fold_A\.json: was judged with other settings .* Choose another"
    ):
        again(dataset, out, replace(PLAN, side=64))
    with pytest.raises(PhaseguideError, match=r"no condition 'jiont'\. Choose among none, joint, staged"):
        again(dataset, out, replace(PLAN, conditions=["jiont"]))
    with pytest.raises(PhaseguideError, match="no fold 'Z'"):
        again(dataset, out, replace(PLAN, folds=["Z"]))
    with pytest.raises(TrainingError, match=r"condition staged starts from it\. Train none too"):
        again(dataset, out / "new", replace(PLAN, conditions=["staged"]))


def test_windows_have_the_ratio_of_their_own_labels() -> None:
    image = field(3, 100, 70)
    labels = image.labels.clone()
    labels[0:40, 0:40] = 255
    labels[60, 60] = 0
    found = windows([TrainingImage("x", image.image, labels)], 32, 2)
    assert {(w.row, w.column) for w in found} == {(r, c) for r in (2, 34, 66) for c in (3, 35)} - {
        (34, 35),
        (2, 3),
    }, "without those that are excluded all over, or hold an unclassified pixel"
    for window in found:
        there = (slice(window.row, window.row + 32), slice(window.column, window.column + 32))
        assert np.array_equal(window.labels, labels.numpy()[there])
        assert torch.equal(window.pixels, image.image[:, *there])
        true = ratio_from_labels(labels.numpy()[there], 2)
        assert true is not None and np.array_equal(window.true, true)
    (whole,) = fields([image], 2)
    assert whole.labels.shape == (100, 70) and whole.fixed is None
    mixed = next(w for w in found if (w.labels == 255).any())
    assert mixed.fixed is not None and set(np.unique(mixed.fixed)) == {0, 255}


def test_the_ratio_of_another_image_is_never_the_places_own() -> None:
    pool = windows([field(i) for i in range(4)], 32, 2)
    for place in pool:
        other = ratio_of_another(place, pool, 0)
        assert other is not None and total_variation(other, place.true) >= DIFFERENT
        assert any(np.array_equal(p.true, other) and p.stem != place.stem for p in pool)
        again = ratio_of_another(place, pool, 0)
        assert again is not None and np.array_equal(other, again)
    alone = [place for place in pool if place.stem == pool[0].stem]
    assert ratio_of_another(pool[0], alone, 0) is None


def place_of(labels: np.ndarray) -> Place:
    pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *labels.shape)).astype(np.float32))
    true = ratio_from_labels(labels, 3)
    assert true is not None
    return Place("x", 0, 0, pixels, labels, true)


def test_a_matched_map_has_the_composition_that_was_asked(tmp_path: Path) -> None:
    labels = tiny_labels((48, 60))
    labels[:6] = 255
    place = place_of(labels)
    pool = [place, replace(place, stem="y", true=np.array([0.7, 0.2, 0.1]))]
    model = load_model(tiny_model(tmp_path))
    found = judge_place(model, place, Drawing(pool, 2, 0), torch.device("cpu"))
    for ask in ASKS:
        asked = asked_ratios(ask, place, np.full(3, 1 / 3), pool, experts=2, seed=0)
        assert len(asked) == (2 if ask.source.startswith("expert") else 1)
        for mode in ("matched", "both", "conditioned"):
            draws = found["confusion"][str(Key(ask.source, ask.uncertainty, mode))]
            assert len(draws) == len(asked)
            for counts, ratio in zip(draws, asked, strict=True):
                achieved = np.array(counts).sum(0)[:3] / np.sum(counts)
                if mode != "conditioned" and not ask.uncertainty:
                    assert np.allclose(achieved, ratio, atol=1.5 / (42 * 60)), (ask, mode)
    true = found["confusion"][str(Key("oracle", 0.0, "matched"))][0]
    assert scores_from_confusion(np.array(true)).fraction_mae < 1e-3
    assert asked_ratios(Ask(OTHER), place, place.true, [place], experts=1, seed=0) == []
    response = found["response"]
    assert set(response) == {"own", "true"} and all(v is not None for v in response["true"]["area"])
    deaf = load_model(tiny_model(tmp_path, "none"))
    plain = judge_place(deaf, place, Drawing(pool, 1, 0), torch.device("cpu"))
    assert plain["response"] == {} and not [key for key in plain["confusion"] if "conditioned" in key]


@pytest.mark.parametrize(
    ("dices", "expected"),
    [
        ([0.9, 0.8, 0.6], 0.75),  # crosses 0.7 halfway between 0.8 and 0.7
        ([0.9, 0.7, 0.6], 0.8),
        ([0.7, 0.9, 0.9], None),  # the true ratio is worth no more than none
        ([0.9, 0.8, 0.75], 0.7),  # never falls below
        ([0.9, 0.6, 0.95], 0.8 + 0.2 / 3),  # what comes after the first crossing does not count
    ],
)
def test_the_break_even_is_interpolated(dices: list[float], expected: float | None) -> None:
    found = break_even((1.0, 0.8, 0.7), dices, 0.7)
    assert found == (None if expected is None else pytest.approx(expected))


def test_the_summary_pairs_networks_of_the_same_fold_and_seed(out: Path) -> None:
    numbers = summarise(read_judged(PLAN, out), TABLE)
    by_name = {one["name"]: one for one in numbers["conditions"]}
    assert list(by_name) == ["none", "joint", "staged"] and by_name["joint"]["cells"] == ["A0", "C0"]
    assert by_name["joint"]["gauges"].keys() == {"0.gamma", "0.delta"} and not by_name["none"]["gauges"]
    for scope in ("fields", "windows"):
        none, joint, staged = (by_name[n][scope]["rows"][0] for n in ("none", "joint", "staged"))
        assert staged["by_image"] == none["by_image"], "a frozen network without a ratio is what it was"
        assert staged["to_unguided"]["mean"] == 0 and none["to_unguided"] is None
        gaps = [joint["by_image"]["0"][stem] - none["by_image"]["0"][stem] for stem in ("f0", "f2")]
        assert joint["to_unguided"]["mean"] == pytest.approx(np.mean(gaps)) and joint["to_unguided"]["n"] == 2
        assert by_name["none"][scope]["response"] is None
        assert by_name["joint"][scope]["response"]["true"]["area"] is not None
    fewer = [one for one in read_judged(PLAN, out) if (one["condition"], one["fold"]) != ("none", "C")]
    joint = summarise(fewer, TABLE)["conditions"][1]["fields"]["rows"][0]
    assert joint["to_unguided"]["n"] == 1, "no pair without its unguided network"


def test_conditions_can_be_trained_in_their_order() -> None:
    seen: list[str] = []
    for name, condition in CONDITIONS.items():
        config = TrainingConfig(**condition.settings)
        assert (config.guidance == "none") is (not condition.unguided)
        for before in filter(None, (condition.unguided, condition.start)):
            assert before in seen
        if condition.unguided:
            untold = TrainingConfig(**CONDITIONS[condition.unguided].settings).to_dict()
            about = ("ratio", "guidance", "schedule", "validat")
            differing = {k for k, v in config.to_dict().items() if v != untold[k] and not k.startswith(about)}
            assert not differing, f"{name} and its unguided twin differ in {differing}"
        seen.append(name)
    assert seen[0] == NONE


def test_guidance_from_the_command_line(dataset: Dataset, tmp_path: Path) -> None:
    folds = tmp_path / "folds.json"
    folds.write_text(json.dumps(FOLDS))
    result = tmp_path / "result.json"
    arguments = ["benchmark", "guidance", str(dataset.folder), "--folds", str(folds), "--only", "A"]
    arguments += ["--out", str(tmp_path / "runs"), "--window", "32", "--experts", "1", "--json", str(result)]
    arguments += ["--conditions", "none,joint"]
    nothing = CliRunner().invoke(app, [*arguments, "--report"])
    assert nothing.exit_code == 2 and "has been judged yet" in nothing.output
    for key, value in QUICK.items():
        arguments += ["--set", f"{key}={json.dumps(value) if not isinstance(value, str) else value}"]
    assert CliRunner().invoke(app, [*arguments, "--seeds", "x"]).exit_code == 2
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    numbers = json.loads(result.read_text())
    assert [c["name"] for c in numbers["conditions"]] == ["none", "joint"] and numbers["judging"][
        "side"
    ] == 32
    reported = CliRunner().invoke(app, [*arguments, "--report"])
    assert reported.exit_code == 0 and json.loads(result.read_text()) == numbers
    assert "| `joint` | joint, exact ratios | A0 |" in reported.stdout and "66.2" in reported.stdout
