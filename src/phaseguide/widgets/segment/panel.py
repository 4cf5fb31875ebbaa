"""The controls of a segmentation and how they are laid out; `phaseguide.widgets.segment.binding` connects them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from phaseguide.jobs.inputs import FIELD, SPECIMEN
from phaseguide.ratios.sources import SOURCES
from phaseguide.widgets.layers.layer_choice import ImageBox
from phaseguide.widgets.layers.scale.question import PixelSizeButton
from phaseguide.widgets.qt.next_step import NextStep
from phaseguide.widgets.qt.notices.advised_button import AdvisedButton
from phaseguide.widgets.qt.notices.fold import WarningsFold
from phaseguide.widgets.qt.panel import ScrolledPanel, lay_out_now, small_label
from phaseguide.widgets.qt.progress_bar import ProgressLine
from phaseguide.widgets.qt.status_line import StatusLine
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


CORRECT = (
    "Paint over what is wrong on the layer that ends in “edits”. What you paint stays as you painted it; the result "
    "follows it. Erase to take it back, or Ctrl+Z."
)


class SegmentPanel(QWidget):
    """All controls. What is seen in every step stands in the widget itself; the others stand in ``pages``.

    ``fold`` is what may be hidden in a step: the phase table and the buttons below it.

    ``pages`` are the contents of the steps ``image``, ``segment``, ``correct`` and ``report``, for the workbench to
    place. ``image_slot``, ``sources``, ``judging`` and ``report_slot`` are places in them for parts made elsewhere.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    state : SegmentState
    """

    page_wanted = Signal(str)
    """A part of this page is to be seen."""

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
        self.new_material = AdvisedButton(
            "New material…",
            "No model knows these phases? Name them, paint a few strokes, and a mask follows in seconds.",
        )
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
        self.image_slot, self.report_slot = QVBoxLayout(), QVBoxLayout()
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
        self.progress = ProgressLine("Segment")
        self.status = StatusLine()
        self.next_step = NextStep()
        self.warnings = WarningsFold()
        self.keys_line = small_label()
        self.fold = QWidget()
        self.results = ResultBar()
        self.advanced = AdvancedBox(advanced)
        self._form = QFormLayout()
        self.pages = {
            "image": self._image_page(),
            "segment": self._segment_page(),
            "correct": self._correct_page(),
            "report": self._report_page(),
        }
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

    def reveal(self, part: QWidget) -> None:
        """Show the step that a part stands in, scrolled to the part."""
        for name, page in self.pages.items():
            if page.holds(part):
                self.page_wanted.emit(name)
                page.reveal(part)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Measure again: only now are fonts and styles those of the window."""
        super().showEvent(event)
        self.fit_width()

    def fit_width(self) -> None:
        """Be wide enough that nothing is cut; to be called when the phases change."""
        self.table.fit()
        for page in self.pages.values():
            page.fit_width()
        lay_out_now(self)

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(5, 2, 5, 2)
        column.setSpacing(4)
        column.addWidget(self.fold)
        column.addWidget(self.progress)
        fold = QVBoxLayout(self.fold)
        fold.setContentsMargins(0, 0, 0, 0)
        fold.setSpacing(4)
        fold.addWidget(self.table)
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.decisions)
        row.addWidget(self.results, 1)
        fold.addLayout(row)

    def _image_page(self) -> ScrolledPanel:
        form = self._form
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image_box)
        form.addRow("", self.pixel_size)
        form.addRow("Planes", self.planes_box)
        form.addRow("", self.bar_check)
        form.addRow("Model", self.model_box)
        form.addRow("", self.new_material)
        form.addRow(self.base_weights)
        form.addRow("Device", self.device_line)
        return _page(form, self.image_slot)

    def _segment_page(self) -> ScrolledPanel:
        source = QFormLayout()
        source.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        source.addRow("Source", self.source_box)
        source.addRow("Applies to", self.scope_box)
        page = _page(source, self.sources, self.advanced, self.warnings)
        buttons = QHBoxLayout()
        buttons.addWidget(self.segment_button, 2)
        buttons.addWidget(self.stop_button, 1)
        buttons.addWidget(self.live_check)
        page.pin(buttons)
        return page

    def _correct_page(self) -> ScrolledPanel:
        how = small_label()
        how.setText(CORRECT)
        return _page(how, self.keys_line, self.judging)

    def _report_page(self) -> ScrolledPanel:
        return _page(self.results.exports, self.report_slot)


def _page(*parts: QWidget | QLayout) -> ScrolledPanel:
    """Return a page with parts from its top down."""
    content, page = QWidget(), ScrolledPanel()
    column = QVBoxLayout(content)
    column.setContentsMargins(5, 6, 5, 2)
    for part in parts:
        if isinstance(part, QWidget):
            column.addWidget(part)
        else:
            column.addLayout(part)
    column.addStretch(1)
    page.show_content(content)
    return page
