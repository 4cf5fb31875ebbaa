"""Encoder features of crops, each computed once: what makes learning with a frozen encoder quick."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

from phaseguide.finetuning.crops import Crop, turned
from phaseguide.models.backbones import Features
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.training.augmentation import jitter_brightness

BUDGET = 1_500_000_000
"""Bytes of features that are kept."""


class FeatureCache:
    """Features of (crop, symmetry), in half precision, oldest dropped first.

    Every variant but the plain one has its own brightness, contrast and noise, drawn from the seed, the
    crop and the symmetry: so a variant is the same whenever it is computed, and a run that goes on from
    a checkpoint learns from the same pixels.

    Parameters
    ----------
    segmenter : GuidedSegmenter
        Its encoder must not change meanwhile.
    device : torch.device
    seed : int
    budget : int
        Bytes.
    """

    def __init__(
        self, segmenter: GuidedSegmenter, device: torch.device, seed: int, budget: int = BUDGET
    ) -> None:
        self._segmenter, self._device, self._seed, self._budget = segmenter, device, seed, budget
        self._kept: OrderedDict[tuple[int, int], list[Tensor]] = OrderedDict()
        self._bytes = 0
        self.encoded = 0

    def features(self, crops: Sequence[Crop], picks: Sequence[tuple[int, int]]) -> Features:
        """Return the features of a batch.

        Parameters
        ----------
        crops : sequence of Crop
            All crops; always the same list.
        picks : sequence of tuple of int
            (index of a crop, symmetry) for each sample.
        """
        maps = [self._maps(crops, crop, symmetry) for crop, symmetry in picks]
        joined = []
        for level in range(len(maps[0])):
            stacked = torch.cat([one[level] for one in maps]).to(self._device, torch.float32)
            joined.append(stacked.contiguous(memory_format=torch.channels_last))
        side = crops[picks[0][0]].labels.shape
        return Features(joined, side[0], side[1])

    def bytes_each(self) -> int:
        """Mean size of what is kept, 0 while nothing is."""
        return self._bytes // len(self._kept) if self._kept else 0

    def _maps(self, crops: Sequence[Crop], index: int, symmetry: int) -> list[Tensor]:
        key = (index, symmetry)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        pixels = varied(crops[index].pixels, index, symmetry, self._seed)
        with torch.no_grad():
            image = pixels[None].to(self._device, memory_format=torch.channels_last)
            maps = [m.half().cpu() for m in self._segmenter.encode(image).maps]
        self.encoded += 1
        self._kept[key] = maps
        self._bytes += _size(maps)
        while self._bytes > self._budget and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)
        return maps


def varied(pixels: Tensor, index: int, symmetry: int, seed: int) -> Tensor:
    """Turn a crop, and give every variant but the plain one a brightness of its own."""
    image = turned(pixels, symmetry)
    if symmetry == 0:
        return image
    generator = torch.Generator().manual_seed(((seed * 1_000_003 + index) * 8 + symmetry) % 2**63)
    return jitter_brightness(image[None], 0.0, generator)[0]


def _size(maps: Sequence[Tensor]) -> int:
    return sum(m.numel() * m.element_size() for m in maps)
