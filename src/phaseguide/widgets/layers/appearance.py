"""How phases look in a Labels layer: their colours, and their names in the status bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phaseguide.phases import EXCLUDED, PhaseScheme

if TYPE_CHECKING:
    from napari.utils.colormaps import DirectLabelColormap

EXCLUDED_COLOUR = "#303030"


def phase_colormap(scheme: PhaseScheme) -> DirectLabelColormap:
    """Colours of the phases; excluded is dark, everything else transparent."""
    from napari.utils.colormaps import DirectLabelColormap

    colours: dict[int | None, Any] = {None: "transparent", 0: "transparent", EXCLUDED: EXCLUDED_COLOUR}
    colours.update({p.label: p.colour for p in scheme})
    return DirectLabelColormap(color_dict=colours)


def phase_features(scheme: PhaseScheme) -> dict[str, list[Any]]:
    """Columns by which napari's status bar names the phase under the pointer."""
    names = {0: "not classified", **{p.label: p.name for p in scheme}, EXCLUDED: "excluded"}
    return {"index": list(names), "phase": list(names.values())}
