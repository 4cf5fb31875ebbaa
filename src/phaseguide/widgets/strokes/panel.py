"""The controls of the New material dock and how they are laid out; what they do stands in ``dock``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize
from qtpy.QtGui import QColor, QIcon, QPixmap, QShowEvent
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QVBoxLayout, QWidget

from phaseguide.phases import PhaseScheme
from phaseguide.widgets.finetune.phases_editor import PhasesEditor
from phaseguide.widgets.layers.layer_choice import ImageBox
from phaseguide.widgets.qt.panel import ScrolledPanel, button, rule, small_label
from phaseguide.widgets.qt.plain_text import as_plain, one_line
from phaseguide.widgets.qt.progress_bar import ProgressLine
from phaseguide.widgets.qt.status_line import StatusLine

if TYPE_CHECKING:
    from napari.components import ViewerModel

HOW_TO = (
    "For a material that no model knows: name its phases, paint a short stroke of each, and the mask follows. Where it "
    "is wrong, paint the right phase."
)
NAME = "new-material"
SWATCH = QSize(12, 12)
SAVED_IN_PROJECT = "Save as version"
SAVED_AMONG_MODELS = "Save as model"


class NewMaterialPanel(ScrolledPanel):
    """Everything that is seen."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.how_to = small_label()
        self.how_to.setText(HOW_TO)
        self.image_box = ImageBox(viewer)
        self.phases = PhasesEditor()
        self.brush_box = QComboBox()
        self.brush_box.setToolTip("The phase that the brush paints; keys 1 to 9 choose it too.")
        self.brush_box.setIconSize(SWATCH)
        self.paint_button = button("Paint", "Put the brush into your hand, or put it away.")
        self.paint_button.setCheckable(True)
        self.progress = ProgressLine("New material")
        self.status = StatusLine()
        self.areas = small_label()
        self.evidence = small_label()
        self.name = QLineEdit()
        self.name.setPlaceholderText(NAME)
        self.name.setToolTip("Name of the new model. A number is added where it is taken.")
        self.save_button = QPushButton(SAVED_AMONG_MODELS)
        self.teach_button = button(
            "Teach a deep network…",
            "Learns for minutes from the same strokes. Compare its score with that of the strokes before you keep it.",
        )
        self._lay_out()

    def show_brushes(self, scheme: PhaseScheme | None) -> None:
        """Offer the phases to the brush; the chosen one stays where it is still there."""
        chosen = self.brush_box.currentData()
        blocked = self.brush_box.blockSignals(True)
        self.brush_box.clear()
        for phase in scheme or ():
            swatch = QPixmap(SWATCH)
            swatch.fill(QColor(phase.colour))
            self.brush_box.addItem(QIcon(swatch), one_line(phase.name), phase.label)
        self.brush_box.setCurrentIndex(max(0, self.brush_box.findData(chosen)))
        self.brush_box.blockSignals(blocked)

    def show_project(self, name: str) -> None:
        """In a project the phases are the project's, and what is saved is its version; an empty name: no project."""
        self.phases.setEnabled(not name)
        tip = "The phases are those of the open project; change them in Teach." if name else ""
        self.phases.setToolTip(tip)
        self.save_button.setText(SAVED_IN_PROJECT if name else SAVED_AMONG_MODELS)
        self.save_button.setToolTip(
            as_plain(f"Keeps it as a version of the project {one_line(name)}, which then uses it.")
            if name
            else "Writes a model file with a card among your models, and chooses it."
        )

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        column.addWidget(self.how_to)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image_box)
        column.addLayout(form)
        column.addWidget(self.phases)
        column.addWidget(rule())
        brush = QHBoxLayout()
        brush.addWidget(self.paint_button, 1)
        brush.addWidget(self.brush_box, 2)
        column.addLayout(brush)
        column.addWidget(self.progress)
        column.addWidget(self.areas)
        column.addWidget(self.evidence)
        column.addWidget(rule())
        save = QHBoxLayout()
        save.addWidget(self.name, 2)
        save.addWidget(self.save_button, 1)
        column.addLayout(save)
        column.addWidget(self.teach_button)
        column.addStretch(1)
        self.show_content(content)
        self.fit_width()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Measure again: only now are fonts and styles those of the window."""
        super().showEvent(event)
        self.fit_width()
