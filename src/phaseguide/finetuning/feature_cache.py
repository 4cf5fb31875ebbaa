"""What a frozen encoder, or the frozen part of one, makes of crops, each computed once: what makes learning quick."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from phaseguide.finetuning.crops import Crop
from phaseguide.models.backbones.base import Features
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.training.adapters import encoded, sam_backbone
from phaseguide.training.augmentation import jitter_brightness, turned

BUDGET = 1_500_000_000
"""Bytes of features that are kept."""

Encode = Callable[[GuidedSegmenter, Tensor], Features]
Complete = Callable[[GuidedSegmenter, Features], Features]


class FeatureCache:
    """What is computed of (crop, symmetry) once; oldest dropped first.

    Every variant but the plain one has its own brightness, contrast and noise, drawn from the seed, the crop and the
    symmetry: so a variant is the same whenever it is computed, and a run that goes on from a checkpoint learns from
    the same pixels. What ``encode`` uses of the segmenter must not change meanwhile; the default is all of its
    encoder. ``complete`` is the rest of the encoder, of any model that has the frozen part in common. Half precision
    loses nothing that a decoder would notice.
    """

    def __init__(
        self,
        segmenter: GuidedSegmenter,
        device: torch.device,
        seed: int,
        *,
        encode: Encode | None = None,
        complete: Complete | None = None,
        precision: torch.dtype = torch.float16,
    ) -> None:
        self._segmenter, self._device, self._seed = segmenter, device, seed
        self._encode = encode or whole
        self._complete = complete
        self._precision = precision
        self._kept: OrderedDict[tuple[int, int], list[Tensor]] = OrderedDict()
        self._bytes = 0
        self.encoded = 0

    def features(self, crops: Sequence[Crop], picks: Sequence[tuple[int, int]]) -> Features:
        """Return what is kept of a batch: (index of a crop, symmetry) a sample, of crops that are always the same."""
        maps = [self._maps(crops, crop, symmetry) for crop, symmetry in picks]
        joined = []
        for level in range(len(maps[0])):
            stacked = torch.cat([one[level] for one in maps]).to(self._device, torch.float32)
            if self._complete is None:  # tokens, which are completed, have their channels last as they are
                stacked = stacked.contiguous(memory_format=torch.channels_last)
            joined.append(stacked)
        side = crops[picks[0][0]].labels.shape
        return Features(joined, side[0], side[1])

    def completed(self, segmenter: GuidedSegmenter, features: Features) -> Features:
        """Run the rest of a model's encoder on what `features` returned."""
        return features if self._complete is None else self._complete(segmenter, features)

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
            maps = [m.to(self._precision).cpu() for m in self._encode(self._segmenter, image).maps]
        self.encoded += 1
        self._kept[key] = maps
        self._bytes += _size(maps)
        while self._bytes > BUDGET and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= _size(oldest)
        return maps


def whole(segmenter: GuidedSegmenter, image: Tensor) -> Features:
    """All of the encoder."""
    return encoded(segmenter, segmenter.encode, image)


def frozen_start(segmenter: GuidedSegmenter, image: Tensor) -> Features:
    """The blocks of a Segment Anything encoder before the first adapted one."""
    sam = sam_backbone(segmenter)
    assert sam is not None
    return encoded(segmenter, sam.encode_frozen, image)


def adapted_rest(segmenter: GuidedSegmenter, tokens: Features) -> Features:
    """The blocks of a Segment Anything encoder from the first adapted one on."""
    sam = sam_backbone(segmenter)
    assert sam is not None
    return encoded(segmenter, sam.encode_adapted, tokens)


def cache_for(parts: str, segmenter: GuidedSegmenter, device: torch.device, seed: int) -> FeatureCache | None:
    """A cache of what does not learn, where that is worth one; None where all of the encoder learns.

    Tokens are kept in full precision: the blocks that follow are many, and whoever learns through them is
    to get what he would get without a cache.
    """
    if parts == "fast":
        return FeatureCache(segmenter, device, seed)
    sam = sam_backbone(segmenter)
    if parts == "adapters" and sam is not None and sam.first_adapted > 0:
        return FeatureCache(
            segmenter, device, seed, encode=frozen_start, complete=adapted_rest, precision=torch.float32
        )
    return None


def varied(pixels: Tensor, index: int, symmetry: int, seed: int) -> Tensor:
    """Turn a crop, and give every variant but the plain one a brightness of its own."""
    image = turned(pixels, symmetry)
    if symmetry == 0:
        return image
    generator = torch.Generator().manual_seed(((seed * 1_000_003 + index) * 8 + symmetry) % 2**63)
    return jitter_brightness(image[None], 0.0, generator)[0]


def _size(maps: Sequence[Tensor]) -> int:
    return sum(m.numel() * m.element_size() for m in maps)
