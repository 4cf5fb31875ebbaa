"""The controls of the Point count widget and how they are laid out; what they do is in `dock`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from phaseguide.estimation.point_plan import MOST_POINTS
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers.layer_choice import ImageBox
from phaseguide.widgets.qt.panel import ScrolledPanel, button, rule
from phaseguide.widgets.qt.plain_text import Label, one_line
from phaseguide.widgets.qt.status_line import StatusLine

if TYPE_CHECKING:
    from napari.components import ViewerModel

DEFAULT_COUNT = 100
ASSUMPTION = "± is the standard error to expect, in percentage points, if the map is right at 9 of 10 points."
KEYS = "1234567890"
"""Keys of the first ten phases; further ones have a button only."""


class PointCountPanel(ScrolledPanel):
    """Everything that is seen: what can be expected, the counting, the result. It scrolls where it must."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.image_box = ImageBox(viewer)
        self.map_line = _wrapping(Label())
        self.count_box = QSpinBox()
        self.count_box.setRange(2, MOST_POINTS)
        self.count_box.setSingleStep(50)
        self.count_box.setValue(DEFAULT_COUNT)
        self.count_box.setToolTip("Points to name in all. Four times as many halve the standard error.")
        self.expected = NumberTable()
        self.assumption = _wrapping(Label())
        self.start_button = _button("Start", "Show the first point. The map is hidden until you are done.")
        self.counting = CountingBox()
        self.continue_button = _button("Continue", "Show the next point.")
        self.evaluate_button = _button(
            "Evaluate now", "The order is random, so that an unfinished count is valid, only less sharp."
        )
        self.discard_button = _button("Discard", "Forget the answers of this count.")
        self.result = NumberTable()
        self.notes = _wrapping(Label())
        self.offer_button = _button(
            "Use as expected values",
            "Write the areas into the phase table, each as sure as it was counted.",
        )
        self.copy_button = _button("Copy table", "Copy the table, ready to paste into a spreadsheet.")
        self.save_button = _button(
            "Save count…", "Save points and answers, for the record and the command line."
        )
        self.status = StatusLine()
        self._lay_out()

    def show_state(self, *, counting: bool, startable: bool, paused: bool, done: bool) -> None:
        """Show the controls that make sense now."""
        self.setup.setVisible(not counting)
        self.map_line.setVisible(not counting)  # it may tell areas
        self.image_box.setEnabled(not counting)
        self.counting.setVisible(counting)
        self.start_button.setVisible(startable)
        self.count_box.setEnabled(startable)
        self.pause_row.setVisible(paused and not counting)
        self.result_part.setVisible(done and not counting)

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image_box)
        column.addLayout(form)
        column.addWidget(self.map_line)
        self.setup = QWidget()
        setup = QVBoxLayout(self.setup)
        setup.setContentsMargins(0, 0, 0, 0)
        points = QFormLayout()
        points.addRow("Points", self.count_box)
        setup.addLayout(points)
        setup.addWidget(self.expected)
        setup.addWidget(self.assumption)
        setup.addWidget(self.start_button)
        self.pause_row = _row(self.continue_button, self.evaluate_button, self.discard_button)
        setup.addWidget(self.pause_row)
        column.addWidget(self.setup)
        column.addWidget(self.counting)
        self.result_part = QWidget()
        result = QVBoxLayout(self.result_part)
        result.setContentsMargins(0, 0, 0, 0)
        result.addWidget(rule())
        result.addWidget(self.result)
        result.addWidget(self.notes)
        result.addWidget(self.offer_button)
        result.addWidget(_row(self.copy_button, self.save_button))
        column.addWidget(self.result_part)
        column.addStretch(1)
        self.show_content(content)


