"""A form from the fields of one set of settings: magicgui makes a control of each, with its words and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox
from qtpy.QtCore import QEvent, QLocale, QObject, Qt, Signal
from qtpy.QtWidgets import QFormLayout, QWidget

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

    Attributes
    ----------
    controls : dict of str to QWidget
        By field. A control shows a share in per cent if its field says so; `values` has it as a share.
    rows : QFormLayout
        Where a dock adds rows that are no setting.
    """

    changed = Signal()

    def __init__(
        self, settings: type[Settings], fields: Iterable[str] | None = None, start: Settings | None = None
    ) -> None:
        super().__init__()
        self._settings = settings
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
                made.value = self._on_show(name, values[name])

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
        words: dict[str, Any] = {"name": name, "tooltip": field.description}
        if choices := self._settings.choices(name):
            shown = [(about["words"].get(choice, choice), choice) for choice in choices]
            control: Any = ComboBox(choices=shown, label=field.title, **words)
        elif isinstance(field.default, bool):
            control = CheckBox(text=field.title, **words)
        else:
            control = _number(about, {**words, "label": field.title})
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
