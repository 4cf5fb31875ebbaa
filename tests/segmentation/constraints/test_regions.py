"""Regions: who owns a pixel, and matching each by itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from phaseguide.errors import MicrographError, RatioError
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.ratios import blend_ratios, complete_ratio
from phaseguide.segmentation.constraints.region_matching import match_regions
from phaseguide.segmentation.constraints.regions import (
    REST,
    Region,
    check_regions,
    impose_regions,
    measure_regions,
    regions_labels,
    report_regions,
    whole_composition,
)
from phaseguide.segmentation.matching.match import argmax_labels, match_ratio

SCHEME = PhaseScheme.from_names(["ferrite", "carbide", "oxide"])
OPEN = np.full(3, np.nan)


def field(shape: tuple[int, int] = (60, 80), seed: int = 0, n_phases: int = 3) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((n_phases, *shape)).astype(np.float32)
    return np.stack([gaussian_filter(plane, 3) for plane in noise]) * 20


def rectangle(shape: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


def fully(asked: Any, own: Any, uncertainty: Any) -> np.ndarray:
    """Believe the user in full."""
    return complete_ratio(asked, own)


def run(
    scores: np.ndarray,
    regions: list[Region],
    *,
    field_asked: np.ndarray | None = None,
    fixed: np.ndarray | None = None,
    min_island_px: int = 0,
) -> tuple[Any, np.ndarray, np.ndarray]:
    """What a session does, with full belief."""
    shape = scores.shape[1:]
    checked = check_regions(regions, shape, SCHEME)
    owner = regions_labels(checked, shape)
    excluded = None if fixed is None else np.where(fixed == EXCLUDED, np.uint8(EXCLUDED), np.uint8(0))
    own, _ = measure_regions(argmax_labels(scores, excluded), owner, len(checked), 3)
    imposed, _ = impose_regions(checked, (field_asked, 0.3), own, fully)
    match = match_regions(
        scores, checked, owner, imposed, start=argmax_labels(scores), fixed=fixed, min_island_px=min_island_px
    )
    return match, owner, imposed


# -- checks ---------------------------------------------------------------------------------------

SHAPE = (60, 80)
COATING = rectangle(SHAPE, slice(0, 20), slice(0, 80))
WELD = rectangle(SHAPE, slice(10, 50), slice(30, 60))


def test_errors_name_the_region():
    with pytest.raises(MicrographError, match=r"'coating' holds no pixel.*outside"):
        check_regions([Region("coating", np.zeros(SHAPE, bool), OPEN)], SHAPE, SCHEME)
    with pytest.raises(MicrographError, match=r"'coating'.*5 x 6 px"):
        check_regions([Region("coating", COATING, OPEN)], (5, 6), SCHEME)
    with pytest.raises(RatioError, match=r"'weld': The phases sum to 110.00 %"):
        check_regions([Region("weld", WELD, np.array([0.6, 0.5, np.nan]))], SHAPE, SCHEME)
    with pytest.raises(RatioError, match="'weld': The ratio has 2 values"):
        check_regions([Region("weld", WELD, np.array([0.6, 0.4]))], SHAPE, SCHEME)
    for unsure in (-0.1, np.nan, (0.1, 0.2)):
        with pytest.raises(RatioError, match="'weld': The uncertainty"):
            check_regions([Region("weld", WELD, OPEN, unsure)], SHAPE, SCHEME)
    with pytest.raises(MicrographError, match="'weld' lies altogether under"):
        check_regions(
            [Region("weld", WELD, OPEN), Region("all", ~np.zeros(SHAPE, bool), OPEN)], SHAPE, SCHEME
        )


def test_ratios_that_miss_100_by_rounding_are_scaled():
    (region,) = check_regions([Region("weld", WELD, np.array([0.333, 0.333, 0.333]))], SHAPE, SCHEME)
    np.testing.assert_allclose(region.asked, 1 / 3)


def test_the_later_region_owns_what_both_cover():
    owner = regions_labels([Region("coating", COATING, OPEN), Region("weld", WELD, OPEN)], SHAPE)
    assert owner.dtype == np.uint8
    np.testing.assert_array_equal(owner, np.where(WELD, 2, np.where(COATING, 1, 0)))
    assert regions_labels([], SHAPE).max() == 0


# -- matching -------------------------------------------------------------------------------------


@given(
    st.integers(0, 3),
    st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any),
    st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any),
)
def test_every_region_gets_its_own_composition_exact_to_one_pixel(seed, first, second):
    scores = field(seed=seed)
    wishes = np.array([first, second], float)
    wishes /= wishes.sum(1, keepdims=True)
    match, owner, _ = run(scores, [Region("coating", COATING, wishes[0]), Region("weld", WELD, wishes[1])])
    assert not match.notices
    for number, wish in enumerate(wishes, start=1):
        pixels = np.count_nonzero(owner == number)
        assert np.all(np.abs(match.achieved[number] - wish) * pixels < 1 + 1e-9)
        inside = match.labels[owner == number]
        np.testing.assert_allclose([np.mean(inside == k) for k in (1, 2, 3)], match.achieved[number])
    plain = argmax_labels(scores)
    np.testing.assert_array_equal(match.labels[owner == 0], plain[owner == 0])


def test_a_region_is_matched_on_its_own_pixels_and_nothing_else():
    scores = field()
    match, _, imposed = run(scores, [Region("weld", WELD, np.array([0.2, 0.5, 0.3]))])
    alone = match_ratio(np.ascontiguousarray(scores[:, 10:50, 30:60]), imposed[1])
    np.testing.assert_array_equal(match.labels[10:50, 30:60], alone.labels)
    other = scores.copy()
    other[:, ~WELD] = 99 * np.random.default_rng(1).standard_normal((3, np.count_nonzero(~WELD)))
    again, _, _ = run(other, [Region("weld", WELD, np.array([0.2, 0.5, 0.3]))])
    np.testing.assert_array_equal(again.labels[WELD], match.labels[WELD])


def test_the_ratio_of_the_field_is_that_of_its_rest():
    asked = np.array([0.1, np.nan, np.nan])
    match, owner, _ = run(field(), [Region("weld", WELD, np.array([0.9, 0.1, 0.0]))], field_asked=asked)
    assert match.achieved[0, 0] == pytest.approx(0.1, abs=1 / np.count_nonzero(owner == 0))
    assert match.achieved[1] == pytest.approx([0.9, 0.1, 0.0], abs=1e-3)


def test_one_region_over_everything_is_the_ratio_of_the_field():
    scores, wish = field(), np.array([0.5, 0.2, 0.3])
    match, _, _ = run(scores, [Region("all", np.ones(SHAPE, bool), wish)])
    np.testing.assert_array_equal(match.labels, match_ratio(scores, wish).labels)


def test_open_regions_are_measured_but_not_changed():
    scores = field()
    match, _, imposed = run(scores, [Region("weld", WELD, OPEN)])
    assert np.isnan(imposed).all()
    np.testing.assert_array_equal(match.labels, argmax_labels(scores))
    np.testing.assert_allclose(match.achieved[1].sum(), 1)


def test_what_nobody_asked_about_stays_as_the_map_without_a_ratio_has_it():
    scores, start = field(), np.full(SHAPE, 3, np.uint8)  # such as the map of scores that are not calibrated
    checked = check_regions([Region("weld", WELD, np.array([0.4, 0.5, 0.1]), 0.0)], SHAPE, SCHEME)
    owner = regions_labels(checked, SHAPE)
    imposed = np.array([[np.nan] * 3, [0.4, 0.5, 0.1]])
    match = match_regions(scores, checked, owner, imposed, start=start)
    assert (match.labels[~WELD] == 3).all()
    assert match.achieved[1] == pytest.approx([0.4, 0.5, 0.1], abs=1e-3)


def test_edits_and_exclusions_stay():
    scores = field()
    fixed = np.zeros(SHAPE, np.uint8)
    fixed[12:20, 30:60], fixed[40:50, 30:60] = 2, EXCLUDED
    match, _, _ = run(scores, [Region("weld", WELD, np.array([0.4, 0.5, 0.1]))], fixed=fixed)
    np.testing.assert_array_equal(match.labels[fixed > 0], fixed[fixed > 0])
    assert match.achieved[1] == pytest.approx([0.4, 0.5, 0.1], abs=1e-3)
    assert not match.notices
    over, _, _ = run(scores, [Region("weld", WELD, np.array([0.9, 0.05, 0.05]))], fixed=fixed)
    assert "Region 'weld': your manual edits hold more" in over.notices[0]
    np.testing.assert_array_equal(over.labels[fixed > 0], fixed[fixed > 0])


def test_scores_that_say_nothing_inside_a_region():
    scores = field()
    scores[:, WELD] = np.array([1, 2, 0])[:, None]
    wish = np.array([0.4, 0.4, 0.2])
    match, _, _ = run(scores, [Region("weld", WELD, wish), Region("strip", COATING, wish)])
    assert len(match.notices) == 1
    assert match.notices[0].startswith("Region 'weld': the model's scores are the same")
    assert match.achieved[2] == pytest.approx(wish, abs=1e-3)


def test_a_ratio_that_no_pixel_is_left_for_is_said():
    own = np.array([[np.nan] * 3, [0.2, 0.3, 0.5], [np.nan] * 3])
    asked = np.array([0.3, 0.3, 0.4])
    regions = [Region("weld", WELD, asked), Region("hole", COATING, asked)]
    imposed, notices = impose_regions(regions, (asked, 0.3), own, fully)
    np.testing.assert_array_equal(np.isnan(imposed).all(1), [True, False, True])
    assert notices[0].startswith("Rest of the field") and notices[1].startswith("Region 'hole'")


def test_belief_is_that_of_each_region():
    own = np.array([[0.4, 0.3, 0.3]] * 3)
    asked = np.array([0.8, 0.1, 0.1])
    regions = [Region("sure", WELD, asked, 0.0), Region("unsure", COATING, asked, 2.0)]
    imposed, _ = impose_regions(regions, (None, 0.3), own, partial(blend_ratios, own_error=0.3))
    assert np.isnan(imposed[0]).all()
    np.testing.assert_allclose(imposed[1], asked)
    assert 0.4 < imposed[2, 0] < 0.5


def test_islands_go_and_the_compositions_stay():
    scores = field() + np.random.default_rng(4).normal(0, 2, (3, *SHAPE)).astype(np.float32)
    wish = np.array([0.5, 0.3, 0.2])
    regions = [
        Region("weld", WELD, wish),
        Region("strip", rectangle(SHAPE, slice(50, 60), slice(0, 80)), wish),
    ]
    rough, owner, _ = run(scores, regions)
    clean, _, _ = run(scores, regions, min_island_px=20)
    assert small_islands(clean.labels) < small_islands(rough.labels) / 3
    for number in (1, 2):
        assert np.all(np.abs(clean.achieved[number] - wish) * np.count_nonzero(owner == number) < 1 + 1e-9)


def small_islands(labels: np.ndarray) -> int:
    from scipy.ndimage import label

    return sum(
        int(np.count_nonzero(np.bincount(label(labels == k, np.ones((3, 3)))[0].ravel())[1:] < 20))
        for k in (1, 2, 3)
    )


def test_scores_on_disk_give_the_same(tmp_path: Path):
    scores = field()
    scores.tofile(tmp_path / "scores")
    mapped = np.memmap(tmp_path / "scores", np.float32, "r", shape=scores.shape)
    regions = [Region("weld", WELD, np.array([0.2, 0.5, 0.3]))]
    for islands in (0, 20):
        there, _, _ = run(mapped, regions, min_island_px=islands)
        here, _, _ = run(scores, regions, min_island_px=islands)
        np.testing.assert_array_equal(there.labels, here.labels)


@given(st.integers(0, 5))
def test_the_whole_is_the_mean_of_its_parts_by_area(seed):
    scores = field(seed=seed)
    regions = [Region("weld", WELD, np.array([0.2, 0.5, 0.3])), Region("strip", COATING, OPEN)]
    match, owner, imposed = run(scores, regions)
    own, areas = measure_regions(argmax_labels(scores), owner, 2, 3)
    whole = whole_composition(imposed, own, areas)
    assert areas.sum() == scores[0].size and whole.sum() == pytest.approx(1)
    achieved = [np.mean(match.labels == k) for k in (1, 2, 3)]
    assert whole == pytest.approx(achieved, abs=2 / scores[0].size)


def test_the_report_tells_what_was_asked_of_whom():
    scores, asked = field(), np.array([0.2, 0.5, 0.3])
    regions = [Region("weld", WELD, asked, 0.1), Region("strip", COATING, OPEN)]
    match, owner, imposed = run(scores, regions)
    own, areas = measure_regions(argmax_labels(scores), owner, 2, 3)
    weld, strip, rest = report_regions(regions, (None, 0.3), own, areas, imposed, match.achieved)
    assert [one.name for one in (weld, strip, rest)] == ["weld", "strip", REST]
    assert weld.uncertainty == 0.1 and weld.pixels == np.count_nonzero(owner == 1)
    np.testing.assert_allclose(weld.imposed, asked)
    np.testing.assert_allclose(weld.achieved, asked, atol=1e-3)
    for one in (strip, rest):
        assert one.asked is None and one.imposed is None and one.uncertainty is None
        np.testing.assert_array_equal(one.achieved, one.own)
    everywhere = regions_labels([Region("all", np.ones(SHAPE, bool), asked)], SHAPE)
    own, areas = measure_regions(argmax_labels(scores), everywhere, 1, 3)
    assert len(report_regions(regions[:1], (asked, 0.3), own, areas, own, own)) == 1
