"""Phases of a model changed: what stays must stay bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseguide.errors import ModelError
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.card import BackboneCard, CalibrationCard, Card, GuidanceCard, ScoreHeadCard
from phaseguide.models.model_file import LoadedModel, load_model, save_model
from phaseguide.models.rephase import origin_by_name, rephase
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme

KINDS = {
    "none": {},
    "additive": {},
    "spatial": {"width": 8},
    "plm": {"width": 8, "delta": 1.0},
    "ccrm": {"delta": 1.0, "coordinates": True},
}
NAMES = ("ferrite", "pearlite", "bainite")
IMAGE = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64).sin()


def model(kind: str) -> LoadedModel:
    torch.manual_seed(0)
    options = BackboneOptions("unet", "tu-test_efficientnet", 1, {"decoder_channels": [16, 16, 8, 8, 8]})
    segmenter = GuidedSegmenter(
        options, GuidanceOptions(kind, KINDS[kind], 2), PhaseScheme.from_names(NAMES)
    ).eval()
    if kind in ("additive", "spatial"):  # starts at zero, where every mistake would look right
        for parameter in segmenter.guidance.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    card = Card(
        name="steel",
        phases=segmenter.scheme.to_dict()["phases"],
        backbone=BackboneCard(**options.to_dict()),
        guidance=GuidanceCard(kind=kind, options=KINDS[kind], scales=2),
        training_ratio_mean=[0.5, 0.3, 0.2],
        training_ratio_spread=[0.1, 0.2, 0.3],
        calibration=CalibrationCard(
            own_error=[0.1, 0.2, 0.3],
            head=ScoreHeadCard(
                sigmas=[], weights=[[1, 2, 3, 9], [4, 5, 6, 9], [7, 8, 9, 9]], bias=[0.1, 0.2, 0.3]
            ),
        ),
    )
    return LoadedModel(segmenter, card, Path())


MODELS = {kind: model(kind) for kind in KINDS}


def logits(one: LoadedModel, ratio: list[float] | None = None) -> torch.Tensor:
    with torch.inference_mode():
        return one.segmenter(IMAGE, None if ratio is None else torch.tensor([ratio]))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=3)
@given(order=st.permutations([1, 2, 3]))
def test_another_order_gives_the_same_scores_in_that_order(kind: str, order: list[int]) -> None:
    old = MODELS[kind]
    new = rephase(
        old, PhaseScheme.from_names(NAMES[i - 1] for i in order), {k + 1: (i,) for k, i in enumerate(order)}
    )
    rows = [i - 1 for i in order]
    torch.testing.assert_close(logits(new), logits(old)[:, rows])
    shares = [0.6, 0.3, 0.1]
    given_ratio = logits(old, shares)
    if kind != "none":
        assert not torch.allclose(given_ratio, logits(old)), "the ratio must matter, or this tests nothing"
    torch.testing.assert_close(
        logits(new, [shares[i] for i in rows]), given_ratio[:, rows], atol=1e-4, rtol=1e-4
    )
    head = new.card.calibration.head
    assert head is not None
    assert head.bias == [(0.1, 0.2, 0.3)[i] for i in rows]
    assert head.weights[0] == [3 * rows[0] + 1 + i for i in rows] + [9]


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_phase_leaves_the_scores_of_the_old_ones(kind: str) -> None:
    old = MODELS[kind]
    scheme = PhaseScheme.from_names(("martensite", *NAMES, "austenite"))
    new = rephase(old, scheme, origin_by_name(old.card.scheme, scheme))
    torch.testing.assert_close(logits(new)[:, 1:4], logits(old))
    assert logits(new, [0.2] * 5).isfinite().all()
    assert new.card.calibration.head is None, "a head for three phases fits no five"
    assert sum(new.card.training_ratio_mean) == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_merged_phases_take_the_mean_and_the_others_stay(kind: str, tmp_path: Path) -> None:
    old = MODELS[kind]
    new = rephase(old, PhaseScheme.from_names(["ferrite", "rest"]), {1: (1,), 2: (2, 3)})
    torch.testing.assert_close(logits(new)[:, 0], logits(old)[:, 0])
    torch.testing.assert_close(logits(new)[:, 1], logits(old)[:, 1:].mean(1), atol=1e-5, rtol=1e-4)
    assert new.card.training_ratio_mean == pytest.approx([0.5, 0.5])
    save_model(tmp_path / "two.safetensors", new.segmenter, new.card)
    again = load_model(tmp_path / "two.safetensors")
    assert again.card.scheme.names == ("ferrite", "rest")


def test_the_start_is_not_changed() -> None:
    old = MODELS["ccrm"]
    before = {name: tensor.clone() for name, tensor in old.segmenter.state_dict().items()}
    rephase(old, PhaseScheme.from_names(["x", "y"]), {1: (3,)})
    for name, tensor in old.segmenter.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_one_old_phase_cannot_become_two() -> None:
    with pytest.raises(ModelError, match="both claim label 2"):
        rephase(MODELS["none"], PhaseScheme.from_names(["a", "b"]), {1: (2,), 2: (2,)})


def test_an_origin_that_is_not_there_is_named() -> None:
    with pytest.raises(ModelError, match=r"label 7.*1 ferrite, 2 pearlite"):
        rephase(MODELS["none"], PhaseScheme.from_names(["a"]), {1: (7,)})
