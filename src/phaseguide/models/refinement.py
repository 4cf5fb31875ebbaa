"""Learnt fusion: a small network that corrects ratio-matched scores where matching errs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phaseguide.models.architectures import REFINE, check_guidance

FLOOR_LOG = -12.0
"""Log probabilities below it count as it."""

SHRINK = 2
"""Pixels of the image to one of the network, along a side; the grey values enter at full resolution."""

_MAPS = 2
"""Maps a phase: calibrated scores, and scores matched to the ratio."""

OPEN = 1.0
"""Uncertainty that stands for a phase of which nothing was said."""

_NUMBERS = 2
"""Numbers a phase: what was asked against what the model sees, and how sure the user is."""


class ScoreRefinement(nn.Module):
    """Correction of the scores of an image that a ratio was matched to.

    For calibrated scores z (log probabilities), the offsets b that match them to the composition that is aimed at
    (`phaseguide.segmentation.matching.match`), the grey value x, the asked and the own area shares r and m, and the
    stated uncertainty u::

        c = softmax(z + b)                     class-ratio maps, computed
        e = MLP(log(r / m), u)                 what was asked, and how far to trust it
        h = UNet([z, log c, x]) under e        at half resolution
        z' = z + b + 2 sigmoid(gate(h)) correction(h)

    Both last layers start at zero, so an untrained module is matching itself. It is learnt on scores that were made by
    networks that had not seen the image (stacked generalisation, Wolpert 1992), since only those err as they will in
    use; see `phaseguide.training.crossfit.refinement`. The reading of *class-ratio maps* and *gated fusion* is ours: no
    equations of the published module are public, and there both are learnt with the network.

    Nothing in it depends on what lies further away than `reach` px: an image may be cut into tiles that begin at
    multiples of `grid` px.

    Parameters
    ----------
    n_phases : int
    width : int
        Channels at half resolution; each coarser level has as many more.
    levels : int
        Resolutions, each half as fine as the one before.
    """

    def __init__(self, n_phases: int, width: int = 16, levels: int = 3) -> None:
        super().__init__()
        self.n_phases, self.width, self.levels = n_phases, width, levels
        widths = [width * (level + 1) for level in range(levels)]
        # Phases lie run by run along every axis that has them, so that they can be added, merged and reordered.
        self.evidence = nn.Conv2d(n_phases * _MAPS, width, 3, padding=1, bias=False)
        self.texture = nn.Conv2d(SHRINK**2, width, 3, padding=1)
        self.trust = nn.Sequential(nn.Linear(n_phases * _NUMBERS, 32), nn.SiLU(), nn.Linear(32, 2 * width))
        self.entry = nn.Sequential(_Normed(width, width))
        self.down = nn.ModuleList(nn.Sequential(_Normed(a, b), _Normed(b, b)) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.Sequential(_Normed(a + b, a), _Normed(a, a)) for a, b in pairwise(widths))
        self.correction = nn.Conv2d(width, n_phases, 1)
        self.gate = nn.Conv2d(width, 1, 1)
        for last in (self.correction, self.gate):
            nn.init.zeros_(last.weight)
            assert last.bias is not None
            nn.init.zeros_(last.bias)

    @property
    def grid(self) -> int:
        """Px of the image between two places where a tile may begin."""
        return SHRINK << (self.levels - 1)

    @property
    def reach(self) -> int:
        """Px of the image around a pixel that its correction depends on; a multiple of `grid`."""
        # Two convolutions down and two up at each level but the coarsest, which has two, and the enlarging of each.
        steps = sum((3 if level + 1 == self.levels else 5) << level for level in range(self.levels))
        return -(-SHRINK * steps // self.grid) * self.grid

    def forward(
        self, calibrated: Tensor, offsets: Tensor, grey: Tensor, asked: Tensor, uncertainty: Tensor
    ) -> Tensor:
        """Return scores (B, K, H, W) that know the ratio.

        Parameters
        ----------
        calibrated : Tensor, shape (B, K, H, W)
            Log probabilities up to a constant at each pixel.
        offsets : Tensor, shape (B, K)
            What matches them to the composition that is aimed at.
        grey : Tensor, shape (B, 1, H, W)
            The image as the network sees it, colours averaged; about [-1, 1].
        asked : Tensor, shape (B, K)
            log(asked / own), 0 where nothing was asked.
        uncertainty : Tensor, shape (B, K)
            Standard deviation of what was asked in log-ratio space; `OPEN` where nothing was.
        """
        matched = calibrated + offsets[:, :, None, None]
        height, width = calibrated.shape[-2:]
        down, right = -height % self.grid, -width % self.grid
        planes = F.pad(torch.cat((calibrated, grey), 1), (0, right, 0, down), mode="replicate")
        small = F.avg_pool2d(planes[:, : self.n_phases], SHRINK)
        maps = (small.log_softmax(1), (small + offsets[:, :, None, None]).log_softmax(1))
        evidence = torch.stack(maps, 1).clamp_min(FLOOR_LOG).flatten(1, 2)
        texture = F.pixel_unshuffle(planes[:, self.n_phases :], SHRINK)
        scale, shift = self.trust(torch.stack((asked, uncertainty), 1).flatten(1)).chunk(2, 1)
        h = self.evidence(evidence) + self.texture(texture)
        h = h * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
        correction = self._unet(h)
        whole = F.interpolate(correction, scale_factor=SHRINK, mode="bilinear")[..., :height, :width]
        return matched + whole

    def _unet(self, h: Tensor) -> Tensor:
        h = self.entry(h)
        finer = []
        for level in self.down:
            finer.append(h)
            h = level(F.avg_pool2d(h, 2))
        for level, skip in zip(reversed(self.up), reversed(finer), strict=True):
            h = level(torch.cat((skip, F.interpolate(h, scale_factor=2, mode="bilinear")), 1))
        corrected: Tensor = 2 * torch.sigmoid(self.gate(h)) * self.correction(h)
        return corrected


class _Normed(nn.Sequential):
    """3x3 convolution, batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.SiLU()
        )


def build_refinement(n_phases: int, options: Mapping[str, Any]) -> ScoreRefinement:
    """Make the refinement of K phases; options are arguments of `ScoreRefinement`."""
    check_guidance(REFINE, options)
    return ScoreRefinement(n_phases, **options)
