"""The button that opens New material, and the advice above it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from phaseguide.segmentation.review.out_of_distribution import UNLIKE
from workbench_helpers import NAME, PLUGIN


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


def test_the_button_opens_new_material_on_the_image(done: Any, viewer: Any) -> None:
    _, workbench = viewer.window.add_plugin_dock_widget(PLUGIN, NAME)
    done.panel.new_material.button.click()
    assert workbench.state.part == "new_material"
    assert workbench.new_material.image.name == "steel"


def test_the_strokes_can_teach_a_deep_network(done: Any, viewer: Any) -> None:
    _, workbench = viewer.window.add_plugin_dock_widget(PLUGIN, NAME)
    done.panel.new_material.button.click()
    workbench.new_material.panel.teach_button.setEnabled(True)
    workbench.new_material.panel.teach_button.click()
    assert workbench.state.step == "teach" and workbench.teach.panel.goal.currentData() == "new"


def test_advice_stands_there_where_the_image_is_unlike_the_training_images(done: Any) -> None:
    row, shown = done.panel.new_material, done.state.shown
    assert not row.advice.text()
    done.state.shown = replace(shown, notices=(f"{UNLIKE}: this image has more noise.",))
    assert "few strokes" in row.advice.text()
    done.state.shown = shown
    assert not row.advice.text()
