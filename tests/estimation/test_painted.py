"""Painted share: counts, intervals that shrink and grow as they should, warnings, and errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phaseguide.errors import MicrographError, SchemeError
from phaseguide.estimation.painted import STROKES, check_painted, is_complete, painted_share, pool_planes
from phaseguide.estimation.two_point import painted_information
from phaseguide.events import Finished
from phaseguide.phases import PhaseScheme
from phaseguide.studies.intervals import synthetic
from phaseguide.studies.intervals.coverage import SCENARIOS, coverage_study

SCHEME = PhaseScheme.from_names(["ferrite", "carbide", "pearlite"])


def field(seed: int = 0, length: float = 5, shape: tuple[int, int] = (200, 240)) -> np.ndarray:
    return synthetic.make_field("smooth", shape, (0.6, 0.3, 0.1), length, np.random.default_rng(seed))


def width(estimate: object) -> np.ndarray:
    return estimate.high - estimate.low  # type: ignore[attr-defined]


def test_shares_are_counts_and_the_interval_is_around_them() -> None:
    painted = synthetic.paint_rectangle(field(length=3), 0.5, np.random.default_rng(1))
    estimate = painted_share(painted, SCHEME)
    counts = np.bincount(painted.ravel(), minlength=4)[1:]
    assert estimate.reading == "painted" and estimate.pixels.tolist() == counts.tolist()
    assert estimate.shares == pytest.approx(counts / counts.sum())
    assert (estimate.low < estimate.shares).all() and (estimate.shares < estimate.high).all()
    assert all(0.05 < u < 1 for u in estimate.uncertainty)
    assert estimate.warnings == ()


def test_nothing_is_unknown_when_all_is_painted() -> None:
    labels = field()
    labels[:20] = 255
    estimate = painted_share(labels, SCHEME)
    assert np.array_equal(estimate.low, estimate.shares) and np.array_equal(estimate.high, estimate.shares)
    assert estimate.uncertainty == (0.0, 0.0, 0.0)


def test_more_paint_and_finer_structure_make_it_sharper() -> None:
    widths = [
        width(
            painted_share(
                synthetic.paint_rectangle(field(length=length), part, np.random.default_rng(1)), SCHEME
            )
        )
        for part, length in ((0.1, 8), (0.4, 8), (0.9, 8), (0.1, 3))
    ]
    assert (widths[1] < widths[0]).all() and (widths[2] < 0.6 * widths[1]).all()
    assert (widths[3] < widths[0]).all()


def test_information_is_that_of_independent_pixels_where_pixels_are_independent() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((300, 300), np.uint8)
    labels[50:150, 60:160] = rng.choice([1, 2], (100, 100), p=[0.7, 0.3])
    known = painted_information(labels, 2)
    assert known.alone[0] == pytest.approx(1e-4, rel=0.4)
    assert known.of_field[0] < known.alone[0]


def test_information_counts_islands_and_not_pixels() -> None:
    rng = np.random.default_rng(0)
    squares = np.kron(rng.choice([1, 2], (20, 20)), np.ones((10, 10))).astype(np.uint8)
    labels = np.zeros((600, 600), np.uint8)
    labels[100:300, 200:400] = squares
    assert 1 / painted_information(labels, 2).alone[0] == pytest.approx(400, rel=0.3)


def test_coarser_cells_for_large_images_change_little() -> None:
    labels = field(length=10, shape=(250, 250))
    painted = synthetic.paint_rectangle(labels, 0.4, np.random.default_rng(0))
    large = np.kron(painted, np.ones((4, 4), np.uint8))
    small, same = painted_share(painted, SCHEME), painted_share(large, SCHEME)
    assert same.shares == pytest.approx(small.shares)
    assert width(same) == pytest.approx(width(small), rel=0.15)


def test_a_phase_that_is_not_painted_has_an_upper_end() -> None:
    labels = field()
    labels[labels == 3] = 2
    estimate = painted_share(synthetic.paint_rectangle(labels, 0.3, np.random.default_rng(1)), SCHEME)
    assert estimate.shares[2] == estimate.low[2] == 0 and 0 < estimate.high[2] < 0.2
    assert "pearlite is not painted" in " ".join(estimate.warnings)


def test_one_phase_alone_says_almost_nothing() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[:50, :50] = 2
    estimate = painted_share(labels, SCHEME)
    assert estimate.shares.tolist() == [0, 1, 0] and not estimate.has_interval
    assert "ferrite is not painted and counts as absent" in " ".join(estimate.warnings)


@pytest.mark.parametrize("counts", [(1, 1, 1), (12, 12, 12), (40, 3, 25)])
def test_strokes_get_no_interval_and_are_hardly_believed(counts: tuple[int, ...]) -> None:
    strokes = synthetic.paint_strokes(field(length=8), counts, np.random.default_rng(0))
    estimate = painted_share(strokes, SCHEME)
    assert not is_complete(strokes) and np.isnan(estimate.low).all() and np.isnan(estimate.high).all()
    assert estimate.uncertainty == (STROKES,) * 3
    assert "carry no interval" in estimate.warnings[0] and "Choose Extrapolated" in estimate.warnings[0]
    assert estimate.shares == pytest.approx(estimate.pixels / estimate.pixels.sum())


@pytest.mark.parametrize("seed", range(5))
def test_labelled_patches_and_rectangles_are_no_strokes(seed: int) -> None:
    labels, rng = field(seed, length=12), np.random.default_rng(seed)
    assert is_complete(synthetic.paint_rectangle(labels, 0.1, rng))
    assert is_complete(synthetic.paint_patches(labels, 8, 32, rng))
    assert is_complete(labels)


def test_what_is_excluded_is_no_outline() -> None:
    labels = np.full((60, 60), 255, np.uint8)
    labels[10:50, 10:30], labels[10:50, 30:50] = 1, 2
    assert is_complete(labels)
    labels[:, 5:55][labels[:, 5:55] == 255] = 0
    assert is_complete(labels), "40 px of border, 160 px of outline"


def test_few_pixels_and_few_islands_are_said() -> None:
    labels = np.zeros((100, 100), np.uint8)
    labels[:50, :50], labels[:10, :10], labels[40:50, 40:50] = 1, 2, 3
    warnings = painted_share(labels, SCHEME).warnings
    assert any(w.startswith("carbide: only 100 painted px") for w in warnings)
    labels[:, 50:], labels[:40, 50:80] = 1, 2
    labels[:40, :40] = 3
    assert any("separate areas" in w for w in painted_share(labels, SCHEME).warnings)


@settings(max_examples=25)
@given(
    order=st.permutations([1, 2, 3]),
    turns=st.integers(0, 3),
    seed=st.integers(0, 5),
)
def test_names_and_orientation_do_not_matter(order: list[int], turns: int, seed: int) -> None:
    labels = synthetic.paint_rectangle(field(seed, shape=(96, 96)), 0.3, np.random.default_rng(seed))
    plain = painted_share(labels, SCHEME)
    renamed = np.array([0, *order], np.uint8)[np.rot90(labels, turns)]
    other = painted_share(renamed, SCHEME)
    at = np.array(order) - 1
    assert other.shares[at] == pytest.approx(plain.shares)
    assert other.low[at] == pytest.approx(plain.low, abs=1e-6)
    assert other.high[at] == pytest.approx(plain.high, abs=1e-6)


@pytest.mark.parametrize("fill", [0, 255])
def test_nothing_painted(fill: int) -> None:
    with pytest.raises(MicrographError, match=r"strokes.tif: nothing is painted.*1 ferrite"):
        painted_share(np.full((20, 30), fill, np.uint8), SCHEME, source="strokes.tif")


def test_another_shape_and_foreign_values_are_refused() -> None:
    with pytest.raises(MicrographError, match="20 x 30 px, but the image is 30 x 20 px"):
        check_painted(np.ones((20, 30), np.uint8), SCHEME, (30, 20))
    with pytest.raises(MicrographError, match="3 axes"):
        check_painted(np.ones((2, 20, 30), np.uint8), SCHEME)
    with pytest.raises(SchemeError, match="label value 4 is not in the phase scheme"):
        check_painted(np.full((20, 30), 4, np.uint8), SCHEME)
    for wrong in (-1, 256):
        with pytest.raises(MicrographError, match="label values run from"):
            check_painted(np.full((20, 30), wrong, np.int32), SCHEME)
    assert check_painted(np.full((20, 30), 2, np.int64), SCHEME).dtype == np.uint8


def test_planes_are_pooled_by_their_scatter() -> None:
    planes = []
    for seed in range(6):
        labels = field(seed, length=3)
        labels[:, : 20 * seed] = np.where(labels[:, : 20 * seed] == 1, 2, labels[:, : 20 * seed])
        planes.append(
            painted_share(synthetic.paint_rectangle(labels, 0.5, np.random.default_rng(seed)), SCHEME)
        )
    pooled = pool_planes(planes, SCHEME)
    counts = np.sum([p.pixels for p in planes], axis=0)
    assert pooled.shares == pytest.approx(counts / counts.sum()) and pooled.pixels.tolist() == counts.tolist()
    scatter = np.std([p.shares[0] for p in planes], ddof=1)
    assert width(pooled)[0] > 2 * 2.57 * scatter / np.sqrt(6) * 0.9, (
        "the planes differ by more than their intervals"
    )
    alike = pool_planes([planes[0]] * 4, SCHEME)
    assert width(alike)[0] == pytest.approx(width(planes[0])[0] / 2), (
        "no scatter leaves what is inside the planes"
    )


def test_one_plane_is_not_the_specimen() -> None:
    one = painted_share(synthetic.paint_rectangle(field(), 0.5, np.random.default_rng(0)), SCHEME)
    pooled = pool_planes([one], SCHEME)
    assert "not for the specimen" in pooled.warnings[-1] and np.array_equal(pooled.low, one.low)


def test_planes_of_strokes_have_no_interval_together_either() -> None:
    rectangle = painted_share(synthetic.paint_rectangle(field(), 0.5, np.random.default_rng(0)), SCHEME)
    strokes = painted_share(synthetic.paint_strokes(field(), (9, 9, 9), np.random.default_rng(0)), SCHEME)
    pooled = pool_planes([rectangle, strokes], SCHEME)
    assert not pooled.has_interval and "no interval" in pooled.warnings[0]
    assert pooled.shares.sum() == pytest.approx(1) and pooled.uncertainty == (STROKES,) * 3


def test_a_phase_unknown_on_some_planes_is_pooled_over_the_others() -> None:
    one = painted_share(synthetic.paint_rectangle(field(), 0.5, np.random.default_rng(0)), SCHEME)
    learnt = replace(one, reading="extrapolated")
    blind = replace(learnt, shares=np.array([0.7, 0.3, np.nan]), low=np.full(3, 0.1), high=np.full(3, 0.2))
    pooled = pool_planes([learnt, blind, learnt], SCHEME)
    assert pooled.shares.sum() == pytest.approx(1) and "2 of 3 planes" in pooled.warnings[0]
    assert np.isnan(pool_planes([blind, blind], SCHEME).shares[2])


@pytest.mark.parametrize("number", [0, 4])
def test_intervals_cover_the_field(number: int) -> None:
    """A looser band than the study's: 50 fields, pooled over phases, within three standard errors."""
    scenario = SCENARIOS[number]
    assert scenario.meant
    done = [e for e in coverage_study(50, scenarios=[scenario], seed=1) if isinstance(e, Finished)]
    assert 0.88 < done[0].result[0].covered.mean() <= 0.995
