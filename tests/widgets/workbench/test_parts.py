"""What opens within a step of the workbench, or beside it; and the entries of napari's menus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from phaseguide.widgets.workbench import commands
from phaseguide.widgets.workbench.dock import WorkbenchWidget
from phaseguide.widgets.workbench.open import open_workbench
from project_helpers import make_project, settled
from tiny_models import tiny_model
from widget_helpers import micrograph
from workbench_helpers import close_workbench


def press(button: Any) -> None:
    assert button.isVisible() and button.isEnabled(), button.text()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize(
    ("command", "step", "part"),
    [
        (commands.segment, "segment", None),
        (commands.correct, "correct", None),
        (commands.teach, "teach", None),
        (commands.report, "report", None),
        (commands.project, "image", "project"),
        (commands.point_count, "report", "point_count"),
        (commands.models, "image", "models"),
        (commands.look_inside, "correct", None),
    ],
)
def test_each_menu_entry_opens_the_same_dock_at_its_step(
    model_viewer: Any, command: Any, step: str, part: str | None, told: list[str]
) -> None:
    command(model_viewer)
    workbench = open_workbench(model_viewer)
    assert (workbench.state.step, workbench.state.part) == (step, part)
    commands.report(model_viewer)
    assert open_workbench(model_viewer) is workbench and workbench.state.step == "report"


@pytest.fixture
def workbench(make_napari_viewer: Any) -> WorkbenchWidget:
    return open_workbench(make_napari_viewer(show=True))


def test_parts_open_within_their_step_and_close_again(workbench: Any, qtbot: Any) -> None:
    (opener,) = (b for b in workbench.findChildren(type(workbench.header).__base__) if b.text() == "Project…")
    press(opener)
    assert workbench.state.part == "project" and workbench.project.isVisible()
    workbench.show_step("segment")
    workbench.state.show_step("image")
    assert workbench.project.isVisible(), "a part stays open within its step"
    press(workbench._pages["project"].back_button)
    assert not workbench.project.isVisible()
    workbench.show_part("project")
    bar = workbench.tabs.tabBar()
    for step, shown in ((1, False), (0, True), (0, False)):  # away, here again, and the step on show
        QTest.mouseClick(
            bar, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, bar.tabRect(step).center()
        )
        assert workbench.project.isVisible() == shown
    assert not workbench.project.isVisible() and workbench.segment.panel.image_box.isVisible()


def test_a_part_in_a_window_of_its_own_comes_back(workbench: Any, qtbot: Any) -> None:
    viewer = workbench.viewer
    workbench.show_part("models")
    models = workbench.models
    press(workbench._pages["models"].tear_button)
    qtbot.waitUntil(models.isVisible)
    assert models.window() is not workbench.window()
    assert workbench.segment.panel.image_box.isVisible(), "its step shows its own page again"
    models.say("A model says something.")
    assert models.status.isVisible() and models.status.window() is models.window()
    workbench.show_part("models")
    assert workbench.state.part is None, "it is only brought to the front"
    window = workbench._windows["models"]
    viewer.window.remove_dock_widget(window._frame)
    assert not workbench.state.torn_off and not models.closed
    workbench.show_part("models")
    assert models.isVisible() and models.window() is workbench.window()
    models.say("Back.")
    assert models.status.isVisible() and models.status.window() is workbench.window()


def test_a_part_in_a_window_of_its_own_ends_with_the_workbench(workbench: Any, qtbot: Any) -> None:
    viewer, models = workbench.viewer, workbench.models
    workbench.state.tear_off("models")
    close_workbench(viewer)
    assert models.closed and not models.isVisible()
    again = open_workbench(viewer)
    assert again is not workbench and again.models is not models


def test_numbers_are_not_seen_beside_a_blind_count(workbench: Any) -> None:
    workbench.show_part("point_count")
    assert not workbench.segment.panel.table.isVisible() and not workbench.footer.table_button.isVisible()
    assert not workbench._pages["point_count"].tear_button.isVisible()
    workbench.show_step("report")
    assert workbench.segment.panel.table.isVisible()


def test_the_header_names_the_field(model_viewer: Any, tmp_path: Path, qtbot: Any) -> None:
    workbench = open_workbench(model_viewer)
    assert workbench.header.whole().startswith("No image yet")
    workbench.project.open(make_project(tmp_path, 2))
    settled(workbench.project, qtbot)
    qtbot.waitUntil(lambda: workbench.header.whole().startswith("Field 1 of 2: steel0"))
    workbench.project.opened.step(1)
    settled(workbench.project, qtbot)
    qtbot.waitUntil(lambda: workbench.header.whole().startswith("Field 2 of 2: steel1"))
    model_viewer.layers["steel1"].name = "another name"
    assert "another name" in workbench.header.whole()


def test_the_last_to_speak_is_heard(model_viewer: Any) -> None:
    workbench = open_workbench(model_viewer)
    workbench.teach.say("Learning.")
    assert workbench.footer.statuses.currentWidget() is workbench.teach.status
    workbench.segment.say("Segmented.")
    assert workbench.footer.statuses.currentWidget() is workbench.segment.status
    assert workbench.teach.status.text() == "Learning."


def test_more_than_five_phases_are_scrolled_to(workbench: Any, tmp_path: Path, qtbot: Any) -> None:
    table = workbench.segment.panel.table
    workbench.window().setGeometry(0, 0, 1366, 768)

    def seen() -> int:
        return sum(box.visibleRegion().boundingRect() == box.rect() for box in table.boxes)

    for number, shown in ((5, 5), (9, 5)):
        file = tiny_model(tmp_path, names=tuple("abcdefghi"[:number]), file_name=f"{number}.safetensors")
        workbench.segment.panel.model_box.open_file(file)
        qtbot.waitUntil(lambda shown=shown: seen() == shown)
        assert len(table.boxes) == number


def test_an_image_that_is_renamed_or_gone(model_viewer: Any) -> None:
    workbench = open_workbench(model_viewer)
    layer = model_viewer.add_image(micrograph(), name="steel")
    assert workbench.header.whole().startswith("steel")
    model_viewer.layers.remove(layer)
    assert workbench.header.whole().startswith("No image yet")
