"""What came of a run: a table before and after, a verdict, and what to do with the new model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from phaseguide.finetuning.judging.verdict import NOT_TRAINED, range_text, verdict
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.finetune.compare_slider import CompareSlider
from phaseguide.widgets.qt.panel import small_label
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.qt.style import ALARM

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from phaseguide.finetuning.events import FinetuneResult, ValidationScores

NOTHING = "–"
ENDED = {
    "done": "All epochs are done.",
    "early": "It stopped improving, so learning ended early.",
    "stopped": "Stopped; the best so far is what counts.",
    "time": "The minutes are over.",
    "unstable": "The loss left the numbers twice; the best model before that is what counts.",
}


class FinetuneResultBox(QWidget):
    """Table, verdict, Keep, Go back, Compare, and the slider of the comparison."""

    keep_wanted = Signal()
    back_wanted = Signal()
    compare_wanted = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.verdict = small_label()
        self.verdict.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.where = small_label()
        self.keep = QPushButton("Keep")
        self.back = QPushButton("Go back")
        self.compare = QPushButton("Compare")
        self.keep.setToolTip("Save the new model as a version of its own, and segment with it from now on.")
        self.back.setToolTip(
            "Use the model from before. Your strokes stay; nothing that was saved is deleted."
        )
        self.compare.setToolTip("Show what both models see in the field on show, side by side.")
        self.slider = CompareSlider(viewer)
        self.cells: list[tuple[str, ...]] = []
        self._table = QWidget()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self.verdict)
        self._column.addWidget(self._table)
        self._column.addWidget(self.where)
        row = QHBoxLayout()
        for button in (self.keep, self.back, self.compare):
            row.addWidget(button)
        self._column.addLayout(row)
        self._column.addWidget(self.slider)
        self.keep.clicked.connect(self.keep_wanted)
        self.back.clicked.connect(self.back_wanted)
        self.compare.clicked.connect(self.compare_wanted)
        self.hide()

    def show_result(self, result: FinetuneResult) -> None:
        """Show a run's end."""
        text, worse = verdict(result)
        self.verdict.setText(f"{ENDED[result.ended]} {text}")
        self.verdict.setStyleSheet(ALARM if worse else "font-weight: bold;")
        scheme = result.model.card.scheme
        self._fill(scheme, rows(scheme, result.before, result.after))
        judged = result.after or result.before
        self.where.setText(
            ""
            if judged is None
            else f"Tested on {judged.source}. Ranges are of 95 %, over places and not pixels."
        )
        self.where.setVisible(judged is not None)
        self.show()

    def show_state(self, *, kept: bool, went_back: bool, busy: bool) -> None:
        """Enable what can be done."""
        self.keep.setEnabled(not busy and not kept)
        self.back.setEnabled(not busy and not went_back)
        self.compare.setEnabled(not busy)

    def _fill(self, scheme: PhaseScheme, lines: Sequence[tuple[str, ...]]) -> None:
        table = QWidget()
        grid = QGridLayout(table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        grid.setColumnStretch(1, 1)
        for column, heading in enumerate(("", "Phase", "Dice %\nbefore", "after", "range", "Tested\non px")):
            label = Label(heading)
            label.setAlignment(Qt.AlignmentFlag.AlignBottom | _side(column))
            grid.addWidget(label, 0, column)
        colours = {p.name: p.colour for p in scheme}
        for line, cells in enumerate(lines, start=1):
            if cells[0] in colours:
                swatch = Label()
                swatch.setFixedSize(12, 12)
                swatch.setStyleSheet(f"background: {colours[cells[0]]}; border-radius: 2px;")
                grid.addWidget(swatch, line, 0)
            for column, cell in enumerate(cells, start=1):
                label = Label(cell)
                label.setWordWrap(column == 1)
                label.setAlignment(Qt.AlignmentFlag.AlignVCenter | _side(column))
                if line == len(lines) or cells[0] not in colours:
                    label.setStyleSheet("font-weight: bold;")
                grid.addWidget(label, line, column)
        self._column.replaceWidget(self._table, table)
        self._table.hide()
        self._table.deleteLater()
        self._table, self.cells = table, list(lines)


def rows(
    scheme: PhaseScheme, before: ValidationScores | None, after: ValidationScores | None
) -> list[tuple[str, ...]]:
    """Lines of the table: a phase each, then the mean and the composition error; empty where nothing judges."""
    if after is None:
        return []
    old = {} if before is None else {s.phase: s for s in before.phases}
    lines: list[tuple[str, ...]] = []
    for score in after.phases:
        was = old.get(score.phase)
        new = was is None or not was.trained
        lines.append(
            (
                score.phase,
                NOT_TRAINED if new and score.pixels else _percent(was.dice if was else None),
                _percent(score.dice),
                range_text(score.low, score.high) or NOTHING,
                f"{score.pixels:,}",
            )
        )
    lines.append(
        (
            "Mean Dice",
            _percent(before.dice_mean if before else None),
            _percent(after.dice_mean),
            range_text(after.low, after.high) or NOTHING,
            f"{after.pixels:,}",
        )
    )
    lines.append(
        (
            "Composition error (pp)",
            _percent(before.fraction_mae if before else None),
            _percent(after.fraction_mae),
            "",
            "",
        )
    )
    return lines


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{share * 100:.1f}"


def _side(column: int) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignLeft if column <= 1 else Qt.AlignmentFlag.AlignRight
