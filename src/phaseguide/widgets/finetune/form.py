"""How the model learns: a preset, epochs or minutes, and the rest of `FinetuneConfig` under Advanced."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QSpinBox, QVBoxLayout, QWidget

from phaseguide.finetuning.config import PRESETS, FinetuneConfig
from phaseguide.jobs.interrupted import MANY_EPOCHS
from phaseguide.widgets.qt.collapsible import Collapsible
from phaseguide.widgets.qt.form import Form, let_wheel_pass

PRESET_TIPS = {
    "fast": "Decoder, head and guidance learn on features that are computed once. For a few strokes, in a minute.",
    "score head": "The network stays; how its scores and the grey values are read is fitted anew, in seconds. For more "
    "fields of the specimen that was painted.",
    "adapters": "The adapters of a Segment Anything model learn too, with its decoder and guidance.",
    "thorough": "The encoder learns too, on freely augmented crops. Slower.",
    "new steel": "For phases that no model knew: everything learns, nothing is held on to. Some minutes a round.",
    "as published": "The Phase Learning Module, told the exact ratio of fully labelled windows; Adam 1e-5, batch 8, "
    "40 epochs, Dice + cross-entropy and squared ratio error at 0.7 / 0.3.",
}
EPOCHS, MINUTES = "epochs", "minutes"


class FinetuneForm(QWidget):
    """A form of `FinetuneConfig`."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._base = PRESETS["fast"]
        self._touched = False
        self.preset = QComboBox()
        for place, name in enumerate(PRESETS):
            self.preset.addItem(name, name)
            self.preset.setItemData(place, PRESET_TIPS[name], 3)  # Qt.ToolTipRole
        self.amount, self.unit = QSpinBox(), QComboBox()
        for control in (self.amount, self.unit):
            let_wheel_pass(control)
        for unit in (EPOCHS, MINUTES):
            self.unit.addItem(unit, unit)
        self.form = Form(FinetuneConfig, start=self._base)
        self.advanced = Collapsible("Advanced", self.form)
        self._lay_out()
        self._write(self._base)
        self.preset.currentIndexChanged.connect(self._on_preset)
        self.unit.currentIndexChanged.connect(self._on_unit)
        self.amount.valueChanged.connect(self.changed)
        self.form.changed.connect(self.changed)

    def value(self) -> FinetuneConfig:
        """What is set."""
        by_clock = self.unit.currentData() == MINUTES
        return self._base.changed(
            **self.form.values(),
            epochs=MANY_EPOCHS if by_clock else self.amount.value(),
            minutes=float(self.amount.value()) if by_clock else 0.0,
        )

    def propose(self, name: str) -> None:
        """Choose a preset, unless the user has chosen one; numbers that the user has set stay."""
        if self._touched or name == self.preset.currentData():
            return
        base = dict(self._base)
        changed = {field: value for field, value in self.form.values().items() if value != base[field]}
        unit, amount = self.unit.currentIndex(), self.amount.value()
        own_length = self.unit.currentData() == MINUTES or amount != self._base.epochs
        self.blockSignals(True)
        self.preset.setCurrentIndex(self.preset.findData(name))
        self._touched = False
        self.form.show_values({**dict(self._base), **changed})
        if own_length:
            self.unit.setCurrentIndex(unit)
            self.amount.setValue(amount)
        self.blockSignals(False)
        self.changed.emit()

    def _write(self, config: FinetuneConfig) -> None:
        self.form.show_values({**dict(config), "device": self.form.values()["device"]})
        self.unit.blockSignals(True)
        self.unit.setCurrentIndex(0)
        self.unit.blockSignals(False)
        self._set_amount(config.epochs, 10_000)

    def _on_preset(self) -> None:
        self._touched = True
        self._base = PRESETS[self.preset.currentData()]
        self._write(self._base)
        self.changed.emit()

    def _on_unit(self) -> None:
        by_clock = self.unit.currentData() == MINUTES
        self._set_amount(5 if by_clock else self._base.epochs, 10_000)
        self.changed.emit()

    def _set_amount(self, value: int, highest: int) -> None:
        self.amount.blockSignals(True)
        self.amount.setRange(1, highest)
        self.amount.setValue(value)
        self.amount.blockSignals(False)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("How", self.preset)
        length = QHBoxLayout()
        length.addWidget(self.amount, 1)
        length.addWidget(self.unit, 1)
        form.addRow("For", length)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(form)
        column.addWidget(self.advanced)
