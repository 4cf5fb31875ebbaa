"""A ratio that another part offers: written into the boxes as one change, with its source in the record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from phaseguide.segmentation.request import Request
from phaseguide.widgets.layers.hub import RatioOffer, hub_of, tell
from widget_helpers import micrograph, type_into
from workbench_helpers import close_workbench

SHARES = np.array([np.nan, 0.35, 0.05])


@pytest.fixture
def viewer(model_viewer: Any) -> Any:
    return model_viewer


@pytest.fixture
def done(widget: Any, viewer: Any, segment: Any) -> Any:
    viewer.add_image(micrograph(), name="steel")
    segment()
    return widget


def answered(widget: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: widget.live._awaited is None, timeout=20_000)


def test_an_offer_is_one_change(done: Any, viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.segmentation.session import Session

    asked: list[Request] = []
    plain = Session.segment

    def note(self: Any, request: Request, **more: Any) -> Any:
        asked.append(request)
        return plain(self, request, **more)

    monkeypatch.setattr(Session, "segment", note)
    tell(hub_of(viewer).ratio_offered, RatioOffer(SHARES, (0.3, 0.05, 0.2), "painted share of 'steel edits'"))
    answered(done, qtbot)
    assert [box.text() for box in done.panel.table.boxes] == ["", "35.00", "5.00"]
    assert len(asked) == 1 and asked[0].uncertainty == (0.3, 0.05, 0.2)
    mark = viewer.layers["steel phases"].metadata["phaseguide"]
    assert mark["source"] == "painted share of 'steel edits'"


def test_one_uncertainty_for_all_or_none(done: Any, qtbot: Any) -> None:
    done.take_offer(RatioOffer(SHARES, 0.05, "a count"))
    assert done.state.uncertainty == (0.05, 0.05, 0.05)
    before = done.panel.source_box.currentIndex()
    done.take_offer(RatioOffer(SHARES, None, "a preset"))
    assert done.panel.source_box.currentIndex() == before and done.state.inputs.title == "a preset"


def test_a_number_that_was_changed_by_hand_is_told(done: Any, viewer: Any, qtbot: Any) -> None:
    done.take_offer(RatioOffer(SHARES, None, "a count"))
    type_into(qtbot, done.panel.table.boxes[1], "36")
    answered(done, qtbot)
    mark = viewer.layers["steel phases"].metadata["phaseguide"]
    assert mark["source"] == "a count, then changed by hand"


def test_choosing_a_source_takes_its_uncertainty_for_every_phase(done: Any, qtbot: Any) -> None:
    done.take_offer(RatioOffer(SHARES, 0.05, "a count"))
    done.panel.source_box.setCurrentIndex(0)
    assert done.state.uncertainty == 0.1 and done.state.inputs.title == ""


def test_cancel_takes_an_offer_back(done: Any, qtbot: Any) -> None:
    before = done.state.inputs
    done.take_offer(RatioOffer(SHARES, 0.05, "a count"))
    answered(done, qtbot)
    done.live.cancel()
    assert done.state.inputs == before


def test_an_offer_for_other_phases_is_refused(done: Any, told: list[str]) -> None:
    before = done.state.inputs
    done.take_offer(RatioOffer(np.array([0.5, 0.5]), 0.05, "a count"))
    assert "2 phases" in told[0] and done.state.inputs == before


def test_a_closed_widget_takes_nothing(done: Any, viewer: Any) -> None:
    close_workbench(viewer)
    assert not tell(hub_of(viewer).ratio_offered, RatioOffer(SHARES, 0.05, "a count"))


def test_maps_by_name(done: Any, viewer: Any, qtbot: Any) -> None:
    fixed = {"Automatic estimate", "Without guidance", "Result on show", "Result 1"}
    assert set(done.named_maps()) == fixed
    done.take_offer(RatioOffer(SHARES, None, "a count"))
    answered(done, qtbot)
    maps = {name: make() for name, make in done.named_maps().items()}
    assert set(maps) == fixed | {"Expected values"}
    assert np.array_equal(maps["Result on show"], viewer.layers["steel phases"].data)
    assert np.array_equal(maps["Without guidance"], maps["Result 1"])
    exact = maps["Expected values"]
    assert np.count_nonzero(exact == 2) / exact.size == pytest.approx(0.35, abs=1e-4)
    assert not np.array_equal(exact, maps["Result on show"]), "that one weighs the values against the model"


def test_the_session_of_the_plane_on_show(widget: Any, viewer: Any, segment: Any) -> None:
    assert widget.current_session() is None
    viewer.add_image(np.stack([micrograph(seed=i) for i in range(2)]), name="steel")
    viewer.dims.set_point(0, 0)
    segment()
    session = widget.current_session()
    assert session is not None and np.array_equal(session.pixels, micrograph(seed=0))
    viewer.dims.set_point(0, 1)
    assert widget.current_session() is None, "this plane was not segmented"
    viewer.dims.set_point(0, 0)
    widget.panel.advanced.controls["invert"].setChecked(True)
    assert widget.current_session() is None, "made with other options"


def test_a_count_of_this_field_brings_its_source(done: Any, qtbot: Any) -> None:
    """Its own interval stays that of each value; Cancel takes the source back too."""
    assert done.state.inputs.source == "visual"
    done.panel.scope_box.setCurrentIndex(1)
    done.take_offer(
        RatioOffer(SHARES, (0.3, 0.05, 0.2), "point count of 'steel' (100 points)", source="field")
    )
    assert (done.state.inputs.source, done.state.inputs.scope) == ("field", "field")
    assert done.panel.source_box.currentData().key == "field"
    assert done.state.uncertainty == (0.3, 0.05, 0.2)
    assert done.state.inputs.title == "point count of 'steel' (100 points)"
