"""Disagreement between the user's ratio and what the model sees, in words."""

from __future__ import annotations

from phaseguide.models.card import Card
from phaseguide.ratios import Ratio, total_variation

USUAL = 0.15
"""Total variation from which on a disagreement is told where a model's own is not known."""


def conflict_limit(card: Card) -> float:
    """Return the total variation between user and model above which a sentence says so, in [0, 1]."""
    known = card.calibration.own_variation
    return USUAL if known is None else known


def describe_conflict(asked: Ratio, own: Ratio, imposed: Ratio, card: Card) -> str:
    """Say in one sentence how far the user and the model are apart; empty if they are not.

    Parameters
    ----------
    asked : ndarray, shape (K,)
        Complete.
    own, imposed : ndarray, shape (K,)
    card : Card
        Of the model.
    """
    gap, moved = total_variation(own, asked), total_variation(own, imposed)
    limit = conflict_limit(card)
    if gap <= limit:
        return ""
    usual = (
        ""
        if card.calibration.own_variation is None
        else f" (on 95 % of known images the model was less than {limit * 100:.0f} % off)"
    )
    return (
        f"The expected ratio differs from what the model sees in {gap * 100:.0f} % of the area{usual}; "
        f"{moved * 100:.0f} % was moved. Check where, and whether the value belongs to this field."
    )
