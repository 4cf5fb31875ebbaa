"""Weight per cent, as XRD gives it, and the densities that turn it into area per cent."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from phaseguide.errors import PhaseguideError, RatioError
from phaseguide.files.atomic import write_text
from phaseguide.files.json_files import read_json
from phaseguide.phases import PhaseScheme, normalise_name
from phaseguide.ratios import Ratio, area_from_weight
from phaseguide.widgets.qt.percent_box import OPEN, ShareBox, shares_of
from phaseguide.widgets.qt.plain_text import Label, as_plain, one_line

HEADINGS = ("", "Phase", "Weight %", "g/cm³", "Area %")
NOTHING = "–"
HEAVIEST = 30.0
"""g/cm3; osmium, the densest element, has 22.6."""


class DensityBox(ShareBox):
    """A density in g/cm3 to two decimals, or empty for not known."""

    def __init__(self) -> None:
        super().__init__("?")
        self.setRange(OPEN, HEAVIEST)
        self.setSingleStep(0.1)

    @property
    def density(self) -> float:
        """In g/cm3, NaN if not known."""
        return math.nan if self.value() <= 0 else self.value()

    @density.setter
    def density(self, density: float) -> None:
        self.setValue(OPEN if math.isnan(density) else density)


class Densities:
    """The densities that a user has used before, by phase name.

    Parameters
    ----------
    path : Path
        JSON file; a missing or damaged one counts as empty.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, float] = {}
        try:
            stored: Any = read_json(path)
            self._known = {str(name): float(value) for name, value in stored.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            pass

    def of(self, phase: str) -> float:
        """Density of a phase in g/cm3, NaN if not known."""
        return self._known.get(normalise_name(phase), math.nan)

    def remember(self, scheme: PhaseScheme, densities: Ratio) -> None:
        """Keep densities, where given, for this and later days.

        Raises
        ------
        PhaseguideError
            The file cannot be written; they are then known until the program ends.
        """
        before = dict(self._known)
        for phase, density in zip(scheme, densities, strict=True):
            if not math.isnan(density):
                self._known[normalise_name(phase.name)] = float(density)
        if self._known != before:
            write_text(self._path, json.dumps(self._known, indent=2, ensure_ascii=False) + "\n")


class WeightPanel(QWidget):
    """A row for each phase: its weight share, its density, and the area share that they make."""

    convert_wanted = Signal()

    def __init__(self, densities: Densities) -> None:
        super().__init__()
        self.scheme: PhaseScheme | None = None
        self.own: Ratio | None = None
        self._densities = densities
        self.weights: list[ShareBox] = []
        self.densities: list[DensityBox] = []
        self.areas: list[QLabel] = []
        self._rows = QWidget()
        self.line = Label()
        self.line.setWordWrap(True)
        self.button = QPushButton("Convert to area %")
        self.button.setToolTip("Write the area % into the boxes of expected values.")
        self.button.clicked.connect(self.convert_wanted)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addWidget(self._rows)
        self._column.addWidget(self.line)
        self._column.addWidget(self.button)

    def set_scheme(self, scheme: PhaseScheme | None) -> None:
        """Make the rows, empty; densities that were used before are filled in."""
        if scheme == self.scheme:
            return
        self.scheme, self.own = scheme, None
        self.weights, self.densities, self.areas = [], [], []
        rows = QWidget()
        grid = QGridLayout(rows)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(3)
        grid.setColumnStretch(1, 1)
        for column, heading in enumerate(HEADINGS if scheme else ()):
            label = Label(heading)
            label.setAlignment(Qt.AlignmentFlag.AlignLeft if column < 2 else Qt.AlignmentFlag.AlignRight)
            grid.addWidget(label, 0, column)
        for row, phase in enumerate(scheme or (), start=1):
            swatch = Label()
            swatch.setFixedSize(14, 14)
            swatch.setStyleSheet(f"background: {phase.colour}; border-radius: 2px;")
            name = Label(one_line(phase.name))
            name.setWordWrap(True)
            name.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
            weight, density, area = ShareBox(), DensityBox(), Label(NOTHING)
            weight.setAccessibleName(f"Weight % of {phase.name}")
            weight.setToolTip(as_plain(f"Weight share of {one_line(phase.name)}; empty leaves it open."))
            density.setAccessibleName(f"Density of {phase.name}")
            density.setToolTip(
                as_plain(
                    f"Density of {one_line(phase.name)}; empty is not known. It is remembered for this phase."
                )
            )
            density.density = self._densities.of(phase.name)
            area.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            area.setMinimumWidth(48)
            for column, widget in enumerate((swatch, name, weight, density, area)):
                grid.addWidget(widget, row, column)
            weight.valueChanged.connect(self._update)
            density.valueChanged.connect(self._update)
            self.weights.append(weight)
            self.densities.append(density)
            self.areas.append(area)
        self._column.replaceWidget(self._rows, rows)
        self._rows.hide()
        self._rows.deleteLater()
        self._rows = rows
        self._update()

    def weight_values(self) -> Ratio:
        """Weight shares in [0, 1], NaN where open; shape (K,)."""
        return shares_of(self.weights)

    def density_values(self) -> Ratio:
        """Densities in g/cm3, NaN where not known; shape (K,)."""
        return np.array([box.density for box in self.densities])

    def fill(self, weights: NDArray[np.float64], densities: NDArray[np.float64] | None = None) -> None:
        """Write weight shares (NaN for open), and the densities that are given."""
        for box, weight in zip(self.weights, weights, strict=True):
            box.share = float(weight)
        if densities is not None:
            for box, density in zip(self.densities, densities, strict=True):
                if not np.isnan(density):
                    box.density = float(density)

    def set_own(self, own: Ratio | None) -> None:
        """Take the model's own area shares, in which open phases share the rest."""
        self.own = own
        self._update()

    def area_values(self) -> Ratio:
        """Area shares in [0, 1], NaN where open; the densities are remembered.

        Raises
        ------
        RatioError
            Nothing entered, weights that cannot be meant, or a missing density.
        PhaseguideError
            The densities cannot be kept.
        """
        weights = self.weight_values()
        if self.scheme is None or np.isnan(weights).all():
            raise RatioError("There is no weight % to convert. Enter it, phase by phase.")
        area = area_from_weight(weights, self.density_values(), self.scheme, self.own)
        self._densities.remember(self.scheme, self.density_values())
        return area

    def _update(self) -> None:
        areas, said = np.full(len(self.areas), np.nan), ""
        if self.scheme is not None and not np.isnan(self.weight_values()).all():
            try:
                areas = area_from_weight(self.weight_values(), self.density_values(), self.scheme, self.own)
            except PhaseguideError as error:
                said = str(error)
        for label, area in zip(self.areas, areas, strict=True):
            label.setText(NOTHING if np.isnan(area) else f"{area * 100:.2f}")
        self.line.setText(said)
        self.line.setVisible(bool(said))
