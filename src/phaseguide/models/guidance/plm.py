"""The Phase Learning Module (PLM): our reading of the published text, each part switchable.

Source: Phase Learning Module manuscript (ICLR 2025 submission). An independent implementation from
the description; no code was public. The published parameter counts of the parts are met (tested).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.models.guidance.base import Guidance, coordinate_grid, ratio_encoder
from phaseguide.models.old_names import current_tensors

Maps = Literal["sum", "concatenated"]
Gates = Literal["maps", "scalars"]


class PhaseLearningModule(Guidance):
    """Ratio Encoder, Feature Extractor, Spatial Awareness and Feature Aggregator.

    For features F (C channels), K phases and width w::

        e = RE(r)                        Linear(K, 128), ReLU, Linear(128, w)
        f = FE(F)                        1x1 convolution, one map a phase
        P_k = SA_k([f_k, x, y])          one 3x3 coordinate convolution a phase, to w channels
        S = sum_k P_k,  M = S * e
        a, b = sigmoid(conv1x1([S, M]))
        A = FA([a S, b M])               3x3 convolution, 2 w to C
        F' = gamma F + delta A

    Without RE no ratio has a part in it, as in the published ablation's rows SA and SA+FA: the module is
    then a part of the network like any other, which acts whether or not there is a ratio. Without SA, A is
    e alone, the same everywhere; without FA, A is M (or S) brought to C channels by a 1x1 convolution where
    it has others.

    The text and the published parameter counts do not agree everywhere, so both readings are there; the
    defaults go by the counts. *Maps:* in the text the maps of the phases are concatenated. [S, M] then has
    2 K w channels, and the convolution of FA for K = 3 and w = C = 256 has 3,539,200 parameters. Published
    are 1.179 M, as many as of 2 w channels (1,179,904): the maps were added. *Gates:* a and b may be two
    numbers a field, or two maps. The published count is that of the 3x3 convolution alone; the gates here
    have 1,026 parameters more in either reading (scalars: the mean over all positions before the sigmoid),
    so the counts do not settle it.

    Parameters
    ----------
    channels, n_phases : int
    width : int, optional
        w; published: 256 for C = 256. Small nets want less, so that the module stays a few percent.
    use_ratio_encoder, use_spatial_awareness, use_feature_aggregator : bool
        The published ablation is RE; SA; SA+FA; RE+SA; RE+SA+FA.
    coordinates : bool
        Feed x and y to SA. On a texture without a preferred place they can only learn where phases
        tended to be in the training images.
    gamma, delta : float
        Start values. 1 and 0 leave pretrained features intact; as published: 0.5 and 0.5.
    maps : {"sum", "concatenated"}
        How those of the phases come together. Concatenated, S and M hold w channels a phase, each times e.
    gates : {"maps", "scalars"}
        Whether a and b differ from place to place.
    """

    def __init__(
        self,
        channels: int,
        n_phases: int,
        width: int = 256,
        use_ratio_encoder: bool = True,
        use_spatial_awareness: bool = True,
        use_feature_aggregator: bool = True,
        coordinates: bool = True,
        gamma: float = 1.0,
        delta: float = 0.0,
        maps: Maps = "sum",
        gates: Gates = "maps",
    ) -> None:
        super().__init__(channels, n_phases)
        if not (use_ratio_encoder or use_spatial_awareness):
            raise ModelError("A Phase Learning Module needs its Ratio Encoder or its Spatial Awareness.")
        if use_feature_aggregator and not use_spatial_awareness:
            raise ModelError("The Feature Aggregator works on Spatial Awareness; switch that on too.")
        self.coordinates, self.maps = coordinates, maps
        self.ratio_encoder = ratio_encoder(n_phases, width) if use_ratio_encoder else None
        self.feature_extractor: nn.Conv2d | None = None
        self.spatial_awareness: nn.ModuleList | None = None
        if use_spatial_awareness:
            self.feature_extractor = nn.Conv2d(channels, n_phases, 1)
            inputs = 3 if coordinates else 1
            self.spatial_awareness = nn.ModuleList(
                nn.Conv2d(inputs, width, 3, padding=1) for _ in range(n_phases)
            )
        self.feature_aggregator: FeatureAggregator | None = None
        self.project: nn.Module | None = None
        held = width * (n_phases if use_spatial_awareness and maps == "concatenated" else 1)
        if use_feature_aggregator:
            self.feature_aggregator = FeatureAggregator(held, channels, gates)
        else:
            self.project = nn.Identity() if held == channels else nn.Conv2d(held, channels, 1)
        self.gamma = nn.Parameter(torch.tensor(float(gamma)))
        self.delta = nn.Parameter(torch.tensor(float(delta)))

    def forward(self, features: Tensor, ratio: Tensor | None) -> Tensor:
        """Condition features as every guidance does; without a Ratio Encoder, act on them whatever the ratio."""
        if self.ratio_encoder is None:
            return self._fused(features, None)
        return super().forward(features, ratio)

    def guide(self, features: Tensor, ratio: Tensor) -> Tensor:
        """Return gamma F + delta A."""
        return self._fused(features, None if self.ratio_encoder is None else self.ratio_encoder(ratio))

    def _fused(self, features: Tensor, code: Tensor | None) -> Tensor:
        aware = self._phase_maps(features) if self.spatial_awareness is not None else None
        if code is None:
            modulated = aware
        else:
            repeats = 1 if aware is None else aware.shape[1] // code.shape[1]
            code = code.repeat(1, repeats)[:, :, None, None]
            modulated = code if aware is None else aware * code
        if self.feature_aggregator is not None:
            learnt = self.feature_aggregator(aware, modulated)
        else:
            assert self.project is not None
            learnt = self.project(modulated)
        fused: Tensor = self.gamma * features + self.delta * learnt
        return fused

    def _phase_maps(self, features: Tensor) -> Tensor:
        """S: the maps of all phases, w channels (or w a phase)."""
        assert self.feature_extractor is not None and self.spatial_awareness is not None
        found = self.feature_extractor(features)
        grid = [coordinate_grid(features)] if self.coordinates else []
        parts = [
            conv(torch.cat([found[:, k : k + 1], *grid], 1)) for k, conv in enumerate(self.spatial_awareness)
        ]
        return torch.stack(parts).sum(0) if self.maps == "sum" else torch.cat(parts, 1)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Take weights by the names that earlier versions gave them, too."""
        for old, new in current_tensors([name for name in state_dict if name.startswith(prefix)]).items():
            if old != new:
                state_dict[new] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class FeatureAggregator(nn.Module):
    """FA: gates over S and M, and one 3x3 convolution of both."""

    def __init__(self, width: int, channels: int, kind: Gates) -> None:
        super().__init__()
        self.kind = kind
        self.gates = nn.Conv2d(2 * width, 2, 1)
        self.mix = nn.Conv2d(2 * width, channels, 3, padding=1)

    def forward(self, aware: Tensor, modulated: Tensor) -> Tensor:
        """Mix S and M, each as far as its gate is open."""
        logits = self.gates(torch.cat((aware, modulated), 1))
        if self.kind == "scalars":
            logits = logits.mean((2, 3), keepdim=True)
        gates = torch.sigmoid(logits)
        mixed: Tensor = self.mix(torch.cat((gates[:, :1] * aware, gates[:, 1:] * modulated), 1))
        return mixed
