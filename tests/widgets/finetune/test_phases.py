"""Phases being edited: labels follow every change, and come back when it is taken back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.errors import SchemeError
from phaseguide.labels import relabelled
from phaseguide.phase_edits import EditedPhases, taken_back
from phaseguide.phases import PhaseScheme

NAMES = ["a", "b", "c", "d"]
labels = st.lists(st.sampled_from([0, 1, 2, 3, 4, 255]), min_size=1, max_size=30)


def edited() -> EditedPhases:
    return EditedPhases.of(PhaseScheme.from_names(NAMES), {k: (k,) for k in range(1, 5)})


@given(labels, st.integers(0, 3), st.integers(0, 3))
def test_merging_keeps_names_of_strokes(painted: list[int], index: int, into: int) -> None:
    if index == into:
        return
    phases, relabel = edited().merged(index, into)
    names = {0: "", 255: "excluded", **{i + 1: n for i, n in enumerate(NAMES)}}
    after = {0: "", 255: "excluded", **{p.label: p.name for p in phases.scheme()}}
    found = relabelled(np.array(painted, dtype=np.uint8), relabel)
    expected = [NAMES[into] if names[v] == NAMES[index] else names[v] for v in painted]
    assert [after[v] for v in found.tolist()] == expected
    joined = phases.scheme().find(NAMES[into]).label
    assert set(phases.origin()[joined - 1]) == {index + 1, into + 1}


@given(labels, st.integers(0, 3))
def test_removing_unsays(painted: list[int], index: int) -> None:
    phases, relabel = edited().removed(index)
    found = relabelled(np.array(painted, dtype=np.uint8), relabel)
    after = {0: "", 255: "excluded", **{p.label: p.name for p in phases.scheme()}}
    names = {0: "", 255: "excluded", **{i + 1: n for i, n in enumerate(NAMES)}}
    names[index + 1] = ""
    assert [after[v] for v in found.tolist()] == [names[v] for v in painted]


@given(labels, st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))
def test_taking_back_restores_and_keeps_new_strokes(
    painted: list[int], index: int, into: int, fresh: int
) -> None:
    if index == into:
        return
    before = np.array(painted, dtype=np.uint8)
    phases, relabel = edited().merged(index, into)
    after = relabelled(before, relabel)
    assert np.array_equal(taken_back(after, after, before, relabel), before)
    now = after.copy()
    name = phases.scheme().names[fresh % 3]
    now[0] = phases.scheme().find(name).label
    back = taken_back(now, after, before, relabel)
    assert np.array_equal(back[1:], before[1:])
    if now[0] != after[0]:
        allowed = {NAMES.index(name) + 1, *((index + 1,) if name == NAMES[into] else ())}
        assert int(back[0]) in allowed


def test_fewer_than_two_phases_or_twice_a_name_is_no_scheme() -> None:
    with pytest.raises(SchemeError, match="two phases or more"):
        EditedPhases().added("a").scheme()
    with pytest.raises(SchemeError, match="same name"):
        EditedPhases().added("a").added("A").scheme()


def test_added_phases_differ_in_name_and_colour() -> None:
    phases = EditedPhases()
    for _ in range(8):
        phases = phases.added()
    scheme = phases.scheme()
    assert len({p.colour for p in scheme}) == 8 and phases.origin() == ((),) * 8
