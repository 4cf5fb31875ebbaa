"""The brush keys in napari's list of keys (Preferences > Shortcuts > Labels layer), where others can be added."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from phaseguide.phases import EXCLUDED
from phaseguide.widgets.layers.brush_keys import EXCLUDED_KEY, PHASE_KEYS, hold_phase
from phaseguide.widgets.layers.identity import role_of


def list_keys() -> None:
    """Let napari list the keys.

    The digits themselves are bound to each edits layer, and not here: on all other Labels layers they are napari's
    own. A key that the user adds in the list works on edits layers, and does nothing on others.
    """
    from napari.layers import Labels
    from napari.utils.action_manager import action_manager

    for number, key in enumerate(PHASE_KEYS, start=1):
        words = f"Phase Guide: brush with phase {number} (key {key} on an edits layer)"
        action_manager.register_action(f"phaseguide:brush_{number}", _on_edits(number), words, Labels)
    words = f"Phase Guide: brush with excluded (key {EXCLUDED_KEY} on an edits layer)"
    action_manager.register_action("phaseguide:brush_excluded", _on_edits(EXCLUDED), words, Labels)


def _on_edits(label: int) -> Callable[[Any], None]:
    def take_brush(layer: Any) -> None:
        if role_of(layer) == "edits":
            hold_phase(label, layer)

    return take_brush
