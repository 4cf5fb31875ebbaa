"""How far networks follow a ratio by conditioning alone, and what skip connections have to do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from phaseguide.evaluation.tables import mean_known, plain
from phaseguide.studies.guidance.conditions import GUIDANCES, SCHEDULES, Guided, name_of
from phaseguide.studies.guidance.judged import Cells
from phaseguide.studies.statistics import paired_difference, spread

DEAF = 0.05
"""Response under which a network counts as deaf: a step of 5 pp moves the area by less than a quarter of a point."""

WITH_SKIPS = ("unet", "fpn")
"""Backbones whose decoders are shown finer maps than the one that is guided."""

STARTS, KINDS = ("own", "true"), ("area", "probability")


def responses(cells: Cells, scope: str) -> dict[str, Any] | None:
    """Mean over places and phases that have room, for each network; None without a place.

    ``own`` and ``true``: from which composition; each of ``area`` and ``probability`` with its spread over networks.
    ``by_image`` is the mean response of areas from the true composition, over seeds too: a network that was always told
    a ratio has no composition of its own that means anything.
    """
    if not any(judged[scope] for judged in cells.values()):
        return None
    by_network = {f"{split}{seed}": judged[scope] for (seed, split), judged in cells.items()}
    images: dict[str, list[float | None]] = {}
    for places in by_network.values():
        for place in places:
            images.setdefault(place["stem"], []).extend(place["response"]["true"]["area"])
    means = {stem: plain(_mean(values)) for stem, values in images.items()}
    return {
        **{
            start: {kind: _over(by_network, lambda p, s=start, k=kind: p["response"][s][k]) for kind in KINDS}
            for start in STARTS
        },
        **{name: _over(by_network, lambda p, n=name: [p["response"][n]]) for name in ("moved", "silenced")},
        "by_image": {stem: value for stem, value in means.items() if value is not None},
    }


def _over(by_network: Mapping[str, Sequence[Any]], values: Any) -> dict[str, Any] | None:
    found = {
        name: plain(_mean([v for place in places for v in values(place)]))
        for name, places in by_network.items()
    }
    return spread({name: value for name, value in found.items() if value is not None})


def _mean(values: Sequence[float | None]) -> float:
    return float(mean_known(np.array(values, dtype=np.float64)))


def comparisons(rows: Mapping[str, Mapping[str, Any]], scope: str) -> list[dict[str, Any]]:
    """For each guidance and schedule that was run with and without skip connections: the two responses and the pair.

    The pair is image by image, without skips minus with them.
    """
    found = []
    for guidance in GUIDANCES:
        for schedule in SCHEDULES:
            names = [name_of(backbone, guidance, schedule) for backbone in ("unet", "no-skips")]
            both = [one for name in names if (one := rows.get(name, {}).get(scope))]
            if len(both) < len(names):
                continue
            skips, none = (one["by_image"] for one in both)
            shared = {stem: none[stem] for stem in none if stem in skips}
            found.append(
                {
                    "guidance": guidance,
                    "schedule": schedule,
                    **{
                        name: {key: _value(one, key) for key in ("response", "moved", "silenced")}
                        for name, one in zip(("skips", "no_skips"), both, strict=True)
                    },
                    "difference": paired_difference(shared, skips) if shared else None,
                }
            )
    return found


def verdict(condition: Guided, found: Mapping[str, Any]) -> str:
    """Say in a sentence whether a network listens, and by what numbers."""
    response, moved, silenced = (_value(found, key) for key in ("response", "moved", "silenced"))
    if response is None:
        return "no phase had room to move."
    through = f"the map it acts on moves by {_percent(moved)} with the same steps, and silencing that map altogether "
    through += f"changes {_percent(silenced)} of the pixels"
    if abs(response) >= DEAF:
        return f"listens: areas follow {100 * response:.0f} % of what is asked; {through}."
    if moved is not None and moved < 1e-3:
        why = "guidance itself has learnt to say nothing"
    elif silenced is not None and silenced >= 0.5:
        why = "the decoder reads the map, but not what the ratio changes in it"
    elif condition.backbone in WITH_SKIPS:
        why = "what the decoder gets past that map, by its skip connections, decides most"
    else:
        why = "the map says little of the place, whatever the ratio"
    return f"**deaf**: areas follow {round(100 * response, 1) + 0.0:g} % of what is asked; {through}: {why}."


def _value(found: Mapping[str, Any], key: str) -> float | None:
    one = found["true"]["area"] if key == "response" else found[key]
    return None if one is None else float(one["mean"])


def _percent(value: float | None) -> str:
    return "an unknown part" if value is None else f"{100 * value:.1f} %"
