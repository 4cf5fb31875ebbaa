"""Asks for what a new project needs: a folder, a name, the phases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from phaseguide.errors import PhaseguideError
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.qt.plain_text import Label, one_line
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.segment.known_models import known_models

OWN = "my own, typed below"


@dataclass(frozen=True)
class NewProject:
    """What the user wants; ``model`` is the zoo name of the model that the phases come from, or empty."""

    folder: Path
    name: str
    scheme: PhaseScheme
    model: str


class ProjectDialog(QDialog):
    """Folder, name and phases of a new project."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("New project")
        self.wanted: NewProject | None = None
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("an empty or new folder")
        self.browse = QPushButton("Browse…")
        self.name = QLineEdit()
        self.name.setPlaceholderText("name of the folder")
        self.phases = QComboBox()
        self._models = {entry.name: entry for entry in known_models() if entry.card is not None}
        for name, entry in self._models.items():
            assert entry.card is not None
            self.phases.addItem(
                one_line(f"those of model {name}: {', '.join(entry.card.scheme.names)}", 80), name
            )
        self.phases.addItem(OWN, "")
        self.typed = QLineEdit()
        self.typed.setPlaceholderText("ferrite, pearlite, …")
        self.problem = Label()
        self.problem.setWordWrap(True)
        self.problem.setStyleSheet(ALARM)
        choice = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(choice.Ok | choice.Cancel)
        form = QFormLayout(self)
        row = QHBoxLayout()
        row.addWidget(self.folder, 1)
        row.addWidget(self.browse)
        form.addRow("Folder", row)
        form.addRow("Name", self.name)
        form.addRow("Phases", self.phases)
        form.addRow("", self.typed)
        form.addRow(self.problem)
        form.addRow(self.buttons)
        self.setMinimumWidth(520)
        self.browse.clicked.connect(self._browse)
        self.phases.currentIndexChanged.connect(self._follow)
        self.buttons.accepted.connect(self._accept)
        self.buttons.rejected.connect(self.reject)
        self._follow()

    def scheme(self) -> PhaseScheme:
        """Return the phases that are chosen.

        Raises
        ------
        SchemeError
            No phase is typed, or one twice.
        """
        card = self._models[self.phases.currentData()].card if self.phases.currentData() else None
        if card is not None:
            return card.scheme
        return PhaseScheme.from_names([name.strip() for name in self.typed.text().split(",") if name.strip()])

    def _follow(self) -> None:
        self.typed.setEnabled(not self.phases.currentData())

    def _browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder of the new project")
        if chosen:
            self.folder.setText(chosen)

    def _accept(self) -> None:
        text = self.folder.text().strip()
        if not text:
            self.problem.setText("Choose a folder.")
            return
        folder = Path(text).expanduser()
        try:
            scheme = self.scheme()
        except PhaseguideError as error:
            self.problem.setText(str(error))
            return
        name = self.name.text().strip() or folder.name
        self.wanted = NewProject(folder, name, scheme, self.phases.currentData() or "")
        self.accept()
