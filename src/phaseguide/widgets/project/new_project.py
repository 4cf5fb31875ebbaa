"""Asks for what a new project needs: a folder, a name, the phases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from phaseguide.errors import PhaseguideError
from phaseguide.phases import PhaseScheme
from phaseguide.settings import Settings, setting
from phaseguide.widgets.qt.form import Form
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


class ProjectSettings(Settings):
    """What is asked; ``model`` is the one whose phases the project gets, or empty for those that are typed."""

    folder: Path | None = setting(
        None, "Folder", "Folder of the new project", example="an empty or new folder"
    )
    name: str = setting("", "Name", example="name of the folder")
    model: str = setting("", "Phases")
    phases: str = setting("", " ", example="ferrite, pearlite, …")


class ProjectDialog(QDialog):
    """Folder, name and phases of a new project."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("New project")
        self.wanted: NewProject | None = None
        self._schemes = {one.name: one.card.scheme for one in known_models() if one.card is not None}
        models = [
            (one_line(f"those of model {name}: {', '.join(scheme.names)}", 80), name)
            for name, scheme in self._schemes.items()
        ]
        models.append((OWN, ""))
        self.form = Form(
            ProjectSettings, start=ProjectSettings(model=models[0][1]), choices={"model": models}
        )
        self.problem = Label()
        self.problem.setWordWrap(True)
        self.problem.setStyleSheet(ALARM)
        choice = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(choice.Ok | choice.Cancel)
        self.form.rows.addRow(self.problem)
        self.form.rows.addRow(self.buttons)
        QVBoxLayout(self).addWidget(self.form)
        self.setMinimumWidth(520)
        self.form.changed.connect(self._follow)
        self.buttons.accepted.connect(self._accept)
        self.buttons.rejected.connect(self.reject)
        self._follow()

    @property
    def settings(self) -> ProjectSettings:
        """What is set."""
        return ProjectSettings(**self.form.values())

    def scheme(self) -> PhaseScheme:
        """Return the phases that are chosen.

        Raises
        ------
        SchemeError
            No phase is typed, or one twice.
        """
        asked = self.settings
        if asked.model:
            return self._schemes[asked.model]
        return PhaseScheme.from_names([name.strip() for name in asked.phases.split(",") if name.strip()])

    def _follow(self) -> None:
        self.form.controls["phases"].setEnabled(not self.settings.model)

    def _accept(self) -> None:
        asked = self.settings
        text = str(asked.folder or "").strip()
        if not text:
            self.problem.setText("Choose a folder.")
            return
        folder = Path(text).expanduser()
        try:
            scheme = self.scheme()
        except PhaseguideError as error:
            self.problem.setText(str(error))
            return
        self.wanted = NewProject(folder, asked.name.strip() or folder.name, scheme, asked.model)
        self.accept()
