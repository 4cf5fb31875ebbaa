"""Phase ratios: what the user says about area shares, and the algebra on it.

A ratio is a float64 vector of K area shares in [0, 1], in label order. NaN marks an *open* phase,
about which nothing was said. No ratio at all is ``None``. Words (asked, own, imposed, achieved) are
those of the documentation: *asked* is what the user gave, *own* the area shares of the unguided map,
*imposed* what the final map should have.
"""

from phaseguide.ratios.belief import blend_ratios, ratio_range
from phaseguide.ratios.simulated import expert_ratio, guess_ratio
from phaseguide.ratios.vector import (
    FLOOR,
    SUM_TOLERANCE,
    Ratio,
    closed,
    complete_ratio,
    count_labels,
    parse_ratio,
    ratio_from_labels,
    total_variation,
    validate_ratio,
)

__all__ = [
    "FLOOR",
    "SUM_TOLERANCE",
    "Ratio",
    "blend_ratios",
    "closed",
    "complete_ratio",
    "count_labels",
    "expert_ratio",
    "guess_ratio",
    "parse_ratio",
    "ratio_from_labels",
    "ratio_range",
    "total_variation",
    "validate_ratio",
]
