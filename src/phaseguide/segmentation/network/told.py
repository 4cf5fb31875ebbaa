"""What a network is told of the phases of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phaseguide.ratios import FLOOR, Ratio


@dataclass(frozen=True)
class Told:
    """A ratio for the network, and where it comes from.

    Attributes
    ----------
    imposed : ndarray, shape (K,)
        The complete composition that is aimed at.
    asked : ndarray, shape (K,)
        What a user said, NaN where open.
    own : ndarray, shape (K,)
        Area shares of the map without a ratio, with the user's prompts if there are any.
    uncertainty : float or tuple of float
        Standard deviation of ``asked`` in log-ratio space; 0 means exact.
    """

    imposed: Ratio
    asked: Ratio
    own: Ratio
    uncertainty: float | tuple[float, ...]

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for two that tell the same."""
        lists = (self.imposed, np.nan_to_num(self.asked, nan=-1.0), self.own)
        return (*(tuple(one.tolist()) for one in lists), self.uncertainty)

    @property
    def disagreement(self) -> Ratio:
        """log(asked / own), shape (K,), both floored at `phaseguide.ratios.FLOOR`; 0 where open."""
        gap = np.log(np.maximum(np.nan_to_num(self.asked), FLOOR)) - np.log(np.maximum(self.own, FLOOR))
        disagreement: Ratio = np.where(np.isnan(self.asked), 0.0, gap)
        return disagreement

    def spread(self, where_open: float) -> Ratio:
        """The uncertainty of each phase, shape (K,), and ``where_open`` where nothing was asked."""
        given = np.broadcast_to(np.asarray(self.uncertainty, dtype=np.float64), self.asked.shape)
        spread: Ratio = np.where(np.isnan(self.asked), where_open, given)
        return spread
