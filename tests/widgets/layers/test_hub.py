"""What the docks of a viewer tell each other stays in it, holds nothing, and hides no error."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from qtpy.QtCore import QObject

from phaseguide.widgets.layers.hub import hub_of, tell
from phaseguide.widgets.qt.dock import listen, silence


class Viewer:
    """Any object that can be referred to weakly will do."""


class Taker(QObject):
    def __init__(self) -> None:
        super().__init__()
        self.taken: list[Any] = []

    def take(self, *told: Any) -> None:
        self.taken.append(told)

    def refuse(self, *told: Any) -> None:
        raise ValueError("no model is chosen")


def test_what_is_told_stays_in_its_viewer_and_holds_nothing(qapp: Any) -> None:
    viewer, other, first, second = Viewer(), Viewer(), Taker(), Taker()
    offers = hub_of(viewer).ratio_offered
    for one in (first, second):
        offers.connect(one.take)
    assert tell(offers, "ratio") and not tell(hub_of(other).ratio_offered, "ratio")
    assert first.taken == second.taken == [("ratio",)]
    del first, one
    gc.collect()
    assert tell(offers, "again") and second.taken == [("ratio",), ("again",)]
    del second
    gc.collect()
    assert not tell(offers, "nobody")


def test_a_hub_goes_with_its_viewer(qapp: Any) -> None:
    viewer = Viewer()
    kept = hub_of(viewer)
    assert hub_of(viewer) is kept
    kept.model = "a"
    del viewer
    gc.collect()
    assert hub_of(Viewer()).model is None


def test_who_is_silenced_hears_nothing(qapp: Any) -> None:
    viewer, taker = Viewer(), Taker()
    kept = hub_of(viewer).result_kept
    for _ in range(2):
        listen(taker, kept, taker.take)
    tell(kept, "image", "run")
    assert taker.taken == [("image", "run")]
    silence(taker)
    assert not tell(kept, "image", "another run") and len(taker.taken) == 1
    listen(taker, kept, taker.take)
    assert not tell(kept, "image", "a third run"), "what is closed stays closed"


def test_an_error_of_a_listener_is_raised_as_it_is(qapp: Any) -> None:
    viewer, taker = Viewer(), Taker()
    chosen = hub_of(viewer).model_chosen
    chosen.connect(taker.refuse)
    with pytest.raises(ValueError, match="no model is chosen"):
        tell(chosen, "path")
