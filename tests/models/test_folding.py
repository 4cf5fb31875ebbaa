"""Folded normalisations: the same scores, no normalisation left, and never the network that was trained on."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import torch
from torch import nn

from phaseguide.models.folding import folded
from phaseguide.models.model_file import load_model
from phaseguide.models.segmenter import GuidedSegmenter
from tiny_models import tiny_model


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def opened(folder: Path) -> GuidedSegmenter:
    segmenter = load_model(tiny_model(folder)).segmenter
    for module in segmenter.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return segmenter


def test_the_scores_are_the_same_to_rounding(tmp_path: Path) -> None:
    torch.manual_seed(0)
    segmenter = opened(tmp_path)
    lean = folded(segmenter)
    assert norms(segmenter) > 5 and norms(lean) == 0
    image, ratio = torch.randn(1, 1, 96, 64), torch.tensor([[0.2, 0.5, 0.3]])
    with torch.inference_mode():
        for given in (None, ratio):
            torch.testing.assert_close(lean(image, given), segmenter(image, given), atol=1e-3, rtol=1e-3)


def test_it_is_made_once_and_again_when_the_network_has_learnt(tmp_path: Path) -> None:
    segmenter = opened(tmp_path)
    lean = folded(segmenter)
    assert folded(segmenter) is lean
    with torch.no_grad():
        next(segmenter.parameters()).mul_(2)
    assert folded(segmenter) is not lean


def test_a_normalisation_that_does_not_follow_a_convolution_stays(tmp_path: Path) -> None:
    segmenter = opened(tmp_path)
    first = segmenter.backbone.net.encoder
    segmenter.backbone.net.encoder = nn.Sequential(nn.BatchNorm2d(1), first).eval()
    assert norms(folded(segmenter)) == 1


def test_a_network_without_normalisations_stays_itself_and_goes_with_its_last_user(tmp_path: Path) -> None:
    segmenter = opened(tmp_path)
    for module in list(segmenter.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    assert folded(segmenter) is segmenter
    known = weakref.ref(segmenter)
    del segmenter, module, child
    gc.collect()
    assert known() is None
