"""The controls of the Segment dock and how they are laid out; `phaseguide.widgets.segment.binding` connects them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from phaseguide.jobs.inputs import FIELD, SPECIMEN
from phaseguide.ratios.sources import SOURCES
from phaseguide.widgets.layers.layer_choice import ImageBox
from phaseguide.widgets.layers.pixel_size_question import PixelSizeButton
from phaseguide.widgets.qt.panel import ScrolledPanel, rule, small_label
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.qt.progress_bar import ProgressLine
from phaseguide.widgets.ratio.phase_table import PhaseTable
from phaseguide.widgets.segment.advanced import AdvancedBox
from phaseguide.widgets.segment.base_weights import BaseWeightsPanel
from phaseguide.widgets.segment.decisions import DecisionBar, ResultBar
from phaseguide.widgets.segment.device_line import DeviceLine
from phaseguide.widgets.segment.model_choice import ModelBox
from phaseguide.widgets.segment.preferences import read_preferences

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from phaseguide.micrographs.margins import Margins
    from phaseguide.widgets.segment.state import SegmentState

SCOPES = (
    (FIELD, "This field", "Every plane is to have the expected values."),
    (
        SPECIMEN,
        "Specimen",
        "The mean of all planes, or of all open images, is to have the expected values, so that the scatter between "
        "the fields stays. All are segmented together; live mode waits.",
    ),
)


class SegmentPanel(ScrolledPanel):
    """Everything that is seen.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    state : SegmentState
    """

    def __init__(self, viewer: ViewerModel, state: SegmentState) -> None:
        super().__init__()
        advanced, source = read_preferences()
        self.image_box = ImageBox(viewer)
        self.image_info = small_label()
        self.pixel_size = PixelSizeButton(viewer, self.image_box, self.image_info)
        self.planes_box = QComboBox()
        self.planes_box.setToolTip("All planes: each is segmented for itself, with the same expected values.")
        self.bar_check = QCheckBox()
        self.bar_check.setChecked(True)
        self.model_box = ModelBox()
        self.base_weights = BaseWeightsPanel()
        self.device_line = DeviceLine(state)
        self.table = PhaseTable()
        self.source_box = QComboBox()
        for one in SOURCES:
            self.source_box.addItem(one.title, one)
            self.source_box.setItemData(self.source_box.count() - 1, one.tip, Qt.ItemDataRole.ToolTipRole)
        self.source_box.setCurrentIndex([one.key for one in SOURCES].index(source))
        self.scope_box = QComboBox()
        for scope, title, tip in SCOPES:
            self.scope_box.addItem(title, scope)
            self.scope_box.setItemData(self.scope_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.sources, self.judging = QVBoxLayout(), QVBoxLayout()
        self.segment_button = QPushButton("Segment")
        self.stop_button = QPushButton("Stop")
        self.stop_button.setEnabled(False)
        self.live_check = QCheckBox("Live")
        self.live_check.setChecked(True)
        self.live_check.setToolTip(
            "Once there is a result, the mask follows the values while you change them. What it shows is on trial: "
            "Accept keeps it, Cancel goes back."
        )
        self.decisions = DecisionBar()
        self.progress = ProgressLine()
        self.status = Label()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.results = ResultBar()
        self.advanced = AdvancedBox(advanced)
        self._lay_out()

    def offer_planes(self, count: int) -> None:
        """Offer all planes of a stack; hidden for a plain image."""
        chosen = self.planes_box.currentIndex()
        self._form.setRowVisible(self.planes_box, count > 1)
        self.planes_box.setHidden(count <= 1)
        self.planes_box.clear()
        self.planes_box.addItems(["Current plane", f"All {count} planes"])
        self.planes_box.setCurrentIndex(max(0, chosen))

    def offer_margins(self, margins: Margins, wanted: bool) -> None:
        """Propose to exclude information bars and an empty rim; hidden without any."""
        parts = margins.parts()
        self.bar_check.setText(f"Exclude {parts[0] if len(parts) == 1 else 'information bars and rims'}")
        self.bar_check.setToolTip("\n".join(parts))
        self.bar_check.setChecked(wanted)
        self._form.setRowVisible(self.bar_check, bool(parts))

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(5, 6, 5, 6)
        self._form = form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image_box)
        form.addRow("", self.pixel_size)
        form.addRow("Planes", self.planes_box)
        form.addRow("", self.bar_check)
        form.addRow("Model", self.model_box)
        form.addRow(self.base_weights)
        form.addRow("Device", self.device_line)
        column.addLayout(form)
        column.addWidget(rule())
        column.addWidget(self.table)
        source = QFormLayout()
        source.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        source.addRow("Source", self.source_box)
        source.addRow("Applies to", self.scope_box)
        column.addLayout(source)
        column.addLayout(self.sources)
        buttons = QHBoxLayout()
        buttons.addWidget(self.segment_button, 2)
        buttons.addWidget(self.stop_button, 1)
        buttons.addWidget(self.live_check)
        column.addLayout(buttons)
        column.addWidget(self.decisions)
        column.addWidget(self.progress)
        column.addWidget(self.status)
        column.addWidget(rule())
        column.addWidget(self.results)
        column.addLayout(self.judging)
        column.addWidget(self.advanced)
        column.addStretch(1)
        self.show_content(content)
        self.fit_width()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Measure again: only now are fonts and styles those of the window."""
        super().showEvent(event)
        self.fit_width()

    def fit_width(self) -> None:
        """Be wide enough that nothing is cut; to be called when the phases change."""
        self.table.fit()
        super().fit_width()
