"""What should make a user doubt a result, in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from phaseguide.models.card import Card
from phaseguide.models.metal import Metal
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import FLOOR, Ratio, total_variation
from phaseguide.segmentation.matching.match import Match
from phaseguide.segmentation.review.out_of_distribution import TrainingDomain, scale_warning

USUAL = 0.15
"""Total variation from which on a disagreement is told where a model's own is not known."""


def conflict_limit(card: Card) -> float:
    """Return the total variation between user and model above which a sentence says so, in [0, 1]."""
    known = card.calibration.own_variation
    return USUAL if known is None else known


def describe_conflict(asked: Ratio, own: Ratio, achieved: Ratio, card: Card) -> str:
    """Say in one sentence how far the user (a complete ratio) and the model are apart; empty if they are not."""
    gap, moved = total_variation(own, asked), total_variation(own, achieved)
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


def describe_limit(asked: Ratio, imposed: Ratio, held: NDArray[np.bool_], scheme: PhaseScheme) -> str:
    """Say which values are so far from what the model sees that they are followed only so far; or nothing.

    ``held``, bool (K,), is what `phaseguide.ratios.held_back` says.
    """
    parts = [
        f"{phase.name} {imposed[k] * 100:.1f} % instead of {asked[k] * 100:.1f} %"
        for k, phase in enumerate(scheme)
        if held[k]
    ]
    if not parts:
        return ""
    return (
        f"The mask was made with {', '.join(parts)}: your value is far from what the model sees, and counts only as "
        "much as its source allows. If you are surer, choose another source or a smaller range."
    )


def describe_absence(asked: Ratio, none: NDArray[np.bool_], scheme: PhaseScheme) -> str:
    """Say which phases were asked for that the image shows no trace of; empty if there are none.

    ``none``, bool (K,), is what `phaseguide.ratios.kept_out` says.
    """
    if not (phases := _wanted(asked, none, scheme)):
        return ""
    return (
        f"The image shows no trace of {phases}, so an estimate puts none there. If it is there, paint some "
        "of it, or impose the value exactly."
    )


def describe_absence_everywhere(asked: Ratio, none: NDArray[np.bool_], scheme: PhaseScheme) -> str:
    """Say the same of all fields of a specimen together."""
    if not (phases := _wanted(asked, none, scheme)):
        return ""
    return (
        f"The fields of the specimen show no trace of {phases}, so an estimate puts none there. If it is there, "
        "impose the value exactly."
    )


def describe_absence_here(asked: Ratio, none: NDArray[np.bool_], scheme: PhaseScheme) -> str:
    """Say which phases ``none`` (bool, (K,)) of a specimen's ratio are all left to other fields than this one."""
    if not (phases := _wanted(asked, none, scheme)):
        return ""
    return f"The image shows no trace of {phases} of the specimen, so none is put here but in other fields."


def _wanted(asked: Ratio, none: NDArray[np.bool_], scheme: PhaseScheme) -> str:
    """Name the phases among ``none``, bool (K,), that were asked for, with their shares."""
    wanted = np.flatnonzero(none & (np.nan_to_num(asked) > FLOOR))
    return ", ".join(f"{scheme.names[k]} ({asked[k] * 100:.1f} %)" for k in wanted)


def describe_miss(aimed: Ratio, achieved: Ratio, scheme: PhaseScheme) -> str:
    """Say that a network that knows the ratio did not come to it; empty within 0.1 percentage points.

    ``aimed`` is NaN where nothing was, so nothing is missed: at open phases, and at those of which there is no trace.
    """
    gaps = np.nan_to_num(np.abs(achieved - aimed))
    if gaps.max() <= FLOOR:
        return ""
    k = int(gaps.argmax())
    return (
        f"The network alone does not reach the ratio: {scheme.names[k]} has {achieved[k] * 100:.1f} %, "
        f"{aimed[k] * 100:.1f} % was the aim. Let the ratio act on the mask, or on both, to reach it."
    )


def describe_estimate(card: Card) -> str:
    """Say how far a model's automatic estimate was off; empty where that is not known."""
    error = card.calibration.auto_error_pp
    if error is None:
        return ""
    return f"The model's own estimate was off by {error:.1f} percentage points a phase on known images."


def describe_rounds(rounds: int, settled: bool) -> str:
    """Say how an estimate that is fed back came to its end."""
    times = f"{rounds} round{'s' if rounds != 1 else ''}"
    if settled:
        return f"The auto-regressive estimate settled after {times}."
    return f"The auto-regressive estimate had not settled after {times}; the last one is taken."


def describe_no_feedback(card: Card) -> str:
    """Say why a model's own areas are not fed back to it."""
    if card.guidance.takes_ratio:
        # Told its own areas as a fact, it drifts away from them: docs/benchmarks/guidance.md, the automatic estimate.
        reason = f"The guidance of model {card.name!r} acts on scores and has its own areas already"
    else:
        reason = f"Model {card.name!r} has no guidance that takes a ratio"
    return f"{reason}, so none can be fed back to it: the areas of its own map are taken."


def describe_match(match: Match) -> str:
    """Say why a map does not have the composition that was imposed; empty if it has."""
    if not match.determinable:
        return (
            "The model's scores are the same all over this image, so no place is more one phase than "
            "another: the ratio could not be imposed."
        )
    if not match.reachable:
        return (
            "The ratio cannot be reached exactly: your manual edits hold more of a phase than it allows; the "
            "edits win."
        )
    return ""


def out_of_distribution_warning(
    metal: Metal,
    card: Card,
    pixel_size_um: float | None,
    *,
    invert: bool,
) -> str:
    """Say what about an image is unlike the training images; empty if nothing is known to be."""
    known = card.input.pixel_size_um
    if card.familiarity is None:
        return scale_warning(known, pixel_size_um) or ""
    usual = TrainingDomain.from_dict(card.familiarity.model_dump(), pixel_size_um=known)
    return usual.warning(metal.seen, pixel_size_um, invert=invert, excluded=metal.excluded) or ""
