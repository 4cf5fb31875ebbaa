"""The Phase Learning Module (PLM): our reading of the published text, each part switchable.

Source: Phase Learning Module manuscript (ICLR 2025 submission). An independent implementation from
the description; no code was public. The published parameter counts of the parts are met (tested).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.models.guidance.base import Guidance, coordinate_grid, ratio_encoder


class PhaseLearningModule(Guidance):
    """Ratio encoder, feature encoder, spatial attention and feature aggregation.

    For features F (C channels), K phases and width w::

        e = RE(r)                        Linear(K, 128), ReLU, Linear(128, w)
        f = FE(F)                        1x1 convolution, one map a phase
        S = sum_k SA_k([f_k, x, y])      one 3x3 coordinate convolution a phase, to w channels
        M = S * e
        a, b = sigmoid(conv1x1([S, M]))
        A = FA([a S, b M])               3x3 convolution, 2 w to C
        F' = gamma F + delta A

    Without RE the ratio enters as the weight of each phase's map (otherwise the ablation would not
    be guided at all); without SA it is e alone, the same everywhere; without FA, A is M (or S)
    brought to C channels by a 1x1 convolution where w differs from C.

    Parameters
    ----------
    channels, n_phases : int
    width : int, optional
        w; published: 256 for C = 256. Small nets want less, so that the module stays a few percent.
    use_ratio_encoder, use_spatial_attention, use_feature_aggregation : bool
        The published ablation is RE; SA; SA+FA; RE+SA; RE+SA+FA.
    coordinates : bool
        Feed x and y to SA. On a texture without a preferred place they can only learn where phases
        tended to be in the training images.
    gamma, delta : float
        Start values. 1 and 0 leave pretrained features intact; as published: 0.5 and 0.5.
    """

    def __init__(
        self,
        channels: int,
        n_phases: int,
        width: int = 256,
        use_ratio_encoder: bool = True,
        use_spatial_attention: bool = True,
        use_feature_aggregation: bool = True,
        coordinates: bool = True,
        gamma: float = 1.0,
        delta: float = 0.0,
    ) -> None:
        super().__init__(channels, n_phases)
        if not (use_ratio_encoder or use_spatial_attention):
            raise ModelError("A Phase Learning Module needs its ratio encoder or its spatial attention.")
        if use_feature_aggregation and not use_spatial_attention:
            raise ModelError("Feature aggregation works on spatial attention; switch that on too.")
        self.coordinates = coordinates
        self.ratio_encoder = ratio_encoder(n_phases, width) if use_ratio_encoder else None
        self.feature_encoder: nn.Conv2d | None = None
        self.spatial_attention: nn.ModuleList | None = None
        if use_spatial_attention:
            self.feature_encoder = nn.Conv2d(channels, n_phases, 1)
            inputs = 3 if coordinates else 1
            self.spatial_attention = nn.ModuleList(
                nn.Conv2d(inputs, width, 3, padding=1) for _ in range(n_phases)
            )
        self.gates: nn.Conv2d | None = None
        self.project: nn.Module
        if use_feature_aggregation:
            self.gates = nn.Conv2d(2 * width, 2, 1)
            self.project = nn.Conv2d(2 * width, channels, 3, padding=1)
        else:
            self.project = nn.Identity() if width == channels else nn.Conv2d(width, channels, 1)
        self.gamma = nn.Parameter(torch.tensor(float(gamma)))
        self.delta = nn.Parameter(torch.tensor(float(delta)))

    def guide(self, features: Tensor, ratio: Tensor) -> Tensor:
        """Return gamma F + delta A."""
        code = self.ratio_encoder(ratio)[:, :, None, None] if self.ratio_encoder is not None else None
        if self.spatial_attention is None:
            assert code is not None
            uniform: Tensor = self.gamma * features + self.delta * self.project(code)
            return uniform
        spatial = self._attend(features, None if code is not None else ratio)
        modulated = spatial * code if code is not None else spatial
        if self.gates is not None:
            gates = torch.sigmoid(self.gates(torch.cat((spatial, modulated), 1)))
            modulated = torch.cat((gates[:, :1] * spatial, gates[:, 1:] * modulated), 1)
        fused: Tensor = self.gamma * features + self.delta * self.project(modulated)
        return fused

    def _attend(self, features: Tensor, weights: Tensor | None) -> Tensor:
        assert self.feature_encoder is not None and self.spatial_attention is not None
        maps = self.feature_encoder(features)
        if weights is not None:
            maps = maps * (weights * self.n_phases)[:, :, None, None]
        grid = [coordinate_grid(features)] if self.coordinates else []
        parts = [
            conv(torch.cat([maps[:, k : k + 1], *grid], 1)) for k, conv in enumerate(self.spatial_attention)
        ]
        return torch.stack(parts).sum(0)
