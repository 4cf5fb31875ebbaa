"""Dropout that draws from a generator of its own: torch's own one is shared by every thread of the process."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OwnDropout(nn.Module):
    """Set elements, or whole channels, to zero with probability ``p`` while training.

    Parameters
    ----------
    p : float
    channels : bool
        Drop whole channels (Dropout2d).
    generator : torch.Generator
        On the CPU.
    """

    def __init__(self, p: float, channels: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.p, self.channels, self.generator = p, channels, generator

    def forward(self, x: Tensor) -> Tensor:
        """Drop while training."""
        if not self.training or self.p == 0:
            return x
        shape = (*x.shape[:2], *(1 for _ in x.shape[2:])) if self.channels else x.shape
        kept = torch.rand(shape, generator=self.generator) >= self.p
        return x * kept.to(x.device, x.dtype) / (1 - self.p)


def own_dropout(model: nn.Module, generator: torch.Generator) -> None:
    """Put `OwnDropout` in the place of torch's; names and weights of the model stay what they are."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, (nn.Dropout, nn.Dropout2d)):
                setattr(module, name, OwnDropout(child.p, isinstance(child, nn.Dropout2d), generator))
