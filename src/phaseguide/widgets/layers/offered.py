"""A ratio that a part of the widget offers for the boxes of the phase table."""

from __future__ import annotations

from dataclasses import dataclass

from phaseguide.ratios import Ratio


@dataclass(frozen=True)
class OfferedRatio:
    """Area shares to be written into the boxes, and how sure they are.

    Attributes
    ----------
    shares : ndarray of float64, shape (K,)
        In [0, 1], NaN leaves a phase open.
    uncertainty : float or tuple of float or None
        Log-ratio standard deviation, for all phases or one each; None leaves the chosen source as it is.
    title : str
        Where it comes from, in words for the status line and the record ("painted share of 'uhcs0220 edits'").
    """

    shares: Ratio
    uncertainty: float | tuple[float, ...] | None
    title: str
