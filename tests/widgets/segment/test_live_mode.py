"""Live mode: the mask follows the numbers; what it shows is on trial until it is accepted."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from tiny_models import NAMES
from widget_helpers import impose_exactly, micrograph, numbers, stroke, type_into


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def done(widget: Any, viewer: Any, segment: Any) -> Any:
    """The widget after a first segmentation of 'steel', with values that are imposed exactly."""
    viewer.add_image(micrograph(), name="steel")
    impose_exactly(widget)
    segment()
    return widget


def answered(widget: Any, qtbot: Any) -> None:
    """Wait until nothing is asked for any more that is not on show."""
    qtbot.waitUntil(lambda: widget.live._awaited is None, timeout=20_000)


def set_share(widget: Any, qtbot: Any, percent: str, row: int = 1) -> None:
    type_into(qtbot, widget.panel.table.boxes[row], percent)
    answered(widget, qtbot)


def snapshot(widget: Any, viewer: Any) -> tuple[Any, ...]:
    """Everything that Cancel promises to bring back."""
    layer, table = viewer.layers["steel phases"], widget.panel.table
    return (
        layer.data.tobytes(),
        dict(layer.metadata),
        widget.state.inputs,
        [box.text() for box in table.boxes],
        [label.text() for label in table.found + table.unguided],
        [button.text() for button in table.ranges],
        len(widget.history().runs),
        widget.history().position,
    )


def test_the_mask_follows_a_typed_number(done: Any, viewer: Any, qtbot: Any) -> None:
    phases, before = viewer.layers["steel phases"], viewer.layers["steel phases"].data
    set_share(done, qtbot, "35")
    assert numbers(done.panel.table.found)[1] == pytest.approx(35, abs=0.02)
    assert np.count_nonzero(phases.data == 2) / phases.data.size == pytest.approx(0.35, abs=1e-4)
    assert phases.data is before, "written in place"
    mark = phases.metadata["phaseguide"]
    assert mark["note"] and mark["asked"][NAMES[1]] == 0.35
    assert not done.panel.table.note.isHidden()
    assert "Not kept yet" in done.panel.status.text()
    assert len(done.history().runs) == 1, "on trial, so not among the results"


def test_a_round_trip_of_the_numbers_gives_the_same_mask(done: Any, viewer: Any, qtbot: Any) -> None:
    phases = viewer.layers["steel phases"]
    set_share(done, qtbot, "30")
    first = phases.data.copy()
    for value in ("45", "12.5", "30"):
        set_share(done, qtbot, value)
    assert np.array_equal(phases.data, first)


def test_the_newest_value_wins(done: Any, viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.segmentation.session import Session

    asked: list[float] = []
    plain, typed = Session.segment, threading.Event()

    def slow(self: Any, request: Any, **more: Any) -> Any:
        asked.append(float(request.asked[1]))
        typed.wait(60)
        return plain(self, request, **more)

    monkeypatch.setattr(Session, "segment", slow)
    box = done.panel.table.boxes[1]
    box.setFocus()
    for _ in range(40):
        qtbot.keyClick(box, Qt.Key.Key_Up)
    typed.set()
    answered(done, qtbot)
    assert asked[-1] == pytest.approx(0.40)
    assert len(asked) < 20, "what was outdated before it began is never worked on"
    assert numbers(done.panel.table.found)[1] == pytest.approx(40, abs=0.02)


def test_nothing_is_live_before_the_first_result_or_when_switched_off(
    widget: Any, viewer: Any, segment: Any, qtbot: Any
) -> None:
    viewer.add_image(micrograph(), name="steel")
    type_into(qtbot, widget.panel.table.boxes[0], "20")
    assert "steel phases" not in viewer.layers
    segment()
    shown = viewer.layers["steel phases"].data.copy()
    widget.panel.live_check.setChecked(False)
    type_into(qtbot, widget.panel.table.boxes[0], "60")
    qtbot.wait(100)
    assert np.array_equal(viewer.layers["steel phases"].data, shown)
    assert "Press Segment" in widget.panel.status.text()
    assert not widget.panel.decisions.accept.isEnabled()


def test_a_sum_over_100_that_is_being_typed_changes_nothing(done: Any, viewer: Any, qtbot: Any) -> None:
    set_share(done, qtbot, "20", row=0)
    shown = viewer.layers["steel phases"].data.copy()
    box = done.panel.table.boxes[1]
    box.setFocus()
    qtbot.keyClicks(box, "90")
    assert done.live._awaited is None and done.panel.table.stale
    qtbot.mouseClick(done.panel.results.copy, Qt.MouseButton.LeftButton)
    assert np.array_equal(viewer.layers["steel phases"].data, shown)
    assert "more than 100 %" in done.panel.status.text() and "other values" in done.panel.status.text()
    assert "9.00" not in _clipboard()


def test_copying_finishes_the_number_first(done: Any, viewer: Any, qtbot: Any) -> None:
    box = done.panel.table.boxes[1]
    box.setFocus()
    qtbot.keyClicks(box, "42")
    qtbot.mouseClick(done.panel.results.copy, Qt.MouseButton.LeftButton)
    assert "42.00" in _clipboard() and not done.panel.table.stale
    assert np.count_nonzero(viewer.layers["steel phases"].data == 2) / 12288 == pytest.approx(0.42, abs=1e-4)


def test_what_is_not_live_does_not_leave_under_new_numbers(done: Any, segment: Any, qtbot: Any) -> None:
    set_share(done, qtbot, "20")
    done.live.accept()
    done.panel.live_check.setChecked(False)
    type_into(qtbot, done.panel.table.boxes[1], "30")
    assert done.panel.table.stale
    qtbot.mouseClick(done.panel.results.copy, Qt.MouseButton.LeftButton)
    assert "other values" in done.panel.status.text()
    offered = done.panel.next_step.buttons
    assert not offered["put its values back"].isHidden() and not offered["press segment"].isHidden()
    qtbot.mouseClick(offered["put its values back"], Qt.MouseButton.LeftButton)
    assert done.panel.table.boxes[1].text() == "20.00" and not done.panel.table.stale
    assert done.panel.next_step.isHidden(), "that sentence is gone"
    type_into(qtbot, done.panel.table.boxes[1], "30")
    assert not offered["press segment"].isHidden(), "beside the sentence that names it"
    segment()
    qtbot.mouseClick(done.panel.results.copy, Qt.MouseButton.LeftButton)
    assert "30.00" in _clipboard()


def test_locks_end_with_the_image_the_source_and_the_next_values(done: Any, viewer: Any, qtbot: Any) -> None:
    from phaseguide.widgets.layers.hub import RatioOffer

    table, other = done.panel.table, viewer.add_image(micrograph(seed=3), name="other")
    assert table.spreads() == (None,) * 3, "closed for the image before"
    viewer.layers.selection.active = viewer.layers["steel"]
    for lets_go in (
        lambda: setattr(viewer.layers.selection, "active", other),
        lambda: done.panel.source_box.setCurrentIndex(0),
        lambda: done.take_offer(RatioOffer(np.array([0.2, 0.3, np.nan]), None, "pasted")),
        lambda: done.take_offer(RatioOffer(np.array([0.2, 0.3, np.nan]), 0.1, "counted")),
    ):
        table.rows[1].lock.click()
        assert table.spreads()[1] == 0
        lets_go()
        assert table.spreads()[1] != 0 and not table.rows[1].lock.isChecked()


def test_exact_values_never_erase_a_phase_of_which_nothing_was_said(
    done: Any, viewer: Any, qtbot: Any
) -> None:
    before = viewer.layers["steel phases"].data.copy()
    assert (before == 3).any()
    set_share(done, qtbot, "60", row=0)
    set_share(done, qtbot, "40", row=1)
    assert "leave nothing for" in done.panel.status.text() and NAMES[2] in done.panel.status.text()
    assert (viewer.layers["steel phases"].data == 3).any()
    qtbot.mouseClick(done.panel.table.absent_button, Qt.MouseButton.LeftButton)
    answered(done, qtbot)
    assert not (viewer.layers["steel phases"].data == 3).any(), "now it was said"


def test_an_impossible_sum_keeps_the_last_good_mask(done: Any, viewer: Any, qtbot: Any) -> None:
    set_share(done, qtbot, "35")
    before = numbers(done.panel.table.found)
    set_share(done, qtbot, "80", row=0)
    assert "more than 100 %" in done.panel.status.text() and done.panel.status.styleSheet()
    assert numbers(done.panel.table.found) == before, "neither 8 nor 80 was asked for"
    set_share(done, qtbot, "20", row=0)
    assert not done.panel.status.styleSheet()
    assert numbers(done.panel.table.found)[:2] == pytest.approx([20, 35], abs=0.02)


def test_every_phase_open_shows_the_map_without_guidance(done: Any, viewer: Any, qtbot: Any) -> None:
    before = viewer.layers["steel phases"].data.copy()
    set_share(done, qtbot, "35")
    set_share(done, qtbot, "")
    assert np.array_equal(viewer.layers["steel phases"].data, before)
    assert done.panel.table.note.isHidden()


def test_a_stroke_wins_and_the_next_change_counts_it(done: Any, viewer: Any, qtbot: Any) -> None:
    set_share(done, qtbot, "35")
    edits = viewer.layers["steel edits"]
    edits.selected_label = 3
    stroke(edits, [(20.0, 20.0), (30.0, 40.0)])
    painted = edits.data > 0
    phases = viewer.layers["steel phases"]
    qtbot.waitUntil(lambda: bool((phases.data[painted] == 3).all()))
    set_share(done, qtbot, "30")
    assert (phases.data[painted] == 3).all()
    assert np.count_nonzero(phases.data == 2) / phases.data.size == pytest.approx(0.30, abs=1e-4)


def test_edits_that_contradict_the_ratio_win_and_it_is_said(done: Any, viewer: Any, qtbot: Any) -> None:
    edits = viewer.layers["steel edits"]
    edits.data_setitem(np.nonzero(np.arange(96)[:, None] + np.zeros(128) < 48), 3)
    set_share(done, qtbot, "10", row=2)
    assert any("edits win" in message for message in done.panel.warnings.log.of("steel"))
    assert (viewer.layers["steel phases"].data[:48] == 3).all()


def test_edits_outside_the_scheme_are_told(done: Any, viewer: Any, qtbot: Any) -> None:
    before = viewer.layers["steel phases"].data.copy()
    viewer.layers["steel edits"].data_setitem((np.array([3]), np.array([3])), 9)
    set_share(done, qtbot, "35")
    qtbot.waitUntil(lambda: "label value 9" in done.panel.status.text())
    assert np.array_equal(viewer.layers["steel phases"].data, before)


def test_edits_of_another_shape_are_told(done: Any, viewer: Any, qtbot: Any) -> None:
    before = viewer.layers["steel phases"].data.copy()
    viewer.layers["steel edits"].data = np.zeros((50, 60), np.uint8)
    set_share(done, qtbot, "35")
    assert "50 x 60 px" in done.panel.status.text() and done.panel.status.styleSheet()
    assert np.array_equal(viewer.layers["steel phases"].data, before)


def test_an_image_changed_in_place_is_not_answered_from_old_pixels(
    done: Any, viewer: Any, qtbot: Any
) -> None:
    viewer.layers["steel"].data[:] = micrograph(seed=1)
    set_share(done, qtbot, "35")
    qtbot.waitUntil(lambda: "has changed since it was segmented" in done.panel.status.text())


@pytest.mark.parametrize("mode", ["conditioned", "both"])
def test_the_network_looks_again_when_the_hand_rests(done: Any, viewer: Any, qtbot: Any, mode: str) -> None:
    combo = done.panel.advanced.controls["mode"]
    combo.setCurrentIndex(combo.findData(mode))
    modes: list[str] = []
    viewer.layers["steel phases"].events.set_data.connect(
        lambda event: modes.append(viewer.layers["steel phases"].metadata["phaseguide"]["mode"])
    )
    box = done.panel.table.boxes[1]
    box.setFocus()
    for _ in range(5):
        qtbot.keyClick(box, Qt.Key.Key_Up)
        answered(done, qtbot)
    qtbot.waitUntil(lambda: mode in modes, timeout=20_000)
    assert modes[:4] == ["matched"] * 4, "while the numbers move, only the mask is matched"


def test_accept_keeps_it_with_its_values(done: Any, viewer: Any, qtbot: Any) -> None:
    set_share(done, qtbot, "35")
    shown = viewer.layers["steel phases"].data.copy()
    qtbot.mouseClick(done.panel.decisions.accept, Qt.MouseButton.LeftButton)
    assert len(done.history().runs) == 2 and "Kept as result 2" in done.panel.status.text()
    assert not done.panel.decisions.accept.isEnabled() and not done.panel.decisions.cancel.isEnabled()
    assert np.array_equal(viewer.layers["steel phases"].data, shown)
    assert done.history().shown.inputs.shares == (None, 0.35, None)


def test_accept_waits_for_what_was_just_typed(done: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.segmentation.session import Session

    plain, looked = Session.segment, threading.Event()

    def slow(self: Any, request: Any, **more: Any) -> Any:
        looked.wait(60)
        return plain(self, request, **more)

    monkeypatch.setattr(Session, "segment", slow)
    type_into(qtbot, done.panel.table.boxes[1], "45")
    done.live.accept()
    assert len(done.history().runs) == 1
    looked.set()
    qtbot.waitUntil(lambda: len(done.history().runs) == 2)
    assert done.history().shown.planes[()].segmentation.asked[1] == 0.45


def test_cancel_leaves_no_trace(done: Any, viewer: Any, qtbot: Any) -> None:
    set_share(done, qtbot, "25")
    qtbot.mouseClick(done.panel.decisions.accept, Qt.MouseButton.LeftButton)
    edits = viewer.layers["steel edits"]
    stroke(edits, [(20.0, 20.0), (30.0, 40.0)])
    qtbot.waitUntil(lambda: not done._settle.isActive())
    qtbot.waitUntil(lambda: done.live.worker.idle)
    before = snapshot(done, viewer)
    painted = edits.data.copy()
    for value in ("35", "70", "5"):
        set_share(done, qtbot, value)
    set_share(done, qtbot, "10", row=0)
    done.panel.table.ranges[1].choose(0.05)
    done.panel.source_box.setCurrentIndex(0)
    answered(done, qtbot)
    qtbot.mouseClick(done.panel.decisions.cancel, Qt.MouseButton.LeftButton)
    assert snapshot(done, viewer) == before
    assert np.array_equal(edits.data, painted)
    assert "nothing of them was kept" in done.panel.status.text()
    qtbot.wait(300)
    assert snapshot(done, viewer) == before, "nothing comes late"


def test_cancel_after_an_impossible_sum(done: Any, viewer: Any, qtbot: Any) -> None:
    before = snapshot(done, viewer)
    type_into(qtbot, done.panel.table.boxes[0], "80")
    answered(done, qtbot)
    type_into(qtbot, done.panel.table.boxes[1], "70")
    qtbot.mouseClick(done.panel.decisions.cancel, Qt.MouseButton.LeftButton)
    assert snapshot(done, viewer) == before


def test_back_brings_the_values_too_and_loses_nothing(done: Any, viewer: Any, qtbot: Any) -> None:
    phases, bar = viewer.layers["steel phases"], done.panel.results
    maps = [phases.data.copy()]
    for value in ("25", "45"):
        set_share(done, qtbot, value)
        maps.append(phases.data.copy())
        if value == "25":
            qtbot.mouseClick(done.panel.decisions.accept, Qt.MouseButton.LeftButton)
    for expected, text in ((maps[1], "25.00"), (maps[0], "")):
        qtbot.mouseClick(bar.back, Qt.MouseButton.LeftButton)
        assert np.array_equal(phases.data, expected)
        assert done.panel.table.boxes[1].text() == text
    assert not bar.back.isEnabled()
    for expected, text in ((maps[1], "25.00"), (maps[2], "45.00")):
        qtbot.mouseClick(bar.forward, Qt.MouseButton.LeftButton)
        assert np.array_equal(phases.data, expected)
        assert done.panel.table.boxes[1].text() == text
    assert len(done.history().runs) == 3
    assert not done.live.in_series, "putting values back is no change"


def test_only_ten_results_are_kept(done: Any, qtbot: Any) -> None:
    for value in range(10, 25):
        set_share(done, qtbot, str(value))
        done.live.accept()
    assert len(done.history().runs) == 10
    assert done.history().runs[0].inputs.shares[1] == pytest.approx(0.15)


@pytest.mark.parametrize("patient", [True, False])
def test_saving_accepts_first(done: Any, qtbot: Any, patient: bool) -> None:
    type_into(qtbot, done.panel.table.boxes[1], "35")
    if patient:
        answered(done, qtbot)
    qtbot.mouseClick(done.panel.results.copy, Qt.MouseButton.LeftButton)
    assert len(done.history().runs) == 2 and not done.live.in_series
    assert "35.00" in _clipboard()


def _clipboard() -> str:
    from qtpy.QtWidgets import QApplication

    return str(QApplication.clipboard().text())


def test_segment_replaces_what_is_on_trial(done: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    set_share(done, qtbot, "35")
    segment()
    assert len(done.history().runs) == 2 and not done.live.in_series
    assert done.history().shown.planes[()].segmentation.asked[1] == 0.35
    before = snapshot(done, viewer)
    set_share(done, qtbot, "50")
    done.live.cancel()
    assert snapshot(done, viewer)[2:] == before[2:]


def test_each_image_has_its_own_series(done: Any, viewer: Any, segment: Any, qtbot: Any) -> None:
    before = viewer.layers["steel phases"].data.copy()
    set_share(done, qtbot, "35")
    trial = viewer.layers["steel phases"].data.copy()
    other = viewer.add_image(micrograph(seed=3), name="other")
    assert done.image == other and not done.live.in_series
    viewer.layers.selection.active = viewer.layers["steel"]
    assert done.live.in_series and np.array_equal(viewer.layers["steel phases"].data, trial)
    done.live.cancel()
    assert np.array_equal(viewer.layers["steel phases"].data, before)


def test_planes_of_a_stack_on_trial(widget: Any, viewer: Any, qtbot: Any, segment: Any) -> None:
    viewer.add_image(np.stack([micrograph(seed=i) for i in range(3)]), name="steel")
    impose_exactly(widget)
    widget.panel.planes_box.setCurrentIndex(1)
    viewer.dims.set_point(0, 0)
    segment()
    before = viewer.layers["steel phases"].data.copy()
    set_share(widget, qtbot, "35")
    viewer.dims.set_point(0, 2)
    set_share(widget, qtbot, "40")
    data = viewer.layers["steel phases"].data
    for plane, share in ((0, 0.35), (2, 0.40)):
        assert np.count_nonzero(data[plane] == 2) / data[plane].size == pytest.approx(share, abs=1e-3)
    assert np.array_equal(data[1], before[1])
    widget.live.cancel()
    assert np.array_equal(viewer.layers["steel phases"].data, before)


def test_layers_that_go_away_while_live(done: Any, viewer: Any, qtbot: Any) -> None:
    set_share(done, qtbot, "35")
    viewer.layers.remove("steel phases")
    set_share(done, qtbot, "40")
    assert "steel phases" in viewer.layers
    viewer.layers.remove("steel phases")
    viewer.layers.remove("steel")
    assert not done.live.in_series
    assert not done.panel.decisions.cancel.isEnabled()
