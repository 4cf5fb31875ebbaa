"""The table of phases: typing, clearing, sums, ranges. No viewer needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication

from phaseguide.phases import PhaseScheme
from phaseguide.widgets.ratio.phase_table import PhaseTable
from widget_helpers import type_into

SCHEME = PhaseScheme.from_names(["ferrite", "bainite", "martensite"])


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
    assert table.sum_line.styleSheet()
    assert not table.scale_button.isVisible(), "an open phase could not be scaled"


def test_range_is_what_the_source_means(table: PhaseTable, qtbot: Any) -> None:
    type_into(qtbot, table.boxes[0], "20")
    table.set_uncertainty(0.3)
    assert table.ranges[0].text() == "15.6–25.2"
    table.set_uncertainty(0.1)
    assert table.ranges[0].text() == "18.4–21.6"
    table.set_uncertainty(0.0)
    assert table.ranges[0].text() == "20.00"
    assert table.ranges[1].text() == "–"


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


def test_exact_values_have_no_range_to_set(table: PhaseTable, qtbot: Any) -> None:
    type_into(qtbot, table.boxes[0], "20")
    table.ranges[0].set_spread(0.1)
    table.set_uncertainty(0.0)
    assert {one.uncertainty for one in table.ranges} == {0.0}
    assert table.ranges[0].text() == "20.00" and not table.ranges[0].isEnabled()
    table.set_uncertainty(0.3)
    assert tuple(one.uncertainty for one in table.ranges) == (0.1, 0.3, 0.3), "it comes back"


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
