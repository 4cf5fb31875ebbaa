"""The controls of the Segment widget and how they are laid out; what they do is in `segment_widget`."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from phaseguide.widgets.advanced_box import AdvancedBox
from phaseguide.widgets.layer_box import ImageBox
from phaseguide.widgets.model_box import ModelBox
from phaseguide.widgets.phase_table import PhaseTable
from phaseguide.widgets.preferences import SOURCES, Source, read_preferences
from phaseguide.widgets.progress_line import ProgressLine
from phaseguide.widgets.result_bar import ResultBar


class SegmentPanel(QWidget):
    """Everything that is seen. It scrolls where the window is low."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        advanced, source = read_preferences()
        self.image_box = ImageBox(viewer)
        self.image_info = small_label()
        self.planes_box = QComboBox()
        self.planes_box.setToolTip("All planes: each is segmented for itself, with the same expected values.")
        self.bar_check = QCheckBox()
        self.bar_check.setChecked(True)
        self.model_box = ModelBox()
        self.device_line = small_label()
        self.table = PhaseTable()
        self.source_box = QComboBox()
        for one in SOURCES:
            self.source_box.addItem(one.title, one)
            self.source_box.setItemData(self.source_box.count() - 1, one.tip, Qt.ItemDataRole.ToolTipRole)
        self.source_box.setCurrentIndex([one.key for one in SOURCES].index(source))
        self.segment_button = QPushButton("Segment")
        self.stop_button = QPushButton("Stop")
        self.stop_button.setEnabled(False)
        self.progress = ProgressLine()
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.results = ResultBar()
        self.advanced = AdvancedBox(advanced)
        self._lay_out()

    @property
    def source(self) -> Source:
        """Where the expected values come from."""
        return self.source_box.currentData()

    @property
    def uncertainty(self) -> float:
        """How sure the expected values are, as a log-ratio standard deviation; 0 is exact."""
        return 0.0 if self.advanced.value().exact else self.source.uncertainty

    @property
    def all_planes(self) -> bool:
        """Whether every plane of a stack is to be segmented."""
        return not self.planes_box.isHidden() and self.planes_box.currentIndex() == 1

    def offer_planes(self, count: int) -> None:
        """Offer all planes of a stack; hidden for a plain image."""
        chosen = self.planes_box.currentIndex()
        self.planes_box.clear()
        self.planes_box.addItems(["Current plane", f"All {count} planes"])
        self.planes_box.setCurrentIndex(max(0, chosen))
        self._form.setRowVisible(self.planes_box, count > 1)
        self.planes_box.setHidden(count <= 1)

    def offer_bar(self, rows: int, wanted: bool) -> None:
        """Propose to exclude an information bar; hidden without one."""
        self.bar_check.setText(f"Exclude the information bar ({rows} rows at the bottom)")
        self.bar_check.setChecked(wanted)
        self._form.setRowVisible(self.bar_check, rows > 0)

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        self._form = form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image_box)
        form.addRow("", self.image_info)
        form.addRow("Planes", self.planes_box)
        form.addRow("", self.bar_check)
        form.addRow("Model", self.model_box)
        form.addRow("Device", self.device_line)
        column.addLayout(form)
        column.addWidget(rule())
        column.addWidget(self.table)
        source = QFormLayout()
        source.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        source.addRow("Source", self.source_box)
        column.addLayout(source)
        buttons = QHBoxLayout()
        buttons.addWidget(self.segment_button, 2)
        buttons.addWidget(self.stop_button, 1)
        column.addLayout(buttons)
        column.addWidget(self.progress)
        column.addWidget(self.status)
        column.addWidget(rule())
        column.addWidget(self.results)
        column.addWidget(self.advanced)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidget(content)
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self._area, self._content = area, content
        self.fit_width()

    def showEvent(self, event: QShowEvent) -> None:
        """Measure again: only now are fonts and styles those of the window."""
        super().showEvent(event)
        self.fit_width()

    def fit_width(self) -> None:
        """Be wide enough that nothing is cut; to be called when the phases change."""
        self.table.fit()
        self._content.layout().activate()
        bar = self._area.verticalScrollBar().sizeHint().width()
        self.setMinimumWidth(max(320, self._content.minimumSizeHint().width() + bar))


def small_label() -> QLabel:
    """Return a label for a line of information that may wrap."""
    label = QLabel()
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
    return label


def rule() -> QFrame:
    """Return a thin horizontal line."""
    line = QFrame()
    line.setFrameShape(QFrame.Shape.HLine)
    line.setFrameShadow(QFrame.Shadow.Sunken)
    return line
