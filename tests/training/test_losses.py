"""The loss sees labelled pixels only, and crops that are partly labelled have no ratio."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phaseguide.training.losses import crop_ratios, segmentation_loss


def test_unlabelled_and_excluded_pixels_have_no_influence() -> None:
    torch.manual_seed(0)
    labels = torch.randint(1, 4, (2, 16, 16))
    labels[:, :5] = 0
    labels[:, 10:] = 255
    logits = torch.randn(2, 3, 16, 16, requires_grad=True)
    segmentation_loss(logits, labels, dice_weight=1, composition_weight=1).backward()
    grad = logits.grad
    assert grad is not None
    assert float(grad[:, :, :5].abs().max()) == 0
    assert float(grad[:, :, 10:].abs().max()) == 0
    assert float(grad[:, :, 5:10].abs().max()) > 0


def test_nothing_labelled_gives_zero_and_a_gradient_of_zero() -> None:
    logits = torch.randn(1, 3, 8, 8, requires_grad=True)
    loss = segmentation_loss(
        logits, torch.zeros(1, 8, 8, dtype=torch.long), dice_weight=1, composition_weight=1
    )
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None and float(logits.grad.abs().max()) == 0


def test_the_right_answer_costs_less_than_a_wrong_one() -> None:
    labels = torch.randint(1, 4, (2, 16, 16))
    right = torch.nn.functional.one_hot(labels - 1, 3).movedim(-1, 1).float() * 10
    for weights in ((0, 0), (1, 0), (0, 1), (1, 1)):
        kw = {"dice_weight": weights[0], "composition_weight": weights[1]}
        good = segmentation_loss(right, labels, **kw)
        bad = segmentation_loss(right.roll(1, 1), labels, **kw)
        assert float(good) < 0.05 < float(bad)


def test_crop_ratios() -> None:
    labels = torch.ones(4, 4, 4, dtype=torch.long)
    labels[0, :1] = 2
    labels[1, 0, 0] = 0
    labels[2, :2] = 255
    labels[3] = 255
    ratios = crop_ratios(labels, 2)
    assert ratios[0].tolist() == pytest.approx([0.75, 0.25])
    assert torch.isnan(ratios[1]).all(), "a partly labelled crop has no ratio"
    assert ratios[2].tolist() == pytest.approx([1, 0])
    assert torch.isnan(ratios[3]).all()
    assert np.isfinite(
        float(segmentation_loss(torch.randn(4, 2, 4, 4), labels, dice_weight=1, composition_weight=1))
    )
