"""How the model learns: a preset, epochs or minutes, and the rest of `FinetuneConfig` under Advanced."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from qtpy.QtCore import QLocale, Signal
from qtpy.QtWidgets import QAbstractSpinBox, QComboBox, QFormLayout, QHBoxLayout, QVBoxLayout, QWidget

from phaseguide.finetuning.config import CHOICES, LIMITS, PRESETS, FinetuneConfig
from phaseguide.jobs.interrupted import MANY_EPOCHS
from phaseguide.widgets.qt.collapsible import Collapsible
from phaseguide.widgets.segment.advanced import _CalmCombo, _CalmDouble, _CalmSpin

PRESET_TIPS = {
    "fast": "Decoder, head and guidance learn on features that are computed once. For a few strokes, in a minute.",
    "adapters": "The adapters of a Segment Anything model learn too, with its decoder and guidance.",
    "thorough": "The encoder learns too, on freely augmented crops. Slower.",
    "new steel": "For phases that no model knew: everything learns, nothing is held on to. Some minutes a round.",
    "as published": "Adam 1e-5, batch 8, 40 epochs, Dice + cross-entropy and squared ratio error at 0.7 / 0.3.",
}
EPOCHS, MINUTES = "epochs", "minutes"


@dataclass(frozen=True)
class Knob:
    """A number under Advanced: field of the configuration, words, decimals, and what it is shown in."""

    field: str
    title: str
    tip: str
    decimals: int = 0
    step: float = 1.0
    suffix: str = ""
    scale: float = 1.0


KNOBS = (
    Knob("crop", "Crop side", "Side of the crops around the labels.", step=32, suffix=" px"),
    Knob("batch", "Crops a step", "More is steadier and takes more memory."),
    Knob("learning_rate", "Learning rate", "Peak rate of decoder, head, guidance and adapters.", 6, 1e-4),
    Knob(
        "encoder_rate",
        "Encoder learns",
        "Rate of an encoder without adapters, as a part of the learning rate.",
        2,
        0.1,
        " ×",
    ),
    Knob(
        "rehearsal",
        "Rehearsal",
        "Part of each step from the model's original training crops, against forgetting.",
        step=5,
        suffix=" %",
        scale=100,
    ),
    Knob(
        "validation_share",
        "Held out",
        "Part of the painted area, in blocks, that judges and does not teach.",
        step=5,
        suffix=" %",
        scale=100,
    ),
    Knob(
        "patience", "Patience", "Stop after so many epochs without a better one; 0 never.", suffix=" epochs"
    ),
    Knob("ratio_weight", "Weight of ratios", "How much known ratios count against labels.", 2, 0.1),
    Knob("dice_weight", "Weight of Dice", "How much the overlap of areas counts.", 2, 0.1),
    Knob("cross_entropy_weight", "Weight per pixel", "How much each labelled pixel counts.", 2, 0.1),
    Knob("average", "Moving average", "Decay of the average of the weights, which is what is kept.", 3, 0.01),
    Knob("preview_seconds", "Preview every", "Least time between two previews.", 1, 1.0, " s"),
    Knob("threads", "Threads", "CPU threads; 0 leaves one core to the window."),
)


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
        self.amount = _CalmSpin()
        self.unit = _CalmCombo()
        for unit in (EPOCHS, MINUTES):
            self.unit.addItem(unit, unit)
        self.knobs: dict[str, Any] = {}
        advanced = QWidget()
        rows = QFormLayout(advanced)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for knob in KNOBS:
            self.knobs[knob.field] = box = _spin(knob)
            rows.addRow(knob.title, box)
            box.valueChanged.connect(self.changed)
        self.device = _CalmCombo()
        for device in CHOICES["device"]:
            self.device.addItem("fastest found" if device == "auto" else device, device)
        rows.addRow("Device", self.device)
        self.advanced = Collapsible("Advanced", advanced)
        self._lay_out()
        self._write(self._base)
        self.preset.currentIndexChanged.connect(self._on_preset)
        self.unit.currentIndexChanged.connect(self._on_unit)
        self.amount.valueChanged.connect(self.changed)
        self.device.currentIndexChanged.connect(self.changed)

    def value(self) -> FinetuneConfig:
        """What is set."""
        numbers = {
            k.field: type(getattr(self._base, k.field))(self.knobs[k.field].value() / k.scale) for k in KNOBS
        }
        by_clock = self.unit.currentData() == MINUTES
        return replace(
            self._base,
            epochs=MANY_EPOCHS if by_clock else self.amount.value(),
            minutes=float(self.amount.value()) if by_clock else 0.0,
            device=str(self.device.currentData()),
            **numbers,
        )

    def propose(self, name: str) -> None:
        """Choose a preset, unless the user has chosen one; numbers that the user has set stay."""
        if self._touched or name == self.preset.currentData():
            return
        changed = {
            knob.field: self.knobs[knob.field].value()
            for knob in KNOBS
            if self.knobs[knob.field].value() != _number(knob, getattr(self._base, knob.field))
        }
        unit, amount = self.unit.currentIndex(), self.amount.value()
        own_length = self.unit.currentData() == MINUTES or amount != self._base.epochs
        self.blockSignals(True)
        self.preset.setCurrentIndex(self.preset.findData(name))
        self._touched = False
        for field, value in changed.items():
            self.knobs[field].setValue(value)
        if own_length:
            self.unit.setCurrentIndex(unit)
            self.amount.setValue(amount)
        self.blockSignals(False)
        self.changed.emit()

    def _write(self, config: FinetuneConfig) -> None:
        for knob in KNOBS:
            box = self.knobs[knob.field]
            box.blockSignals(True)
            box.setValue(_number(knob, getattr(config, knob.field)))
            box.blockSignals(False)
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


def _spin(knob: Knob) -> QAbstractSpinBox:
    low, high = LIMITS[knob.field]
    whole = knob.decimals == 0
    box: Any = _CalmSpin() if whole else _CalmDouble()
    if not whole:
        box.setLocale(QLocale.c())
        box.setDecimals(knob.decimals)
    box.setRange(_number(knob, low), _number(knob, high))
    box.setSingleStep(round(knob.step) if whole else knob.step)
    box.setSuffix(knob.suffix)
    box.setToolTip(knob.tip)
    return box


def _number(knob: Knob, value: float) -> Any:
    return round(value * knob.scale) if knob.decimals == 0 else float(value * knob.scale)
