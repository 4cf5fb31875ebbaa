"""The state of the Segment dock: it tells of changes, and only of changes. No window is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from phaseguide.jobs.inputs import Inputs
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.request import Segmentation
from phaseguide.widgets.segment.state import ModelChoice, SegmentState


class Ear:
    """Hears one field, as views do: by a bound method, which is held weakly."""

    def __init__(self, state: SegmentState, field: str) -> None:
        self.heard: list[Any] = []
        getattr(state.events, field).connect(self.note)

    def note(self, new: Any, old: Any) -> None:
        self.heard.append((new, old))


@pytest.fixture
def state() -> SegmentState:
    return SegmentState()


def test_a_change_is_told_once(state: SegmentState) -> None:
    inputs, phase = Ear(state, "inputs"), Ear(state, "phase")
    before = state.inputs
    state.inputs = replace(before, shares=(0.3, None))
    state.inputs = replace(before, shares=(0.3, None))
    assert inputs.heard == [(replace(before, shares=(0.3, None)), before)] and not phase.heard


def test_the_same_layer_behind_another_proxy_is_no_change(state: SegmentState) -> None:
    image = Ear(state, "image")
    state.image = SimpleNamespace(unique_id="one")
    state.image = SimpleNamespace(unique_id="one")
    assert len(image.heard) == 1
    state.image = None
    assert len(image.heard) == 2


def test_a_result_is_told_by_its_identity(state: SegmentState) -> None:
    """Arrays have no truth value to compare by."""
    shown = Ear(state, "shown")
    labels = np.ones((2, 2), np.uint8)
    scheme, shares = PhaseScheme.from_names(["ferrite"]), np.ones(1)
    one = Segmentation(labels, scheme, None, shares, None, shares, labels, None, None, ())
    state.shown = one
    state.shown = one
    state.shown = replace(one, labels=labels.copy())
    assert len(shown.heard) == 2


def test_a_model_that_is_opened_again_is_told_again(state: SegmentState) -> None:
    model = Ear(state, "model")
    for _ in range(2):
        state.model = ModelChoice(Path("a"), None, PhaseScheme.from_names(["ferrite"]))  # type: ignore[arg-type]
    assert len(model.heard) == 2


def test_a_view_that_is_gone_hears_nothing(state: SegmentState) -> None:
    ear = Ear(state, "follow")
    heard = ear.heard
    del ear
    state.follow = False
    assert not heard


def test_two_states_are_apart() -> None:
    one, other = SegmentState(), SegmentState()
    ear = Ear(other, "follow")
    one.follow = False
    assert not ear.heard and other.follow


def test_what_is_asked_comes_from_the_values(state: SegmentState) -> None:
    assert state.asked is None
    state.inputs = Inputs(("ferrite", "pearlite"), (None, None), (None, None), "field")
    assert state.asked is None and state.uncertainty == 0.1
    state.inputs = replace(state.inputs, shares=(0.25, None))
    assert state.asked == pytest.approx([0.25, np.nan], nan_ok=True)


def test_an_uncertainty_of_its_own_goes_before_that_of_the_source(state: SegmentState) -> None:
    state.inputs = Inputs(("ferrite", "pearlite"), (0.25, None), (0.05, None), "field")
    assert state.uncertainty == (0.05, 0.1)
    state.inputs = replace(state.inputs, spreads=(0.1, None))
    assert state.uncertainty == 0.1
    state.inputs = replace(state.inputs, spreads=(0.05, 0.0))
    assert state.uncertainty == (0.05, 0.0), "a lock is exact"
    assert state.inputs.unlocked().spreads == (0.05, None)
