"""The help of the workbench."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtCore import Qt

from phaseguide.widgets.workbench.help_window import help_text
from phaseguide.widgets.workbench.state import STEPS
from workbench_helpers import NAME, PLUGIN


@pytest.fixture
def workbench(model_viewer: Any) -> Any:
    return model_viewer.window.add_plugin_dock_widget(PLUGIN, NAME)[1]


def test_every_step_has_a_page_that_names_it() -> None:
    for step, (title, _) in STEPS.items():
        assert title in help_text(step).splitlines()[0]


def test_help_follows_the_step_and_shows_the_glossary(workbench: Any, qtbot: Any) -> None:
    qtbot.mouseClick(workbench.help_button, Qt.MouseButton.LeftButton)
    shown = workbench.help
    assert shown.isVisible() and "Choose what you work on" in shown.browser.toPlainText()
    workbench.show_step("correct")
    assert "puts the brush away" in shown.browser.toPlainText()
    qtbot.mouseClick(shown.glossary_button, Qt.MouseButton.LeftButton)
    assert "micro-IoU" in shown.browser.toPlainText()
    qtbot.mouseClick(shown.step_button, Qt.MouseButton.LeftButton)
    assert shown.page == "correct"
