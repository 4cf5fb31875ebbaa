"""The folded *Advanced* part, built from the fields of `phaseguide.widgets.segment.preferences.Advanced`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QFormLayout, QSpinBox, QWidget

from phaseguide.widgets.qt.collapsible import Collapsible
from phaseguide.widgets.segment.embeddings_row import EmbeddingsRow
from phaseguide.widgets.segment.preferences import AUTOMATIC, Advanced


class AdvancedBox(Collapsible):
    """A form of `Advanced`, folded at first."""

    changed = Signal()

    def __init__(self, start: Advanced) -> None:
        super().__init__("Advanced", QWidget())
        self.controls: dict[str, QWidget] = {}
        form = QFormLayout(self.content)
        form.setContentsMargins(4, 4, 4, 4)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for field in fields(Advanced):
            control = _control(field.metadata, getattr(start, field.name), self._on_change)
            control.setToolTip(field.metadata["tip"])
            self.controls[field.name] = control
            if isinstance(control, QCheckBox):
                form.addRow(control)
            else:
                form.addRow(field.metadata["title"], control)
        self.embeddings = EmbeddingsRow()
        form.addRow("On disk", self.embeddings)

    def value(self) -> Advanced:
        """What is chosen."""
        return Advanced(**{name: _read(control) for name, control in self.controls.items()})

    def _on_change(self, *_: Any) -> None:
        self.changed.emit()


def _control(about: Any, value: Any, changed: Any) -> QWidget:
    if "choices" in about:
        combo = _CalmCombo()
        for key, title in about["choices"].items():
            combo.addItem(title, key)
        combo.setCurrentIndex(combo.findData(value))
        combo.currentIndexChanged.connect(changed)
        return combo
    if "low" in about:
        spin: Any = _CalmDouble() if isinstance(value, float) else _CalmSpin()
        lowest = about["low"] - about["step"] if about["automatic"] else about["low"]
        spin.setRange(lowest, about["high"])  # one step below the lowest number stands for automatic
        spin.setSpecialValueText("automatic" if about["automatic"] else "")
        spin.setSingleStep(about["step"])
        spin.setSuffix(about["unit"])
        spin.setValue(value)
        spin.valueChanged.connect(changed)
        return spin
    check = QCheckBox(about["title"])
    check.setChecked(value)
    check.toggled.connect(changed)
    return check


def _read(control: Any) -> Any:
    if isinstance(control, QComboBox):
        return control.currentData()
    if isinstance(control, QCheckBox):
        return control.isChecked()
    automatic = control.specialValueText() and control.value() == control.minimum()
    return AUTOMATIC if automatic else control.value()


class _Calm:
    """A control that a wheel which only passes by does not change."""

    def __init__(self) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: Any) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()


class _CalmCombo(_Calm, QComboBox):
    pass


class _CalmSpin(_Calm, QSpinBox):
    pass


class _CalmDouble(_Calm, QDoubleSpinBox):
    pass
