"""The controls of the step Teach and how they are laid out; what they do stands in ``dock``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from phaseguide.phases import PhaseScheme
from phaseguide.widgets.finetune.curves import Curves
from phaseguide.widgets.finetune.form import FinetuneForm
from phaseguide.widgets.finetune.phases_editor import PhasesEditor
from phaseguide.widgets.finetune.result_box import FinetuneResultBox
from phaseguide.widgets.finetune.sources_table import SourcesTable
from phaseguide.widgets.qt.collapsible import Collapsible
from phaseguide.widgets.qt.notices.fold import WarningsFold
from phaseguide.widgets.qt.panel import ScrolledPanel, rule, small_label
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.qt.progress_bar import ProgressLine
from phaseguide.widgets.qt.status_line import StatusLine
from phaseguide.widgets.segment.base_weights import BaseWeightsPanel
from phaseguide.widgets.segment.model_choice import ModelBox

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from phaseguide.widgets.project.open_project import OpenProject

IMPROVE, NEW, IMAGENET, SAM = "improve", "new", "imagenet", "sam"
SAM_SIZE = "vit_b"
"""The size that is offered; the larger ones are for the command line."""

GOALS = (
    (IMPROVE, "Improve the chosen model", "It goes on learning; phases may be added, merged or renamed."),
    (
        NEW,
        "New model, from the chosen one",
        "For a steel of its own: takes over what the chosen model has learnt to see, and phases of the same name.",
    ),
    (
        IMAGENET,
        "New model, from scratch",
        "For a steel of its own: begins with an encoder that has only seen photographs (ImageNet).",
    ),
    (
        SAM,
        "New model, from Segment Anything ViT-B",
        "For a steel of its own: adapters, guidance and decoder learn on a large encoder that has seen a billion "
        "masks in photographs. For a GPU, or for patience.",
    ),
)


class FinetunePanel(ScrolledPanel):
    """Everything that is seen."""

    def __init__(self, viewer: ViewerModel, opened: Callable[[], OpenProject | None]) -> None:
        super().__init__()
        self.resume_line = small_label()
        self.resume_button = QPushButton("Resume")
        self.discard_button = QPushButton("Discard")
        self.discard_button.setToolTip("Forget the interrupted run. Models, strokes and images stay.")
        self.goal = QComboBox()
        for place, (key, title, tip) in enumerate(GOALS):
            self.goal.addItem(title, key)
            self.goal.setItemData(place, tip, Qt.ItemDataRole.ToolTipRole)
        self.model_box = ModelBox()
        self.weights = BaseWeightsPanel()
        self.name = QLineEdit()
        self.name.setToolTip("Name of the new model. A number is added where it is taken.")
        self.phases = PhasesEditor()
        self.phases_fold = Collapsible("Phases", self.phases)
        self.sources = SourcesTable(viewer, self.scheme, opened)
        self.form = FinetuneForm()
        self.estimate = small_label()
        # What is missing can take a paragraph to say, which is higher than a label thinks before it is laid out.
        self.estimate.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.estimate.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.start_button = QPushButton("Fine-tune")
        self.pause_button = QPushButton("Pause")
        self.stop_button = QPushButton("Stop")
        self.stop_button.setToolTip("End now, with the best model so far.")
        self.preview_check = QCheckBox("Preview of the field on show")
        self.preview_check.setChecked(True)
        self.preview_check.setToolTip("While it learns, what the model sees now, in a layer of its own.")
        self.progress = ProgressLine("Fine-tune")
        self.status = StatusLine()
        self.warnings = WarningsFold()
        self.curves = Curves()
        self.curves_fold = Collapsible("Curves", self.curves)
        self.result = FinetuneResultBox(viewer)
        self.next_slot = QVBoxLayout()
        self._lay_out()

    def scheme(self) -> PhaseScheme | None:
        """Phases of the model to be; None where there are none yet."""
        return self.phases.scheme

    def show_state(self, *, running: bool, paused: bool, startable: bool, stopping: bool) -> None:
        """Enable what can be done now."""
        self.settings.setEnabled(not running)
        self.start_button.setEnabled(startable and not running)
        self.pause_button.setEnabled(running and not stopping)
        self.pause_button.setText("Go on" if paused else "Pause")
        self.stop_button.setEnabled(running and not stopping)
        self.resume_button.setEnabled(not running)
        self.discard_button.setEnabled(not running)

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        self.resume_part = QWidget()
        resume = QVBoxLayout(self.resume_part)
        resume.setContentsMargins(0, 0, 0, 0)
        resume.addWidget(self.resume_line)
        resume.addLayout(_row(self.resume_button, self.discard_button))
        resume.addWidget(rule())
        self.resume_part.hide()
        column.addWidget(self.resume_part)
        self.settings = QWidget()
        setup = QVBoxLayout(self.settings)
        setup.setContentsMargins(0, 0, 0, 0)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Goal", self.goal)
        form.addRow("Model", self.model_box)
        form.addRow("New name", self.name)
        setup.addLayout(form)
        setup.addWidget(self.weights)
        setup.addWidget(self.phases_fold)
        setup.addWidget(rule())
        heading = Label("Learn from")
        heading.setStyleSheet("font-weight: bold;")
        setup.addWidget(heading)
        setup.addWidget(self.sources)
        setup.addWidget(rule())
        setup.addWidget(self.form)
        column.addWidget(self.settings)
        column.addWidget(self.estimate)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start_button, 2)
        buttons.addWidget(self.pause_button, 1)
        buttons.addWidget(self.stop_button, 1)
        column.addWidget(self.preview_check)
        column.addWidget(self.warnings)
        column.addWidget(self.curves_fold)
        column.addWidget(self.result)
        column.addWidget(rule())
        column.addLayout(self.next_slot)
        column.addStretch(1)
        self.show_content(content)
        pinned = QVBoxLayout()
        pinned.addWidget(self.progress)
        pinned.addLayout(buttons)
        self.pin(pinned)
        self.fit_width()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Measure again: only now are fonts and styles those of the window."""
        super().showEvent(event)
        self.fit_width()


def _row(*parts: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    for part in parts:
        row.addWidget(part)
    return row
