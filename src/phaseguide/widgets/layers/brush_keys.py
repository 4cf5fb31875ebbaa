"""One key per phase on an edits layer: the brush holds that phase; and a key that confirms what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.widgets.layers.edit_log import scheme_of
from phaseguide.widgets.layers.review_lock import is_frozen
from phaseguide.widgets.qt.plain_text import as_plain, one_line

if TYPE_CHECKING:
    from napari.layers import Labels

PHASE_KEYS = "123456789"
EXCLUDED_KEY = "0"
CONFIRM_KEY = "C"
ERASE_KEY = "E"
"""napari's own."""

DRAWING = ("paint", "fill", "polygon")
"""Modes in which another phase goes on being drawn the same way."""


def key_of(label: int) -> str:
    """Key that takes the brush with a phase; empty beyond the ninth."""
    return PHASE_KEYS[label - 1] if 1 <= label <= len(PHASE_KEYS) else ""


def describe_keys(scheme: PhaseScheme) -> str:
    """Return the keys in a line, as a user reads them."""
    phases = ", ".join(
        f"{key_of(phase.label)} {one_line(phase.name)}" for phase in scheme if key_of(phase.label)
    )
    return (
        f"Brush keys: {phases}, {EXCLUDED_KEY} excluded, {ERASE_KEY} erase; hold {CONFIRM_KEY} over the image to "
        "confirm what is there."
    )


def bind_brush_keys(layer: Labels, find_phases: Callable[[], Any], find_pointer: Callable[[], Any]) -> None:
    """Give an edits layer its keys. They go before napari's own digits (tools), which have letters too.

    Parameters
    ----------
    find_phases : callable
        Returns the layer with the result, or None.
    find_pointer : callable
        Returns the viewer's cursor.
    """
    for number, key in enumerate(PHASE_KEYS, start=1):
        layer.bind_key(key, _holder(number), overwrite=True)
    layer.bind_key(EXCLUDED_KEY, _holder(EXCLUDED), overwrite=True)

    def confirm_what_is_there(layer: Labels) -> Iterator[None]:
        yield from _confirm(find_phases, find_pointer, layer)

    layer.bind_key(CONFIRM_KEY, confirm_what_is_there, overwrite=True)


def _holder(label: int) -> Callable[[Labels], None]:
    def take_brush(layer: Labels) -> None:  # napari wants functions with a name, so no partial
        hold_phase(label, layer)

    return take_brush


def hold_phase(label: int, layer: Labels) -> None:
    """Put a phase on the brush; the tool stays if it draws."""
    from napari.utils.notifications import show_info

    scheme = scheme_of(layer)
    if scheme is None or is_frozen(layer):
        return
    if label != EXCLUDED and label > len(scheme):
        show_info(as_plain(f"There are {len(scheme)} phases: {scheme.describe()}. Key {label} has none."))
        return
    layer.selected_label = label
    if layer.mode not in DRAWING:
        layer.mode = "paint"


def _confirm(
    find_phases: Callable[[], Any], find_pointer: Callable[[], Any], layer: Labels
) -> Iterator[None]:
    """While the key is held, write what the result says under the brush; all of it is one step of undo."""
    phases, pointer = find_phases(), find_pointer()
    if phases is None or pointer is None or is_frozen(layer) or phases.data.shape != layer.data.shape:
        return

    def stamp(event: Any = None) -> None:
        where = _under_brush(layer, pointer.position)
        if where is None:
            return
        there, said = phases.data[where], layer.data[where]
        wanted = (there > 0) & (said == 0)
        if wanted.any():
            layer.data_setitem(tuple(axis[wanted] for axis in where), there[wanted].astype(layer.data.dtype))

    with layer.block_history():
        stamp()
        pointer.events.position.connect(stamp)
        try:
            yield
        finally:
            pointer.events.position.disconnect(stamp)


def _under_brush(layer: Labels, position: Any) -> tuple[NDArray[np.intp], ...] | None:
    """Return the pixels of a round brush at a place of the world; None outside the layer."""
    at = np.asarray(layer.world_to_data(position[-layer.ndim :]), dtype=np.float64)
    shape = layer.data.shape
    plane = tuple(round(float(value)) for value in at[:-2])
    if any(not 0 <= index < size for index, size in zip(plane, shape, strict=False)):
        return None
    radius = max(float(layer.brush_size) / 2, 0.5)
    low = np.maximum(np.floor(at[-2:] - radius).astype(int), 0)
    high = np.minimum(np.ceil(at[-2:] + radius).astype(int) + 1, shape[-2:])
    if (low >= high).any():
        return None
    rows, columns = np.mgrid[low[0] : high[0], low[1] : high[1]]
    inside = (rows - at[-2]) ** 2 + (columns - at[-1]) ** 2 <= radius**2
    rows, columns = rows[inside], columns[inside]
    return (*(np.full(rows.shape, index) for index in plane), rows, columns)
