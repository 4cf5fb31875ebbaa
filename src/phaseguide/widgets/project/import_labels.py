"""The part of the Project dock that takes over labels corrected elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QPushButton, QWidget

from phaseguide.errors import MicrographError, PhaseguideError
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.identity import role_of
from phaseguide.widgets.layers.label_import import take_labels
from phaseguide.widgets.layers.layer_choice import ImageBox
from phaseguide.widgets.qt.tasks import in_background

DIFFERENT, WHOLE = "only where they differ from the result", "all of them, as truth"


class ImportBox(QWidget):
    """Choose a Labels layer or a file; its labels become edits of the chosen image.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    find_scheme : callable
        Returns the phases for an image layer, or None.
    """

    said = Signal(str)
    failed = Signal(object)

    def __init__(self, viewer: Any, find_scheme: Callable[[Any], PhaseScheme | None]) -> None:
        super().__init__()
        self._viewer, self._find_scheme = viewer, find_scheme
        self.image_box = ImageBox(viewer)
        self.image_box.setToolTip("The image that the labels are of.")
        self.layer_box = QComboBox()
        self.layer_box.setToolTip(
            "A Labels layer, for example one that was opened from a file and corrected."
        )
        self.layer_box.setMinimumContentsLength(12)
        self.layer_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.how_box = QComboBox()
        self.how_box.addItems([DIFFERENT, WHOLE])
        self.how_box.setToolTip(
            "Only where they differ: what was not touched stays a prediction. As truth: every label counts as "
            "said by you. 0 says nothing. Both can be undone with Ctrl+Z on the edits layer."
        )
        self.take_button = QPushButton("Take over layer")
        self.file_button = QPushButton("From a file…")
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image_box)
        form.addRow("Labels", self.layer_box)
        form.addRow("Take", self.how_box)
        row = QHBoxLayout()
        row.addWidget(self.take_button)
        row.addWidget(self.file_button)
        form.addRow(row)
        self._layers: list[Any] = []
        self.take_button.clicked.connect(self.take_layer)
        self.file_button.clicked.connect(self._ask)
        self.reset_choices()

    @property
    def whole(self) -> bool:
        """Whether all labels are taken, and not only those that differ."""
        return self.how_box.currentText() == WHOLE

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again; the program's own layers are no corrections."""
        from napari.layers import Labels

        before = self.layer_box.currentText()
        self.image_box.reset_choices()
        self._layers = [
            layer for layer in self._viewer.layers if isinstance(layer, Labels) and not role_of(layer)
        ]
        self.layer_box.clear()
        self.layer_box.addItems([layer.name for layer in self._layers])
        self.layer_box.setCurrentText(before)
        self.take_button.setEnabled(bool(self._layers))

    def take_layer(self) -> None:
        """Take over the chosen layer."""
        index = self.layer_box.currentIndex()
        if 0 <= index < len(self._layers):
            layer, image = self._layers[index], self.image_box.layer
            reason = None if image is None else roles.same_grid(layer, image)
            if reason is not None:
                self.failed.emit(MicrographError(reason))
            else:
                self._take(layer.data, f"Layer {layer.name!r}")

    def take_file(self, path: str | Path) -> None:
        """Take over a label map from a file, which is read in a thread."""
        from phaseguide.micrographs.label_maps import read_label_map

        in_background(
            self,
            lambda: read_label_map(path),
            lambda labels: self._take(labels, str(path)),
            self.failed.emit,
        )

    def _take(self, labels: Any, name: str) -> None:
        image = self.image_box.layer
        try:
            if image is None:
                raise MicrographError("There is no image layer that the labels could be of. Open it first.")
            scheme = self._find_scheme(image)
            if scheme is None:
                raise MicrographError(
                    f"{image.name!r}: its phases are not known. Open a project, or segment the image first."
                )
            changed = take_labels(self._viewer, image, labels, name, scheme, whole=self.whole)
        except PhaseguideError as error:
            self.failed.emit(error)
            return
        edits = roles.find_layer(self._viewer, image, "edits")
        if changed:
            self._viewer.layers.selection.active = edits
            self.said.emit(f"{changed} px of {name} are edits now. Ctrl+Z on {edits.name!r} takes them back.")
        else:
            self.said.emit(f"{name} says nothing that {edits.name!r} or the result does not say already.")

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Labels corrected elsewhere", "", "Label maps (*.tif *.tiff *.png *.bmp);;All files (*)"
        )
        if path:
            self.take_file(path)
