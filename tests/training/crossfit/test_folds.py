"""Dealing images out to folds, and what a fold must leave to its model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.errors import TrainingError
from phaseguide.training.crossfit.folds import check_count, check_folds, draw_folds, missing_phases
from textures import SCHEME

HELD = st.lists(st.frozensets(st.integers(1, 4), min_size=1), min_size=4, max_size=24)


@given(HELD, st.integers(2, 4), st.integers(0, 99))
def test_every_image_is_in_one_fold_and_folds_are_of_one_size(
    held: list[frozenset[int]], count: int, seed: int
) -> None:
    holds = {f"f{i}": phases for i, phases in enumerate(held)}
    folds = draw_folds(holds, count, seed)
    assert len(folds) == count and folds == draw_folds(holds, count, seed)
    assert sorted(stem for test in folds.values() for stem in test) == sorted(holds)
    sizes = [len(test) for test in folds.values()]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 200))
def test_a_phase_of_two_images_is_left_to_the_training_of_every_fold(seed: int) -> None:
    holds = {f"f{i}": frozenset({1} | ({2} if i in (3, 8) else set())) for i in range(10)}
    holds["f3"] |= {3}
    holds["f5"] |= {3}
    folds = draw_folds(holds, 5, seed)
    assert not any(missing_phases(folds, holds).values())


def test_other_seeds_deal_other_folds() -> None:
    holds = {f"f{i}": frozenset({1, 2}) for i in range(10)}
    assert len({str(draw_folds(holds, 5, seed)) for seed in range(5)}) > 1


def test_a_fold_that_keeps_a_phase_to_itself_is_told_with_its_images() -> None:
    holds = {"f0": frozenset({1}), "f1": frozenset({1, 2}), "f2": frozenset({1}), "f3": frozenset({1})}
    for folds in ({"A": ("f0", "f1"), "B": ("f2", "f3")}, draw_folds(holds, 2, 0)):
        with pytest.raises(
            TrainingError, match=r"Fold \w: only its own images \(f1\) hold rough.*label another"
        ):
            check_folds(folds, holds, SCHEME, 0.15)
    with pytest.raises(TrainingError, match="Fold A leaves 1 image to its model"):
        check_folds({"A": ("f0", "f1"), "B": ("f2",)}, holds, SCHEME, 0.15)


@pytest.mark.parametrize(
    ("labelled", "folds", "share", "advice"),
    [
        (
            1,
            2,
            0.15,
            "has 1 labelled image, and cross-fitting needs 3 at least. Label more, or leave crossfit out.",
        ),
        (2, 2, 0.15, "has 2 labelled images, and cross-fitting needs 3 at least."),
        (1, 2, 0.0, "needs 2 at least."),
        (3, 5, 0.15, "every fold needs one. Set a smaller crossfit, or label more images."),
        (3, 3, 0.15, ""),
        (2, 2, 0.0, ""),
    ],
)
def test_too_few_images_get_advice_that_works(labelled: int, folds: int, share: float, advice: str) -> None:
    holds = {f"f{i}": frozenset({1}) for i in range(labelled)}
    if advice:
        with pytest.raises(TrainingError, match=re.escape(advice)):
            check_count(labelled, folds, share, Path("steel"))
    else:
        check_count(labelled, folds, share, Path("steel"))
        check_folds(draw_folds(holds, folds, 0), holds, SCHEME, share)
