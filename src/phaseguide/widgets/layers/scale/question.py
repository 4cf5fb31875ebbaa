"""Where the user tells the size of a pixel: typed, or by two clicks on the scale bar in the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from phaseguide.micrographs.lengths import length_text, length_um
from phaseguide.widgets.layers.identity import give_role, plain
from phaseguide.widgets.layers.planes import data_shape
from phaseguide.widgets.layers.scale.pixel_size import set_pixel_size
from phaseguide.widgets.qt.dock import later, listen
from phaseguide.widgets.qt.panel import AnswerLabel, button, rule, small_label
from phaseguide.widgets.qt.plain_text import one_line

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Points

    from phaseguide.widgets.layers.layer_choice import ImageBox

TYPED, CLICKED = "typed", "two clicks on the bar"
"""Where a size of a pixel comes from, in the words of the record."""

ENDS = "ends of the scale bar"

SHORTEST_PX = 5.0
"""A shorter bar says too little of the size of a pixel."""

_BEFORE = "Zoom in on the scale bar, then click both of its ends."


class PixelSizeButton(QWidget):
    """The line about the chosen image, with the button that opens the question.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    images : ImageBox
        Tells which image is chosen.
    info : QLabel
        The line about it; it stands left of the button.
    """

    def __init__(self, viewer: ViewerModel, images: ImageBox, info: QWidget) -> None:
        super().__init__()
        self._viewer, self._images = viewer, images
        self.dialog: PixelSizeDialog | None = None
        self.button = button(
            "Set scale…",
            "Tell the size of a pixel: type it, or click both ends of the scale bar in the picture.",
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(info, 1)
        row.addWidget(self.button)
        self.button.clicked.connect(self.ask)
        images.changed.connect(self._on_image)
        self._on_image()

    def ask(self) -> None:
        """Open the question for the chosen image; it stays open while the picture is clicked."""
        image = self._images.layer
        if image is None:
            return
        if self.dialog is not None and self.dialog.isVisible():
            self.dialog.raise_()
            return
        self.dialog = PixelSizeDialog(self.window(), self._viewer, image)
        self.dialog.show()

    def _on_image(self) -> None:
        if self.dialog is not None:
            self.dialog.reject()
            self.dialog = None
        self.button.setEnabled(self._images.layer is not None)


class PixelSizeDialog(QDialog):
    """Asks for the size of a pixel of an image, and gives it to the image's layers.

    Parameters
    ----------
    parent : QWidget or None
    viewer : napari.viewer.Viewer
    image : Image
    """

    def __init__(self, parent: QWidget | None, viewer: ViewerModel, image: Image) -> None:
        super().__init__(parent)
        self._viewer, self._image = viewer, image
        self._ends: Points | None = None
        self._before: Any = None
        self.setWindowTitle(f"Scale of {one_line(image.name)}")
        self.size_edit, self.length_edit = QLineEdit(), QLineEdit()
        self.size_edit.setPlaceholderText("for example 0.05 µm or 12 nm")
        self.length_edit.setPlaceholderText("for example 10 µm")
        self.mark_button = QPushButton("Click the ends of the bar in the picture")
        self.mark_note, self.answer = small_label(), AnswerLabel()
        self.mark_note.setText(_BEFORE)
        column, typed, measured = QVBoxLayout(self), QFormLayout(), QFormLayout()
        typed.addRow("Size of a pixel", self.size_edit)
        measured.addRow("Length of the bar", self.length_edit)
        column.addLayout(typed)
        column.addWidget(rule())
        column.addWidget(self.mark_button)
        column.addWidget(self.mark_note)
        column.addLayout(measured)
        column.addWidget(self.answer)
        choices = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(choices.Ok | choices.Cancel)
        column.addWidget(self.buttons)
        ok = self.buttons.button(choices.Ok)
        assert ok is not None
        self.set_button = ok
        ok.setText("Set scale")
        self.setMinimumWidth(360)
        self.size_edit.textEdited.connect(self._on_size)
        self.length_edit.textEdited.connect(self._on_length)
        self.mark_button.clicked.connect(self.mark)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self.finished.connect(self._end)
        listen(self, viewer.layers.events.removed, self._on_removed)
        self._show()

    @property
    def ends(self) -> Points | None:
        """Layer with the ends of the bar, while they are being clicked."""
        return self._ends

    def mark(self) -> None:
        """Let the next two clicks on the picture be the ends of the bar."""
        from napari.layers import Points

        self.size_edit.clear()
        if self._ends is None:
            self._before = self._viewer.layers.selection.active
            self._ends = Points(
                ndim=2,
                name=ENDS,
                size=max(8.0, min(data_shape(self._image)[-2:]) / 40),
                symbol="cross",
                face_color="#ffee00",
                border_color="black",
                scale=self._image.scale[-2:],
                translate=self._image.translate[-2:],
                units=self._image.units[-2:],
            )
            give_role(self._ends, ENDS, self._image)
            self._viewer.add_layer(self._ends)
            listen(self, self._ends.events.data, self._on_points)
        elif len(self._ends.data):
            self._ends.data = np.zeros((0, 2))
        self._viewer.layers.selection.active = self._ends
        self._ends.mode = "add"
        self._show()

    def accept(self) -> None:
        """Give the image the size that was told, if there is one."""
        size = self.size_um()
        if size is None:
            self._show()
            return
        source = TYPED if self.size_edit.text().strip() else CLICKED
        self._remove_ends()
        set_pixel_size(self._viewer, self._image, size, source)
        super().accept()

    def size_um(self) -> float | None:
        """The size of a pixel as it was told, in µm; None if it cannot be read."""
        if self.size_edit.text().strip():
            size = length_um(self.size_edit.text())
        else:
            length, bar = length_um(self.length_edit.text()), self._bar_px()
            size = None if length is None or bar is None or bar < SHORTEST_PX else length / bar
        return size if size is not None and 0 < size < float("inf") else None

    def _bar_px(self) -> float | None:
        """Length of the bar in px of the image; None before both ends were clicked."""
        if self._ends is None or len(self._ends.data) < 2:
            return None
        return float(np.linalg.norm(np.diff(self._ends.data[:2], axis=0)))

    # -- keeping up -------------------------------------------------------------------------------

    def _on_size(self) -> None:
        self.length_edit.clear()
        self._show()

    def _on_length(self) -> None:
        self.size_edit.clear()
        self._show()

    def _on_points(self, event: Any = None) -> None:
        later(self, self._take_points)  # napari is still busy with the click

    def _take_points(self) -> None:
        if self._ends is None:
            return
        if len(self._ends.data) >= 2 and self._ends.mode == "add":
            self._ends.mode = "select"  # the ends can be dragged now
            self.length_edit.setFocus()
        self._show()

    def _on_removed(self, event: Any) -> None:
        if self._ends is not None and event.value is self._ends:
            self._ends = None
            self._show()
        elif plain(event.value) is plain(self._image):
            self.reject()

    def _show(self) -> None:
        """Say what was understood, or what is missing."""
        bar, marked = self._bar_px(), self._ends is not None
        count = 0 if self._ends is None else len(self._ends.data)
        clicked = ("Click one end of the bar.", "Now click its other end.")
        if bar is not None:
            self.mark_note.setText(f"The bar is {bar:.1f} px long. Its ends can be dragged.")
        else:
            self.mark_note.setText(clicked[count] if marked else _BEFORE)
        self.mark_button.setText(
            "Click the ends again" if marked else "Click the ends of the bar in the picture"
        )
        self.length_edit.setEnabled(bar is not None)
        size = self.size_um()
        self.set_button.setEnabled(size is not None)
        self.answer.say(self._problem(bar) if size is None else self._told(size), alarm=size is None)

    def _told(self, size: float) -> str:
        height, width = data_shape(self._image)[-2:]
        whole = " × ".join(length_text(n * size) for n in (width, height))
        return f"1 px = {size:.4g} µm; the image is {whole}."

    def _problem(self, bar: float | None) -> str:
        text = self.size_edit.text().strip() or self.length_edit.text().strip()
        if text and length_um(text) is None:
            return f"{one_line(text)!r} is no length. Write a number and its unit, such as 0.05 µm or 12 nm."
        if text and not self.size_edit.text().strip() and bar is not None and bar < SHORTEST_PX:
            return f"The bar is only {bar:.1f} px long. Zoom in and click its ends again."
        return "The size must be above 0." if text else ""

    def _end(self, result: int) -> None:
        self._remove_ends()
        self.deleteLater()

    def _remove_ends(self) -> None:
        ends, self._ends = self._ends, None
        if ends is not None and ends in self._viewer.layers:
            self._viewer.layers.remove(ends)
            if self._before is not None and self._before in self._viewer.layers:
                self._viewer.layers.selection.active = self._before
