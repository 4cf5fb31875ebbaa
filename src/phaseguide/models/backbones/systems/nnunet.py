"""nnU-Net: the plain network of the self-configuring method, by MONAI's DynUNet.

Source: F. Isensee and others, nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation,
Nature Methods 18 (2021) 203-211. How deep it is and how large its patches are follows from the data:
`phaseguide.models.backbones.systems.nnunet_plan`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.models.architectures import NNUNET_STAGES
from phaseguide.models.backbones.base import STRIDE, BackboneOptions
from phaseguide.models.backbones.systems.base import Network, System
from phaseguide.models.backbones.systems.blocks import scaled
from phaseguide.models.backbones.systems.nnunet_plan import stage_channels

HOW_TO_INSTALL = "pip install 'napari-phaseguide[systems]'"


class NnUNet(System):
    """Stages of two convolutions with instance norm and leaky ReLU, strided down, transposed up; no deep supervision.

    Option ``stages`` is how many resolutions it has.
    """

    def __init__(self, options: BackboneOptions, n_phases: int) -> None:
        super().__init__(options, n_phases)
        stages = options.decoder.get("stages", NNUNET_STAGES)
        self.stride = max(STRIDE, 2 ** (stages - 1))

    def build(self, in_channels: int, n_phases: int, options: Mapping[str, Any]) -> Network:
        """See `System.build`."""
        stages = options.get("stages", NNUNET_STAGES)
        filters = [scaled(c, options.get("width", 1.0)) for c in stage_channels(stages)]
        whole = plain_network(in_channels, n_phases, filters)
        for module in whole.modules():
            if isinstance(module, nn.InstanceNorm2d):
                module.__class__ = _AnySize
        return Network(_Encoder(whole, filters), _Decoder(whole), whole.output_block)


def plain_network(in_channels: int, n_phases: int, filters: list[int]) -> Any:
    """Return MONAI's network with so many channels at each stage, or raise `ModelError` where MONAI is missing."""
    if find_spec("monai") is None:
        raise ModelError(f"Architecture nnunet needs the library MONAI. Install it with: {HOW_TO_INSTALL}")
    from monai.networks.nets.dynunet import DynUNet

    strides = [1] + [2] * (len(filters) - 1)
    return DynUNet(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=n_phases,
        kernel_size=[3] * len(filters),
        strides=strides,
        upsample_kernel_size=strides[1:],
        filters=filters,
    )


class _Encoder(nn.Module):
    def __init__(self, whole: Any, filters: list[int]) -> None:
        super().__init__()
        self.out_channels = filters
        self.stages = nn.ModuleList([whole.input_block, *whole.downsamples, whole.bottleneck])

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = [self.stages[0](image)]
        for stage in self.stages[1:]:
            maps.append(stage(maps[-1]))
        return maps


class _Decoder(nn.Module):
    def __init__(self, whole: Any) -> None:
        super().__init__()
        self.steps = whole.upsamples

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = maps[-1]
        for step, skip in zip(self.steps, maps[-2::-1], strict=True):
            x = step(x, skip)
        return x


class _AnySize(nn.InstanceNorm2d):
    """Instance norm that also takes maps of one pixel, which torch refuses: a small image ends as one."""

    def forward(self, input: Tensor) -> Tensor:
        return torch.instance_norm(input, self.weight, self.bias, None, None, True, 0.1, self.eps, False)
