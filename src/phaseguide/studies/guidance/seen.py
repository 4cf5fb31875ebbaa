"""A network on one field, encoded once: its scores for whatever ratio it is told, and what comes through guidance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phaseguide.models.backbones.base import Features
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import EXCLUDED
from phaseguide.ratios import Ratio
from phaseguide.segmentation.matching.match import argmax_labels, shares
from phaseguide.training.tiled import decode_field, encode_field

Scores = NDArray[np.float32]
Labels = NDArray[np.uint8]


def fixed_pixels(labels: Labels) -> Labels | None:
    """Excluded pixels as edits are given, None without any."""
    excluded = labels == EXCLUDED
    return np.where(excluded, EXCLUDED, 0).astype(np.uint8) if excluded.any() else None


class Seen:
    """A model on a normalised image (C, H, W); ``fixed`` as `argmax_labels` takes it. One pass, no second view."""

    def __init__(self, model: LoadedModel, image: Tensor, fixed: Labels | None, device: torch.device) -> None:
        self.segmenter, self.fixed = model.segmenter, fixed
        self.n_phases = len(model.card.scheme)
        self.image = image[None].to(device)
        with torch.inference_mode():
            self.features: list[Features] = encode_field(self.segmenter, self.image)

    def scores(self, ratio: Ratio | None) -> Scores:
        """Scores of the network that is told a ratio, or none, shape (K, H, W); nothing is checked of the ratio."""
        return self._decoded(self.features, ratio)

    def labels(self, ratio: Ratio | None) -> Labels:
        """The map of the network alone."""
        return argmax_labels(self.scores(ratio), self.fixed)

    def areas(self, labels: Labels) -> Ratio:
        """Area shares of a map of it."""
        return shares(labels, self.n_phases)

    def silenced(self, ratio: Ratio) -> Labels:
        """The map of the network where its guided maps, told a ratio, show their mean everywhere."""
        return argmax_labels(
            self._decoded([self._flat(one, ratio) for one in self.features], None), self.fixed
        )

    def encoded(self) -> list[Tensor]:
        """The coarsest map of each tile before guidance, (C, h, w)."""
        return [one.maps[-1][0].float().cpu() for one in self.features]

    def guided(self, ratio: Ratio) -> list[Tensor]:
        """The same as the decoder gets it, told a ratio; the model has guidance in the network."""
        told = self._told(ratio)
        with torch.inference_mode():
            found = [self.segmenter.guidance[0](one.maps[-1], told) for one in self.features]
        return [one[0].float().cpu() for one in found]

    def _flat(self, features: Features, ratio: Ratio) -> Features:
        maps = list(features.maps)
        with torch.inference_mode():
            for level, module in enumerate(self.segmenter.guidance, start=1):
                guided = module(maps[-level], self._told(ratio))
                maps[-level] = guided.mean((2, 3), keepdim=True).expand_as(guided).contiguous()
        return replace(features, maps=maps)

    def _told(self, ratio: Ratio) -> Tensor:
        return torch.tensor(ratio[None], dtype=torch.float32).to(self.image.device)

    def _decoded(self, features: list[Features], ratio: Ratio | None) -> Scores:
        told = None if ratio is None else torch.tensor(ratio, dtype=torch.float32)
        with torch.inference_mode():
            return decode_field(self.segmenter, self.image, features, told)
