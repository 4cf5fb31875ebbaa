"""The table of phases: what the user expects, what that means, and what was found."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from phaseguide.phases import PhaseScheme, normalise_name
from phaseguide.ratios import SUM_TOLERANCE, ratio_range
from phaseguide.segmentation.request import Segmentation
from phaseguide.segmentation.saving import CONSTRAINED
from phaseguide.widgets.share_box import ShareBox

HEADINGS = ("", "Phase", "Expected\narea %", "Range", "In\nmask", "Without\nguidance")
NOTHING = "–"
ALARM = "color: #e5484d;"  # readable on napari's dark and light themes
ROUNDING = 0.005


class PhaseTable(QWidget):
    """One row per phase. Boxes change only when the user changes them or presses *Scale to 100 %*."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.scheme: PhaseScheme | None = None
        self.boxes: list[ShareBox] = []
        self.ranges: list[QLabel] = []
        self.found: list[QLabel] = []
        self.unguided: list[QLabel] = []
        self._names: list[QLabel] = []
        self._uncertainty = 0.3
        self._remembered: dict[str, float] = {}
        self._rows = QWidget()
        self.sum_line = QLabel()
        self.sum_line.setWordWrap(True)
        self.scale_button = QPushButton("Scale to 100 %")
        self.scale_button.setToolTip("Multiply all values by the same factor so that they sum to 100 %.")
        self.scale_button.clicked.connect(self._scale)
        self.note = QLabel(f"In mask: {CONSTRAINED}.")
        self.note.setWordWrap(True)
        self.note.setStyleSheet("font-weight: bold;")
        self._outer = QVBoxLayout(self)
        self._outer.setContentsMargins(0, 0, 0, 0)
        self._outer.addWidget(self._rows)
        line = QHBoxLayout()
        line.addWidget(self.sum_line, 1)
        line.addWidget(self.scale_button)
        self._outer.addLayout(line)
        self._outer.addWidget(self.note)
        self.note.hide()
        self._update()

    def set_scheme(self, scheme: PhaseScheme | None) -> None:
        """Make the rows; what was typed for a phase of the same name is kept."""
        if scheme == self.scheme:
            return
        if self.scheme is not None:
            for phase, box in zip(self.scheme, self.boxes, strict=True):
                self._remembered[normalise_name(phase.name)] = box.share
        self.scheme = scheme
        self.boxes, self.ranges, self.found, self.unguided, self._names = [], [], [], [], []
        rows = QWidget()
        grid = QGridLayout(rows)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        for column, heading in enumerate(HEADINGS if scheme else ()):
            label = QLabel(heading)
            side = Qt.AlignmentFlag.AlignLeft if column < 2 else Qt.AlignmentFlag.AlignRight
            label.setAlignment(side | Qt.AlignmentFlag.AlignBottom)
            grid.addWidget(label, 0, column)
        for row, phase in enumerate(scheme or (), start=1):
            swatch = QLabel()
            swatch.setFixedSize(14, 14)
            swatch.setStyleSheet(f"background: {phase.colour}; border-radius: 2px;")
            swatch.setToolTip(f"Label {phase.label}")
            name = QLabel(phase.name)
            name.setWordWrap(True)
            name.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
            box = ShareBox()
            box.setToolTip(f"Area share of {phase.name} that you expect; empty leaves it open.")
            box.setAccessibleName(f"Expected area % of {phase.name}")
            box.share = self._remembered.get(normalise_name(phase.name), np.nan)
            box.valueChanged.connect(self._on_box)
            numbers = [QLabel(NOTHING) for _ in range(3)]
            for widget, column in zip((swatch, name, box, *numbers), range(6), strict=True):
                grid.addWidget(widget, row, column)
            for number in numbers:
                number.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                number.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            numbers[0].setToolTip(
                "What your value means in area %: two times in three the truth lies in this range, given its source."
            )
            numbers[1].setToolTip("Area % in the label map, with your edits on top; excluded area left out.")
            numbers[2].setToolTip("Area % that the model finds without your values.")
            self._names.append(name)
            self.boxes.append(box)
            self.ranges.append(numbers[0])
            self.found.append(numbers[1])
            self.unguided.append(numbers[2])
        self._outer.replaceWidget(self._rows, rows)
        self._rows.deleteLater()
        self._rows = rows
        self._update()

    def asked(self) -> NDArray[np.float64] | None:
        """Shares as typed, NaN where open; None if all are open. Not checked."""
        shares = np.array([box.share for box in self.boxes], dtype=np.float64)
        return None if not shares.size or np.isnan(shares).all() else shares

    def fit(self) -> None:
        """Give names and numbers the room they need; a wrapping label does not ask for its longest word."""
        for name in self._names:
            name.ensurePolished()
            words = [name.fontMetrics().horizontalAdvance(word) for word in name.text().split()]
            name.setMinimumWidth(max(words, default=0) + 10)
        # Room for the widest numbers, so that a result does not move the columns.
        for labels, widest in ((self.ranges, "88.8–88.8"), (self.found, "100.00"), (self.unguided, "100.00")):
            for label in labels:
                label.ensurePolished()
                label.setMinimumWidth(label.fontMetrics().horizontalAdvance(widest) + 10)

    def set_uncertainty(self, uncertainty: float) -> None:
        """Show the ranges that a source means; 0 is exact."""
        self._uncertainty = uncertainty
        self._update()

    def show_result(self, result: Segmentation | None) -> None:
        """Show the area shares of a result, or none; the two columns always come together."""
        if result is not None and (self.scheme is None or result.scheme.names != self.scheme.names):
            result = None  # made with another model; its numbers belong to other phases
        for labels, shares in (
            (self.found, None if result is None else result.achieved),
            (self.unguided, None if result is None else result.own),
        ):
            for k, label in enumerate(labels):
                label.setText(NOTHING if shares is None else f"{shares[k] * 100:.2f}")
        constrained = result is not None and result.constrained
        self.note.setVisible(constrained)
        if constrained and result.imposed is not None:
            aims = ", ".join(
                f"{p.name} {share * 100:.2f} %"
                for p, share in zip(result.scheme, result.imposed, strict=True)
            )
            self.note.setToolTip(f"Your values, weighed against what the model sees, gave the aim: {aims}.")

    def _on_box(self) -> None:
        self._update()
        self.changed.emit()

    def _update(self) -> None:
        for box, label in zip(self.boxes, self.ranges, strict=True):
            label.setText(self._range_text(box.share))
        shares = np.array([box.share for box in self.boxes])
        total = float(np.nansum(shares)) * 100
        is_open = np.isnan(shares)
        wrong, scalable = False, False
        if not self.boxes or is_open.all():
            text = (
                "Nothing set: segments without guidance."
                if self.boxes
                else "Choose a model to see its phases."
            )
        elif total > 100 + ROUNDING:
            wrong = total > 100 * (1 + SUM_TOLERANCE)
            scalable = not is_open.any()
            rest = "" if scalable else " Lower one of them."
            text = f"Set: {total:.2f} %, more than 100 %.{rest}"
        elif is_open.any():
            text = f"Set: {total:.2f} %, open phases share {max(0.0, 100 - total):.2f} %."
        elif total < 100 - ROUNDING:
            wrong, scalable = total < 100 * (1 - SUM_TOLERANCE), True
            text = f"All phases are set, but they sum to {total:.2f} %. Scale them, or leave one open."
        else:
            text = "Set: 100.00 %."
        self.sum_line.setText(text)
        self.sum_line.setStyleSheet(ALARM if wrong else "")
        self.scale_button.setVisible(scalable and total > 0)

    def _range_text(self, share: float) -> str:
        if np.isnan(share):
            return NOTHING
        if self._uncertainty == 0:
            return f"{share * 100:.2f}"
        low, high = ratio_range(share, self._uncertainty)
        return f"{low * 100:.1f}–{high * 100:.1f}"

    def _scale(self) -> None:
        """Bring the boxes to exactly 100.00 % by largest remainder, so that the roundings agree too."""
        shares = np.array([box.share for box in self.boxes])
        wanted = shares / shares.sum() * 10_000
        cents = np.floor(wanted).astype(int)
        for k in np.argsort(cents - wanted, kind="stable")[: 10_000 - cents.sum()]:
            cents[k] += 1
        for box, value in zip(self.boxes, cents, strict=True):
            box.setValue(value / 100)
