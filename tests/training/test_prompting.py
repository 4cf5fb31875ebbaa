"""Prompts in training: they say what the labels say, cost other models nothing, and come to mean something."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.sam.prompts import Prompts
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.training.losses import segmentation_loss
from phaseguide.training.prompting import decode_shown, simulate_prompts
from textures import SCHEME, TINY, config, data


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def halves(generator: torch.Generator, side: int = 64) -> Tensor:
    """Two phases with a straight border somewhere, in any of the four directions."""
    border = int(torch.randint(side // 3, 2 * side // 3, (1,), generator=generator))
    labels = torch.ones((side, side), dtype=torch.long)
    labels[:, border:] = 2
    turns = int(torch.randint(4, (1,), generator=generator))
    return torch.rot90(labels, turns).contiguous()


def sam(kind: str = "none") -> GuidedSegmenter:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = BackboneOptions("sam", "vit_tiny", 1, {"head": "mask"}, {"rank": 2})
        return GuidedSegmenter(options, GuidanceOptions(kind), SCHEME)


def test_prompts_say_what_the_labels_say() -> None:
    generator = seeded()
    boxes = negatives = 0
    for _ in range(60):
        labels = halves(generator)
        labels[:8], labels[8:20, :20] = 255, 0
        known, prompts = labels.numpy(), simulate_prompts(labels, 2, generator)
        prompts.validate(2)
        assert 1 <= len(prompts) <= 4
        for (row, column), said in zip(prompts.points.astype(int), prompts.point_phases, strict=True):
            assert known[row, column] == said if said > 0 else known[row, column] not in (0, 255, -said)
            negatives += said < 0
        for (top, left, bottom, right), phase in zip(prompts.boxes, prompts.box_phases, strict=True):
            assert 0 <= top < bottom <= 63 and 0 <= left < right <= 63
            part = known[round(top) : round(bottom) + 1, round(left) : round(right) + 1]
            assert (part == phase).mean() > 0.3, "the sides are loose, but the phase is there"
            boxes += 1
    assert boxes > 20 and negatives > 2


def test_an_island_gets_a_box_around_it() -> None:
    labels = torch.ones((64, 64), dtype=torch.long)
    labels[20:36, 30:50] = 2
    seen = [simulate_prompts(labels, 2, seeded(i)) for i in range(40)]
    around = np.array([b for p in seen for b, k in zip(p.boxes, p.box_phases, strict=True) if k == 2])
    assert np.median(around, axis=0) == pytest.approx([20, 30, 35, 49], abs=6)


def test_strokes_give_points_and_no_boxes() -> None:
    """Of a box around a stroke nobody knows what else is in it."""
    labels = torch.zeros((64, 64), dtype=torch.long)
    labels[torch.arange(60), torch.arange(60)] = 1
    prompts = [simulate_prompts(labels, 2, seeded(i)) for i in range(20)]
    assert all(len(p.points) and not len(p.boxes) for p in prompts)


def test_the_same_state_gives_the_same_and_no_labels_none() -> None:
    labels = halves(seeded())
    assert simulate_prompts(labels, 2, seeded(3)).key == simulate_prompts(labels, 2, seeded(3)).key
    assert len(simulate_prompts(torch.zeros_like(labels), 2, seeded())) == 0


def test_a_model_that_takes_none_draws_nothing() -> None:
    options = BackboneOptions("unet", "tu-test_efficientnet", 1, TINY)
    model = GuidedSegmenter(options, GuidanceOptions("none"), SCHEME).eval()
    generator = seeded()
    before = generator.get_state()
    with torch.no_grad():
        features = model.encode(torch.zeros(2, 1, 64, 64))
        labels = torch.ones((2, 64, 64), dtype=torch.long)
        logits = decode_shown(model, features, None, labels, generator)
        assert torch.equal(logits, model.decode(features))
    assert torch.equal(generator.get_state(), before)


def test_half_of_the_steps_show_prompts_to_each_sample_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    model, generator = sam("plm").eval(), seeded()
    shown: list[Prompts | None] = []
    decode = model.decode

    def spy(features: object, ratio: object = None, prompts: Prompts | None = None) -> Tensor:
        shown.append(prompts)
        return decode(features, ratio, prompts)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "decode", spy)
    labels = torch.stack([halves(generator), halves(generator)])
    ratio = torch.tensor([[0.3, 0.7], [float("nan")] * 2])
    with torch.no_grad():
        features = model.encode(torch.zeros(2, 1, 64, 64))
        for _ in range(20):
            assert decode_shown(model, features, ratio, labels, generator).shape == (2, 2, 64, 64)
    without = sum(prompts is None for prompts in shown)
    assert 4 <= without <= 16 and len(shown) == without + 2 * (20 - without)
    keys = [prompts.key for prompts in shown if prompts is not None]
    assert len(set(keys)) == len(keys)


def test_boxes_and_points_come_to_mean_their_phase() -> None:
    """Images that say nothing, so that only prompts can tell where the phases are."""
    model, generator = sam(), seeded()
    with torch.no_grad():
        features = model.encode(torch.randn(2, 1, 64, 64, generator=generator) * 0.3)
    learning = list(model.backbone.decoder.parameters())
    optimiser = torch.optim.AdamW(learning, lr=5e-3)
    for _ in range(40):
        labels = torch.stack([halves(generator) for _ in range(2)])
        logits = decode_shown(model, features, None, labels, generator)
        loss = segmentation_loss(logits, labels, dice_weight=0.0, composition_weight=0.0, asked=None)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimiser.step()
    model.eval()
    with torch.no_grad():
        features = model.encode(torch.randn(1, 1, 64, 64, generator=seeded(9)) * 0.3)
        nothing = model.decode(features).softmax(1)[0]
        place, inside = np.array([[4.0, 4.0, 60.0, 28.0]]), (slice(8, 56), slice(8, 24))
        spot, around = np.array([[32.0, 16.0]]), (slice(28, 36), slice(12, 20))
        for phase in (1, 2):

            def gain(prompts: Prompts, where: tuple[slice, slice], phase: int = phase) -> float:
                """How much of the phase the prompts bring to a place."""
                shown = model.decode(features, None, prompts).softmax(1)[0]
                return float((shown - nothing)[(phase - 1, *where)].mean())

            box, other = (Prompts(place, np.array([label])) for label in (phase, 3 - phase))
            assert gain(box, inside) > 0.1 > -0.1 > gain(other, inside)
            assert gain(box, inside) > gain(box, (slice(8, 56), slice(44, 60))) + 0.1, "there, not everywhere"
            point, absent = (
                Prompts(points=spot, point_phases=np.array([label])) for label in (phase, -phase)
            )
            assert gain(point, around) > 0.05 > -0.02 > gain(absent, around)
        told, untold = [], []
        for _ in range(20):
            labels = halves(generator)[None]
            shown = model.decode(features, None, simulate_prompts(labels[0], 2, generator))
            told.append(float(torch.nn.functional.cross_entropy(shown, labels - 1)))
            untold.append(float(torch.nn.functional.cross_entropy(model.decode(features), labels - 1)))
        assert np.mean(told) < np.mean(untold) - 0.03
    weights = model.backbone.decoder.prompt_weights
    assert (weights.detach() > 1.0).all(), "learnt from the steps, and not as it began"


def test_a_training_run_shows_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.models.sam.decoder import MaskHead
    from phaseguide.training.trainer import train

    shown: list[bool] = []
    forward = MaskHead.forward

    def spy(self: MaskHead, features: Tensor, prompts: Prompts | None = None) -> Tensor:
        if self.training:
            shown.append(prompts is not None)
        return forward(self, features, prompts)

    monkeypatch.setattr(MaskHead, "forward", spy)
    settings = {"architecture": "sam", "encoder": "vit_tiny", "decoder": {"head": "mask"}}
    for _ in train(data(3), config(**settings, adapter={"rank": 2}, guidance="none", epochs=4)):
        pass
    assert any(shown) and not all(shown)
