"""Additive guidance: the ratio encoder's vector added to every position, blind to space."""

from __future__ import annotations

from torch import Tensor, nn

from phaseguide.models.guidance.base import Guidance, ratio_encoder


class AdditiveGuidance(Guidance):
    """F' = F + RE(r), the first published form of ratio guidance.

    The last layer of RE starts at zero, so that pretrained features are intact at the start.
    """

    def __init__(self, channels: int, n_phases: int) -> None:
        super().__init__(channels, n_phases)
        self.encoder = ratio_encoder(n_phases, channels)
        last = self.encoder[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def guide(self, features: Tensor, ratio: Tensor) -> Tensor:
        """Add the ratio's vector."""
        shift: Tensor = self.encoder(ratio)[:, :, None, None]
        return features + shift
