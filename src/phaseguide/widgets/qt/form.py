"""A form from the fields of one set of settings: magicgui makes a control of each, with its words and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, ComboBox, FileEdit, FloatSpinBox, LineEdit, TextEdit
from qtpy.QtCore import QEvent, QLocale, QObject, Qt, Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QWidget

from phaseguide.settings import AUTOMATIC, Settings, shown_fields


class Form(QWidget):
    """Controls for some fields of settings; ``changed`` when the user, or a program, changes one.

    Parameters
    ----------
    settings : type of Settings
    fields : iterable of str, optional
        Which fields, in this order; by default all that have a title.
    start : Settings, optional
        What is shown at first; by default what counts where nothing is said.
    choices : mapping of str to sequence of (str, str), optional
        By field, what a text can be where only the program knows: how it is called, and what it is then.

    Attributes
    ----------
    controls : dict of str to QWidget
        By field. A control shows a share in per cent if its field says so; `values` has it as a share.
    rows : QFormLayout
        Where a dock adds rows that are no setting.
    """

    changed = Signal()

    def __init__(
        self,
        settings: type[Settings],
        fields: Iterable[str] | None = None,
        start: Settings | None = None,
        choices: Mapping[str, Sequence[tuple[str, str]]] | None = None,
    ) -> None:
        super().__init__()
        self._settings, self._choices = settings, choices or {}
        names = list(shown_fields(settings)) if fields is None else list(fields)
        self._made = {name: self._control(name) for name in names}
        self.controls: dict[str, Any] = {name: made.native for name, made in self._made.items()}
        self.rows = QFormLayout(self)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for made in self._made.values():
            if isinstance(made, CheckBox):
                self.rows.addRow(made.native)
            else:
                self.rows.addRow(made.label, made.native)
        self.show_values(dict(start or settings()))
        for made in self._made.values():
            made.changed.connect(self._on_change)

    def values(self) -> dict[str, Any]:
        """Return the values of all fields that are shown."""
        return {name: self._read(name) for name in self._made}

    def show_values(self, values: Mapping[str, Any]) -> None:
        """Show other values, without telling of a change."""
        for name, made in self._made.items():
            with made.changed.blocked():
                if isinstance(made, TextEdit):  # which takes a text with tags for more than a text
                    made.native.setPlainText(values[name])
                    continue
                made.value = self._on_show(name, values[name])
            if isinstance(made, LineEdit):
                made.native.setCursorPosition(0)  # the beginning of a long text shows, not its end

    def _on_show(self, name: str, value: Any) -> Any:
        about = self._settings.about(name)
        if about["percent"]:
            return round(value * 100)
        if about["automatic"] and value == AUTOMATIC:
            return about["low"] - about["step"]
        return value

    def _read(self, name: str) -> Any:
        about, shown = self._settings.about(name), self._made[name].value
        if not isinstance(shown, float):
            return shown
        if about["automatic"] and shown < about["low"]:
            return AUTOMATIC
        value = shown / 100 if about["percent"] else shown
        return round(value) if isinstance(self._settings.model_fields[name].default, int) else value

    def _control(self, name: str) -> Any:
        field, about = self._settings.model_fields[name], self._settings.about(name)
        words: dict[str, Any] = {"name": name, "tooltip": field.description, "label": field.title}
        named = [(about["words"].get(choice, choice), choice) for choice in self._settings.choices(name)]
        if choices := self._choices.get(name, named):
            control: Any = ComboBox(choices=list(choices), **words)
        elif isinstance(field.default, bool):
            control = CheckBox(text=words.pop("label"), **words)
        elif isinstance(field.default, str):
            return _text(about, words)
        elif Path in get_args(field.annotation):
            return _folder(about, words)
        else:
            control = _number(about, words)
        let_wheel_pass(control.native)
        return control

    def _on_change(self, *_: Any) -> None:
        self.changed.emit()


def let_wheel_pass(control: QWidget) -> None:
    """Let a wheel that only passes by go on to what scrolls: it changes no control that has not been clicked."""
    control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    control.installEventFilter(_Passing(control))


class _Passing(QObject):
    def eventFilter(self, control: QObject | None, event: QEvent | None) -> bool:
        """Stop a wheel before it reaches a control that has no focus."""
        if event is None or not isinstance(control, QWidget):
            return False
        if event.type() == QEvent.Type.Wheel and not control.hasFocus():
            event.ignore()
            return True
        return False


def _number(about: Mapping[str, Any], words: Mapping[str, Any]) -> FloatSpinBox:
    """A spin box, also for whole numbers: magicgui's own for those can show no unit."""
    scale = 100 if about["percent"] else 1
    low, high = about["low"] * scale, about["high"] * scale
    if about["automatic"]:  # one step below the lowest number stands for it
        low -= about["step"]
    spin = FloatSpinBox(min=low, max=high, step=about["step"], **words)
    native: Any = spin.native
    native.setLocale(QLocale.c())
    native.setDecimals(about["decimals"])
    native.setSuffix(" %" if about["percent"] else about["unit"])
    native.setSpecialValueText("automatic" if about["automatic"] else "")
    return spin


def _text(about: Mapping[str, Any], words: Mapping[str, Any]) -> LineEdit | TextEdit:
    """One line, or as many as the field says."""
    # Qt's edit of more lines tells of a change without the text, which magicgui would take for none.
    made = LineEdit(**words) if about["lines"] == 1 else TextEdit(nullable=True, **words)
    native: Any = made.native
    native.setPlaceholderText(about["example"])
    if about["lines"] > 1:
        native.setAcceptRichText(False)
        native.setFixedHeight(10 + 18 * about["lines"])
    return made


def _folder(about: Mapping[str, Any], words: Mapping[str, Any]) -> FileEdit:
    """A line and a button; what the field says of itself is the title of the question."""
    made = FileEdit(
        mode=FileDialogMode.EXISTING_DIRECTORY, nullable=True, name=words["name"], label=words["label"]
    )
    line: Any = made.line_edit.native
    line.setPlaceholderText(about["example"])
    made.choose_btn.text = "Browse…"

    def ask() -> None:
        chosen = QFileDialog.getExistingDirectory(made.native, words["tooltip"] or "")
        if chosen:
            made.value = Path(chosen)

    made.choose_btn.changed.disconnect()  # magicgui's own question stands above no window
    made.choose_btn.changed.connect(ask)
    return made
