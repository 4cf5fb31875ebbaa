"""Brush keys and the log of edits on every edits layer of a viewer, whoever made the layer."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from phaseguide.widgets.layers.brush_keys import bind_brush_keys
from phaseguide.widgets.layers.edit_log import Edit, EditLog, keep_in_metadata
from phaseguide.widgets.layers.identity import image_of, plain, role_of
from phaseguide.widgets.layers.key_list import list_keys
from phaseguide.widgets.layers.layer_keeper import LayerKeeper
from phaseguide.widgets.layers.roles import find_layer
from phaseguide.widgets.qt.plain_text import as_plain, one_line

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

Listener = Callable[[Any, Edit], bool]

FROZEN = "{name!r} belongs to a reviewed field and cannot be changed. Press Reopen in Image, Project, first."

_tools: weakref.WeakKeyDictionary[Any, EditTools] = weakref.WeakKeyDictionary()


def edit_tools(viewer: ViewerModel) -> EditTools:
    """Return the tools of a viewer, made when they are first wanted."""
    viewer = plain(viewer)
    if viewer not in _tools:
        _tools[viewer] = EditTools(viewer)
        list_keys()
    return _tools[viewer]


class EditTools:
    """Looks after the edits layers of one viewer, which it holds weakly.

    ``listener`` gets each edit; where it returns False, or there is none, the record goes into the
    layer's metadata.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = weakref.ref(viewer)
        self._logs: dict[Any, EditLog] = {}
        self.listener: Listener | None = None
        self._keeper = LayerKeeper(viewer)  # before the logs: it may give a layer its role
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)
        for layer in viewer.layers:
            self._attach(layer)

    def log_of(self, layer: Labels) -> EditLog | None:
        """Return the log that follows a layer."""
        return self._logs.get(layer.unique_id)

    def adopt(self, layer: Labels) -> None:
        """Follow a layer that holds the role of edits since it came."""
        self._attach(layer)

    def _on_inserted(self, event: Any) -> None:
        self._attach(event.value)

    def _on_removed(self, event: Any) -> None:
        log = self._logs.pop(event.value.unique_id, None)
        if log is not None:
            log.end()

    def _attach(self, layer: Labels) -> None:
        if layer.unique_id in self._logs or role_of(layer) != "edits":
            return
        reference = weakref.ref(layer)

        def phases() -> Any:
            return self._phases_of(reference())

        self._logs[layer.unique_id] = EditLog(layer, phases, self._on_edit, _refuse)
        bind_brush_keys(layer, phases, self._pointer)

    def _pointer(self) -> Any:
        viewer = self._viewer()
        return None if viewer is None else viewer.cursor

    def _phases_of(self, edits: Labels) -> Any:
        viewer = self._viewer()
        if viewer is None or edits is None:
            return None
        image = image_of(viewer, edits)
        return None if image is None else find_layer(viewer, image, "phases")

    def _on_edit(self, layer: Labels, edit: Edit) -> None:
        if self.listener is None or not self.listener(layer, edit):
            keep_in_metadata(layer, edit)


def _refuse(layer: Labels) -> None:
    from napari.utils.notifications import show_info

    show_info(as_plain(FROZEN.format(name=one_line(layer.name))))