class CountingBox(QWidget):
    """One point: how far the count is, and a button for each answer with its key.

    ``answered`` carries 1..K, or 0 for unclear.
    """

    answered = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # takes the focus, so that no text box gets the keys
        self.position = Label()
        self.position.setStyleSheet("font-weight: bold;")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setMaximumHeight(8)
        question = _wrapping(Label("Which phase is the pixel in the middle of the cross?"))
        self.answers = QVBoxLayout()
        self.answers.setSpacing(4)
        self.buttons: list[QPushButton] = []
        self.back_button = _button(
            "Back  (Backspace)", "Take back the last answer and show that point again."
        )
        self.pause_button = _button("Pause  (Esc)", "Show all layers again. The answers are kept.")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.position)
        column.addWidget(self.bar)
        column.addWidget(question)
        column.addLayout(self.answers)
        column.addWidget(_row(self.back_button, self.pause_button))

    def set_scheme(self, scheme: PhaseScheme) -> None:
        """Make a button for each phase and one for unclear."""
        for one in self.buttons:
            one.hide()
            one.deleteLater()
        self.buttons = []
        for k, phase in enumerate(scheme):
            key = f"{KEYS[k]}   " if k < len(KEYS) else ""
            self._add(f"{key}{phase.name}", f"Label {phase.label}", phase.label, phase.colour)
        self._add("U   unclear", "The point is left out; the result says what that could change.", 0, None)

    def key_actions(self) -> dict[str, Callable[[], None]]:
        """Keys and what they do: each presses a button."""
        *phases, unclear = self.buttons
        named = {key: one.click for key, one in zip(KEYS, phases, strict=False)}
        return {
            **named,
            "U": unclear.click,
            "Backspace": self.back_button.click,
            "Escape": self.pause_button.click,
        }

    def show_position(self, position: int, total: int) -> None:
        """Say how far the count is; ``position`` is the number of answers so far."""
        self.position.setText(f"Point {position + 1} of {total}")
        self.bar.setRange(0, total)
        self.bar.setValue(position)
        self.back_button.setEnabled(position > 0)

    def _add(self, text: str, tip: str, answer: int, colour: str | None) -> None:
        made = _button(text, tip)
        made.setStyleSheet("text-align: left; padding-left: 8px;")
        if colour is not None:
            made.setIcon(_swatch(colour))
        made.clicked.connect(lambda: self.answered.emit(answer))
        self.answers.addWidget(made)
        self.buttons.append(made)


class NumberTable(QWidget):
    """A few rows of numbers, one for each phase, with its colour."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(10)
        self._grid.setVerticalSpacing(3)
        self.cells: list[list[str]] = []
        self.headings: tuple[str, ...] = ()

    def set_rows(
        self, scheme: PhaseScheme | None, headings: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        """Show headings (the first over the names) and a row of texts for each phase; nothing without a scheme."""
        while self._grid.count():
            item = self._grid.takeAt(0)
            old = None if item is None else item.widget()
            if old is not None:
                old.hide()
                old.deleteLater()
        self.headings, self.cells = tuple(headings), [list(row) for row in rows]
        if scheme is None:
            self.cells = []
            return
        right = Qt.AlignmentFlag.AlignRight
        for column, heading in enumerate(headings):
            label = Label(heading)
            label.setAlignment(
                (right if column else Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignBottom
            )
            self._grid.addWidget(label, 0, column + 1)
        for row, (phase, texts) in enumerate(zip(scheme, rows, strict=True), start=1):
            swatch = Label()
            swatch.setFixedSize(14, 14)
            swatch.setStyleSheet(f"background: {phase.colour}; border-radius: 2px;")
            self._grid.addWidget(swatch, row, 0)
            name = _wrapping(Label(one_line(phase.name)))
            name.ensurePolished()
            widest = max(name.fontMetrics().horizontalAdvance(word) for word in name.text().split())
            name.setMinimumWidth(widest + 10)
            self._grid.addWidget(name, row, 1)
            for column, text in enumerate(texts, start=2):
                number = Label(text)
                number.setAlignment(right | Qt.AlignmentFlag.AlignVCenter)
                number.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
                self._grid.addWidget(number, row, column)
        self._grid.setColumnStretch(1, 1)


def _button(text: str, tip: str) -> QPushButton:
    made = button(text, tip)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves the focus, and the keys, where they are
    return made


def _row(*widgets: QWidget) -> QWidget:
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)
    return holder


def _swatch(colour: str) -> QIcon:
    pixels = QPixmap(14, 14)
    pixels.fill(QColor(colour))
    return QIcon(pixels)


def _wrapping(label: QLabel) -> QLabel:
    label.setWordWrap(True)
    return label
