"""Phase ratios: what the user says about area shares, and the algebra on it.

A ratio is a float64 vector of K area shares in [0, 1], in label order. NaN marks an *open* phase,
about which nothing was said. No ratio at all is ``None``. Words (asked, own, imposed, achieved) are
those of the documentation: *asked* is what the user gave, *own* the area shares of the unguided map,
*imposed* what the final map should have.
"""

from phaseguide.ratios.basis import Basis, area_from_weight, describe_conversion, weight_from_area
from phaseguide.ratios.belief import GROSS, blend_ratios, held_back, kept_out, ratio_range
from phaseguide.ratios.paste import numbers_by_phase, parse_ratio, ratio_from_cells
from phaseguide.ratios.presets import Preset, PresetList, PresetStore
from phaseguide.ratios.simulated import draw_statement, expert_ratio, guess_ratio
from phaseguide.ratios.sources import DEFAULT_SOURCE, FORCE, SOURCES, Scope, Source, find_source
from phaseguide.ratios.specimen import shift_to_mean
from phaseguide.ratios.trust import LEAST_SURE, SUREST, uncertainty_for
from phaseguide.ratios.vector import (
    FLOOR,
    SUM_TOLERANCE,
    Ratio,
    closed,
    complete_ratio,
    count_labels,
    ratio_from_labels,
    total_variation,
    validate_ratio,
)

__all__ = [
    "DEFAULT_SOURCE",
    "FLOOR",
    "FORCE",
    "GROSS",
    "LEAST_SURE",
    "SOURCES",
    "SUM_TOLERANCE",
    "SUREST",
    "Basis",
    "Preset",
    "PresetList",
    "PresetStore",
    "Ratio",
    "Scope",
    "Source",
    "area_from_weight",
    "blend_ratios",
    "closed",
    "complete_ratio",
    "count_labels",
    "describe_conversion",
    "draw_statement",
    "expert_ratio",
    "find_source",
    "guess_ratio",
    "held_back",
    "kept_out",
    "numbers_by_phase",
    "parse_ratio",
    "ratio_from_cells",
    "ratio_from_labels",
    "ratio_range",
    "shift_to_mean",
    "total_variation",
    "uncertainty_for",
    "validate_ratio",
    "weight_from_area",
]
