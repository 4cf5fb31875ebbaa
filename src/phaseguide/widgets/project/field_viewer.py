"""The fields of a project as layers: one is on show, the last few are kept aside with their undo."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from phaseguide.labels import Map, as_uint8, overlay
from phaseguide.projects.edit_saver import Known
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.brush import put_away, select_edits
from phaseguide.widgets.layers.canvas import canvas_of, look_at
from phaseguide.widgets.layers.hub import hub_of
from phaseguide.widgets.layers.identity import KEY, image_of
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

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

    from phaseguide.projects.edit_saver import EditSaver
    from phaseguide.projects.schema import FieldEntry, ResultEntry
    from phaseguide.widgets.layers.edit_tools import EditTools
    from phaseguide.widgets.project.autosave import Autosave
    from phaseguide.widgets.qt.serial_worker import SerialWorker

KEPT_FIELDS = 4
KEPT_BYTES = 400_000_000


@dataclass(frozen=True)
class HiddenField:
    """Layers of a field in their order, and the result that they show."""

    layers: tuple[Layer, ...]
    result: ResultEntry | None


class HiddenFields:
    """Layers of the last few fields, kept so that their undo is there when one comes back.

    The oldest go when there are too many, or they fill the memory.
    """

    def __init__(self) -> None:
        self._fields: OrderedDict[str, HiddenField] = OrderedDict()

    def __contains__(self, field_id: str) -> bool:
        return field_id in self._fields

    def put(self, field_id: str, layers: list[Layer], result: ResultEntry | None) -> None:
        """Keep the layers of a field."""
        self._fields[field_id] = HiddenField(tuple(layers), result)
        self._fields.move_to_end(field_id)
        while len(self._fields) > 1 and (len(self._fields) > KEPT_FIELDS or self._nbytes() > KEPT_BYTES):
            self._fields.popitem(last=False)

    def take(self, field_id: str) -> HiddenField | None:
        """Return and forget the layers of a field."""
        return self._fields.pop(field_id, None)

    def drop(self, field_id: str) -> None:
        """Forget the layers of a field."""
        self._fields.pop(field_id, None)

    def clear(self) -> None:
        """Forget everything."""
        self._fields.clear()

    def _nbytes(self) -> int:
        held = (layer for hidden in self._fields.values() for layer in hidden.layers)
        return sum(int(getattr(layer.data, "nbytes", 0)) for layer in held)


class FieldViewer(QObject):
    """At most one field of a project is on show.

    ``shown`` tells its id ("" for none); ``changed`` that what it shows is different; ``said`` a sentence; ``failed``
    an error.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Held weakly.
    worker : SerialWorker
        Reads the files.
    autosave : Autosave
        Saves a field before another one takes its place.
    """

    shown = Signal(str)
    changed = Signal()
    said = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        viewer: ViewerModel,
        worker: SerialWorker,
        autosave: Autosave,
        tools: EditTools,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._worker, self._autosave, self._tools = worker, autosave, tools
        self._viewer = weakref.ref(viewer)
        self.saver: EditSaver | None = None
        self.current = ""
        self._wanted = ""
        self._images: dict[str, Image] = {}
        self._known: dict[str, Known] = {}  # what the project has of their edits
        self._below: dict[str, Map] = {}  # results as they were read, without later strokes
        self._hidden = HiddenFields()
        self._moving = False
        viewer.layers.events.inserted.connect(self._on_inserted)
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def viewer(self) -> ViewerModel | None:
        """The viewer, or None when it is gone."""
        return self._viewer()

    @property
    def entry(self) -> FieldEntry | None:
        """The field on show."""
        return self.saver.project.field(self.current) if self.saver is not None and self.current else None

    @property
    def on_canvas(self) -> str:
        """Id of the field on show, unless an image beside the project is chosen at the moment; "" for none."""
        viewer, image = self._viewer(), self.image_of(self.current)
        owner = None if viewer is None else canvas_of(viewer).owner
        mine = owner is None or (image is not None and owner.unique_id == image.unique_id)
        return self.current if mine else ""

    def id_of(self, image: Image | None) -> str:
        """Return the id of the field that an image layer shows; "" for none."""
        if image is None:
            return ""
        known = (i for i, one in self._images.items() if one.unique_id == image.unique_id)
        return next(known, "")

    def image_of(self, field_id: str) -> Image | None:
        """Return the image layer of a field that is in the viewer, or None."""
        image, viewer = self._images.get(field_id), self._viewer()
        return image if image is not None and viewer is not None and image in viewer.layers else None

    def known_of(self, field_id: str) -> Known:
        """Return what the project has of the edits that a field's layer shows."""
        return self._known[field_id]

    def show(self, field_id: str) -> None:
        """Read a field and bring it into the viewer; the one that was there makes room."""
        saver = self.saver
        viewer, shown = self._viewer(), self.image_of(field_id)
        if viewer is not None and shown is not None and field_id == self.current:
            canvas_of(viewer).show(shown)
        if saver is None or (field_id == self.current and shown is not None):
            return
        self._wanted = field_id
        self._autosave.save()
        self._worker.do(
            lambda: read_field(saver, field_id), lambda data: self._show(saver, data), self._not_shown
        )

    def step(self, by: int) -> None:
        """Show the next (1) or previous (-1) field of the list."""
        ids = [] if self.saver is None else [entry.id for entry in self.saver.project.fields]
        if not ids:
            return
        start = self._wanted or self.current
        at = ids.index(start) + by if start in ids else 0
        if 0 <= at < len(ids):
            self.show(ids[at])
        else:
            self.said.emit("This is the last field." if by > 0 else "This is the first field.")

    def reload(self) -> None:
        """Read the field on show again from its files; all others when they are next shown."""
        field_id = self.current
        self.clear()
        if field_id:
            self.show(field_id)

    def reload_result(self) -> None:
        """Show what a run has written for the field on show; others follow when they are next shown."""
        saver, field_id = self.saver, self.current
        if saver is not None and field_id:
            self._worker.do(
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
        self._hidden.clear()

    def added(self, entry: FieldEntry) -> None:
        """Tell of a field that was added; the first is shown."""
        self.said.emit(f"Added {entry.name or entry.id}.")
        if not self.current and not self._wanted:
            self.show(entry.id)

    def adopt(self, image: Image, entry: FieldEntry, known: Known) -> None:
        """Make a layer that is there the image of a field; the field on show makes room."""
        viewer, saver = self._viewer(), self.saver
        if viewer is None or saver is None:
            return
        self._take_out()
        self._images[entry.id], self._known[entry.id] = image, known
        image.events.data.connect(self._on_data)
        self.current, self._wanted = entry.id, ""
        self._tools.adopt(roles.ensure_edits_layer(viewer, image, saver.project.scheme))
        self.said.emit(f"Added {entry.name or entry.id}.")
        self.shown.emit(entry.id)

    def overlay(self, field_id: str, edits: Labels, region: tuple[slice, ...]) -> None:
        """Put edits on top of a result that was read; the step Segment does so for its own."""
        image, viewer = self.image_of(field_id), self._viewer()
        phases = None if image is None else roles.find_layer(viewer, image, "phases")
        below = self._below.get(field_id)
        if below is not None and phases is not None and is_restored(phases):
            phases.data[region] = overlay(below[region], as_uint8(edits.data[region]))
            phases.refresh(thumbnail=False, extent=False, highlight=False)

    def follow_state(self, _: Any = None) -> None:
        """Freeze the field on show if it is reviewed, and free it if it is not."""
        viewer, entry = self._viewer(), self.entry
        image = None if entry is None else self.image_of(entry.id)
        if viewer is not None and entry is not None and image is not None:
            set_frozen(viewer, image, entry.state == "reviewed")

    # -- layers come and go -----------------------------------------------------------------------

    def _show(self, saver: EditSaver, data: FieldData) -> None:
        viewer, field_id, project = self._viewer(), data.entry.id, saver.project
        if viewer is None or saver is not self.saver or field_id != self._wanted:
            return  # the user has gone on meanwhile
        self._take_out()
        self._moving = True
        try:
            hidden = self._hidden.take(field_id)
            if hidden is None:
                image = self._images[field_id] = add_image(viewer, data)
                self._known[field_id] = data.known
                image.events.data.connect(self._on_data)
                add_labels(viewer, image, data, project.scheme)
                self._remember_below(data)
            else:
                image = self._images[field_id]
                for layer in hidden.layers:
                    viewer.add_layer(layer)
                viewer.layers.selection.active = roles.ensure_edits_layer(viewer, image, project.scheme)
                if hidden.result != data.entry.result:
                    self._replace_result(saver, image, data)
        finally:
            self._moving = False
        self.current, self._wanted = field_id, ""
        set_frozen(viewer, image, data.entry.state == "reviewed")
        if data.result is not None and data.entry.state == "unreviewed":
            select_edits(viewer, roles.find_layer(viewer, image, "edits"), project.scheme)
        canvas_of(viewer).show(image)
        put_away(viewer)
        look_at(viewer, image)
        self.shown.emit(field_id)
        self.changed.emit()

    def _not_shown(self, error: BaseException) -> None:
        self._wanted = ""
        self.failed.emit(error)

    def _renew(self, saver: EditSaver, data: FieldData) -> None:
        image = self.image_of(data.entry.id)
        if saver is self.saver and image is not None:
            self._replace_result(saver, image, data)
            self.changed.emit()

    def _replace_result(self, saver: EditSaver, image: Image, data: FieldData) -> None:
        viewer = self._viewer()
        for keeper in list(hub_of(viewer).keepers):
            keeper.forget(image)  # else an older result of its would be put on show again
        with roles.keeping_active(viewer):
            show_result(viewer, image, data, saver.project.scheme)
        self._remember_below(data)

    def _remember_below(self, data: FieldData) -> None:
        self._below.pop(data.entry.id, None)
        if data.result is not None:
            self._below[data.entry.id] = data.result

    def _take_out(self) -> None:
        """Save the field on show and take its layers out; they are kept for a while, with their undo."""
        viewer, saver, field_id = self._viewer(), self.saver, self.current
        image = self.image_of(field_id)
        self.current = ""
        if viewer is None or image is None or saver is None:
            return
        self._autosave.save()
        self._moving = True
        try:
            mine = sorted(layers_of(viewer, image), key=viewer.layers.index)
            self._hidden.put(field_id, mine, saver.project.field(field_id).result)
            for layer in mine:
                viewer.layers.remove(layer)
        finally:
            self._moving = False
        for gone in [one for one in self._images if one not in self._hidden]:
            del self._images[gone]
            self._known.pop(gone, None)
            self._below.pop(gone, None)

    def _on_inserted(self, event: Any) -> None:
        """Put stored edits back into an edits layer that was made anew: deleting a layer withdraws nothing."""
        viewer, layer, saver = self._viewer(), event.value, self.saver
        if viewer is None or saver is None or self._moving:
            return
        if layer.metadata.get(KEY, {}).get("role") != "edits":
            return
        field_id = self.id_of(image_of(viewer, layer))
        if field_id:
            self._autosave.save()
            self._worker.do(
                lambda: saver.begin(field_id),
                lambda read: self._put_back(field_id, layer, *read),
                self.failed.emit,
            )
            # Until it is read, nothing that the new layer lacks was withdrawn.
            self._known[field_id] = Known(np.zeros(layer.data.shape, np.uint8), saver.changes)

    def _put_back(self, field_id: str, layer: Labels, stored: Map | None, known: Known) -> None:
        if stored is None or stored.shape != layer.data.shape or not stored.any():
            return
        if field_id in self._known:
            self._known[field_id] = known
        missing = (layer.data == 0) & (stored > 0)
        layer.data[missing] = stored[missing]
        layer.refresh()
        self.said.emit(f"The edits of the project were put back into {layer.name!r}.")

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
            self.said.emit(
                f"The data of {event.source.name!r} were replaced, so it no longer shows the field of the project."
            )

    def _let_go(self, field_id: str) -> None:
        self._autosave.save()
        self._images.pop(field_id, None)
        self._known.pop(field_id, None)
        self._below.pop(field_id, None)
        self._hidden.drop(field_id)
        if field_id == self.current:
            self.current = ""
            self.shown.emit("")
