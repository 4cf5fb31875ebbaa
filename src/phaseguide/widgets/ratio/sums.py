"""What the expected shares sum to and what the areas rest on, in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseguide.phases import PhaseScheme
from phaseguide.ratios import FLOOR, SUM_TOLERANCE, Ratio
from phaseguide.segmentation.request import Segmentation
from phaseguide.segmentation.saving import constraint_note

ESTIMATED = "Nothing set: the model finds the ratio itself."
ROUNDING = 0.005


def left_out(
    shares: Ratio, spreads: tuple[float | None, ...], scheme: PhaseScheme | None, own: Ratio | None = None
) -> tuple[str, ...]:
    """Return the open phases that exact values leave nothing for, though nothing was said of them.

    Parameters
    ----------
    shares : ndarray, shape (K,)
        Expected shares in [0, 1], NaN where open.
    spreads : tuple of float or None
        0 where a value is exact.
    scheme : PhaseScheme or None
    own : ndarray, shape (K,), optional
        What the model sees; phases without a trace are not missed.
    """
    if scheme is None:
        return ()
    is_open = np.isnan(shares)
    exact = np.array([spread == 0 for spread in spreads], dtype=bool) & ~is_open
    if float(shares[exact].sum()) < 1 - SUM_TOLERANCE / 100:
        return ()
    missed = is_open if own is None else is_open & (own >= FLOOR)
    return tuple(name for name, gone in zip(scheme.names, missed, strict=True) if gone)


def describe_sum(
    shares: Ratio, scheme: PhaseScheme | None, nothing_for: tuple[str, ...], *, estimated: bool
) -> tuple[str, bool, bool]:
    """Return a sentence about the sum, whether it is wrong, and whether scaling all values mends it."""
    if scheme is None:
        return "Choose a model to see its phases.", False, False
    total, is_open = float(np.nansum(shares)) * 100, np.isnan(shares)
    if is_open.all():
        return ESTIMATED if estimated else "Nothing set: segments without guidance.", False, False
    if total > 100 + ROUNDING:
        scalable = not is_open.any()
        rest = "" if scalable else " Lower one of them."
        return f"Set: {total:.2f} %, more than 100 %.{rest}", total > 100 * (1 + SUM_TOLERANCE), scalable
    if nothing_for:
        text = f"Exact values leave nothing for {', '.join(nothing_for)}. Lower one, or enter 0 % if it is absent."
        return text, True, False
    if is_open.any():
        return f"Set: {total:.2f} %, open phases share {max(0.0, 100 - total):.2f} %.", False, False
    if total < 100 - ROUNDING:
        text = f"All phases are set, but they sum to {total:.2f} %. Scale them, or leave one open."
        return text, total < 100 * (1 - SUM_TOLERANCE), total > 0
    return "Set: 100.00 %.", False, False


def scaled_to_100(shares: Ratio) -> NDArray[np.float64]:
    """Return shares that sum to exactly 100.00 %, by largest remainder, so that the roundings agree too."""
    wanted = shares / shares.sum() * 10_000
    cents = np.floor(wanted).astype(int)
    for k in np.argsort(cents - wanted, kind="stable")[: 10_000 - cents.sum()]:
        cents[k] += 1
    scaled: NDArray[np.float64] = cents / 10_000
    return scaled


def describe_areas(result: Segmentation) -> str:
    """Say what must be told of the areas in the mask, short enough for a line of the dock."""
    painted = f"{result.edited_px:,} px painted" if result.edited_px else ""
    told = "; ".join(filter(None, (constraint_note(result), painted)))
    return f"{told[0].upper()}{told[1:]}." if told else ""
