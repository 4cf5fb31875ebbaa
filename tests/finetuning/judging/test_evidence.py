"""Scores with what stands behind them: ranges over places, not pixels; no number for what was never learnt."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.finetuning.events import FinetuneResult
from phaseguide.finetuning.judging.evidence import (
    compare_places,
    compared,
    is_better,
    mean_dice,
    scores_of,
    wilson,
)
from phaseguide.finetuning.judging.verdict import evidence, verdict

NAMES = ("matrix", "secondary", "tertiary")


def place(right: tuple[int, int, int], wrong: int = 0) -> np.ndarray:
    """So many right pixels of each phase, and some of the last that were taken for the first."""
    matrix = np.zeros((3, 4), dtype=np.int64)
    matrix[np.arange(3), np.arange(3)] = right
    matrix[2, 0] = wrong
    return matrix


def strokes(count: int, size: int = 100) -> dict[int, np.ndarray]:
    """Strokes of the three phases in turn, all right."""
    return {i: place(tuple(size * (i % 3 == k) for k in range(3))) for i in range(count)}


def result(before: object, after: object, changed: tuple[int, int] | None = (7, 1)) -> FinetuneResult:
    better = is_better(before, after)  # type: ignore[arg-type]
    return FinetuneResult(None, before, after, (), "done", better, {}, "", changed)  # type: ignore[arg-type]


def test_wilson_is_as_published() -> None:
    # Brown, Cai and DasGupta, Stat. Sci. 16 (2001), 101: 0 of 10 goes up to 0.278.
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert wilson(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-3)


def test_a_range_is_as_wide_as_places_are_few_however_many_pixels_these_have() -> None:
    few, many = scores_of(strokes(6), NAMES, "x"), scores_of(strokes(60), NAMES, "x")
    large = scores_of(strokes(6, size=10_000), NAMES, "x")
    assert few.dice_mean == many.dice_mean == 1.0 and few.high == many.high == 1.0
    assert few.low is not None and many.low is not None and few.low < 0.75 < 0.9 < many.low
    assert large.low == pytest.approx(few.low) and large.pixels == 100 * few.pixels


def test_one_large_place_beside_small_ones_counts_hardly_more_than_one() -> None:
    even = scores_of({i: place((50, 50, 50)) for i in range(10)}, NAMES, "x")
    uneven = scores_of(
        {0: place((5000, 5000, 5000)), **{i: place((5, 5, 5)) for i in range(1, 10)}}, NAMES, "x"
    )
    assert even.low is not None and uneven.low is not None and uneven.low < even.low - 0.2


def test_the_range_of_a_mean_holds_it() -> None:
    counts = {**strokes(9), 20: place((30, 0, 10), wrong=40)}
    scores = scores_of(counts, NAMES, "x")
    assert scores.dice_mean == pytest.approx(mean_dice(counts))
    assert scores.low < scores.dice_mean < scores.high  # type: ignore[operator]
    for phase in scores.phases:
        assert phase.low <= phase.dice <= phase.high  # type: ignore[operator]


def test_a_verdict_stands_with_pixels_by_phase_and_range() -> None:
    before = scores_of({**strokes(8), 20: place((0, 0, 0), wrong=50)}, NAMES, "x")
    after = scores_of({**strokes(8), 20: place((0, 0, 50))}, NAMES, "x")
    text, alarm = verdict(result(before, after))
    assert not alarm and "better: mean Dice 93." in text
    assert "Now 100.0 % on 850 painted px (matrix: 300, secondary: 300, tertiary: 250), range" in text
    assert "(95 %, 9 places)" in text and "right in 7 of 9 places, fewer in 1" in text
    assert evidence(after) in text


def test_before_of_a_phase_that_was_never_learnt_is_no_number() -> None:
    counts = {**strokes(8), 20: place((0, 0, 0), wrong=50)}
    before = scores_of(counts, NAMES, "x", {"tertiary"})
    after = scores_of(strokes(9), NAMES, "x")
    assert before.phases[2].dice is None and not before.phases[2].trained and before.phases[2].pixels == 250
    assert before.fraction_mae is None
    assert compared(before, after) is not None
    text, _ = verdict(result(before, after))
    assert "without tertiary, which was not trained yet" in text
    none = scores_of(counts, NAMES, "x", set(NAMES))
    for untrained in (none, None):
        assert compared(untrained, after) is None and is_better(untrained, after) is None
        text, alarm = verdict(result(untrained, after, None))
        assert "no number from before" in text and "on 900 painted px" in text and not alarm


def test_places_are_compared_one_by_one() -> None:
    before = {1: place((5, 0, 5), wrong=5), 2: place((9, 0, 0)), 3: place((0, 4, 0))}
    after = {1: place((5, 0, 10)), 2: place((8, 0, 0)), 3: place((0, 4, 0))}
    assert compare_places(before, after) == (1, 1)
