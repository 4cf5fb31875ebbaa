"""Stains, charging and etching that differ from island to island: what makes a whole island look like another phase."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED

BLOBS = (4, 8)
"""Cells along a crop of the fields that stains are drawn from: large ones and small ones."""
COARSE = 16
"""Side in px over which a local mean is taken."""


def stain_crops(images: Tensor, labels: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Shift and stretch the grey of smooth blobs, and of islands of one phase; labels stay as they are.

    A crop gets large blobs, small blobs and changed islands each with the probability ``share``. Texture is kept, only
    weaker or stronger. Images (B, C, H, W) are normalised to about [-1, 1], labels (B, H, W).
    """
    stained = images
    for cells in BLOBS:
        stained = _with_blobs(stained, cells, share, generator)
    chosen = torch.rand(len(images), generator=generator) < share
    changed = [
        _with_islands(image[None], marks, generator)[0] if bool(take) else image
        for image, marks, take in zip(stained, labels, chosen, strict=True)
    ]
    return torch.stack(changed)


def _with_blobs(images: Tensor, cells: int, share: float, generator: torch.Generator) -> Tensor:
    b, _, height, width = images.shape

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(b, 1, 1, 1, generator=generator)

    stained = (draw(0.0, 1.0) < share).float()
    field = F.interpolate(
        torch.randn(b, 1, cells, cells, generator=generator),
        size=(height, width), mode="bicubic", align_corners=True,
    )  # fmt: skip
    blobs = torch.sigmoid((field - draw(0.3, 1.2)) * draw(2.0, 8.0)) * stained
    gain = 1 + (torch.exp(draw(-0.7, 0.4)) - 1) * blobs
    return _changed(images, gain, draw(-0.7, 0.7) * blobs)


def _with_islands(image: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Change about half of the islands of an image (1, C, H, W), softly at their rims."""
    marks = labels.numpy()
    islands = np.zeros(marks.shape, dtype=np.int32)
    count = 0
    for label in np.unique(marks):
        if label not in (NOT_CLASSIFIED, EXCLUDED):
            found, more = ndimage.label(marks == label)
            islands[found > 0] = found[found > 0] + count
            count += more
    u = torch.rand(count + 1, 3, generator=generator)
    taken = u[:, 0] < 0.5
    taken[0] = False  # what carries no phase
    shift = torch.where(taken, (u[:, 1] - 0.5) * 0.8, torch.zeros(()))
    gain = torch.where(taken, torch.exp((u[:, 2] - 0.6) * 0.9), torch.ones(()))
    where = torch.from_numpy(islands).long()
    fields = torch.stack([gain[where], shift[where]])[None]
    rim = 2 + int(torch.randint(8, (1,), generator=generator))
    for window, pad in (((1, 2 * rim + 1), (rim, rim, 0, 0)), ((2 * rim + 1, 1), (0, 0, rim, rim))):
        fields = F.avg_pool2d(F.pad(fields, pad, mode="replicate"), window, stride=1)
    return _changed(image, fields[:, :1], fields[:, 1:])


def _changed(images: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """Stretch what differs from the local mean, and add."""
    height, width = images.shape[-2:]
    cells = (math.ceil(height / COARSE), math.ceil(width / COARSE))
    mean = F.interpolate(F.adaptive_avg_pool2d(images, cells), size=(height, width), mode="bilinear")
    return images + (images - mean) * (gain - 1) + shift
