"""The table of sources: open images with their labels, fields of the open project, folders of pairs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from phaseguide.errors import PhaseguideError
from phaseguide.files.foreign import resolved
from phaseguide.finetuning.sources import specimen_group
from phaseguide.jobs.finetune import SourceReport
from phaseguide.jobs.finetune_start import SourceSpec
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import SUM_TOLERANCE
from phaseguide.widgets.finetune.edits_follower import check_names
from phaseguide.widgets.finetune.source_readers import (
    EDITS,
    NO_LABELS,
    Given,
    Read,
    field_reader,
    folder_reader,
    has_paint,
    label_layers,
    layer_reader,
    refusal,
)
from phaseguide.widgets.finetune.source_row import SourceLine, choices_for
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.edit_log import scheme_of
from phaseguide.widgets.qt.dock import listen
from phaseguide.widgets.qt.panel import small_label

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from phaseguide.widgets.project.open_project import OpenProject


class SourcesTable(QWidget):
    """Lines, and buttons that add to them.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    scheme : callable
        Returns the phases of the model to be, or None.
    opened : callable
        Returns what the viewer has open as a project (`phaseguide.widgets.project.open_project.OpenProject`), or None.
    """

    changed = Signal()
    paint_wanted = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        scheme: Callable[[], PhaseScheme | None],
        opened: Callable[[], OpenProject | None],
    ) -> None:
        super().__init__()
        self._viewer, self._scheme, self._opened = viewer, scheme, opened
        self.lines: dict[Hashable, SourceLine] = {}
        self._images: dict[Hashable, Image] = {}
        self._folders: dict[Hashable, Path] = {}
        self._fields: dict[Hashable, str] = {}
        self._watched: set[Any] = set()
        self.nothing = small_label()
        self.nothing.setText("Open a micrograph, or add a folder with images/ and labels/.")
        self.paint_button = QPushButton("Paint on this image")
        self.paint_button.setToolTip(
            "Put the brush on the edits layer of the selected image; one is made if there is none."
        )
        self.folder_button = QPushButton("Add folder…")
        self.folder_button.setToolTip("A folder with images/ and labels/, matched by name.")
        self._column = QVBoxLayout()
        self._column.setSpacing(0)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addLayout(self._column)
        outer.addWidget(self.nothing)
        row = QHBoxLayout()
        row.addWidget(self.paint_button)
        row.addWidget(self.folder_button)
        outer.addLayout(row)
        self.folder_button.clicked.connect(self._ask_folder)
        self.paint_button.clicked.connect(self.paint_wanted)
        listen(self, viewer.layers.events.inserted, self.reset_choices)
        listen(self, viewer.layers.events.removed, self.reset_choices)
        self.reset_choices()

    def add_folder(self, path: str | Path) -> None:
        """Add a folder of pairs, once."""
        folder = resolved(path)
        key = ("folder", str(folder))
        if key not in self.lines:
            line = SourceLine(f"{folder.name}/", str(folder), removable=True)
            line.use.setChecked(True)
            line.removed.connect(lambda: self._drop(key, tell=True))
            self._folders[key] = folder
            self._add(key, line)
        self.changed.emit()

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers and the open project again."""
        images = {("image", layer.unique_id): layer for layer in roles.micrographs(self._viewer)}
        opened = self._opened()
        fields = {} if opened is None else self._closed_fields(opened, images.values())
        for key in [*self._images, *self._fields]:
            if key not in images and key not in fields:
                self._drop(key)
        for key, image in images.items():
            if key not in self.lines:
                line = SourceLine(image.name, "", choices_for([]), ratio=True)
                self._images[key] = image
                self._add(key, line)
                listen(self, image.events.name, self.reset_choices)
            self.lines[key].set_title(image.name)
            self.lines[key].offer(choices_for([layer.name for layer in label_layers(self._viewer, image)]))
        for key, field_id in fields.items():
            if key not in self.lines:
                line = SourceLine(field_id, "A field of the open project.")
                line.use.setChecked(True)
                self._fields[key] = field_id
                self._add(key, line)
        self._watch()
        self.propose()
        self.changed.emit()

    def propose(self) -> None:
        """Tick what has something to teach, and make ratio boxes for the phases."""
        for key, image in self._images.items():
            line = self.lines[key]
            line.ratio.set_scheme(self._scheme())
            painted = has_paint(self._labels_of(key, image))
            line.propose(painted or line.given() is not None or self._is_told(image))
        self.nothing.setVisible(not self.lines)
        self.paint_button.setEnabled(bool(self._images))

    def _is_told(self, image: Image) -> bool:
        """Whether the project knows labels or a ratio of the field that an image shows."""
        opened = self._opened()
        field = None if opened is None else opened.field_of(image)
        return field is not None and (field.truth is not None or field.ratio is not None)

    def specs(self) -> tuple[SourceSpec, ...]:
        """What is ticked, to be read in a worker."""
        scheme, opened = self._scheme(), self._opened()
        found = []
        for key, line in self.lines.items():
            if not line.use.isChecked() or self._rejected(key):
                continue
            if key in self._images:
                read = self._layer_reader(key, opened, scheme)
            elif key in self._folders:
                if scheme is None:
                    continue
                read = folder_reader(self._folders[key], scheme)
            elif opened is None or opened.project is None:
                continue
            else:
                read = field_reader(opened.project, self._fields[key], scheme)
            found.append(SourceSpec(key, line.title.text(), read, line.validates.isChecked()))
        return tuple(found)

    def show_look(self, looked: SourceReport) -> None:
        """Show what was found about the lines."""
        for key, line in self.lines.items():
            line.show_look(looked.rows.get(key), self._scheme(), left_out=self._rejected(key))

    def edits(self) -> list[Labels]:
        """Edits layers of the open images."""
        found = (roles.find_layer(self._viewer, image, "edits") for image in self._images.values())
        return [layer for layer in found if layer is not None]

    def images(self) -> dict[Hashable, Image]:
        """Image layers by the key of their line."""
        return dict(self._images)

    def complete_ratio(self, image: Image) -> Given:
        """The ratio of an image and its uncertainty, if it is known of every phase and sums to 1."""
        line = self.lines.get(("image", image.unique_id))
        given = None if line is None else line.given()
        if given is None or any(share is None for share in given[0]):
            return None
        return given if abs(sum(share or 0.0 for share in given[0]) - 1) < SUM_TOLERANCE else None

    def is_field(self, edits: Labels) -> bool:
        """Whether an edits layer is of a field of the open project, which then looks after it."""
        opened = self._opened()
        if opened is None or opened.project is None:
            return False
        owners = [i for i in self._images.values() if roles.find_layer(self._viewer, i, "edits") is edits]
        return any(opened.field_of(image) is not None for image in owners)

    def _layer_reader(self, key: Hashable, opened: OpenProject | None, scheme: PhaseScheme | None) -> Read:
        image, line = self._images[key], self.lines[key]
        project = None if opened is None else opened.project
        field = None if opened is None or project is None else opened.field_of(image)
        chosen = line.labels.currentData()
        truth = None
        if project is not None and field is not None and field.truth is not None and chosen == EDITS:
            truth = partial(project.read_truth, field.id)
        given, group = line.given(), ""
        if given is None and field is not None and field.ratio is not None:
            given, group = (tuple(field.ratio.shares), field.ratio.uncertainty), specimen_group(field)
        labels = self._labels_of(key, image)
        if chosen == EDITS and labels is None:
            misfit = roles.find_layer(self._viewer, image, "edits")
            if misfit is not None:
                try:
                    roles.check_edits(misfit, image)
                except PhaseguideError as error:
                    return refusal(error)
        painted = None if labels is None else scheme_of(labels)
        return layer_reader(
            image,
            labels,
            edits=chosen == EDITS,
            given=given,
            truth=truth,
            name="" if field is None else field.id,
            group=group,
            check=None if scheme is None else lambda found, name: check_names(found, painted, scheme, name),
        )

    def _rejected(self, key: Hashable) -> str:
        """Why an image on show teaches nothing: its field is rejected; "" where it is not."""
        opened, image = self._opened(), self._images.get(key)
        field = None if opened is None or image is None else opened.field_of(image)
        if field is None or field.state != "rejected":
            return ""
        return f"is rejected ({field.reason}) and teaches nothing. Reopen it in Image, Project, to learn from it."

    def _labels_of(self, key: Hashable, image: Image) -> Labels | None:
        chosen = self.lines[key].labels.currentData()
        if chosen == NO_LABELS:
            return None
        if chosen == EDITS:
            layer = roles.find_layer(self._viewer, image, "edits")
            return None if layer is None or roles.same_grid(layer, image) is not None else layer
        return next((one for one in label_layers(self._viewer, image) if one.name == chosen), None)

    def _closed_fields(self, opened: OpenProject, images: Iterable[Image]) -> dict[Hashable, str]:
        """Fields of the project that teach and are not open as a layer, where the layer's edits count."""
        if opened.project is None:
            return {}
        shown = {field.id for image in images if (field := opened.field_of(image)) is not None}
        return {
            ("field", field.id): field.id
            for field in opened.project.fields
            if field.id not in shown
            and field.state != "rejected"
            and (field.edits or field.truth or field.ratio is not None)
        }

    def _watch(self) -> None:
        """Hear of strokes on every layer that may teach."""
        from napari.layers import Labels

        for layer in self._viewer.layers:
            if (
                isinstance(layer, Labels)
                and layer.unique_id not in self._watched
                and not roles.is_result(layer)
            ):
                self._watched.add(layer.unique_id)
                for event in (layer.events.paint, layer.events.data, layer.events.set_data):
                    listen(self, event, self._on_paint)
                listen(self, layer.events.name, self.reset_choices)

    def _on_paint(self, event: Any = None) -> None:
        self.changed.emit()

    def _add(self, key: Hashable, line: SourceLine) -> None:
        line.ratio.set_scheme(self._scheme())
        line.changed.connect(self.changed)
        self.lines[key] = line
        self._column.addWidget(line)

    def _drop(self, key: Hashable, *, tell: bool = False) -> None:
        line = self.lines.pop(key)
        for known in (self._images, self._folders, self._fields):
            known.pop(key, None)
        self._column.removeWidget(line)
        line.hide()
        line.deleteLater()
        if tell:
            self.changed.emit()

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "A folder with images/ and labels/")
        if folder:
            self.add_folder(folder)
