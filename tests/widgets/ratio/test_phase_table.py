"""The table of phases: typing, clearing, sums, ranges. No viewer needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from phaseguide.phases import PhaseScheme
from phaseguide.ratios import blend_ratios
from phaseguide.segmentation.request import Segmentation
from phaseguide.widgets.ratio.phase_table import PhaseTable
from widget_helpers import activate, type_into

SCHEME = PhaseScheme.from_names(["ferrite", "bainite", "martensite"])
OWN = np.array([0.6, 0.16, 0.24])


def result_of(asked: list[float], own_error: float = 0.3) -> Segmentation:
    """A result that was made with values of uncertainty 0.1."""
    imposed, labels = blend_ratios(asked, OWN, 0.1, own_error), np.ones((4, 4), np.uint8)
    return Segmentation(labels, SCHEME, np.array(asked), OWN, imposed, imposed, labels, "matched", 0.1, ())


def heading(table: PhaseTable) -> str:
    assert table._found_heading is not None
    return table._found_heading.text()


@pytest.fixture
def table(qtbot: Any) -> PhaseTable:
    table = PhaseTable()
    table.set_scheme(SCHEME)
    qtbot.addWidget(table)
    table.show()
    return table


def texts(table: PhaseTable) -> list[str]:
    return [box.text() for box in table.boxes]


def test_boxes_start_open(table: PhaseTable) -> None:
    assert texts(table) == ["", "", ""]
    assert table.shares == (None, None, None)
    assert "without guidance" in table.sum_line.text()


def test_rows_of_another_scheme_are_gone_at_once(table: PhaseTable) -> None:
    before = table.boxes
    table.set_scheme(PhaseScheme.from_names(["ferrite", "pearlite"]))  # no event is worked off in between
    assert not any(box.isVisibleTo(table) for box in before)


def test_typing_moves_no_other_box(table: PhaseTable, qtbot: Any) -> None:
    type_into(qtbot, table.boxes[0], "20.25")
    type_into(qtbot, table.boxes[2], "14,75")  # a comma will do
    assert texts(table) == ["20.25", "", "14.75"]
    assert table.shares == (pytest.approx(0.2025), None, pytest.approx(0.1475))
    assert table.sum_line.text() == "Set: 35.00 %, open phases share 65.00 %."


def test_clearing_opens_a_phase_again(table: PhaseTable, qtbot: Any) -> None:
    type_into(qtbot, table.boxes[0], "20")
    type_into(qtbot, table.boxes[0], "")
    assert texts(table) == ["", "", ""] and table.shares == (None, None, None)


def test_zero_is_a_value_and_signs_and_letters_are_not(table: PhaseTable, qtbot: Any) -> None:
    type_into(qtbot, table.boxes[0], "0")
    assert table.boxes[0].share == 0.0
    type_into(qtbot, table.boxes[1], "-5x")
    assert texts(table) == ["0.00", "5.00", ""]
    type_into(qtbot, table.boxes[2], "250")
    assert table.boxes[2].value() <= 100


def test_arrow_keys_step_but_never_empty_a_box(table: PhaseTable, qtbot: Any) -> None:
    box = table.boxes[0]
    qtbot.keyClick(box, Qt.Key.Key_Up)
    assert box.text() == "1.00"
    for _ in range(3):
        qtbot.keyClick(box, Qt.Key.Key_Down)
    assert box.text() == "0.00"


def test_a_passing_wheel_changes_nothing(table: PhaseTable, qtbot: Any) -> None:
    box = table.boxes[0]
    box.share = 0.2
    box.clearFocus()
    event = QWheelEvent(
        QPointF(5, 5), QPointF(5, 5), QPoint(0, 0), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(box, event)
    assert box.text() == "20.00"


def test_full_but_wrong_sum_offers_to_scale(table: PhaseTable, qtbot: Any) -> None:
    for box, text in zip(table.boxes, ("33.3", "33.3", "23.3"), strict=True):
        type_into(qtbot, box, text)
    assert "sum to 89.90 %" in table.sum_line.text()
    assert table.scale_button.isVisible()
    qtbot.mouseClick(table.scale_button, Qt.MouseButton.LeftButton)
    assert sum(round(box.value() * 100) for box in table.boxes) == 10_000
    assert table.sum_line.text() == "Set: 100.00 %."
    assert not table.scale_button.isVisible()


def test_over_100_is_flagged(table: PhaseTable, qtbot: Any) -> None:
    type_into(qtbot, table.boxes[0], "80")
    type_into(qtbot, table.boxes[1], "30")
    assert "110.00 %, more than 100 %" in table.sum_line.text()
    assert table.sum_line.label.styleSheet()
    assert not table.scale_button.isVisible(), "an open phase could not be scaled"


def test_range_is_what_the_source_means(table: PhaseTable, qtbot: Any) -> None:
    type_into(qtbot, table.boxes[0], "20")
    table.set_uncertainty(0.3)
    assert table.ranges[0].text() == "15.6–25.2"
    table.set_uncertainty(0.1)
    assert table.ranges[0].text() == "18.4–21.6"
    assert table.ranges[1].text() == ""


def test_one_phase_can_be_surer_than_its_source(table: PhaseTable, qtbot: Any) -> None:
    told: list[int] = []
    table.changed.connect(lambda: told.append(1))
    type_into(qtbot, table.boxes[0], "20")
    type_into(qtbot, table.boxes[1], "50")
    assert {one.uncertainty for one in table.ranges} == {0.3} and not table.ranges[2].isEnabled()
    qtbot.mouseClick(table.ranges[0], Qt.MouseButton.LeftButton)
    popup = table.ranges[0]._popup
    told.clear()
    popup.spin.setValue(10)
    assert told == [1]
    assert tuple(one.uncertainty for one in table.ranges) == (0.1, 0.3, 0.3) and table.spreads() == (
        0.1,
        None,
        None,
    )
    assert table.ranges[0].text() == "18.4–21.6" and table.ranges[0].font().bold()
    assert popup.meaning.text() == "18.4–21.6 area %"
    qtbot.mouseClick(popup.reset, Qt.MouseButton.LeftButton)
    assert {one.uncertainty for one in table.ranges} == {0.3} and table.ranges[0].text() == "15.6–25.2"
    assert not table.ranges[0].font().bold()


def test_a_lock_makes_one_value_exact_and_is_seen(table: PhaseTable, qtbot: Any) -> None:
    told: list[int] = []
    type_into(qtbot, table.boxes[0], "20")
    type_into(qtbot, table.boxes[1], "50")
    table.changed.connect(lambda: told.append(1))
    qtbot.mouseClick(table.rows[0].lock, Qt.MouseButton.LeftButton)
    assert table.spreads() == (0.0, None, None) and told == [1]
    assert table.ranges[0].text() == "exactly" and not table.ranges[0].isEnabled()
    assert not table.lock_all.isChecked()
    qtbot.mouseClick(table.lock_all, Qt.MouseButton.LeftButton)
    assert table.spreads() == (0.0, 0.0, 0.0) and told == [1, 1]
    assert all(row.lock.isChecked() for row in table.rows)
    qtbot.mouseClick(table.rows[0].lock, Qt.MouseButton.LeftButton)
    assert table.spreads() == (None, 0.0, 0.0) and not table.lock_all.isChecked()
    assert table.ranges[0].text() == "15.6–25.2"


def test_a_number_counts_when_it_is_finished(table: PhaseTable, qtbot: Any) -> None:
    told: list[tuple[float | None, ...]] = []
    table.changed.connect(lambda: told.append(table.shares))
    table.set_uncertainty(0.1)
    type_into(qtbot, table.boxes[0], "20")
    table.show_result(result_of([0.2, np.nan, np.nan]))
    assert not table.stale and "Not yet" not in heading(table)
    box = table.boxes[1]
    box.setFocus()
    qtbot.keyClicks(box, "90")
    assert table.stale and table.pending and "Not yet" in heading(table)
    assert table.shares == (0.2, None, None) and len(told) == 1, "no keystroke counts"
    table.finish()
    assert told[1:] == [(0.2, 0.9, None)] and "more than 100 %" in table.sum_line.text()
    assert table.stale, "the mask was made with other values"


@pytest.mark.parametrize("how", ["rest", "focus", "arrow"])
def test_ways_to_finish_a_number(table: PhaseTable, qtbot: Any, how: str) -> None:
    told: list[tuple[float | None, ...]] = []
    table.changed.connect(lambda: told.append(table.shares))
    activate(table.window(), qtbot)
    box = table.boxes[1]
    box.setFocus()
    qtbot.keyClicks(box, "9")
    assert told == []
    if how == "focus":
        table.boxes[0].setFocus()
    elif how == "arrow":
        qtbot.keyClick(box, Qt.Key.Key_Up)
    qtbot.waitUntil(lambda: len(told) == 1)
    assert told == [(None, 0.1 if how == "arrow" else 0.09, None)] and not table.pending
    if how == "rest":
        assert box.text() == "9", "the cursor is still there"
        qtbot.keyClicks(box, ".5")
        qtbot.keyClick(box, Qt.Key.Key_Return)
        assert told[1:] == [(None, 0.095, None)]


def test_the_bar_shows_what_is_imposed_and_can_be_moved(table: PhaseTable, qtbot: Any) -> None:
    table.set_own_error(np.full(3, 0.3))
    table.set_uncertainty(0.1)
    type_into(qtbot, table.boxes[1], "9.1")
    table.show_result(result_of([np.nan, 0.091, np.nan]))
    row = table.rows[1]
    own, imposed = float(OWN[1]), float(table.result.imposed[1])
    assert row.trust.fraction == pytest.approx((imposed - own) / (0.091 - own))
    assert row.aim.text() == f"{imposed * 100:.2f}"
    assert table.rows[0].trust.fraction is None, "nothing was said"
    row.trust.resize(110, 18)
    qtbot.mouseClick(row.trust, Qt.MouseButton.LeftButton, pos=QPoint(55, 9))
    (_, spread, _) = table.spreads()
    wanted = (own + 0.091) / 2
    made = blend_ratios([np.nan, 0.091, np.nan], OWN, [0.1, spread, 0.1], 0.3)[1]
    assert made == pytest.approx(wanted, abs=1e-4)
    assert not row.lock.isChecked() and row.range.font().bold()
    type_into(qtbot, table.boxes[1], "9.5")
    assert table.spreads()[1] is None, "the handle was about the number before"
    type_into(qtbot, table.boxes[1], "9.1")
    qtbot.mouseClick(row.trust, Qt.MouseButton.LeftButton, pos=QPoint(109, 9))
    assert table.spreads()[1] == 0 and row.lock.isChecked()
    row.trust.setFocus()
    qtbot.keyClick(row.trust, Qt.Key.Key_Left)
    assert table.spreads()[1] > 0 and not row.lock.isChecked()


def test_a_range_that_excludes_the_mask_offers_the_lock(table: PhaseTable, qtbot: Any) -> None:
    table.set_own_error(np.full(3, 0.05))
    table.set_uncertainty(0.1)
    type_into(qtbot, table.boxes[1], "9.1")
    table.show_result(result_of([np.nan, 0.091, np.nan], own_error=0.05))
    row = table.rows[1]
    assert table.exactly_button.isVisible() and not table.rows[0].outside
    line = table.brush_line.text()
    assert line.startswith("Aimed at 1") and line.endswith(f"not at 8.3–10.0 %: {row.phase}.")
    table.show_brush(1, "Painting.")
    assert table.brush_line.text() == "Painting." and not table.exactly_button.isVisible(), (
        "the brush is in hand"
    )
    table.show_brush(0, "")
    assert table.brush_line.text() == line and table.exactly_button.isVisible()
    told: list[int] = []
    table.changed.connect(lambda: told.append(1))
    qtbot.mouseClick(table.exactly_button, Qt.MouseButton.LeftButton)
    assert table.spreads() == (None, 0.0, None) and told == [1] and row.lock.isChecked()
    assert not row.outside and not table.exactly_button.isVisible()


def test_no_row_moves_under_the_hand_that_drags_a_handle(table: PhaseTable, qtbot: Any) -> None:
    table.set_own_error(np.full(3, 0.05))
    table.set_uncertainty(0.1)
    heights = {table.sizeHint().height()}
    type_into(qtbot, table.boxes[1], "9.1")
    heights.add(table.sizeHint().height())
    table.show_result(result_of([np.nan, 0.091, np.nan], own_error=0.05))
    bar = table.rows[1].trust
    assert table.rows[1].outside, "what the dragged handle answers"
    heights.add(table.sizeHint().height())
    qtbot.mousePress(bar, Qt.MouseButton.LeftButton, pos=QPoint(bar.width() // 2, 9))
    assert not table.rows[1].outside, "no range of the user's any more"
    heights.add(table.sizeHint().height())
    qtbot.mouseRelease(bar, Qt.MouseButton.LeftButton)
    assert len(heights) == 1


def test_exact_values_that_leave_nothing_for_an_open_phase_say_so(table: PhaseTable, qtbot: Any) -> None:
    type_into(qtbot, table.boxes[0], "60")
    type_into(qtbot, table.boxes[1], "40")
    assert "open phases share 0.00 %" in table.sum_line.text() and not table.absent_button.isVisible()
    qtbot.mouseClick(table.lock_all, Qt.MouseButton.LeftButton)
    assert "nothing for martensite" in table.sum_line.text()
    qtbot.mouseClick(table.absent_button, Qt.MouseButton.LeftButton)
    assert table.shares == (0.6, 0.4, 0.0) and table.sum_line.text() == "Set: 100.00 %."


@pytest.mark.parametrize("part", ["chip", "name"])
def test_a_click_on_a_row_asks_for_the_brush(table: PhaseTable, qtbot: Any, part: str) -> None:
    asked: list[int] = []
    table.armed.connect(asked.append)
    qtbot.mouseClick(getattr(table.rows[1], part), Qt.MouseButton.LeftButton)
    assert asked == [2]
    before = table.rows[1].back.styleSheet()
    table.show_brush(2, "Painting bainite.")
    assert table.rows[1].back.styleSheet() != before == table.rows[0].back.styleSheet()


def test_values_are_taken_over_without_telling(table: PhaseTable) -> None:
    told: list[int] = []
    table.changed.connect(lambda: told.append(1))
    table.write([0.2, np.nan, 0.15], (None, None, 0.05))
    assert texts(table) == ["20.00", "", "15.00"] and told == []
    assert table.ranges[2].text() == "14.4–15.6"
    assert "35.00 %" in table.sum_line.text()


def test_areas_show_what_a_pixel_at_the_boundary_is_worth(table: PhaseTable) -> None:
    low, high = np.array([0.1, 0.2, 0.3]), np.array([0.15, 0.25, 0.6])
    table.show_sensitivity((low, high), (low / 2, high / 2))
    assert [row.found.sensitivity.text() for row in table.rows] == ["10.0–15.0", "20.0–25.0", "30.0–60.0"]
    assert table.rows[0].unguided.sensitivity.text() == "5.0–7.5"
    table.show_result(None)
    assert table.rows[0].found.sensitivity.text() == "", "it belongs to the areas that are gone"
