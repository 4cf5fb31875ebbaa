"""Class-ratio mapping with adaptive gate fusion (CCRM + AGF).

Source: the published abstract and figure (WACV 2026, Swain, Cheoi, Ko). No equations are public; the
form below is derived from that description: ratio and features together make one spatial map per
phase, and a gate balances the local evidence against it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phaseguide.models.guidance.base import Guidance, coordinate_grid
from phaseguide.ratios import FLOOR


class ClassRatioMapping(Guidance):
    """One class-ratio map a phase, fused with the features by a gate.

    For features F and ratio r::

        h = conv1x1(F / |F|)                          K maps of local evidence
        c = MLP([log r, x, y]) at every position      K maps; x and y only with coordinates
        m = softmax_k(h + log r + c)                  class-ratio maps: evidence under r as prior
        g = sigmoid(conv1x1([h, m]))                  gate, one map (AGF)
        F' = F + delta |F| E((1 - g)(m - softmax(h))) E: 1x1 convolution, K to C

    ``log r`` as prior is Bayes' rule for a shifted phase composition (Saerens, Latinne, Decaestecker
    2002). The maps enter as their difference to the local evidence alone: what the ratio
    adds to what the image already says. |F|, the root mean square of a sample's features, gives them
    the size of what they are added to: encoders differ in it by orders of magnitude.

    Parameters
    ----------
    channels, n_phases : int
    coordinates : bool
        Let the maps depend on the position in the field; see `coordinate_grid`.
    use_gate : bool
        Adaptive gate fusion; without it the maps are simply added.
    delta : float
        Start value of the strength; 0 leaves pretrained features intact.
    """

    def __init__(
        self,
        channels: int,
        n_phases: int,
        coordinates: bool = True,
        use_gate: bool = True,
        delta: float = 0.0,
    ) -> None:
        super().__init__(channels, n_phases)
        self.coordinates = coordinates
        self.evidence = nn.Conv2d(channels, n_phases, 1)
        self.mapping = nn.Sequential(
            nn.Conv2d(n_phases + (2 if coordinates else 0), 32, 1), nn.ReLU(), nn.Conv2d(32, n_phases, 1)
        )
        self.gate = nn.Conv2d(2 * n_phases, 1, 1) if use_gate else None
        self.embed = nn.Conv2d(n_phases, channels, 1, bias=False)
        self.delta = nn.Parameter(torch.tensor(float(delta)))

    def _local_and_prior(self, features: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
        local = self.evidence(features / magnitude(features))
        log_ratio = torch.log(ratio.clamp_min(FLOOR))[:, :, None, None].expand_as(local)
        grid = [coordinate_grid(features)] if self.coordinates else []
        return local, log_ratio + self.mapping(torch.cat([log_ratio, *grid], 1))

    def guide(self, features: Tensor, ratio: Tensor) -> Tensor:
        """Return the fused features."""
        local, prior = self._local_and_prior(features, ratio)
        maps = torch.softmax(local + prior, dim=1)
        news = maps - torch.softmax(local, dim=1)
        if self.gate is not None:
            news = (1 - torch.sigmoid(self.gate(torch.cat((local, maps), 1)))) * news
        fused: Tensor = features + self.delta * magnitude(features) * self.embed(news)
        return fused


def magnitude(features: Tensor) -> Tensor:
    """Root mean square of each sample's features, shape (B, 1, 1, 1); takes no gradient."""
    return features.detach().pow(2).mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-6)
