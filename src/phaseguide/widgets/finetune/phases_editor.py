"""The phases of the model to be: add, rename, recolour, merge, remove, and one step back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from qtpy.QtCore import Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QColorDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from phaseguide.errors import PhaseguideError
from phaseguide.phase_edits import EditedPhases
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.qt.menus import add_entry
from phaseguide.widgets.qt.panel import small_label
from phaseguide.widgets.qt.plain_text import Label, as_plain, on_button
from phaseguide.widgets.qt.style import ALARM


class PhasesEditor(QWidget):
    """A line a phase.

    ``changed`` tells of every change by the user. ``relabelled`` comes before it where label numbers
    change: old label -> new label, 0 for a phase that went. ``taken_back`` comes instead when the user
    takes such a change back, with the same numbers.
    """

    changed = Signal()
    relabelled = Signal(object)
    taken_back = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.phases = EditedPhases()
        self._names: dict[int, str] = {}
        self._steps: list[tuple[EditedPhases, dict[int, int]]] = []
        self.colours: list[QPushButton] = []
        self.names: list[QLineEdit] = []
        self.merges: list[QPushButton] = []
        self.removes: list[QPushButton] = []
        self.add_button = QPushButton("Add phase")
        self.add_button.setToolTip("A new phase: it gets fresh weights and learns from what you paint.")
        self.undo_button = QPushButton("Undo")
        self.undo_button.setToolTip("Take the last change of the phases back, and with it the labels.")
        self.problem = small_label()
        self.problem.setStyleSheet(ALARM)
        self._rows = QWidget()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self._rows)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_button, 2)
        buttons.addWidget(self.undo_button, 1)
        self._column.addLayout(buttons)
        self._column.addWidget(self.problem)
        self.add_button.clicked.connect(self.add)
        self.undo_button.clicked.connect(self.undo)
        self._show()

    def begin(
        self,
        scheme: PhaseScheme | None,
        origin: Mapping[int, tuple[int, ...]],
        old: PhaseScheme | None = None,
    ) -> None:
        """Begin with the phases of a scheme, without telling of a change.

        Parameters
        ----------
        scheme : PhaseScheme or None
            None begins without a phase.
        origin : mapping of int to tuple of int
            Labels of the model's phases that each label comes from; a phase that is missing is new.
        old : PhaseScheme, optional
            Phases of the model, if it is improved.
        """
        self.phases = EditedPhases() if scheme is None else EditedPhases.of(scheme, origin)
        self._names = {p.label: p.name for p in old or ()}
        self._steps.clear()
        self._show()

    @property
    def scheme(self) -> PhaseScheme | None:
        """The phases, or None where they are none that a model can have."""
        try:
            return self.phases.scheme()
        except PhaseguideError:
            return None

    @property
    def undo_depth(self) -> int:
        """How many changes can be taken back."""
        return len(self._steps)

    def add(self) -> None:
        """Append a phase and let its name be typed."""
        self._take(self.phases.added(), {})
        self.names[-1].setFocus()
        self.names[-1].selectAll()

    def merge(self, index: int, into: int) -> None:
        """Let a phase become part of another."""
        self._take(*self.phases.merged(index, into))

    def remove(self, index: int) -> None:
        """Take a phase away."""
        self._take(*self.phases.removed(index))

    def recolour(self, index: int, colour: str) -> None:
        """Give a phase another colour."""
        if colour != self.phases.phases[index].colour:
            self._take(self.phases.recoloured(index, colour), {})

    def undo(self) -> None:
        """Take the last change back."""
        if not self._steps:
            return
        self.phases, relabel = self._steps.pop()
        self._show()
        if _moves(relabel):
            self.taken_back.emit(relabel)
        self.changed.emit()

    def _rename(self, index: int) -> None:
        name = self.names[index].text().strip()
        if index < len(self.phases.phases) and name != self.phases.phases[index].name:
            self._steps.append((self.phases, {}))
            self.phases = self.phases.renamed(index, name)
            self._say()
            self.changed.emit()

    def _take(self, phases: EditedPhases, relabel: dict[int, int]) -> None:
        self._steps.append((self.phases, relabel))
        self.phases = phases
        self._show()
        if _moves(relabel):
            self.relabelled.emit(relabel)
        self.changed.emit()

    def _ask_colour(self, index: int) -> None:
        colour = QColorDialog.getColor(QColor(self.phases.phases[index].colour), self, "Colour of the phase")
        if colour.isValid():
            self.recolour(index, colour.name())

    def _offer_merge(self, index: int) -> None:
        menu = QMenu(self)
        for other, phase in enumerate(self.phases.phases):
            if other != index:
                add_entry(menu, f"into {on_button(phase.name)}", partial(self.merge, index, other))
        button = self.merges[index]
        menu.popup(button.mapToGlobal(button.rect().bottomLeft()))

    def _show(self) -> None:
        fresh = QWidget()
        grid = QGridLayout(fresh)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        self.colours, self.names, self.merges, self.removes = [], [], [], []
        for index, phase in enumerate(self.phases.phases):
            colour = QPushButton()
            colour.setFixedSize(22, 22)
            colour.setStyleSheet(f"background: {phase.colour}; border-radius: 3px;")
            colour.setToolTip("Change the colour.")
            colour.clicked.connect(lambda _=False, i=index: self._ask_colour(i))
            name = QLineEdit(phase.name)
            name.setToolTip(as_plain(self._history(index)))
            name.editingFinished.connect(lambda i=index: self._rename(i))
            merge, remove = QPushButton("Merge"), QPushButton("Remove")
            merge.setToolTip("Make this phase a part of another one; its labels and its weights go along.")
            remove.setToolTip(
                "Take this phase away; what is painted as this phase is no longer counted as painted."
            )
            merge.setEnabled(len(self.phases.phases) > 2)
            merge.clicked.connect(lambda _=False, i=index: self._offer_merge(i))
            remove.clicked.connect(lambda _=False, i=index: self.remove(i))
            for column, part in enumerate((colour, name, merge, remove)):
                grid.addWidget(part, 2 * index, column)
            made = Label(self._history(index, short=True))
            made.setStyleSheet("font-size: 10px;")
            made.setVisible(bool(made.text()))
            grid.addWidget(made, 2 * index + 1, 1, 1, 3)
            self.colours.append(colour)
            self.names.append(name)
            self.merges.append(merge)
            self.removes.append(remove)
        self._column.replaceWidget(self._rows, fresh)
        self._rows.hide()
        self._rows.deleteLater()  # a button of it may be at work now
        self._rows = fresh
        self.undo_button.setEnabled(bool(self._steps))
        self._say()

    def _say(self) -> None:
        self.undo_button.setEnabled(bool(self._steps))
        try:
            self.phases.scheme()
        except PhaseguideError as error:
            self.problem.setText(str(error))
        else:
            self.problem.setText("")
        self.problem.setVisible(bool(self.problem.text()))

    def _history(self, index: int, *, short: bool = False) -> str:
        """What a phase comes from; short: only where that is not its own name."""
        phase = self.phases.phases[index]
        if not self._names:
            return "" if short else "A phase of the new model."
        if not phase.origin:
            return "new" if short else "New: it begins with fresh weights."
        names = [self._names[label] for label in phase.origin]
        if short and names == [phase.name]:
            return ""
        return f"was {' + '.join(names)}"


def _moves(relabel: dict[int, int]) -> bool:
    return any(old != new for old, new in relabel.items())
