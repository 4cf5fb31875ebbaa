"""Outlines: what is drawn is what `polygon_mask` says, what is unsound is found, and repaired as asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layout_copies import corners
from phaseguide.datasets.reading.options import LayoutOptions
from phaseguide.datasets.reading.outlines import Outline, as_ring, draw, fault, region
from phaseguide.errors import DatasetError
from phaseguide.micrographs.polygons import polygon_mask

SHAPE = (20, 30)
BELOW = np.ones(SHAPE, np.uint8)


def outline(*rings: object) -> Outline:
    return Outline("p", "f.csv, line 3", tuple(as_ring(ring, "f") for ring in rings))


@given(st.lists(st.tuples(st.floats(-5, 35), st.floats(-5, 25)), min_size=3, max_size=9, unique=True))
def test_a_polygon_is_drawn_within_its_own_rectangle_as_on_the_whole_image(
    points: list[tuple[float, float]],
) -> None:
    rows, columns, inside = region(outline(points), SHAPE)
    whole = np.zeros(SHAPE, bool)
    whole[rows, columns] = inside
    np.testing.assert_array_equal(whole, polygon_mask(np.array(points)[:, ::-1] - 0.5, SHAPE))


@given(st.lists(st.floats(0.1, 1), min_size=3, max_size=12))
def test_stars_do_not_cross_whatever_their_corners(radii: list[float]) -> None:
    angle = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    star = np.stack(
        [15 + 9 * np.array(radii) * np.cos(angle), 10 + 9 * np.array(radii) * np.sin(angle)], axis=1
    )
    assert "crosses" not in fault(outline(star), SHAPE)


@pytest.mark.parametrize("first", range(4))
def test_a_crossing_is_found_wherever_the_outline_begins(first: int) -> None:
    crossed = np.array([(5, 5), (20, 15), (20, 5), (5, 15)])
    assert "crosses itself near x = 12.5, y = 10" in fault(outline(np.roll(crossed, first, axis=0)), SHAPE)


def test_edges_that_touch_do_not_cross() -> None:
    eight = [(2, 2), (8, 2), (8, 8), (12, 8), (12, 12), (8, 12), (8, 8), (2, 8)]
    assert fault(outline(eight), SHAPE) == ""
    assert fault(outline([*corners((2, 2, 8, 8)), (2, 2)]), SHAPE) == ""


def test_a_long_outline_is_looked_at_in_parts() -> None:
    angle = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    circle = np.stack([15 + 8 * np.cos(angle), 10 + 8 * np.sin(angle)], axis=1)
    assert fault(outline(circle), SHAPE) == ""
    circle[[1000, 2500]] = circle[[2500, 1000]]
    assert "crosses itself" in fault(outline(circle), SHAPE)


@pytest.mark.parametrize(
    ("ring", "words", "left"),
    [
        ([(1, 1), (5, 5)], "has 2 corners", 0),
        ([], "has 0 corners", 0),
        ([(1, 1), (1, 1), (5, 5), (5, 5)], "has 2 corners", 0),
        (corners((20, 10, 40, 15)), "outside of the image of 30 x 20 px", 50),
        ([(5, 5), (15, 15), (15, 5), (5, 15)], "crosses itself", 50),
    ],
)
def test_what_is_unsound_is_refused_repaired_or_dropped(ring: object, words: str, left: int) -> None:
    bad, good = outline(ring), outline(corners((1, 1, 3, 3)))
    with pytest.raises(DatasetError, match=rf"f\.csv, line 3: the polygon \(p\) .*{words}.*--bad-polygons"):
        draw([good, bad], {"p": 2}, BELOW, LayoutOptions())
    labels, told = draw([good, bad], {"p": 2}, BELOW, LayoutOptions(bad_polygons="repair"))
    assert (labels == 2).sum() - 4 == pytest.approx(left, abs=6)
    assert f"1 polygon {'repaired' if left else 'left out'}: f.csv, line 3" in told[0]
    labels, told = draw([good, bad], {"p": 2}, BELOW, LayoutOptions(bad_polygons="drop"))
    assert (labels == 2).sum() == 4 and "1 polygon left out" in told[0]


def test_a_corner_may_lie_a_pixel_beyond_the_border() -> None:
    assert fault(outline(corners((-1, -1, 31, 21))), SHAPE) == ""
    labels, told = draw([outline(corners((-1, -1, 31, 21)))], {"p": 2}, BELOW, LayoutOptions())
    assert (labels == 2).all() and told == ()
