"""The menu entry Hits and misses: two Labels layers compared for one phase, as a layer in five colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from phaseguide.errors import MicrographError, PhaseguideError
from phaseguide.phases import EXCLUDED, PhaseScheme

if TYPE_CHECKING:
    import napari.viewer
    from napari.components import ViewerModel
    from napari.layers import Labels


def hits_and_misses(viewer: napari.viewer.Viewer) -> None:
    """Compare the two selected Labels layers for a phase that the user chooses, and show where they agree."""
    from napari.utils.notifications import show_error, show_info

    from phaseguide.widgets.qt.plain_text import as_plain

    try:
        true, found = selected_maps(viewer)
        label = ask_phase(true, found)
        told = "" if label is None else lay_agreement(viewer, true, found, label)
    except PhaseguideError as error:
        show_error(as_plain(str(error)))
    else:
        if told:
            show_info(as_plain(told))


def selected_maps(viewer: ViewerModel) -> tuple[Labels, Labels]:
    """Return the layer that is taken as true, and the map that is judged by it.

    A result of the program is judged by one that is none; of two alike the upper one by the lower one.

    Raises
    ------
    MicrographError
        Other than two Labels layers are selected, or they are not the same pixels.
    """
    from napari.layers import Labels

    from phaseguide.widgets.layers.roles import TRANSFORM, alike, is_result

    selected = viewer.layers.selection
    chosen = [one for one in viewer.layers if one in selected and isinstance(one, Labels)]
    if len(chosen) != 2 or any(one.multiscale for one in chosen):
        raise MicrographError(
            "Select two Labels layers of one resolution: a label map, and with Ctrl its labels."
        )
    true, found = sorted(chosen, key=is_result)  # keeps the order of the list where it does not decide
    if true.data.shape != found.data.shape:
        sizes = [" x ".join(map(str, one.data.shape)) for one in (true, found)]
        raise MicrographError(
            f"{true.name!r} is {sizes[0]} px and {found.name!r} {sizes[1]} px. Select two maps of one image."
        )
    if not all(alike(getattr(true, name), getattr(found, name)) for name in TRANSFORM):
        raise MicrographError(
            f"{true.name!r} does not lie where {found.name!r} lies. Select each with its image and choose Layers > "
            "Transform > Lay on the image."
        )
    return true, found


def ask_phase(true: Labels, found: Labels) -> int | None:
    """Let the user choose one of the phases that either layer has; None if it is called off."""
    from qtpy.QtWidgets import QApplication, QInputDialog

    from phaseguide.widgets.qt.plain_text import as_plain

    names = phase_names(true, found)
    if not names:
        raise MicrographError(f"Neither {true.name!r} nor {found.name!r} has a pixel of a phase.")
    labels, shown = list(names), [f"{label} {name}".strip() for label, name in names.items()]
    begin = labels.index(found.selected_label) if found.selected_label in labels else 0
    question = as_plain(f"Phase of {found.name!r}, judged by {true.name!r}:")
    window = QApplication.activeWindow()
    answer, said = QInputDialog.getItem(window, "Hits and misses", question, shown, begin, False)
    return labels[shown.index(answer)] if said else None


def phase_names(true: Labels, found: Labels) -> dict[int, str]:
    """Names of the phases that either layer has a pixel of, by label; empty where no scheme tells one."""
    from phaseguide.widgets.layers.edit_log import scheme_of

    scheme: PhaseScheme | None = scheme_of(found) or scheme_of(true)
    there = sorted({int(n) for one in (true, found) for n in np.unique(np.asarray(one.data))} - {0, EXCLUDED})
    told = {} if scheme is None else {phase.label: phase.name for phase in scheme}
    return {label: told.get(label, "") for label in there}


def lay_agreement(viewer: ViewerModel, true: Labels, found: Labels, label: int) -> str:
    """Show hits white, false alarms cyan, misses magenta, the rest black, what is not judged grey; return it in words.

    The layer of an earlier call for the same map is written anew.
    """
    from napari.layers import Labels

    from phaseguide.evaluation.agreement import FALSE_ALARM, HIT, KINDS, MISS, agreement
    from phaseguide.widgets.layers.appearance import phase_colormap, phase_features
    from phaseguide.widgets.layers.identity import KEY, mark_of
    from phaseguide.widgets.layers.roles import geometry

    kinds = agreement(np.asarray(true.data), np.asarray(found.data), label)
    name = phase_names(true, found).get(label) or f"label {label}"
    mark = {"role": "agreement", "of": [str(true.unique_id), str(found.unique_id)], "label": label}
    for layer in list(viewer.layers):
        known = mark_of(layer)
        if known.get("role") == "agreement" and known.get("of") == mark["of"]:
            viewer.layers.remove(layer)
    made = Labels(
        kinds,
        name=f"{found.name}: {name}, hits and misses",
        colormap=phase_colormap(KINDS),
        features=phase_features(KINDS),
        opacity=1.0,
        metadata={KEY: mark},
        **geometry(found),
    )
    made.editable = False
    viewer.add_layer(made)
    hit, alarm, miss = (int(np.count_nonzero(kinds == kind)) for kind in (HIT, FALSE_ALARM, MISS))
    iou = f"{100 * hit / (hit + alarm + miss):.1f} %" if hit + alarm + miss else "not defined"
    return (
        f"{name} of {found.name!r}, judged by {true.name!r}: IoU {iou}. White: hit, {hit} px. Cyan: false alarm, "
        f"{alarm} px. Magenta: miss, {miss} px."
    )
