"""What plain image filters say of each pixel, in torch: smoothed grey, edges, ridges and roughness at several sizes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

REACH = 4.0
"""Of a Gaussian, in standard deviations."""


class ImageFilters(nn.Module):
    """Filters of the mean grey of an image, at full size.

    For each size: the smoothed grey, the length of its gradient, the two eigenvalues of its Hessian (both scaled with
    the size, so that they can be compared), and the local standard deviation. Size 0 is the image as it is, without
    the last. Sources: the features of trainable Weka segmentation (Arganda-Carreras et al. 2017) and of ilastik (Berg
    et al. 2019); scaling by Lindeberg 1998.

    Parameters
    ----------
    sigmas : sequence of float
        Sizes: standard deviations of the Gaussians, px.
    """

    def __init__(self, sigmas: list[float]) -> None:
        super().__init__()
        self.sigmas = [float(sigma) for sigma in sigmas]
        self.channels = sum(5 if sigma else 4 for sigma in self.sigmas)

    def forward(self, image: Tensor) -> Tensor:
        """Return the maps, shape (B, `channels`, H, W), of an image, shape (B, C, H, W)."""
        grey = image.mean(1, keepdim=True)
        square = grey.square()
        maps: list[Tensor] = []
        for sigma in self.sigmas:
            smooth = _smoothed(grey, sigma) if sigma else grey
            along_x, along_y = _slopes(smooth)
            xx, xy = _slopes(along_x)
            _, yy = _slopes(along_y)
            size = max(sigma, 1.0)
            middle = 0.5 * (xx + yy)
            apart = torch.sqrt((0.5 * (xx - yy)).square() + xy.square() + 1e-12)
            slope = torch.sqrt(along_x.square() + along_y.square() + 1e-12)
            maps += [smooth, size * slope, size**2 * (middle + apart), size**2 * (middle - apart)]
            if sigma:
                spread = (_smoothed(square, sigma) - smooth.square()).clamp_min(0.0)
                maps.append(torch.sqrt(spread + 1e-6))
        return torch.cat(maps, 1)


def _smoothed(grey: Tensor, sigma: float) -> Tensor:
    """Return an image seen through a Gaussian; beyond its border it goes on as at the border."""
    reach = int(REACH * sigma + 0.5)
    at = torch.arange(-reach, reach + 1, dtype=grey.dtype, device=grey.device)
    weights = torch.exp(-0.5 * (at / sigma).square())
    weights = weights / weights.sum()
    wide = F.pad(grey, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(wide, weights.view(1, 1, 1, -1)), weights.view(1, 1, -1, 1))


def _slopes(grey: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences along x and y."""
    wide = F.pad(grey, (1, 1, 1, 1), mode="replicate")
    along_x = 0.5 * (wide[..., 1:-1, 2:] - wide[..., 1:-1, :-2])
    along_y = 0.5 * (wide[..., 2:, 1:-1] - wide[..., :-2, 1:-1])
    return along_x, along_y
