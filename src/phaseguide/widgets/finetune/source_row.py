"""A line of the table of sources: whether it teaches, its labels, its ratio, what is labelled, what is wrong."""

from __future__ import annotations

import html
import math
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from phaseguide.jobs.finetune import SourceSummary
from phaseguide.phases import PhaseScheme, normalise_name
from phaseguide.ratios.sources import SOURCES
from phaseguide.widgets.finetune.source_readers import EDITS, NO_LABELS, Given
from phaseguide.widgets.qt.panel import small_label
from phaseguide.widgets.qt.percent_box import ShareBox
from phaseguide.widgets.qt.plain_text import Label, as_plain, one_line
from phaseguide.widgets.qt.style import ALARM


class SourceLine(QWidget):
    """One source; what it stands for is known to the table.

    Parameters
    ----------
    title, tip : str
    choices : list of tuple of str and object
        Labels to choose from; without any there is no choice.
    ratio : bool
        Whether a ratio can be given here.
    removable : bool
    """

    changed = Signal()
    removed = Signal()

    def __init__(
        self,
        title: str,
        tip: str = "",
        choices: list[tuple[str, Any]] | None = None,
        *,
        ratio: bool = False,
        removable: bool = False,
    ) -> None:
        super().__init__()
        self.use = QCheckBox()
        self.use.setToolTip("Learn from it.")
        self.title = Label()
        self.title.setToolTip(as_plain(tip))
        self.labels = QComboBox()
        self.labels.setToolTip("Which labels are the truth; what they do not label is not known.")
        self.labels.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.labels.setMinimumContentsLength(7)
        self.ratio_button = QPushButton("Ratio")
        self.ratio_button.setCheckable(True)
        self.ratio_button.setToolTip("Say how much of each phase this image has (EBSD, XRD, point count).")
        self.validates = QCheckBox("test only")
        self.validates.setToolTip("Do not learn from this image: test the model on it, before and after.")
        self.remove = QPushButton("Remove")
        self.remove.setToolTip("Take it off the list; nothing is deleted.")
        self.ratio = RatioForm()
        self.shares, self.problem = small_label(), small_label()
        self.shares.setTextFormat(Qt.TextFormat.RichText)
        self.problem.setStyleSheet(ALARM)
        self._touched = False
        self._lay_out(bool(choices), ratio, removable)
        self.set_title(title)
        self.offer(choices or [])
        self.use.clicked.connect(self._on_use)
        self.labels.currentIndexChanged.connect(self.changed)
        self.ratio_button.toggled.connect(self.ratio.setVisible)
        self.ratio.changed.connect(self._on_ratio)
        self.validates.toggled.connect(self.changed)
        self.remove.clicked.connect(self.removed)

    def set_title(self, title: str) -> None:
        """Name the source."""
        self.title.setText(one_line(title, 26))
        if len(title) > 26:
            self.title.setToolTip(as_plain(title))

    def offer(self, choices: list[tuple[str, Any]]) -> None:
        """Offer labels to choose from, keeping the choice; without telling of a change."""
        before = self.labels.currentData()
        self.labels.blockSignals(True)
        self.labels.clear()
        for text, data in choices:
            self.labels.addItem(one_line(text), data)
        places = [data for _, data in choices]
        self.labels.setCurrentIndex(places.index(before) if before in places else min(0, len(choices) - 1))
        self.labels.blockSignals(False)

    def propose(self, use: bool) -> None:
        """Learn from it or not, unless the user has decided."""
        if not self._touched:
            self.use.setChecked(use)

    def given(self) -> Given:
        """The ratio, or None."""
        return self.ratio.given()

    def show_look(self, look: SourceSummary | None, scheme: PhaseScheme | None, left_out: str = "") -> None:
        """Show what was found: labelled share per phase, and what is wrong, or why it is left out anyway."""
        used = self.use.isChecked()
        if left_out:
            self.shares.setText("")
            self.problem.setText(_sentence(left_out))
        elif look is None or not used:
            self.shares.setText("")
            self.problem.setText("")
        else:
            self.problem.setText(_sentence(look.problem))
            self.shares.setText(_describe(look, scheme))
        self.shares.setVisible(bool(self.shares.text()))
        self.problem.setVisible(bool(self.problem.text()))

    def _on_use(self) -> None:
        self._touched = True
        self.changed.emit()

    def _on_ratio(self) -> None:
        given = self.given()
        self.ratio_button.setText("Ratio" if given is None else "Ratio ✓")
        if given is not None and not self._touched:
            self.use.setChecked(True)
        self.changed.emit()

    def _lay_out(self, choice: bool, ratio: bool, removable: bool) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 2)
        column.setSpacing(2)
        first = QHBoxLayout()
        first.setSpacing(4)
        first.addWidget(self.use)
        first.addWidget(self.title, 1)
        first.addWidget(self.validates)
        column.addLayout(first)
        second = QHBoxLayout()
        second.setContentsMargins(22, 0, 0, 0)
        second.setSpacing(4)
        second.addWidget(self.labels, 1)
        second.addWidget(self.ratio_button)
        second.addWidget(self.remove)
        column.addLayout(second)
        below = QVBoxLayout()
        below.setContentsMargins(22, 0, 0, 0)
        below.addWidget(self.ratio)
        below.addWidget(self.shares)
        below.addWidget(self.problem)
        column.addLayout(below)
        for part, there in ((self.labels, choice), (self.ratio_button, ratio), (self.remove, removable)):
            part.setVisible(there)
        for hidden in (self.ratio, self.shares, self.problem):
            hidden.hide()


