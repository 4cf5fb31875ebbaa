"""Ratios that networks are asked for on fields and windows, and what is computed from their answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phaseguide.evaluation.confusion import scores_from_confusion
from phaseguide.models.architectures import SAM
from phaseguide.models.model_file import load_model
from phaseguide.ratios import ratio_from_labels, total_variation
from phaseguide.studies.guidance.asking import ASKS, OTHER, OWN, Ask, Key, asked_ratios
from phaseguide.studies.guidance.conditions import GUIDANCES, SCHEDULES, conditions_of, name_of
from phaseguide.studies.guidance.following import comparisons, responses, verdict
from phaseguide.studies.guidance.judging import Drawing, judge_place
from phaseguide.studies.guidance.places import DIFFERENT, Place, fields, ratio_of_another, windows
from phaseguide.studies.guidance.summary import break_even, ratio_rows
from phaseguide.studies.named import ablation
from phaseguide.studies.networks.recipes import pair_of
from phaseguide.studies.networks.sam_base import RANDOM, RANKS, SamBase
from phaseguide.studies.study import SIZES
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import TrainingImage
from textures import field
from tiny_models import tiny_labels, tiny_model


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
    own = np.array(found["confusion"]["none"][0]).sum(0)[:3] / np.sum(found["confusion"]["none"])
    for ask in ASKS:
        asked = asked_ratios(ask, place, np.full(3, 1 / 3), own, pool, experts=2, seed=0)
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
    assert found["confusion"][str(Key(OWN, 0.0, "matched"))] == found["confusion"]["none"]
    assert asked_ratios(Ask(OTHER), place, place.true, own, [place], experts=1, seed=0) == []
    response = found["response"]
    assert all(v is not None for v in response["true"]["area"]) and response["moved"] > 0
    assert 0 <= response["silenced"] <= 1
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


Judged = dict[str, Any]


def judged(dice: int, response: float, silenced: float = 0.5, guidance: str = "plm") -> Judged:
    """A network on one field of 100 px, of which so many are right whatever the ratio."""
    counts = [[[dice // 2, 50 - dice // 2, 0], [50 - dice // 2, dice // 2, 0]]]
    modes = ("conditioned", "matched", "both") if guidance != "none" else ("matched",)
    names = [str(Key(ask.source, ask.uncertainty, mode)) for ask in ASKS for mode in modes]
    moved = {"area": [response, None], "probability": [response / 2, None]}
    answers = {"own": moved, "true": moved, "moved": 0.1, "silenced": silenced}
    place = {
        "stem": "f0",
        "confusion": {"none": counts, **dict.fromkeys(names, counts)},
        "variation": {name: [0.25] for name in names},
        "response": answers if guidance != "none" else {},
    }
    return {"guidance": guidance, "fields": [place], "windows": []}


def test_a_network_is_held_against_the_unguided_one_of_its_split_and_seed() -> None:
    told = {(0, "A"): judged(80, 0.2), (0, "B"): judged(60, 0.2)}
    untold = {(0, "A"): judged(70, 0.0, guidance="none"), (1, "B"): judged(10, 0.0, guidance="none")}
    rows = ratio_rows(told, untold)
    none = rows["fields"]["rows"][0]
    assert none["dice"] == pytest.approx(0.7) and none["dice_by_cell"]["folds"] == {"A0": 0.8, "B0": 0.6}
    assert none["to_unguided"]["mean"] == pytest.approx(0.1) and none["to_unguided"]["n"] == 1
    assert none["dice_to_unguided"] == pytest.approx(0.1)
    oracle = next(r for r in rows["fields"]["rows"] if r["source"] == "oracle")
    assert oracle["to_itself"]["mean"] == 0 and oracle["variation"] == 0.25
    assert rows["fields"]["break_even"]["both"]["to_itself"]["accuracy"] is None, (
        "no ratio is worth anything here"
    )
    assert rows["windows"]["rows"] == [], "no window fits"


def test_skip_connections_are_found_out_by_numbers() -> None:
    conditions = conditions_of("small", SamBase("vit_tiny", "", random=True))
    rows = {
        "unet-plm": {"fields": responses({(0, "A"): judged(50, 0.01, silenced=0.02)}, "fields")},
        "no-skips-plm": {"fields": responses({(0, "A"): judged(50, 0.6, silenced=0.9)}, "fields")},
        "unet-ccrm": {"fields": responses({(0, "A"): judged(50, 0.6)}, "fields")},
    }
    (one,) = comparisons(rows, "fields")
    assert (one["guidance"], one["schedule"]) == ("plm", "joint")
    assert one["difference"]["mean"] == pytest.approx(0.59) and one["no_skips"]["silenced"] == 0.9
    deaf = verdict(conditions["unet-plm"], rows["unet-plm"]["fields"])
    assert "**deaf**" in deaf and "skip connections" in deaf and "2.0 % of the pixels" in deaf
    assert "skip connections" not in verdict(conditions["sam-plm"], rows["unet-plm"]["fields"]), "it has none"
    assert verdict(conditions["no-skips-plm"], rows["no-skips-plm"]["fields"]).startswith(
        "listens: areas follow 60 %"
    )
    assert responses({(0, "A"): judged(50, 0.01)}, "windows") is None


@pytest.mark.parametrize("size", SIZES)
def test_conditions_can_be_trained_in_their_order_and_differ_in_guidance_alone(size: Any) -> None:
    conditions = conditions_of(size, SamBase("vit_tiny", "", random=True))
    seen: list[str] = []
    for name, condition in conditions.items():
        config = TrainingConfig(**condition.settings)
        config.check_architecture()
        assert (config.guidance == "none") is (not condition.unguided)
        assert (RANDOM in condition.what) is name.startswith("sam-")
        for before in filter(None, (condition.unguided, condition.start)):
            assert before in seen
        if condition.unguided:
            untold = TrainingConfig(**conditions[condition.unguided].settings).to_dict()
            about = ("ratio", "guidance", "schedule", "validation_ratio")
            differing = {k for k, v in config.to_dict().items() if v != untold[k] and not k.startswith(about)}
            assert not differing, f"{name} and its unguided twin differ in {differing}"
        seen.append(name)
    for guidance in GUIDANCES:
        for schedule in SCHEDULES:
            assert {name_of(b, guidance, schedule) for b in ("unet", "no-skips", "fpn", "sam")} <= set(seen)


@pytest.mark.parametrize("size", SIZES)
def test_networks_of_the_same_name_in_other_studies_are_the_same(size: Any) -> None:
    base = SamBase("vit_tiny", "", random=True)
    ours = conditions_of(size, base)
    others = {
        **pair_of(size, "unet", {}),
        **pair_of(size, SAM, base.settings(RANKS[size])),
        "unet-plm": ablation.conditions_of(size)["unet-plm"],
    }
    for name, other in others.items():
        assert (
            TrainingConfig(**ours[name].settings).to_dict() == TrainingConfig(**other.settings).to_dict()
        ), name
        assert (ours[name].steps, ours[name].images) == (other.steps, other.images)
