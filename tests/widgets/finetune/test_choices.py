"""What the Fine-tune dock chooses by itself: a way of learning for the goal, and how far a ratio is believed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phaseguide.finetuning.config import PRESETS
from phaseguide.models.model_file import read_card
from phaseguide.ratios import blend_ratios
from phaseguide.widgets.finetune.panel import IMAGENET, IMPROVE, NEW
from widgets_finetune import banded, click
from workbench_helpers import open_part


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def image(viewer: Any) -> Any:
    return viewer.add_image(banded(), name="steel")


@pytest.fixture
def dock(image: Any, viewer: Any, model_file: Path) -> Any:
    _, widget = open_part(viewer, "Fine-tune")
    widget.panel.model_box.open_file(model_file)
    return widget


def test_places_believe_a_ratio_as_far_as_a_segmentation_does(
    dock: Any, image: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch, model_file: Path
) -> None:
    from phaseguide.finetuning import suggest_places

    seen: list[Any] = []
    rank = suggest_places.rank_places

    def spy(scores: Any, wanted: Any = None, **more: Any) -> Any:
        seen.append((np.asarray(scores), wanted))
        return rank(scores, wanted, **more)

    monkeypatch.setattr(suggest_places, "rank_places", spy)

    def look() -> None:
        before = len(seen)
        click(qtbot, dock.places.find_button)
        qtbot.waitUntil(lambda: len(seen) > before and dock.places.find_button.isEnabled(), timeout=60_000)

    look()
    assert seen[-1][1] is None
    ratio = dock.panel.sources.lines["image", image.unique_id].ratio
    asked = (0.9, 0.08, 0.02)
    for box, share in zip(ratio.boxes, asked, strict=True):
        box.share = share
    error = read_card(model_file).own_error
    for index in (0, ratio.source_box.count() - 1):
        ratio.source_box.setCurrentIndex(index)
        look()
        scores, wanted = seen[-1]
        own = np.bincount(scores.argmax(0).ravel(), minlength=3) / scores[0].size
        blend = blend_ratios(asked, own, ratio.source_box.currentData(), error)
        assert wanted == pytest.approx(blend) and wanted != pytest.approx(asked, abs=0.01)
    ratio.boxes[0].share = np.nan  # what is open is not known
    look()
    assert seen[-1][1] is None


def choose_goal(dock: Any, key: str) -> Any:
    dock.panel.goal.setCurrentIndex(dock.panel.goal.findData(key))
    return dock.panel.form


def test_a_new_model_learns_as_a_new_steel_unless_the_user_says_otherwise(dock: Any) -> None:
    form = dock.panel.form
    form.amount.setValue(3)
    form.form.controls["crop"].setValue(96)
    form.form.controls["threads"].setValue(2)
    assert form.preset.currentData() == "fast"
    for key in (NEW, IMAGENET):
        assert choose_goal(dock, key).preset.currentData() == "new steel"
        value = form.value()
        assert (value.parts, value.anchor_weight) == ("thorough", 0.0)
        # The user's own numbers stay.
        assert (value.epochs, value.crop, value.threads) == (3, 96, 2)
    value = choose_goal(dock, IMPROVE).value()
    assert form.preset.currentData() == "fast" and value.parts == "fast"
    assert (value.epochs, value.crop, value.threads) == (3, 96, 2)
    choose_goal(dock, NEW)
    form.preset.setCurrentIndex(form.preset.findData("thorough"))
    assert form.value().epochs == PRESETS["thorough"].epochs
    assert choose_goal(dock, IMPROVE).preset.currentData() == "thorough"
    assert choose_goal(dock, IMAGENET).preset.currentData() == "thorough"


def test_a_proposed_preset_brings_its_own_numbers_and_keeps_the_clock(dock: Any) -> None:
    form = dock.panel.form
    choose_goal(dock, NEW)
    assert form.value() == PRESETS["new steel"]
    form.unit.setCurrentIndex(form.unit.findData("minutes"))
    form.amount.setValue(7)
    assert choose_goal(dock, IMPROVE).value().minutes == 7


def test_the_tutorial_uses_the_words_on_show(dock: Any) -> None:
    from qtpy.QtWidgets import QLabel

    text = " ".join(
        (Path(__file__).parents[3] / "docs" / "tutorial_finetune.md").read_text(encoding="utf-8").split()
    )
    panel = dock.panel
    shown = {label.text() for label in panel.findChildren(QLabel)}
    for word in ("Goal", "Model", "New name", "Learn from", "How", "For"):
        assert word in shown and f"**{word}**" in text, word
    for combo in (panel.goal, panel.form.preset):
        for place in range(combo.count()):
            assert f"*{combo.itemText(place)}*" in text, combo.itemText(place)
    buttons = (
        panel.start_button, panel.pause_button, panel.stop_button, panel.resume_button, panel.discard_button,
        panel.model_box.open_button, panel.phases.add_button, panel.phases.undo_button, panel.sources.paint_button,
        panel.sources.folder_button, panel.result.keep, panel.result.back, panel.result.compare,
        dock.places.find_button,
    )  # fmt: skip
    for button in buttons:
        assert f"**{button.text()}**" in text, button.text()
    assert "Start from" not in text


def test_it_starts_from_the_model_that_the_user_segments_with(
    image: Any, viewer: Any, model_file: Path
) -> None:
    _, segment = open_part(viewer, "Segment")
    segment.panel.model_box.open_file(model_file)
    _, tune = open_part(viewer, "Fine-tune")
    assert tune.panel.model_box.path == model_file.resolve()
