"""Ways to fill the boxes of expected values: from the model, the clipboard, a preset, or weight %."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QApplication, QComboBox, QHBoxLayout, QMenu, QPushButton, QVBoxLayout, QWidget

from phaseguide.errors import ModelError, PhaseguideError, RatioError
from phaseguide.folders import user_model_folder
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import (
    DEFAULT_SOURCE,
    Basis,
    Preset,
    PresetStore,
    Ratio,
    describe_conversion,
    find_source,
    ratio_from_cells,
)
from phaseguide.segmentation.request import Estimator
from phaseguide.widgets.layers.hub import RatioOffer
from phaseguide.widgets.qt.menus import add_entry
from phaseguide.widgets.ratio.preset_menu import PresetMenu
from phaseguide.widgets.ratio.weight_panel import Densities, WeightPanel

BASES: tuple[tuple[Basis, str, str], ...] = (
    ("area", "Area or volume %", "EBSD, point counts, dilatometry: the numbers go straight into the boxes."),
    ("weight", "Weight %", "XRD, thermodynamic calculations: enter densities, and convert to area %."),
)
ESTIMATES: tuple[tuple[Estimator, str, str], ...] = (
    ("own", "Automatic estimate", "The areas of the map without a ratio, imposed on calibrated scores."),
    (
        "autoregressive",
        "Automatic estimate, fed back",
        "The network is told what was measured, and what is measured then, until that settles; the map is what it sees "
        "with that ratio. Press Segment for it: it takes up to ten looks.",
    ),
    (
        "prior-shift",
        "Automatic estimate by prior shift",
        "The areas that explain the scores of all pixels best, imposed on calibrated scores.",
    ),
)
ROUNDING = 0.6e-4  # boxes hold hundredths of a per cent


class RatioTools(QWidget):
    """A row of buttons under the table of phases, and a panel below it while the basis is weight %.

    Parameters
    ----------
    asked : callable
        Returns what is in the boxes, shape (K,), NaN where open; None if all are open.
    own : callable
        Returns the area shares of the map without a ratio, (K,); None while there is none.
    scheme : callable
        Returns the phases of the chosen model; None without a model.
    model_name : callable
        Returns the name of the chosen model; empty without one.
    state : callable
        Returns what else belongs to a preset: ``"source"``, the key of a source; ``"scope"``, "field" or
        "specimen"; ``"uncertainty"``, a log-ratio standard deviation for each phase, None where the source
        decides. Each may be missing.
    folder : Path, optional
        Where presets and densities are kept; None: the user's data folder.
    """

    offered = Signal(object)
    """An `RatioOffer` for the boxes."""
    state_wanted = Signal(object)
    """``"source"`` and ``"scope"`` of a preset, in the form of ``state``; sent before its ratio is offered."""
    auto_wanted = Signal(str)
    """The model is to estimate the ratio, by an estimator of `ESTIMATES`."""
    said = Signal(str)
    """A sentence for the status line."""
    failed = Signal(object)
    """A `PhaseguideError`: what was tried cannot be done."""

    def __init__(
        self,
        asked: Callable[[], Ratio | None],
        own: Callable[[], Ratio | None],
        scheme: Callable[[], PhaseScheme | None],
        model_name: Callable[[], str],
        state: Callable[[], Mapping[str, Any]],
        folder: Path | None = None,
    ) -> None:
        super().__init__()
        self._asked, self._own, self._scheme = asked, own, scheme
        self._model_name, self._state = model_name, state
        self._before: tuple[tuple[str, ...], Ratio] | None = None
        folder = folder or user_model_folder().parent
        self.fill_button = QPushButton("Fill")
        self.fill_button.setToolTip("Fill the boxes of expected values, empty them, or undo that.")
        self.fill_menu = QMenu(self.fill_button)
        self.fill_menu.setToolTipsVisible(True)
        self.fill_menu.aboutToShow.connect(self._show_fill_menu)
        self.fill_button.setMenu(self.fill_menu)
        self.paste_button = QPushButton("Paste")
        self.paste_button.setToolTip(
            "Take cells that you copied from a spreadsheet: a row or a column, with or without phase names."
        )
        self.paste_button.clicked.connect(self.paste)
        self.preset_button = QPushButton("Presets")
        self.preset_button.setToolTip("Values that you keep for this model and a material.")
        self.preset_menu = PresetMenu(PresetStore(folder), model_name, self._preset, self.preset_button)
        self.preset_button.setMenu(self.preset_menu)
        self.basis_box = QComboBox()
        for key, title, tip in BASES:
            self.basis_box.addItem(title, key)
            self.basis_box.setItemData(self.basis_box.count() - 1, tip, Qt.ItemDataRole.ToolTipRole)
        self.basis_box.setMinimumContentsLength(8)
        self.basis_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.basis_box.setToolTip("What your numbers are per cent of. The boxes above are always area %.")
        self.panel = WeightPanel(Densities(folder / "densities.json"))
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in (self.fill_button, self.paste_button, self.preset_button):
            row.addWidget(button)
        row.addWidget(self.basis_box, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(row)
        column.addWidget(self.panel)
        self.basis_box.currentIndexChanged.connect(self._on_basis)
        self.panel.convert_wanted.connect(self.convert)
        self.preset_menu.chosen.connect(self.load)
        self.preset_menu.said.connect(self.said)
        self.preset_menu.failed.connect(self.failed)
        self.refresh()

    @property
    def basis(self) -> Basis:
        """What the user's numbers are per cent of."""
        basis: Basis = self.basis_box.currentData()
        return basis

    def refresh(self) -> None:
        """Follow the chosen model and the map on show; to be called when they change."""
        scheme = self._scheme()
        self.panel.set_scheme(scheme)
        self.panel.set_own(self._own())
        self.panel.setVisible(self.basis == "weight" and scheme is not None)
        for button in (self.fill_button, self.paste_button, self.preset_button, self.basis_box):
            button.setEnabled(scheme is not None)

    def fill_from_own(self) -> None:
        """Offer the area shares that the model finds by itself."""
        own = self._own()
        if own is None:
            self.failed.emit(
                RatioError("There is no result yet. Press Segment once, then fill from the model's own.")
            )
            return
        self._offer(own, "the model's own areas")
        self.said.emit(
            "Filled with the model's own area shares. They tell the model nothing new until you change them."
        )

    def clear(self) -> None:
        """Offer an empty ratio: every phase open."""
        self._offer(np.full(len(self._the_scheme()), np.nan), "")

    def undo(self) -> None:
        """Offer what was in the boxes before they were last filled from here."""
        names, before = self._before or ((), np.empty(0))
        if names == self._the_scheme().names:
            self._offer(before, "")

    def paste(self) -> None:
        """Offer what the clipboard holds, in the basis that is chosen."""
        clipboard = QApplication.clipboard()
        try:
            ratio = ratio_from_cells("" if clipboard is None else clipboard.text(), self._the_scheme())
        except PhaseguideError as error:
            self.failed.emit(error)
            return
        if self.basis == "weight":
            self.panel.fill(ratio)
            self.said.emit("Pasted as weight %. Check the densities and press Convert.")
        else:
            self._offer(ratio, "pasted values")
            self.said.emit("Pasted as area %.")

    def convert(self) -> None:
        """Offer the area shares of the weights in the panel, and say what became of what."""
        try:
            area = self.panel.area_values()
        except PhaseguideError as error:
            self.failed.emit(error)
            return
        weights, scheme = self.panel.weight_values(), self._the_scheme()
        self._offer(area, "weight %, converted by density")
        self.said.emit(f"{describe_conversion(weights, area, scheme)}.")

    def load(self, preset: Preset) -> None:
        """Offer the values of a preset, with the source and the scope that it was saved with."""
        scheme = self._the_scheme()
        try:
            area = preset.asked(scheme, self._own())
            values, densities = preset.values(scheme), preset.density_values(scheme)
            unsure = None if preset.uncertainty is None else preset.uncertainties(scheme)
        except PhaseguideError as error:
            self.failed.emit(error)
            return
        self.state_wanted.emit({"source": preset.source, "scope": preset.scope})
        said = ""
        if preset.basis == "weight":
            self.panel.fill(
                values, densities
            )  # before it is shown, since it takes the boxes' values while empty
            said = f" {describe_conversion(values, area, scheme)}."
        self.basis_box.setCurrentIndex(self.basis_box.findData(preset.basis))
        self._offer(area, f"preset {preset.title!r}", unsure)
        self.said.emit(f"Loaded preset {preset.title!r}.{said}")

    def _offer(self, shares: Ratio, title: str, uncertainty: float | tuple[float, ...] | None = None) -> None:
        before, scheme = self._asked(), self._the_scheme()
        self._before = (scheme.names, np.full(len(scheme), np.nan) if before is None else np.array(before))
        self.offered.emit(RatioOffer(np.array(shares, dtype=np.float64), uncertainty, title))

    def _preset(self, name: str, material: str) -> Preset:
        """What is entered now; as weight % if that is where the values in the boxes come from."""
        asked, scheme, state = self._asked(), self._the_scheme(), self._state()
        if asked is None:
            raise RatioError("No value is set, so there is nothing to save. Enter the expected area % first.")
        basis: Basis = "area"
        values, densities = asked, np.full(len(scheme), np.nan)
        if self.basis == "weight":
            area = self.panel.area_values()
            if not np.allclose(area, asked, rtol=0, atol=ROUNDING, equal_nan=True):
                raise RatioError(
                    "The weight % are not those of the boxes. Press Convert, or choose area %, and save."
                )
            basis, values, densities = "weight", self.panel.weight_values(), self.panel.density_values()
        source = str(state.get("source", DEFAULT_SOURCE))
        usual = find_source(source).uncertainty
        return Preset(
            name=name,
            model=self._model_name(),
            shares=_by_name(scheme, values),
            material=material,
            basis=basis,
            densities={phase: rho for phase, rho in _by_name(scheme, densities).items() if rho is not None},
            source=source,
            uncertainty=_own_uncertainties(scheme, state.get("uncertainty"), usual),
            scope=state.get("scope", "field"),
        )

    def _the_scheme(self) -> PhaseScheme:
        scheme = self._scheme()
        if scheme is None:
            raise ModelError("No model is chosen. Choose one first.")
        return scheme

    def _on_basis(self) -> None:
        """Show the panel; numbers that were typed into the boxes before are taken for weight %."""
        self.refresh()
        if self.basis != "weight":
            return
        asked = self._asked()
        if asked is not None and np.isnan(self.panel.weight_values()).all():
            self.panel.fill(asked)
            self.said.emit(
                "The values of the boxes were copied as weight %. Enter the densities and press Convert, which "
                "turns the boxes into area %."
            )

    def _show_fill_menu(self) -> None:
        menu, own = self.fill_menu, self._own()
        menu.clear()
        add_entry(
            menu,
            "From the model's own areas",
            self.fill_from_own,
            enabled=own is not None,
            tip="" if own is not None else "Press Segment once, so that there is a result.",
        )
        for estimator, title, tip in ESTIMATES:
            add_entry(menu, title, partial(self.auto_wanted.emit, estimator), tip=tip)
        menu.addSeparator()
        add_entry(menu, "Clear", self.clear, enabled=self._asked() is not None)
        can_undo = self._before is not None and self._before[0] == self._the_scheme().names
        add_entry(menu, "Undo", self.undo, enabled=can_undo)


def _by_name(scheme: PhaseScheme, values: Ratio) -> dict[str, float | None]:
    """Numbers by phase name, None for NaN."""
    return {
        phase.name: None if np.isnan(value) else float(value)
        for phase, value in zip(scheme, values, strict=True)
    }


def _own_uncertainties(scheme: PhaseScheme, stated: Any, usual: float) -> dict[str, float] | None:
    """Uncertainties that are not the source's, by phase name; None if there are none."""
    each = stated if isinstance(stated, tuple | list) else (stated,) * len(scheme)
    differing = {
        phase.name: float(one)
        for phase, one in zip(scheme, each, strict=True)
        if one is not None and one != usual
    }
    return differing or None
