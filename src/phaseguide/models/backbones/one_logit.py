"""Two phases from one channel: the logit z of a network becomes the scores (0, z).

The softmax of these is (1 - sigmoid(z), sigmoid(z)), so their cross-entropy is the binary cross-entropy of z, the phase
with the larger score is the second one where sigmoid(z) > 0.5, and all that is made for scores of K phases works.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.models.architectures import ONE_LOGIT
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.backbones.split import SplitBackbone


class TwoScores(nn.Module):
    """Scores of two phases, shape (B, 2, H, W), from one logit, that of the second."""

    def forward(self, logit: Tensor) -> Tensor:
        """Set a score of 0 before the logit, shape (B, 1, H, W)."""
        return torch.cat([torch.zeros_like(logit), logit], dim=1)


def build_with_one_logit(kind: type[SplitBackbone], options: BackboneOptions, n_phases: int) -> SplitBackbone:
    """Build a backbone whose head makes one channel; `ModelError` for another number of phases than two."""
    if n_phases != 2:
        raise ModelError(
            f"{ONE_LOGIT} makes two phases of one channel, but there are {n_phases}. Leave {ONE_LOGIT} out, or give "
            "two phases."
        )
    decoder = {name: value for name, value in options.decoder.items() if name != ONE_LOGIT}
    backbone = kind(replace(options, decoder=decoder), 1)
    # Every such network ends with its head.
    backbone.net.segmentation_head = nn.Sequential(backbone.net.segmentation_head, TwoScores())
    backbone.options = replace(backbone.options, decoder=dict(options.decoder))
    return backbone
