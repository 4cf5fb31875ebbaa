"""The list of models with parent, version and score: those that ship, the user's, the open project's versions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem

from phaseguide.errors import PhaseguideError
from phaseguide.models.summary import main_score, parent_name, score_basis, score_text
from phaseguide.widgets.qt.plain_text import as_plain, one_line
from phaseguide.widgets.qt.tasks import as_user_error
from phaseguide.widgets.segment.known_models import known_models

if TYPE_CHECKING:
    from phaseguide.models.card import Card

DICE = "Dice %"
COLUMNS = ("Name", DICE, "Parent", "Version", "Phases")
ROLE = Qt.ItemDataRole.UserRole
NARROW = 150


@dataclass(frozen=True)
class ModelRow:
    """One model as the list shows it.

    Attributes
    ----------
    name : str
    origin : {"built-in", "yours", "project"}
    path : Path
    card : Card or None
        None where it cannot be read.
    problem : str
        Why not; or that base weights are missing, which Use gets.
    version, parent : str
    """

    name: str
    origin: Literal["built-in", "yours", "project"]
    path: Path
    card: Card | None
    problem: str
    version: str
    parent: str

    @property
    def phases(self) -> str:
        """Names of the phases."""
        return ", ".join(self.card.scheme.names) if self.card is not None else ""

    @property
    def dice(self) -> str:
        """Mean Dice in %, and what it was measured on; empty without scores."""
        if self.card is None:
            return ""
        found, basis = main_score(self.card), score_basis(self.card)
        return "" if found is None or basis is None else f"{found[1] * 100:.1f} on {basis.where}"

    @property
    def dice_meaning(self) -> str:
        """What the Dice says and what it does not; empty without scores."""
        basis = None if self.card is None else score_basis(self.card)
        return "" if basis is None else f"Mean Dice over the phases, without a ratio. {basis.meaning}"

    def cells(self) -> tuple[str, ...]:
        """Texts of the columns."""
        return (
            self.name,
            self.dice,
            self.parent,
            self.version,
            "; ".join(t for t in (self.phases, self.problem) if t),
        )

    def details(self) -> str:
        """Everything in sentences, for the lines below the list."""
        if self.card is None:
            return self.problem
        card = self.card
        parts = [card.description, f"Phases: {self.phases}."]
        if self.problem:
            parts.insert(0, f"It {self.problem}; press Use to get them.")
        found, basis = main_score(card), score_basis(card)
        if found is not None and basis is not None:
            parts.append(f"On {basis.where}: {score_text(card.scores[found[0]])}.")
        if self.parent and self.parent not in card.description:
            parts.append(f"Fine-tuned from {self.parent}.")
        parts.append(f"Licence: {card.model_licence or 'not given'}. {self.path}")
        return " ".join(part for part in parts if part)


def model_rows(project: Any) -> list[ModelRow]:
    """List the models.

    Parameters
    ----------
    project : Project or None
        Its versions come last.
    """
    rows = [
        ModelRow(
            entry.name, "built-in" if entry.origin == "built-in" else "yours", entry.path, entry.card, entry.problem,
            entry.card.version if entry.card else "", parent_name(entry.card) if entry.card else "",
        )
        for entry in known_models()
    ]  # fmt: skip
    versions = () if project is None else project.versions
    rows += [_version_row(project, version) for version in versions if not version.deleted]
    return [_told(row) for row in rows]


def _told(row: ModelRow) -> ModelRow:
    """Return a row, without its card if that holds something that no sentence can be made of."""
    try:
        row.cells(), row.details(), row.dice_meaning
    except Exception as error:
        return replace(row, card=None, problem=str(as_user_error(error)))
    return row


def _version_row(project: Any, version: Any) -> ModelRow:
    from phaseguide.models.model_file import read_card
    from phaseguide.models.sam.presence import missing_base

    path = project.folder / version.file
    try:
        card = read_card(path)
        problem = missing_base(card)
    except PhaseguideError as error:
        card, problem = None, str(error)
    return ModelRow(version.id, "project", path, card, problem, version.id, version.parent)


class ModelsList(QTreeWidget):
    """Models by origin; one is selected at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.setHeaderLabels(COLUMNS)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setMinimumHeight(NARROW)
        header = self.header()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)

    def show_rows(self, rows: list[ModelRow], chosen: Path | None) -> None:
        """Show models, and select the one of a file, or the first."""
        self.blockSignals(True)
        self.clear()
        for origin, title in (("built-in", "Built in"), ("yours", "Yours"), ("project", "This project")):
            group = [row for row in rows if row.origin == origin]
            if not group:
                continue
            top = QTreeWidgetItem(self, [title])
            top.setFirstColumnSpanned(True)
            top.setFlags(Qt.ItemFlag.ItemIsEnabled)
            for row in group:
                item = QTreeWidgetItem(top, [one_line(cell, 400) for cell in row.cells()])
                item.setData(0, ROLE, row)
                for column in range(len(COLUMNS)):
                    item.setToolTip(column, as_plain(row.details()))
                item.setToolTip(COLUMNS.index(DICE), row.dice_meaning)
            top.setExpanded(True)
        self.blockSignals(False)
        items = self.items()
        wanted = next((item for item in items if item.data(0, ROLE).path == chosen), None)
        if items:
            self.setCurrentItem(wanted or items[0])
        self.itemSelectionChanged.emit()

    def items(self) -> list[QTreeWidgetItem]:
        """Items that stand for a model."""
        tops = [self.topLevelItem(i) for i in range(self.topLevelItemCount())]
        inner = [top.child(i) for top in tops if top is not None for i in range(top.childCount())]
        return [item for item in inner if item is not None]

    @property
    def row(self) -> ModelRow | None:
        """The selected model."""
        item = self.currentItem()
        return None if item is None else item.data(0, ROLE)
