"""Crops with augmentation in a single pass: one resampling of image and labels, then brightness.

Geometry moves area shares about, so the ratio of a crop is taken after it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

SYMMETRIES = 8
"""Quarter turns and mirrored quarter turns of a crop."""


def random_grid(
    height: int, width: int, crop: int, max_log_scale: float, generator: torch.Generator
) -> Tensor:
    """Draw the sampling grid of one crop: place, quarter turns and free rotation, flip, zoom, slight warp.

    Shape (1, crop, crop, 2), normalised for `torch.nn.functional.grid_sample`.
    """
    u = torch.rand(8, generator=generator)
    scale = math.exp(float(u[0] * 2 - 1) * max_log_scale)
    quarter = int(u[1] * 4) * math.pi / 2
    angle = quarter + (float(u[2] * 2 - 1) * math.pi / 6 if u[7] < 0.5 else 0.0)
    flip = -1.0 if u[3] < 0.5 else 1.0
    half = crop / 2 * scale
    line = (torch.arange(crop) + 0.5) / crop * 2 - 1
    y, x = torch.meshgrid(line * half, line * half, indexing="ij")
    x = x * flip
    centre_x = half + float(u[4]) * max(0.0, width - 2 * half) if width > 2 * half else width / 2
    centre_y = half + float(u[5]) * max(0.0, height - 2 * half) if height > 2 * half else height / 2
    cos, sin = math.cos(angle), math.sin(angle)
    px = centre_x + cos * x - sin * y
    py = centre_y + sin * x + cos * y
    if u[6] < 0.3:
        coarse = torch.randn(1, 2, 5, 5, generator=generator) * 4.0
        warp = F.interpolate(coarse, size=(crop, crop), mode="bicubic", align_corners=True)[0]
        px, py = px + warp[0], py + warp[1]
    return torch.stack((px / width * 2 - 1, py / height * 2 - 1), dim=-1)[None]


def plain_grid(height: int, width: int, crop: int, generator: torch.Generator) -> Tensor:
    """Draw the sampling grid of one crop that is only turned by quarters and mirrored: pixels stay what they are.

    Shape as of `random_grid`.
    """
    top, left = (_place(length, crop, generator) for length in (height, width))
    line = torch.arange(crop) + 0.5
    y, x = torch.meshgrid(line + top, line + left, indexing="ij")
    grid = torch.stack((x / width * 2 - 1, y / height * 2 - 1))
    return turned(grid, int(torch.randint(SYMMETRIES, (1,), generator=generator))).movedim(0, -1)[None]


def _place(length: int, crop: int, generator: torch.Generator) -> int:
    """Where a crop begins; one that is longer than the image has it in its middle."""
    if length <= crop:
        return (length - crop) // 2
    return int(torch.randint(length - crop + 1, (1,), generator=generator))


def turned(tensor: Tensor, symmetry: int) -> Tensor:
    """Turn the last two axes by quarter turns (``symmetry`` 0 to 3), mirrored first (4 to 7)."""
    mirrored = tensor.flip(-1) if symmetry >= 4 else tensor
    return torch.rot90(mirrored, symmetry % 4, (-2, -1))


def moved_onto(grid: Tensor, row: float, column: float, height: int, width: int) -> Tensor:
    """Move a sampling grid so that its middle lies on a place of the image, in px from its upper left corner."""
    middle = (grid.amax((1, 2)) + grid.amin((1, 2)))[0] / 2
    return grid + (torch.tensor([column / width * 2 - 1, row / height * 2 - 1]) - middle)


def sample_crop(image: Tensor, labels: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Resample an image (C, H, W) linearly and its labels (H, W) to the nearest, mirrored outside."""
    pixels = F.grid_sample(image[None], grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    marks = F.grid_sample(
        labels[None, None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
    )
    return pixels[0], marks[0, 0].round().long()


def vary_light(images: Tensor, generator: torch.Generator) -> Tensor:
    """Vary contrast and brightness alone, by up to a fifth of the range; images (B, C, H, W) as `jitter_brightness`."""
    u = torch.rand(2, len(images), 1, 1, 1, generator=generator) * 2 - 1
    return images * (1 + 0.2 * u[0]) + 0.2 * u[1]


def some_inverted(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Turn bright into dark in a share of the crops, as another detector or etchant does; images (B, C, H, W)."""
    inverted = torch.rand(len(images), 1, 1, 1, generator=generator) < share
    return torch.where(inverted, -images, images)


def jitter_brightness(images: Tensor, degrade: float, generator: torch.Generator) -> Tensor:
    """Vary what differs between microscopes and preparations; labels stay as they are.

    Gain, offset and gamma; uneven illumination; stains; blur and noise. A share ``degrade`` of the crops gets blur,
    noise and stains several times stronger. Images (B, C, H, W) are normalised to about [-1, 1].
    """
    b, c, h, w = images.shape

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(b, 1, 1, 1, generator=generator)

    def smooth_field(cells: int) -> Tensor:
        coarse = torch.randn(b, 1, cells, cells, generator=generator)
        return F.interpolate(coarse, size=(h, w), mode="bicubic", align_corners=True)

    heavy = (torch.rand(b, 1, 1, 1, generator=generator) < degrade).float()
    unit = ((images + 1.5) / 3).clamp(0, 1)
    out = unit ** torch.exp(draw(-0.35, 0.35)) * 3 - 1.5
    out = out * draw(0.75, 1.3) + draw(-0.25, 0.25)
    out = out + smooth_field(3) * draw(0.0, 0.2)
    stain = torch.relu(smooth_field(6) - 1.0)
    has_stain = (torch.rand(b, 1, 1, 1, generator=generator) < 0.3 + heavy * 0.5).float()
    out = out - has_stain * stain * draw(-0.3, 0.5) * (1 + heavy)
    blurred = F.avg_pool2d(F.pad(out, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
    share = draw(-0.5, 0.6).clamp_min(0) * (1 - heavy) + heavy * draw(0.6, 1.0)
    out = out * (1 - share) + blurred * share
    sharpen = draw(-0.6, 0.5).clamp_min(0) * (1 - heavy)
    out = out + sharpen * (out - blurred)
    noise = torch.randn(b, c, h, w, generator=generator)
    return out + noise * draw(0.0, 0.08) * (1 + 3 * heavy)
