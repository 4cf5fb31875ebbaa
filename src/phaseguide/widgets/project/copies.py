"""Rescue copies of the open project: offered, brought back onto their layer, or thrown away."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QFrame, QGridLayout, QPushButton

from phaseguide.errors import PhaseguideError, ProjectError
from phaseguide.phase_edits import relabelled
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED, normalise_name
from phaseguide.projects.rescue import RescueCopy, discard_copy, find_copies, read_copy
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.review_lock import is_frozen
from phaseguide.widgets.qt.plain_text import Label

if TYPE_CHECKING:
    from phaseguide.widgets.project.autosave import Autosave
    from phaseguide.widgets.project.field_viewer import FieldViewer


class Copies(QObject):
    """What earlier sessions could not save, of the project that is open.

    ``changed`` tells that there are other copies to offer; ``said`` a sentence; ``failed`` an error.
    """

    changed = Signal()
    said = Signal(str)
    failed = Signal(object)

    def __init__(self, fields: FieldViewer, autosave: Autosave, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._fields = fields
        self.found: dict[Path, RescueCopy] = {}
        self._wanted: Path | None = None
        self._restored: dict[str, Path] = {}
        fields.shown.connect(self._on_shown)
        autosave.saved.connect(self._on_saved)

    def look(self) -> None:
        """Look for copies of the project that is open now."""
        saver = self._fields.saver
        self._wanted = None
        self._restored.clear()
        self.found = {} if saver is None else find_copies(saver.project, but=saver.token)
        self.changed.emit()

    def restore(self, path: Path) -> None:
        """Put the edits of a copy on top of those that are there, on the layer of their field; it can be undone."""
        self._wanted, field_id = path, self.found[path].field_id
        if self._fields.image_of(field_id) is not None and self._fields.current == field_id:
            self._on_shown(field_id)
        else:
            self._fields.show(field_id)

    def discard(self, path: Path) -> None:
        """Move a copy to the recycle folder."""
        try:
            there = discard_copy(path)
        except PhaseguideError as error:
            if path.is_file():
                self.failed.emit(error)
                return
            there = path  # saved meanwhile by whoever kept it
        self._drop(path)
        self.said.emit(f"The rescue copy lies in {there.parent}.")

    def _on_shown(self, field_id: str) -> None:
        path = self._wanted
        if path is None or self.found[path].field_id != field_id:
            return
        self._wanted = None
        try:
            told = self._put_on(path)
        except PhaseguideError as error:
            self.failed.emit(error)
            return
        self._drop(path)
        self.said.emit(told)

    def _put_on(self, path: Path) -> str:
        copy, entry = self.found[path], self._fields.entry
        layer = self._edits_layer(copy)
        edits, base = read_copy(path)
        if entry is None or entry.images[0].sha256 != copy.image_sha256 or edits.shape != layer.data.shape:
            raise ProjectError(
                f"{path}: was painted on another image than {copy.field_id} has now. It stays there."
            )
        edits, base = (self._renumbered(labels, copy) for labels in (edits, base))
        todo = (edits != base) & (edits != layer.data)
        if not todo.any():
            self._remove(path)
            return f"Those edits of {copy.field_id} are on the layer already."
        self._restored[copy.field_id] = path
        layer.data_setitem(np.nonzero(todo), edits[todo])
        return f"{int(todo.sum())} px of {copy.field_id} were brought back. Ctrl+Z takes them away again."

    def _edits_layer(self, copy: RescueCopy) -> Any:
        image = self._fields.image_of(copy.field_id)
        layer = roles.find_layer(self._fields.viewer, image, "edits")
        if layer is None or is_frozen(layer):
            raise ProjectError(
                f"Field {copy.field_id!r} is reviewed, so its edits stay as they are. Press Reopen, then Restore."
            )
        return layer

    def _renumbered(self, labels: Any, copy: RescueCopy) -> Any:
        """Give labels the numbers that phases of their names have in the project now."""
        assert self._fields.saver is not None
        project = self._fields.saver.project
        now = {normalise_name(phase.name): phase.label for phase in project.scheme}
        moves = {}
        for label, name in enumerate(copy.phases, start=1):
            if normalise_name(name) in now:
                moves[label] = now[normalise_name(name)]
            elif np.any(labels == label):
                raise ProjectError(
                    f"The rescued edits of {copy.field_id} hold {name!r}, and the phases are "
                    f"{project.scheme.describe()} by now. Add that phase again, then restore them."
                )
        known = np.where((labels < NOT_CLASSIFIED) | (labels > EXCLUDED), NOT_CLASSIFIED, labels)
        return relabelled(known.astype(np.uint8), moves)

    def _on_saved(self, field_id: str) -> None:
        if field_id in self._restored:
            self._remove(self._restored.pop(field_id))

    def _drop(self, path: Path) -> None:
        self.found.pop(path, None)
        self.changed.emit()

    @staticmethod
    def _remove(path: Path) -> None:
        with suppress(OSError):  # at worst it is offered again, and found to be on the layer
            path.unlink(missing_ok=True)


class RescueBar(QFrame):
    """Offers the copies, one after the other; hidden where there are none."""

    restored = Signal(object)
    discarded = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._path: Path | None = None
        self.text = Label()
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.restore_button = QPushButton("Restore")
        self.restore_button.setToolTip(
            "Put these edits on top of those of the field. Ctrl+Z takes them away again."
        )
        self.discard_button = QPushButton("Discard")
        self.discard_button.setToolTip("Move the copy to the recycle folder.")
        grid = QGridLayout(self)
        grid.addWidget(self.text, 0, 0, 1, 2)
        grid.addWidget(self.restore_button, 1, 0)
        grid.addWidget(self.discard_button, 1, 1)
        self.setObjectName("rescue")
        self.setStyleSheet("#rescue { border: 1px solid #e69f00; border-radius: 3px; }")
        self.restore_button.clicked.connect(lambda: self.restored.emit(self._path))
        self.discard_button.clicked.connect(lambda: self.discarded.emit(self._path))
        self.hide()

    def show_copies(self, found: dict[Path, RescueCopy]) -> None:
        """Offer the oldest of some copies."""
        self._path = next(iter(found), None)
        if self._path is not None:
            number = f" (1 of {len(found)})" if len(found) > 1 else ""
            self.text.setText(found[self._path].describe() + number)
        self.setVisible(self._path is not None)
