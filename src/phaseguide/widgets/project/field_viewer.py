"""The fields of a project as layers: one is on show, the last few are kept aside with their undo."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from phaseguide.labels import Map, as_uint8, overlay
from phaseguide.projects.edit_saver import Known
from phaseguide.widgets.layers import kept_results, roles
from phaseguide.widgets.layers.edit_tools import image_of
from phaseguide.widgets.project.field_layers import (
    FieldData,
    add_image,
    add_labels,
    is_restored,
    layers_of,
    read_field,
    set_frozen,
    show_result,
)
from phaseguide.widgets.project.parked_layers import ParkedLayers

if TYPE_CHECKING:
    from phaseguide.projects.edit_saver import EditSaver
    from phaseguide.projects.schema import FieldEntry
    from phaseguide.widgets.project.open_project import OpenProject


class FieldShow(QObject):
    """At most one field of the open project is on show.

    Parameters
    ----------
    owner : OpenProject
    viewer : napari.viewer.Viewer
        Held weakly.
    """

    def __init__(self, owner: OpenProject, viewer: Any) -> None:
        super().__init__(owner)
        self._owner = owner
        self._viewer = weakref.ref(viewer)
        self.current = ""
        self._wanted = ""
        self._images: dict[str, Any] = {}
        self._known: dict[str, Known] = {}  # what the project has of their edits
        self._below: dict[str, Map] = {}  # results as they were read, without later strokes
        self._parked = ParkedLayers()
        self._moving = False
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)

    def id_of(self, image: Any) -> str:
        """Return the id of the field that an image layer shows; "" for none."""
        if image is None:
            return ""
        known = (i for i, one in self._images.items() if one.unique_id == image.unique_id)
        return next(known, "")

    def image_of(self, field_id: str) -> Any:
        """Return the image layer of a field that is in the viewer, or None."""
        image, viewer = self._images.get(field_id), self._viewer()
        return image if image is not None and viewer is not None and image in viewer.layers else None

    def known_of(self, field_id: str) -> Known:
        """Return what the project has of the edits that a field's layer shows."""
        return self._known[field_id]

    def show(self, field_id: str) -> None:
        """Read a field and bring it into the viewer; the one that was there makes room."""
        owner, saver = self._owner, self._owner.saver
        if saver is None or (field_id == self.current and self.image_of(field_id) is not None):
            return
        self._wanted = field_id
        owner.autosave.save()
        owner.worker.do(
            lambda: read_field(saver, field_id), lambda data: self._show(saver, data), self._not_shown
        )

    def step(self, by: int) -> None:
        """Show the next (1) or previous (-1) field of the list."""
        project = self._owner.project
        ids = [] if project is None else [entry.id for entry in project.fields]
        if not ids:
            return
        start = self._wanted or self.current
        at = ids.index(start) + by if start in ids else 0
        if 0 <= at < len(ids):
            self.show(ids[at])
        else:
            self._owner.said.emit("This is the last field." if by > 0 else "This is the first field.")

    def reload(self) -> None:
        """Read the field on show again from its files; all others when they are next shown."""
        field_id = self.current
        self.clear()
        if field_id:
            self.show(field_id)

    def reload_result(self) -> None:
        """Show what a run has written for the field on show; others follow when they are next shown."""
        owner, saver, field_id = self._owner, self._owner.saver, self.current
        if saver is not None and field_id:
            owner.worker.do(
                lambda: read_field(saver, field_id),
                lambda data: self._renew(saver, data),
                self._not_shown,
            )

    def clear(self) -> None:
        """Take the field on show out, and forget all layers."""
        self._take_out()
        self._wanted = ""
        self._images.clear()
        self._known.clear()
        self._below.clear()
        self._parked.clear()

    def added(self, entry: FieldEntry) -> None:
        """Tell of a field that was added; the first is shown."""
        self._owner.said.emit(f"Added {entry.name or entry.id}.")
        if not self.current and not self._wanted:
            self.show(entry.id)

    def adopt(self, image: Any, entry: FieldEntry, known: Known) -> None:
        """Make a layer that is there the image of a field; the field on show makes room."""
        viewer, project = self._viewer(), self._owner.project
        if viewer is None or project is None:
            return
        self._take_out()
        self._images[entry.id], self._known[entry.id] = image, known
        image.events.data.connect(self._on_data)
        self.current, self._wanted = entry.id, ""
        self._owner.tools.adopt(roles.ready_edits(viewer, image, project.scheme))
        self._owner.said.emit(f"Added {entry.name or entry.id}.")
        self._owner.shown.emit(entry.id)

    def overlay(self, field_id: str, edits: Any, region: tuple[slice, ...]) -> None:
        """Put edits on top of a result that was read; the Segment widget does so for its own."""
        image, viewer = self.image_of(field_id), self._viewer()
        phases = None if image is None else roles.find_layer(viewer, image, "phases")
        below = self._below.get(field_id)
        if below is not None and is_restored(phases):
            phases.data[region] = overlay(below[region], as_uint8(edits.data[region]))
            phases.refresh(thumbnail=False, extent=False, highlight=False)

    def follow_state(self, _: Any = None) -> None:
        """Freeze the field on show if it is reviewed, and free it if it is not."""
        viewer, entry = self._viewer(), self._owner.entry
        image = None if entry is None else self.image_of(entry.id)
        if viewer is not None and entry is not None and image is not None:
            set_frozen(viewer, image, entry.state == "reviewed")

    # -- layers come and go -----------------------------------------------------------------------

    def _show(self, saver: EditSaver, data: FieldData) -> None:
        viewer, field_id, project = self._viewer(), data.entry.id, saver.project
        if viewer is None or saver is not self._owner.saver or field_id != self._wanted:
            return  # the user has gone on meanwhile
        self._take_out()
        self._moving = True
        try:
            parked = self._parked.take(field_id)
            if parked is None:
                image = self._images[field_id] = add_image(viewer, data)
                self._known[field_id] = data.known
                image.events.data.connect(self._on_data)
                add_labels(viewer, image, data, project.scheme)
                self._remember_below(data)
            else:
                image = self._images[field_id]
                for layer in parked.layers:
                    viewer.add_layer(layer)
                viewer.layers.selection.active = roles.ready_edits(viewer, image, project.scheme)
                if parked.result != data.entry.result:
                    self._replace_result(saver, image, data)
        finally:
            self._moving = False
        self.current, self._wanted = field_id, ""
        set_frozen(viewer, image, data.entry.state == "reviewed")
        if data.result is not None and data.entry.state == "unreviewed":
            roles.hold_brush(viewer, roles.find_layer(viewer, image, "edits"), project.scheme)
        viewer.reset_view()
        self._owner.shown.emit(field_id)
        self._owner.changed.emit()

    def _not_shown(self, error: BaseException) -> None:
        self._wanted = ""
        self._owner.failed.emit(error)

    def _renew(self, saver: EditSaver, data: FieldData) -> None:
        image = self.image_of(data.entry.id)
        if saver is self._owner.saver and image is not None:
            self._replace_result(saver, image, data)
            self._owner.changed.emit()

    def _replace_result(self, saver: EditSaver, image: Any, data: FieldData) -> None:
        viewer = self._viewer()
        for keeper in kept_results.keepers(viewer):
            keeper.forget(image)  # else an older result of its would be put on show again
        active = viewer.layers.selection.active
        show_result(viewer, image, data, saver.project.scheme)
        if active is not None and active in viewer.layers:
            viewer.layers.selection.active = active  # a new layer would take it
        self._remember_below(data)

    def _remember_below(self, data: FieldData) -> None:
        self._below.pop(data.entry.id, None)
        if data.result is not None:
            self._below[data.entry.id] = data.result

    def _take_out(self) -> None:
        """Save the field on show and take its layers out; they are kept for a while, with their undo."""
        viewer, project, field_id = self._viewer(), self._owner.project, self.current
        image = self.image_of(field_id)
        self.current = ""
        if viewer is None or image is None or project is None:
            return
        self._owner.autosave.save()
        self._moving = True
        try:
            mine = sorted(layers_of(viewer, image), key=viewer.layers.index)
            self._parked.put(field_id, mine, project.field(field_id).result)
            for layer in mine:
                viewer.layers.remove(layer)
        finally:
            self._moving = False
        for gone in [one for one in self._images if one not in self._parked]:
            del self._images[gone]
            self._known.pop(gone, None)
            self._below.pop(gone, None)

    def _on_inserted(self, event: Any) -> None:
        """Put stored edits back into an edits layer that was made anew: deleting a layer withdraws nothing."""
        viewer, layer, saver = self._viewer(), event.value, self._owner.saver
        if viewer is None or saver is None or self._moving:
            return
        if layer.metadata.get(roles.KEY, {}).get("role") != "edits":
            return
        field_id = self.id_of(image_of(viewer, layer))
        if field_id:
            self._owner.autosave.save()
            self._owner.worker.do(
                lambda: saver.begin(field_id),
                lambda read: self._put_back(field_id, layer, *read),
                self._owner.failed.emit,
            )
            # Until it is read, nothing that the new layer lacks was withdrawn.
            self._known[field_id] = Known(np.zeros(layer.data.shape, np.uint8), saver.changes)

    def _put_back(self, field_id: str, layer: Any, stored: Map | None, known: Known) -> None:
        if stored is None or stored.shape != layer.data.shape or not stored.any():
            return
        if field_id in self._known:
            self._known[field_id] = known
        missing = (layer.data == 0) & (stored > 0)
        layer.data[missing] = stored[missing]
        layer.refresh()
        self._owner.said.emit(f"The edits of the project were put back into {layer.name!r}.")

    def _on_removed(self, event: Any) -> None:
        if not self._moving:
            field_id = self.id_of(event.value)
            if field_id:
                self._let_go(field_id)

    def _on_data(self, event: Any) -> None:
        """Let go of an image whose data were replaced: what is painted on it belongs to other pixels now."""
        field_id = self.id_of(event.source)
        if field_id:
            self._let_go(field_id)
            self._owner.said.emit(
                f"The data of {event.source.name!r} were replaced, so it no longer shows the field of the project."
            )

    def _let_go(self, field_id: str) -> None:
        self._owner.autosave.save()
        self._images.pop(field_id, None)
        self._known.pop(field_id, None)
        self._below.pop(field_id, None)
        self._parked.drop(field_id)
        if field_id == self.current:
            self.current = ""
            self._owner.shown.emit("")
