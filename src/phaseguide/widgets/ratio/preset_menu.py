"""The menu of presets: load, save as, delete."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLineEdit,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from phaseguide.errors import PhaseguideError
from phaseguide.ratios import Preset, PresetStore
from phaseguide.widgets.qt.menus import add_entry
from phaseguide.widgets.qt.plain_text import Label, as_plain, on_button


class PresetMenu(QMenu):
    """Presets of one model; read anew whenever the menu opens.

    Parameters
    ----------
    model_name : callable
        Returns the model whose presets are shown; empty for none.
    make : callable
        ``make(name, material)`` returns what is entered now as a preset; raises `PhaseguideError` where that
        is nothing.
    """

    chosen = Signal(object)
    """A `Preset` was chosen."""
    said = Signal(str)
    failed = Signal(object)

    def __init__(
        self,
        store: PresetStore,
        model_name: Callable[[], str],
        make: Callable[[str, str], Preset],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._store, self._model_name, self._make = store, model_name, make
        self._deleted: Preset | None = None
        self._last_material = ""
        self._delete_menu = QMenu("Delete", self)
        self.aboutToShow.connect(self.fill)
        self.setToolTipsVisible(True)

    def fill(self) -> None:
        """Make the entries."""
        self.clear()
        model = self._model_name()
        there = self._store.list(model)
        for preset in there.presets:
            add_entry(self, on_button(preset.title), partial(self.chosen.emit, preset))
        if not there.presets:
            add_entry(self, "No presets yet" if model else "Choose a model first", enabled=False)
        self.addSeparator()
        add_entry(self, "Save as …", self.save_as, enabled=bool(model))
        if there.presets:
            self._delete_menu.clear()
            for preset in there.presets:
                add_entry(self._delete_menu, on_button(preset.title), partial(self._delete, preset))
            self.addMenu(self._delete_menu)
        if self._deleted is not None and self._deleted.model == model:
            add_entry(
                self, on_button(f"Put back {self._deleted.title!r}"), partial(self._put_back, self._deleted)
            )
        if there.problems:
            add_entry(
                self,
                f"{len(there.problems)} cannot be read …",
                partial(self.said.emit, " ".join(there.problems)),
                tip=as_plain("\n".join(there.problems)),
            )

    def save_as(self) -> None:
        """Ask for a name and save what is entered now."""
        try:
            draft = self._make("", "")  # nothing to save is better said before the name is asked
        except PhaseguideError as error:
            self.failed.emit(error)
            return
        taken = self._store.list(draft.model).presets
        dialog = PresetDialog(taken, self._last_material, self.parentWidget())
        dialog.accepted.connect(lambda: self.save(dialog.name, dialog.material))
        dialog.open()

    def save(self, name: str, material: str) -> None:
        """Save what is entered now, in place of a preset of the same name and material."""
        try:
            preset = self._make(name, material)
            self._store.save(preset, overwrite=True)
        except PhaseguideError as error:
            self.failed.emit(error)
            return
        self._last_material = material
        self.said.emit(f"Saved as preset {preset.title!r}.")

    def _delete(self, preset: Preset) -> None:
        try:
            self._store.delete(preset)
        except PhaseguideError as error:
            self.failed.emit(error)
            return
        self._deleted = preset
        self.said.emit(f"Deleted preset {preset.title!r}; the menu can put it back.")

    def _put_back(self, preset: Preset) -> None:
        self._deleted = None
        try:
            self._store.save(preset)
        except PhaseguideError as error:
            self.failed.emit(error)
            return
        self.said.emit(f"Preset {preset.title!r} is back.")


class PresetDialog(QDialog):
    """Asks for a name and a material; says when a preset would be replaced.

    Parameters
    ----------
    presets : sequence of Preset
        Those that there are for the model.
    material : str
        What to propose.
    """

    def __init__(self, presets: tuple[Preset, ...], material: str, parent: QWidget | None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Save as preset")
        self._taken = {one.key[1:]: one for one in presets}
        self.name_line = QLineEdit()
        self.name_line.setPlaceholderText("XRD, batch 12")
        self.material_box = QComboBox()
        line = QLineEdit()
        line.setPlaceholderText("may be empty")
        self.material_box.setEditable(True)
        self.material_box.setLineEdit(line)
        self.material_box.addItems(sorted({"", *(one.material for one in presets)}))
        self.material_box.setCurrentText(material)
        self.warning = Label()
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel
        )
        save_button = self.buttons.button(QDialogButtonBox.StandardButton.Save)
        assert save_button is not None  # asked for in the line above
        self.save_button = save_button
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        form = QFormLayout()
        form.addRow("Name", self.name_line)
        form.addRow("Material", self.material_box)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(self.warning)
        column.addWidget(self.buttons)
        self.name_line.textChanged.connect(self._update)
        self.material_box.editTextChanged.connect(self._update)
        self.setMinimumWidth(320)
        self._update()

    @property
    def name(self) -> str:
        """As typed, without spaces around it."""
        return self.name_line.text().strip()

    @property
    def material(self) -> str:
        """As typed, without spaces around it."""
        return self.material_box.currentText().strip()

    def _update(self) -> None:
        key = Preset(name=self.name, model="", shares={}, material=self.material).key[1:]
        self.warning.setText(f"Replaces {self._taken[key].title!r}." if key in self._taken else " ")
        self.save_button.setText("Replace" if key in self._taken else "Save")
        self.save_button.setEnabled(bool(self.name))
