"""Warnings keep the name of what they are about, are listed once, and can be copied and cleared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from phaseguide.events import Notice
from phaseguide.widgets.qt.notices.fold import WarningsFold

UNLIKE = "The image is unlike those of the training."
TILES = "There was too little memory; trying again with tiles."


@pytest.fixture
def fold(qapp: Any) -> Iterator[WarningsFold]:
    fold = WarningsFold()
    fold.resize(300, 60)
    yield fold
    fold.deleteLater()


def lines(fold: WarningsFold) -> list[str]:
    return [line.removeprefix("• ") for line in fold.text.toPlainText().splitlines()]


def test_it_is_there_only_with_something_to_say(fold: WarningsFold) -> None:
    assert fold.isHidden() and fold.hint() == ""
    fold.add(Notice(TILES))
    assert not fold.isHidden() and fold.hint() == " See Warnings (1)."
    assert "Warnings (1)" in fold.heading.text()


def test_the_same_of_several_fields_is_one_line_that_names_them(fold: WarningsFold) -> None:
    for where in ("a", "b", "c", "d", "e"):
        fold.add(Notice(UNLIKE, where))
    fold.add(Notice(TILES, "b"))
    fold.add(Notice(TILES, "b"))
    assert lines(fold) == [f"a, b, c and 2 more: {UNLIKE}", f"b (2 times): {TILES}"]
    assert fold.log.of("b") == (UNLIKE, TILES) and fold.log.of("z") == ()


def test_a_hint_leaves_out_what_is_said_of_other_fields(fold: WarningsFold) -> None:
    fold.add(Notice(UNLIKE, "a"))
    fold.add(Notice(TILES, "b"))
    assert fold.hint(("c", "")) == "" and fold.hint(("a", "")) == " See Warnings (1)."
    assert fold.hint() == " See Warnings (2)."


def test_the_same_of_nothing_in_particular_is_counted(fold: WarningsFold) -> None:
    fold.add(Notice(TILES))
    fold.add(Notice(TILES))
    assert lines(fold) == [f"{TILES} (2 times)"]


def test_what_a_run_says_of_a_result_is_not_said_again_by_the_result(fold: WarningsFold) -> None:
    fold.add(Notice(TILES, "a"))
    fold.add(Notice("30 % differ.", "a"))
    fold.show_result("a", ("30 % differ.",))
    assert lines(fold) == [f"a: {TILES}", "a: 30 % differ."]
    fold.show_result("a", ("20 % differ.",))
    assert lines(fold) == [f"a: {TILES}", "a: 20 % differ."], "that of the last result is gone"
    fold.show_result("a", ())
    assert lines(fold) == [f"a: {TILES}"]


def test_a_new_run_begins_anew_for_its_fields_alone(fold: WarningsFold) -> None:
    for where in "ab":
        fold.add(Notice(UNLIKE, where))
    fold.forget(["a"])
    assert lines(fold) == [f"b: {UNLIKE}"]


def test_copy_names_every_field(fold: WarningsFold, qtbot: Any) -> None:
    for where in "abcde":
        fold.add(Notice(UNLIKE, where))
    qtbot.mouseClick(fold.copy_button, Qt.MouseButton.LeftButton)
    clipboard = QApplication.clipboard()
    assert clipboard is not None and clipboard.text() == f"a, b, c, d, e: {UNLIKE}"


def test_what_was_cleared_comes_back_only_when_it_is_said_again(fold: WarningsFold, qtbot: Any) -> None:
    told: list[bool] = []
    fold.changed.connect(lambda: told.append(True))
    fold.add(Notice(TILES, "a"))
    fold.show_result("a", (UNLIKE,))
    told.clear()
    qtbot.mouseClick(fold.clear_button, Qt.MouseButton.LeftButton)
    assert fold.isHidden() and told and fold.log.of("a") == ()
    fold.show_result("a", (UNLIKE,))
    assert fold.isHidden(), "the same result is looked at again"
    fold.add(Notice(TILES, "a"))
    assert lines(fold) == [f"a: {TILES}"]
    fold.forget(["a"])
    fold.show_result("a", (UNLIKE,))
    assert lines(fold) == [f"a: {UNLIKE}"], "a new run found it again"


def test_the_heading_tells_the_newest_and_makes_no_panel_wider(fold: WarningsFold, qtbot: Any) -> None:
    fold.show()
    fold.add(Notice("long & longer " * 40, "steel"))
    assert fold.heading.text().endswith("…") and "steel: long" in fold.heading.text()
    assert fold.minimumSizeHint().width() < 320
    qtbot.mouseClick(fold.heading, Qt.MouseButton.LeftButton)
    assert fold.content.isVisible() and fold.heading.text().endswith("Warnings (1)")
