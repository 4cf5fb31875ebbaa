"""The controls of the Segment widget and how they are laid out; what they do is in `segment_widget`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, Signal
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

from phaseguide.jobs.inputs import FIELD, SPECIMEN, Inputs
from phaseguide.widgets.layers.layer_choice import ImageBox
from phaseguide.widgets.qt.panel import ScrolledPanel, rule, small_label
from phaseguide.widgets.qt.plain_text import Label, as_plain
from phaseguide.widgets.qt.progress_bar import ProgressLine
from phaseguide.widgets.ratio.phase_table import PhaseTable
from phaseguide.widgets.segment.advanced import AdvancedBox
from phaseguide.widgets.segment.base_weights import BaseWeightsPanel
from phaseguide.widgets.segment.decisions import DecisionBar
from phaseguide.widgets.segment.model_choice import ModelBox
from phaseguide.widgets.segment.preferences import SOURCES, Source, read_preferences
from phaseguide.widgets.segment.result_bar import ResultBar

if TYPE_CHECKING:
    from phaseguide.micrographs.margins import Margins
    from phaseguide.models.sam.prompts import Prompts
    from phaseguide.phases import PhaseScheme
    from phaseguide.ratios import Ratio
    from phaseguide.segmentation.constraints.regions import Region

SCOPES = (
    (FIELD, "This field", "Every plane is to have the expected values."),
    (
        SPECIMEN,
        "Specimen",
        "The mean of all planes, or of all open images, is to have the expected values, so that the scatter between "
        "the fields stays. All are segmented together; live mode waits.",
    ),
)


BY_HAND = ", then changed by hand"


class SegmentPanel(ScrolledPanel):
    """Everything that is seen.

    ``changed`` tells that the user has changed what a request is made of.
    """

    changed = Signal()

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
        self.base_weights = BaseWeightsPanel()
        self.device_line = small_label()
        self.table = PhaseTable()
        self.source_box = QComboBox()
        for one in SOURCES:
            self.source_box.addItem(one.title, one)
            self.source_box.setItemData(self.source_box.count() - 1, one.tip, Qt.ItemDataRole.ToolTipRole)
        self.source_box.setCurrentIndex([one.key for one in SOURCES].index(source))
        self.title = ""
        self.scope_box = QComboBox()
        for scope, title, tip in SCOPES:
            self.scope_box.addItem(title, scope)
            self.scope_box.setItemData(self.scope_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.sources, self.judging = QVBoxLayout(), QVBoxLayout()
        self.regions_of: Callable[[Any, Any, PhaseScheme], tuple[Region, ...]] = lambda *_: ()
        self.prompts_of: Callable[[Any, Any, PhaseScheme], Prompts | None] = lambda *_: None
        self.auto = False
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
        self.show_source()
        self.show_scope()
        self.table.changed.connect(self._on_values)
        self.source_box.currentIndexChanged.connect(self._on_source)
        self.scope_box.currentIndexChanged.connect(self._on_scope)
        self.advanced.changed.connect(self._on_advanced)

    @property
    def source(self) -> Source:
        """Where the expected values come from."""
        return self.source_box.currentData()

    @property
    def scope(self) -> str:
        """Whether the expected values are about this field or the whole specimen."""
        return str(self.scope_box.currentData())

    @property
    def uncertainty(self) -> float | tuple[float, ...]:
        """How sure the expected values are, as log-ratio standard deviations; 0 is exact."""
        return self.table.uncertainty()

    def ask_for_estimate(self) -> None:
        """Let the model find the ratio: empties the boxes, and tells of the change."""
        shares = [np.nan] * len(self.table.boxes)
        self.table.write(shares, (None,) * len(shares))
        self._set_auto(bool(shares))
        self.set_title("")
        self.changed.emit()

    def choose(self, source: str | None, scope: str | None) -> None:
        """Choose a source and a scope by their keys, where they are given, without telling of a change."""
        now = self.inputs()
        self.write(replace(now, source=source or now.source, scope=scope or now.scope))

    def inputs(self) -> Inputs:
        """What is set for the ratio."""
        table = self.table
        return Inputs(
            () if table.scheme is None else tuple(table.scheme.names),
            tuple(None if np.isnan(box.share) else box.share for box in table.boxes),
            table.spreads(),
            self.source.key,
            self.title,
            self.scope,
            self.advanced.value().exact,
            self.auto,
        )

    def write(self, inputs: Inputs) -> None:
        """Put back what was set, without telling of a change; values for other phases are left out."""
        exact = self.advanced.controls["exact"]
        controls = (self.source_box, self.scope_box, exact, self.table)
        blocked = [control.blockSignals(True) for control in controls]
        self.source_box.setCurrentIndex([one.key for one in SOURCES].index(inputs.source))
        self.scope_box.setCurrentIndex(self.scope_box.findData(inputs.scope))
        exact.setChecked(inputs.exact)
        self.title = inputs.title
        self._set_auto(inputs.auto)
        if inputs.phases == self.inputs().phases:
            shares = [np.nan if share is None else share for share in inputs.shares]
            self.table.write(shares, inputs.spreads)
        for control, before in zip(controls, blocked, strict=True):
            control.blockSignals(before)
        self.show_source()
        self.show_scope()

    def show_scope(self) -> None:
        """A specimen is segmented with all its planes, and not live."""
        is_field = self.scope == FIELD
        self.scope_box.setToolTip(self.scope_box.currentData(Qt.ItemDataRole.ToolTipRole))
        self.planes_box.setEnabled(is_field)
        self.live_check.setEnabled(is_field)

    def show_source(self) -> None:
        """Show what the choice of source, and of exact values, means for the ranges."""
        exact = self.advanced.value().exact
        self.source_box.setToolTip(as_plain(f"Taken from: {self.title}.") if self.title else self.source.tip)
        self.source_box.setEnabled(not exact)
        self.table.set_uncertainty(0.0 if exact else self.source.uncertainty)

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

    def offer_margins(self, margins: Margins, wanted: bool) -> None:
        """Propose to exclude information bars and an empty rim; hidden without any."""
        parts = margins.parts()
        self.bar_check.setText(f"Exclude {parts[0] if len(parts) == 1 else 'information bars and rims'}")
        self.bar_check.setToolTip("\n".join(parts))
        self.bar_check.setChecked(wanted)
        self._form.setRowVisible(self.bar_check, bool(parts))

    def take(self, shares: Ratio, spreads: tuple[float | None, ...], title: str) -> None:
        """Write values that were offered into the boxes, without telling of a change."""
        self.table.write(shares, spreads)
        self._set_auto(False)
        self.set_title(title)

    def set_title(self, title: str) -> None:
        """Say where the values in the boxes come from, other than from the source that was chosen."""
        self.title = title
        self.show_source()

    def _set_auto(self, auto: bool) -> None:
        self.auto = auto
        self.table.set_estimated(auto)

    def _on_values(self) -> None:
        self._set_auto(False)
        if self.title and not self.title.endswith(BY_HAND):
            self.set_title(self.title + BY_HAND)
        self.changed.emit()

    def _on_source(self) -> None:
        """A source that the user chooses says how sure every value is, and where it comes from."""
        self.table.write([box.share for box in self.table.boxes], (None,) * len(self.table.boxes))
        self.set_title("")
        self.changed.emit()

    def _on_scope(self) -> None:
        self.show_scope()
        self.changed.emit()

    def _on_advanced(self) -> None:
        self.show_source()
        self.changed.emit()

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(5, 6, 5, 6)
        self._form = form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image_box)
        form.addRow("", self.image_info)
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

    def showEvent(self, event: QShowEvent) -> None:
        """Measure again: only now are fonts and styles those of the window."""
        super().showEvent(event)
        self.fit_width()

    def fit_width(self) -> None:
        """Be wide enough that nothing is cut; to be called when the phases change."""
        self.table.fit()
        super().fit_width()
