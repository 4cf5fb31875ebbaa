"""Filling the boxes of expected values: from the model, the clipboard, presets, weight %."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QMenu

from phaseguide.errors import PhaseguideError
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import Preset, PresetStore
from phaseguide.widgets.ratio.preset_menu import PresetDialog
from phaseguide.widgets.ratio.ratio_tools import RatioTools
from widget_helpers import type_into

SCHEME = PhaseScheme.from_names(["ferrite", "carbide", "oxide"])
OPEN = [np.nan] * 3


class Desk:
    """The widget as it stands in the dock: boxes that take what is offered, and a status line."""

    def __init__(self, folder: Path) -> None:
        self.boxes: np.ndarray | None = None
        self.own: np.ndarray | None = None
        self.scheme: PhaseScheme | None = SCHEME
        self.state: dict[str, Any] = {}
        self.offers: list[Any] = []
        self.wanted: list[Any] = []
        self.lines: list[str] = []
        self.errors: list[str] = []
        self.tools = RatioTools(
            lambda: self.boxes,
            lambda: self.own,
            lambda: self.scheme,
            lambda: "uhcs",
            lambda: self.state,
            folder,
        )
        self.tools.offered.connect(self.take)
        self.tools.state_wanted.connect(self.wanted.append)
        self.tools.said.connect(self.lines.append)
        self.tools.failed.connect(lambda error: self.errors.append(str(error)))

    def take(self, offer: Any) -> None:
        """Boxes hold hundredths of a per cent."""
        self.offers.append(offer)
        self.boxes = None if np.isnan(offer.shares).all() else np.round(offer.shares, 4)

    def weigh(self, qtbot: Any, weights: tuple[str, ...], densities: tuple[str, ...]) -> None:
        """Choose weight %, type, and press Convert."""
        self.tools.basis_box.setCurrentIndex(1)
        panel = self.tools.panel
        for box, text in zip((*panel.weights, *panel.densities), (*weights, *densities), strict=True):
            type_into(qtbot, box, text)
        qtbot.mouseClick(panel.button, Qt.MouseButton.LeftButton)


@pytest.fixture
def desk(qtbot: Any, tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    qtbot.addWidget(desk.tools)
    desk.tools.show()
    return desk


def entries(menu: QMenu) -> list[str]:
    menu.aboutToShow.emit()
    return [action.text() for action in menu.actions() if not action.isSeparator()]


def press(menu: QMenu, text: str) -> None:
    menu.aboutToShow.emit()
    (action,) = [a for a in menu.actions() if a.text() == text]
    assert action.isEnabled(), text
    action.trigger()


def enabled(menu: QMenu, text: str) -> bool:
    menu.aboutToShow.emit()
    return next(a for a in menu.actions() if a.text() == text).isEnabled()


# -- fill, clear, undo ----------------------------------------------------------------------------


def test_the_fill_menu_offers_no_training_mean(desk: Desk):
    assert entries(desk.tools.fill_menu) == [
        "From the model's own areas",
        "Automatic estimate",
        "Automatic estimate, fed back",
        "Automatic estimate by prior shift",
        "Clear",
        "Undo",
    ]
    for text in ("From the model's own areas", "Clear", "Undo"):
        assert not enabled(desk.tools.fill_menu, text)


def test_fill_clear_and_undo(desk: Desk):
    menu = desk.tools.fill_menu
    desk.boxes, desk.own = np.array([0.1, np.nan, np.nan]), np.array([0.7, 0.2, 0.1])
    press(menu, "From the model's own areas")
    np.testing.assert_array_equal(desk.boxes, desk.own)
    assert "own" in desk.offers[-1].title and desk.offers[-1].uncertainty is None
    assert "nothing new" in desk.lines[-1]
    press(menu, "Undo")
    np.testing.assert_array_equal(desk.boxes, [0.1, np.nan, np.nan])
    press(menu, "Undo")
    np.testing.assert_array_equal(desk.boxes, desk.own, "undo undoes itself")
    press(menu, "Clear")
    assert desk.boxes is None
    press(menu, "Undo")
    np.testing.assert_array_equal(desk.boxes, desk.own)


def test_undo_does_not_outlive_its_phases(desk: Desk):
    desk.own = np.array([0.7, 0.2, 0.1])
    desk.tools.fill_from_own()
    desk.scheme = PhaseScheme.from_names(["a", "b"])
    desk.tools.refresh()
    assert not enabled(desk.tools.fill_menu, "Undo")


def test_filling_without_a_result_says_what_to_do(desk: Desk):
    desk.tools.fill_from_own()
    assert "Press Segment once" in desk.errors[-1] and not desk.offers


def test_the_automatic_estimate_is_left_to_others(desk: Desk, qtbot: Any):
    for text, estimator in (("estimate", "own"), ("estimate, fed back", "autoregressive")):
        with qtbot.waitSignal(desk.tools.auto_wanted, timeout=1000) as wanted:
            press(desk.tools.fill_menu, f"Automatic {text}")
        assert wanted.args == [estimator]


def test_without_a_model_nothing_can_be_pressed(desk: Desk):
    desk.scheme = None
    desk.tools.refresh()
    for button in (desk.tools.fill_button, desk.tools.paste_button, desk.tools.preset_button):
        assert not button.isEnabled()


# -- paste ----------------------------------------------------------------------------------------


def test_paste_a_row_of_a_spreadsheet(desk: Desk, qtbot: Any):
    QApplication.clipboard().setText("70,5\t\t10\n")
    qtbot.mouseClick(desk.tools.paste_button, Qt.MouseButton.LeftButton)
    assert desk.boxes == pytest.approx([0.705, np.nan, 0.1], nan_ok=True)
    QApplication.clipboard().setText("ferrite\tpearlite\n70\t30")
    qtbot.mouseClick(desk.tools.paste_button, Qt.MouseButton.LeftButton)
    assert "pearlite" in desk.errors[-1] and len(desk.offers) == 1


def test_paste_follows_the_basis(desk: Desk, qtbot: Any):
    desk.tools.basis_box.setCurrentIndex(1)
    QApplication.clipboard().setText("90\t10\t")
    qtbot.mouseClick(desk.tools.paste_button, Qt.MouseButton.LeftButton)
    assert not desk.offers, "weight % are not written into boxes of area %"
    assert [box.text() for box in desk.tools.panel.weights] == ["90.00", "10.00", ""]


# -- weight % -------------------------------------------------------------------------------------


def test_weight_is_converted_and_said(desk: Desk, qtbot: Any):
    assert desk.tools.panel.isHidden()
    desk.weigh(qtbot, ("90", "10", "0"), ("7.8", "5.7", ""))
    assert not desk.errors
    assert desk.boxes == pytest.approx([0.8680, 0.1320, 0], abs=1e-4)
    assert "10.0 weight % carbide = 13.2 area %" in desk.lines[-1]
    assert [label.text() for label in desk.tools.panel.areas] == ["86.80", "13.20", "0.00"]
    press(desk.tools.fill_menu, "Undo")
    assert desk.boxes is None


def test_open_phases_weigh_what_the_model_sees(desk: Desk, qtbot: Any):
    desk.own = np.array([0.5, 0.1, 0.4])
    desk.weigh(qtbot, ("", "10", ""), ("8", "4", "5"))
    rest = (0.5 * 8 + 0.4 * 5) / 0.9
    assert desk.boxes[1] == pytest.approx((0.1 / 4) / (0.1 / 4 + 0.9 / rest), abs=1e-4)
    assert np.isnan(desk.boxes[[0, 2]]).all()


def test_a_missing_density_is_said_and_nothing_is_changed(desk: Desk, qtbot: Any):
    desk.weigh(qtbot, ("90", "10", "0"), ("7.8", "", ""))
    assert "carbide: weight % needs a density" in desk.errors[-1] and not desk.offers
    assert "needs a density" in desk.tools.panel.line.text()
    type_into(qtbot, desk.tools.panel.densities[1], "5.7")
    assert desk.tools.panel.line.text() == ""


def test_nothing_to_convert(desk: Desk, qtbot: Any):
    desk.weigh(qtbot, ("", "", ""), ("", "", ""))
    assert "no weight %" in desk.errors[-1]


def test_values_typed_before_the_basis_was_chosen_become_weights(desk: Desk):
    desk.boxes = np.array([np.nan, 0.1, np.nan])
    desk.tools.basis_box.setCurrentIndex(1)
    assert [box.text() for box in desk.tools.panel.weights] == ["", "10.00", ""]
    assert "copied as weight %" in desk.lines[-1] and not desk.offers


def test_densities_are_remembered_by_phase(desk: Desk, qtbot: Any, tmp_path: Path):
    desk.weigh(qtbot, ("90", "10", "0"), ("7.8", "5.7", ""))
    later = Desk(tmp_path)
    qtbot.addWidget(later.tools)
    later.scheme = PhaseScheme.from_names(["pearlite", "Carbide", "ferrite"])
    later.tools.refresh()
    assert later.tools.panel.density_values() == pytest.approx([np.nan, 5.7, 7.8], nan_ok=True)


@pytest.mark.parametrize("damage", ["{", "[1]", '{"ferrite": "much"}'])
def test_a_damaged_memory_of_densities_is_an_empty_one(qtbot: Any, tmp_path: Path, damage: str):
    (tmp_path / "densities.json").write_text(damage)
    desk = Desk(tmp_path)
    qtbot.addWidget(desk.tools)
    assert np.isnan(desk.tools.panel.density_values()).all()


# -- presets --------------------------------------------------------------------------------------


def test_a_preset_brings_back_everything(desk: Desk):
    menu = desk.tools.preset_menu
    assert entries(menu) == ["No presets yet", "Save as …"]
    desk.boxes = np.array([0.2, np.nan, 0.05])
    desk.state = {"source": "bulk", "scope": "specimen", "uncertainty": (None, None, 0.6)}
    menu.save("XRD & co", "steel")
    assert "Saved" in desk.lines[-1]
    desk.boxes, desk.state = None, {}
    press(menu, "XRD && co (steel)")
    np.testing.assert_array_equal(desk.boxes, [0.2, np.nan, 0.05])
    assert desk.offers[-1].uncertainty == (0.2, 0.2, 0.6) and "XRD & co" in desk.offers[-1].title
    assert desk.wanted == [{"source": "bulk", "scope": "specimen"}]


def test_a_preset_of_weights_keeps_them(desk: Desk, qtbot: Any, tmp_path: Path):
    desk.weigh(qtbot, ("90", "10", "0"), ("7.8", "5.7", ""))
    boxes = desk.boxes
    desk.tools.preset_menu.save("XRD", "")
    (preset,) = PresetStore(tmp_path).list("uhcs").presets
    assert preset.basis == "weight" and preset.shares["carbide"] == 0.1
    assert preset.densities == {"ferrite": 7.8, "carbide": 5.7} and preset.uncertainty is None
    desk.tools.basis_box.setCurrentIndex(0)
    desk.tools.clear()
    desk.tools.panel.fill(np.array(OPEN))
    press(desk.tools.preset_menu, "XRD")
    np.testing.assert_array_equal(desk.boxes, boxes)
    assert desk.tools.basis == "weight" and desk.tools.panel.weights[1].text() == "10.00"
    assert "10.0 weight % carbide = 13.2 area %" in desk.lines[-1]


def test_weights_that_were_not_converted_are_not_saved(desk: Desk, qtbot: Any, tmp_path: Path):
    desk.weigh(qtbot, ("90", "10", "0"), ("7.8", "5.7", ""))
    type_into(qtbot, desk.tools.panel.weights[1], "5")
    desk.tools.preset_menu.save("XRD", "")
    type_into(qtbot, desk.tools.panel.weights[0], "95")
    desk.tools.preset_menu.save("XRD", "")
    assert "95.00 %" in desk.errors[0] and "Press Convert" in desk.errors[1]
    assert not PresetStore(tmp_path).list("uhcs").presets


def test_saving_nothing_is_said_before_a_name_is_asked(desk: Desk):
    desk.tools.preset_menu.save_as()
    assert "nothing to save" in desk.errors[-1]
    assert not desk.tools.findChildren(PresetDialog)


def test_the_dialog_saves_and_warns_of_replacing(desk: Desk, qtbot: Any, tmp_path: Path):
    def fill(name: str, material: str) -> PresetDialog:
        press(desk.tools.preset_menu, "Save as …")
        dialog = desk.tools.findChildren(PresetDialog)[-1]
        assert not dialog.save_button.isEnabled() or name
        qtbot.keyClicks(dialog.name_line, name)
        dialog.material_box.setCurrentText(material)
        return dialog

    desk.boxes = np.array([0.2, np.nan, np.nan])
    dialog = fill("XRD", "1.2379")
    assert not dialog.warning.text().strip() and dialog.save_button.text() == "Save"
    qtbot.mouseClick(dialog.save_button, Qt.MouseButton.LeftButton)
    desk.boxes = np.array([0.3, np.nan, np.nan])
    dialog = fill("xrd ", "1.2379")
    assert "Replaces 'XRD (1.2379)'" in dialog.warning.text() and dialog.save_button.text() == "Replace"
    dialog.reject()
    (preset,) = PresetStore(tmp_path).list("uhcs").presets
    assert preset.shares["ferrite"] == 0.2
    dialog = fill("xrd", "1.2379")
    qtbot.mouseClick(dialog.save_button, Qt.MouseButton.LeftButton)
    (preset,) = PresetStore(tmp_path).list("uhcs").presets
    assert preset.shares["ferrite"] == 0.3


def test_delete_and_put_back(desk: Desk, tmp_path: Path):
    menu = desk.tools.preset_menu
    desk.boxes = np.array([0.2, np.nan, np.nan])
    menu.save("XRD", "")
    entries(menu)
    (delete,) = [action.menu() for action in menu.actions() if action.menu() is not None]
    assert [action.text() for action in delete.actions()] == ["XRD"]
    delete.actions()[0].trigger()
    assert not PresetStore(tmp_path).list("uhcs").presets
    press(menu, "Put back 'XRD'")
    assert len(PresetStore(tmp_path).list("uhcs").presets) == 1


def test_presets_that_do_not_fit_or_cannot_be_read(desk: Desk, tmp_path: Path):
    PresetStore(tmp_path).save(Preset(name="other", model="uhcs", shares={"pearlite": 0.2}))
    PresetStore(tmp_path).save(Preset(name="foreign", model="another model", shares={"ferrite": 0.2}))
    (tmp_path / "presets" / "bad.json").write_text("{")
    menu = desk.tools.preset_menu
    assert entries(menu) == ["other", "Save as …", "Delete", "1 cannot be read …"]
    press(menu, "other")
    assert "pearlite" in desk.errors[-1] and not desk.offers and not desk.wanted
    press(menu, "1 cannot be read …")
    assert "bad.json" in desk.lines[-1]


def test_a_folder_that_cannot_be_written(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise PhaseguideError("The disk is full.")

    monkeypatch.setattr(PresetStore, "save", refuse)
    desk.boxes = np.array([0.2, np.nan, np.nan])
    desk.tools.preset_menu.save("XRD", "")
    assert desk.errors == ["The disk is full."]


# -- in a viewer ----------------------------------------------------------------------------------


def test_it_fits_into_a_narrow_dock(make_napari_viewer: Any, desk: Desk, qtbot: Any):
    viewer = make_napari_viewer()
    desk.scheme = PhaseScheme.from_names(
        ["denuded ferrite", "carbide network", "spheroidite", "Widmanstätten cementite"]
    )
    tools = RatioTools(lambda: None, lambda: None, lambda: desk.scheme, lambda: "uhcs", dict)
    viewer.window.add_dock_widget(tools, name="Tools")
    tools.basis_box.setCurrentIndex(1)
    QApplication.processEvents()
    assert not tools.panel.isHidden()
    assert tools.minimumSizeHint().width() <= 380
