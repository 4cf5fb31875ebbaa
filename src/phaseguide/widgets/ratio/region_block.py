"""One region in the widget: its name, what is expected in it, and what was found."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from phaseguide.phases import PhaseScheme, normalise_name
from phaseguide.ratios import SUM_TOLERANCE
from phaseguide.widgets.qt.percent_box import ShareBox, shares_of
from phaseguide.widgets.qt.plain_text import Label, as_plain, one_line
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.ratio.lock_button import LockButton

NOTHING = "–"
HEADINGS = ("Expected\narea %", "In\nmask", "Without\nguidance")


@dataclass
class Entry:
    """What a user has entered for one shape: a name of their own, shares by phase name, and whether they are exact."""

    name: str = ""
    shares: dict[str, float] = field(default_factory=dict)
    exact: bool = False

    def asked(self, scheme: PhaseScheme) -> NDArray[np.float64]:
        """Shares in [0, 1], NaN where open; shape (K,)."""
        return np.array([self.shares.get(normalise_name(p.name), np.nan) for p in scheme])


class RegionBlock(QWidget):
    """A name, a row for each phase, and a line that says what the boxes mean.

    Parameters
    ----------
    entry : Entry
        Written by what the user enters here.
    """

    changed = Signal()
    entered = Signal()
    """The user has put the cursor into the block."""

    def __init__(self, entry: Entry, scheme: PhaseScheme) -> None:
        super().__init__()
        self.entry, self.scheme = entry, scheme
        self._usual = ""
        self.name_line = QLineEdit()
        self.name_line.setAccessibleName("Name of the region")
        self.name_line.setToolTip("What to call this region in tables and messages.")
        self.name_line.setStyleSheet("font-weight: bold;")
        self.name_line.editingFinished.connect(self._on_name)
        self.name_line.installEventFilter(self)
        self.boxes: list[ShareBox] = []
        self.found: list[QLabel] = []
        self.unguided: list[QLabel] = []
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        self.lock = LockButton(
            "Impose the values of this region exactly",
            "Closed: this region gets your values exactly, whatever the model sees.",
        )
        self.lock.setChecked(entry.exact)
        self.lock.clicked.connect(self._on_lock)
        head = QHBoxLayout()
        head.addWidget(self.name_line)
        head.addWidget(self.lock)
        grid.addLayout(head, 0, 0, 1, 2, Qt.AlignmentFlag.AlignBottom)
        for column, heading in enumerate(HEADINGS, start=2):
            label = Label(heading)
            label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignBottom)
            grid.addWidget(label, 0, column)
        for row, phase in enumerate(scheme, start=1):
            swatch = Label()
            swatch.setFixedSize(14, 14)
            swatch.setStyleSheet(f"background: {phase.colour}; border-radius: 2px;")
            title = Label(one_line(phase.name))
            title.setWordWrap(True)
            title.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
            box = ShareBox()
            box.setAccessibleName(f"Expected area % of {phase.name} in this region")
            box.setToolTip(
                as_plain(f"Area share of {one_line(phase.name)} in this region; empty leaves it open.")
            )
            box.share = entry.shares.get(normalise_name(phase.name), np.nan)
            box.finished.connect(self._on_box)
            box.installEventFilter(self)
            found, unguided = Label(NOTHING), Label(NOTHING)
            found.setToolTip("Area % of this region in the label map; excluded area left out.")
            unguided.setToolTip("Area % of this region that the model finds without your values.")
            for column, widget in enumerate((swatch, title, box, found, unguided)):
                grid.addWidget(widget, row, column)
            for number in (found, unguided):
                number.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                number.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self.boxes.append(box)
            self.found.append(found)
            self.unguided.append(unguided)
        self.sum_line = Label()
        self.sum_line.setWordWrap(True)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 6)
        lines.setSpacing(3)
        lines.addLayout(grid)
        lines.addWidget(self.sum_line)
        self._problem = ""
        self._update()

    def set_usual_name(self, name: str) -> None:
        """Show the name that the layer gives, unless the user has chosen one."""
        self._usual = name
        self.name_line.setText(self.entry.name or name)

    def set_problem(self, problem: str) -> None:
        """Say why the shape is no region; empty if it is one."""
        self._problem = problem
        for box in self.boxes:
            box.setEnabled(not problem)
        self._update()

    def show_shares(self, own: NDArray[np.float64] | None, achieved: NDArray[np.float64] | None) -> None:
        """Show area shares (K,), or none; the two columns always come together."""
        for labels, shares in ((self.found, achieved), (self.unguided, own)):
            for k, label in enumerate(labels):
                share = np.nan if shares is None else shares[k]
                label.setText(NOTHING if np.isnan(share) else f"{share * 100:.2f}")

    def fit(self) -> None:
        """Ask for enough room; a wrapping label does not ask for its longest word by itself."""
        for label in (*self.found, *self.unguided):
            label.ensurePolished()
            label.setMinimumWidth(label.fontMetrics().horizontalAdvance("100.00") + 6)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Tell when the cursor comes into one of the boxes."""
        if event is not None and event.type() == QEvent.Type.FocusIn:
            self.entered.emit()
        return super().eventFilter(watched, event)

    def _on_name(self) -> None:
        typed = self.name_line.text().strip()
        name = "" if typed == self._usual else typed
        if name != self.entry.name:
            self.entry.name = name
            self.changed.emit()
        self.name_line.setText(name or self._usual)

    def _on_lock(self, closed: bool) -> None:
        self.entry.exact = closed
        self.changed.emit()

    def _on_box(self) -> None:
        for phase, box in zip(self.scheme, self.boxes, strict=True):
            self.entry.shares[normalise_name(phase.name)] = box.share
        self._update()
        self.changed.emit()

    def _update(self) -> None:
        shares = shares_of(self.boxes)
        total, is_open = float(np.nansum(shares)) * 100, np.isnan(shares)
        wrong = bool(self._problem) or total > 100 * (1 + SUM_TOLERANCE)
        if self._problem:
            text = f"It {self._problem}"
        elif is_open.all():
            text = "Nothing set: left as the model sees it."
        elif wrong:
            text = f"Set: {total:.2f} %, more than 100 %. Lower one of them."
        elif is_open.any():
            text = f"Set: {total:.2f} %, open phases share {max(0.0, 100 - total):.2f} %."
        elif total < 100 * (1 - SUM_TOLERANCE):
            text, wrong = f"All phases are set, but they sum to {total:.2f} %. Leave one open.", True
        else:
            text = f"Set: {total:.2f} %."
        self.sum_line.setText(text)
        self.sum_line.setStyleSheet(ALARM if wrong else "")
