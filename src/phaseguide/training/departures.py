"""What a run that follows a publication does otherwise: found setting by setting, and said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

PUBLISHED = "published"
"""Name of the one protocol that settings can follow, and of its side of a departure."""


def compare(stated: Mapping[str, Any], here: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the settings of some names that differ from what is stated, each with the two values.

    Of options of the same guidance only those that differ, whether they are named or left at what the module has.
    """
    found = {
        name: {PUBLISHED: stated[name], "here": here[name]} for name in names if here[name] != stated[name]
    }
    if "guidance_options" in found and here["guidance"] == stated["guidance"]:
        found["guidance_options"] = _differing_options(here["guidance"], found["guidance_options"])
    return {name: one for name, one in found.items() if one[PUBLISHED] != one["here"]}


def tell_departures(departures: Mapping[str, Any]) -> str:
    """Say what `compare` found."""
    told = [f"{name} {one['here']!r} instead of {one[PUBLISHED]!r}" for name, one in departures.items()]
    return f"This run is not quite as published: {', '.join(told)}. The model's card says so too."


def _differing_options(kind: str, sides: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    from phaseguide.training.building import usual_options
    from phaseguide.training.config import RECOMMENDED

    whole = {side: usual_options(kind, options or RECOMMENDED[kind]) for side, options in sides.items()}
    ours, theirs = whole["here"], whole[PUBLISHED]
    names = [name for name in {**theirs, **ours} if ours.get(name) != theirs.get(name)]
    return {side: {name: options.get(name) for name in names} for side, options in whole.items()}
