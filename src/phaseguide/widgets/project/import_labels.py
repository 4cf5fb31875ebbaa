"""Labels that were corrected elsewhere become edits: all of them, or only where they differ from the result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QFormLayout, QHBoxLayout, QPushButton, QWidget

from phaseguide.errors import MicrographError, PhaseguideError
from phaseguide.labels import Map, as_uint8, where_corrected
from phaseguide.phases import NOT_CLASSIFIED, PhaseScheme
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.identity import role_of
from phaseguide.widgets.layers.layer_choice import ImageBox, LayerBox
from phaseguide.widgets.layers.planes import data_shape
from phaseguide.widgets.layers.review_lock import check_not_frozen
from phaseguide.widgets.qt.tasks import in_background

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

DIFFERENT, WHOLE = "only where they differ from the result", "all of them, as truth"


class ImportBox(QWidget):
    """Choose a Labels layer or a file; its labels become edits of the chosen image.

    Parameters
    ----------
    find_scheme : callable
        Returns the phases for an image layer, or None.
    """

    said = Signal(str)
    failed = Signal(object)

    def __init__(self, viewer: ViewerModel, find_scheme: Callable[[Image], PhaseScheme | None]) -> None:
        super().__init__()
        self._viewer, self._find_scheme = viewer, find_scheme
        self.image_box = ImageBox(viewer)
        self.image_box.setToolTip("The image that the labels are of.")
        tip = "A Labels layer, for example one that was opened from a file and corrected."
        self.layer_box = LayerBox(viewer, self._find_layers, tip)
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
        self.take_button.clicked.connect(self.take_layer)
        self.file_button.clicked.connect(self._ask)
        self.reset_choices()

    @property
    def whole(self) -> bool:
        """Whether all labels are taken, and not only those that differ."""
        return self.how_box.currentText() == WHOLE

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again."""
        self.image_box.reset_choices()
        self.layer_box.reset_choices()
        self.take_button.setEnabled(bool(self.layer_box.layers))

    def take_layer(self) -> None:
        """Take over the chosen layer."""
        layer, image = self.layer_box.layer, self.image_box.layer
        if layer is None:
            return
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

    def _find_layers(self) -> list[Any]:
        """Labels layers but for the program's own, which are no corrections."""
        from napari.layers import Labels

        return [one for one in self._viewer.layers if isinstance(one, Labels) and not role_of(one)]

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
        if edits is not None and changed:
            self._viewer.layers.selection.active = edits
            self.said.emit(f"{changed} px of {name} are edits now. Ctrl+Z on {edits.name!r} takes them back.")
        elif edits is not None:
            self.said.emit(f"{name} says nothing that {edits.name!r} or the result does not say already.")

    def _ask(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Labels corrected elsewhere", "", "Label maps (*.tif *.tiff *.png *.bmp);;All files (*)"
        )
        if path:
            self.take_file(path)


def take_labels(
    viewer: ViewerModel, image: Image, labels: NDArray[Any], name: str, scheme: PhaseScheme, *, whole: bool
) -> int:
    """Write labels into the edits of an image as one step of undo; return how many pixels are different now.

    A label of 0 says nothing and changes nothing. ``name`` is the layer or file, for errors. With ``whole`` every
    label counts as said by the user; else only where it differs from the map on show.

    Raises
    ------
    MicrographError
        Labels or edits that do not fit the image; or there is no result that they could differ from.
    SchemeError
        A value that is no phase.
    ProjectError
        The field is reviewed.
    """
    check_not_frozen(image)
    said = _checked(labels, image, name, scheme)
    edits = roles.ensure_edits_layer(viewer, image, scheme)
    roles.check_edits(edits, image)
    result = None if whole else _result(viewer, image)
    where = np.nonzero(where_corrected(said, as_uint8(edits.data), result))
    if not where[0].size:
        return 0
    # The way of a brush: one step of undo, and everyone who listens to strokes hears of it.
    edits.data_setitem(where, said[where].astype(edits.data.dtype))
    edits.refresh()
    return int(where[0].size)


def _checked(labels: NDArray[Any], image: Image, name: str, scheme: PhaseScheme) -> Map:
    shape = data_shape(image)
    if labels.shape != shape:
        raise MicrographError(
            f"{name}: is {' x '.join(map(str, labels.shape))} px, but {image.name!r} is "
            f"{' x '.join(map(str, shape))} px. Labels must match pixel by pixel: choose those of this image."
        )
    present = np.unique(labels)
    scheme.check_labels(present.tolist(), source=name)
    if not (present != NOT_CLASSIFIED).any():
        raise MicrographError(
            f"{name}: holds no label, only 0 (not classified). Choose the layer that was corrected."
        )
    return as_uint8(labels)


def _result(viewer: ViewerModel, image: Image) -> Map:
    phases = roles.find_layer(viewer, image, "phases")
    if phases is None or roles.same_grid(phases, image) is not None:
        raise MicrographError(
            f"{image.name!r} has no result that labels could differ from. Segment it first, or take all labels."
        )
    return as_uint8(phases.data)