class RatioForm(QWidget):
    """Area shares of the phases, empty where open, and where they come from."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.boxes: list[ShareBox] = []
        self._scheme: PhaseScheme | None = None
        self.source_box = QComboBox()
        for source in SOURCES:
            self.source_box.addItem(source.title, source.uncertainty)
            self.source_box.setItemData(self.source_box.count() - 1, source.tip, Qt.ItemDataRole.ToolTipRole)
        self.source_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.source_box.setMinimumContentsLength(10)
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._form.addRow(self.source_box)
        self.source_box.currentIndexChanged.connect(self.changed)

    def set_scheme(self, scheme: PhaseScheme | None) -> None:
        """Make a box a phase; a phase of the same name keeps its share."""
        if scheme == self._scheme:
            return
        kept = {} if self._scheme is None else {
            normalise_name(p.name): b.share for p, b in zip(self._scheme, self.boxes, strict=True)
        }  # fmt: skip
        while self._form.rowCount() > 1:
            self._form.removeRow(0)
        self._scheme, self.boxes = scheme, []
        for row, phase in enumerate(scheme or ()):
            box = ShareBox()
            box.setAccessibleName(f"Area % of {phase.name}")
            box.share = kept.get(normalise_name(phase.name), math.nan)
            box.valueChanged.connect(self.changed)
            self.boxes.append(box)
            name = Label(f"{_square(phase.colour)} {html.escape(one_line(phase.name))} (%)")
            name.setTextFormat(Qt.TextFormat.RichText)
            self._form.insertRow(row, name, box)

    def given(self) -> Given:
        """The shares and their uncertainty; None where all are open."""
        shares = tuple(None if math.isnan(box.share) else box.share for box in self.boxes)
        if all(share is None for share in shares):
            return None
        return shares, float(self.source_box.currentData())


def choices_for(layer_names: list[str]) -> list[tuple[str, Any]]:
    """What the combo box of an image layer offers: its edits, other layers by name, nothing."""
    return [(EDITS, EDITS), *((name, name) for name in layer_names), (NO_LABELS, NO_LABELS)]


def _describe(look: SourceSummary, scheme: PhaseScheme | None) -> str:
    if scheme is None or not look.shares or not look.labelled:
        return ""
    parts = [
        f"{_square(phase.colour)}&nbsp;{share * 100:.2f}"
        for phase, share in zip(scheme, look.shares, strict=False)
    ]
    images = f"{look.images} images, " if look.images > 1 else ""
    return f"{images}labelled % &nbsp; {' &nbsp; '.join(parts)}"


def _square(colour: str) -> str:
    return f'<span style="color:{colour}">■</span>'


def _sentence(problem: str) -> str:
    return problem[:1].upper() + problem[1:]
