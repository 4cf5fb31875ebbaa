"""The parts of the Phase Learning Module, one by one, with and without coordinates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from phaseguide.studies.networks.comparison import (
    Comparison,
    check_varied,
    compare,
    comparison_figure,
    comparison_lines,
)
from phaseguide.studies.networks.recipes import pair_of, recipe, steps
from phaseguide.studies.networks.training import Condition
from phaseguide.studies.study import Given, Numbers, Size, Study

BASE, WHOLE = "unet-none", "unet-plm"
"""Those of study systems too: the networks are the same."""

PARTS: dict[str, tuple[str, ...]] = {
    "re": ("use_ratio_encoder",),
    "sa": ("use_spatial_awareness",),
    "sa-fa": ("use_spatial_awareness", "use_feature_aggregator"),
    "re-sa": ("use_ratio_encoder", "use_spatial_awareness"),
    "re-sa-fa": ("use_ratio_encoder", "use_spatial_awareness", "use_feature_aggregator"),
}
"""Ratio Encoder, Spatial Awareness, Feature Aggregator: the rows as published."""

WITH_XY, WITHOUT_XY = "xy", "no-xy"
CONDITIONS = (
    BASE,
    "re",
    *(f"{p}-{c}" for p in ("sa", "sa-fa", "re-sa") for c in (WITH_XY, WITHOUT_XY)),
    WHOLE,
    f"re-sa-fa-{WITHOUT_XY}",
)


def conditions_of(size: Size) -> dict[str, Condition]:
    """Return the conditions; RE alone has no place for coordinates."""
    base = pair_of(size, "unet", {}, ("none", "plm"))
    found = {BASE: Condition("baseline, no module", base[BASE].settings, steps=steps(size))}
    for name in CONDITIONS[1:]:
        if name == WHOLE:
            what = "RE + SA + FA, coordinates"
            found[name] = Condition(what, base[WHOLE].settings, BASE, steps=steps(size))
            continue
        parts = name.removesuffix(f"-{WITHOUT_XY}").removesuffix(f"-{WITH_XY}")
        settings = recipe(size, "unet", "plm")
        options = {
            **settings["guidance_options"],
            **{part: part in PARTS[parts] for part in PARTS["re-sa-fa"]},
            "coordinates": name.endswith(f"-{WITH_XY}") and not name.endswith(f"-{WITHOUT_XY}"),
        }
        where = "" if parts == "re" else ", coordinates" if options["coordinates"] else ", no coordinates"
        what = " + ".join(parts.upper().split("-")) + where
        found[name] = Condition(what, {**settings, "guidance_options": options}, BASE, steps=steps(size))
    return found


def run(given: Given) -> Iterator[Any]:
    """Train and judge every row on every data set."""
    check_varied(given, "ablation", ("guidance", "guidance_options"))
    comparison = Comparison(conditions_of(given.size))
    yield from compare(given, lambda data: comparison)


def lines(numbers: Numbers) -> list[str]:
    """Return the tables."""
    return [
        "RE: Ratio Encoder; SA: Spatial Awareness; FA: Feature Aggregator. Without RE no ratio acts in the network, so "
        "such rows are judged without one and matched. The published table names no coordinates that are left out.",
        "",
        *comparison_lines(numbers),
    ]


STUDY = Study(
    name="ablation",
    question="Which part of the Phase Learning Module is worth what, and do coordinates help?",
    conditions=CONDITIONS,
    run=run,
    lines=lines,
    figure=comparison_figure("Parts of the Phase Learning Module"),
)
