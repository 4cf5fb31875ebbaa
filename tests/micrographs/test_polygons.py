"""Polygons to pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.errors import MicrographError
from phaseguide.micrographs.polygons import polygon_mask


def test_a_rectangle_holds_its_pixels_and_no_others():
    mask = polygon_mask([(1.5, 2.5), (1.5, 6.5), (4.5, 6.5), (4.5, 2.5)], (8, 10))
    wanted = np.zeros((8, 10), dtype=bool)
    wanted[2:5, 3:7] = True
    np.testing.assert_array_equal(mask, wanted)


corner = st.tuples(st.floats(-5, 25, width=32), st.floats(-5, 25, width=32))
on_grid = st.tuples(st.integers(-3, 14), st.integers(-3, 14)).map(lambda p: (p[0] * 0.7, p[1] * 0.7)) | corner


@given(st.lists(corner, min_size=3, max_size=9))
def test_inside_agrees_with_matplotlib(corners):
    from matplotlib.path import Path as Outline

    shape = (20, 18)
    centres = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 2)
    outline = np.array([*corners, corners[0]], dtype=float)
    theirs = Outline(outline, closed=True).contains_points(centres, radius=0).reshape(shape)
    ours = polygon_mask(corners, shape)
    # On the outline itself both have their own rule.
    start, end = outline[:-1, None], outline[1:, None]
    along = end - start
    length = np.maximum((along**2).sum(-1), 1e-12)
    at = np.clip(((centres - start) * along).sum(-1) / length, 0, 1)
    gap = np.linalg.norm(start + at[..., None] * along - centres, axis=-1).min(0).reshape(shape)
    np.testing.assert_array_equal(ours[gap > 1e-4], theirs[gap > 1e-4])


@given(on_grid, on_grid, on_grid, on_grid)
def test_polygons_with_a_common_edge_share_no_pixel_and_leave_none_out(a, b, c, d):
    shape = (12, 12)
    # Cutting a polygon along a diagonal gives two; by the even-odd rule they cancel where they overlap.
    whole = polygon_mask([a, b, c, d], shape)
    halves = polygon_mask([a, b, c], shape), polygon_mask([a, c, d], shape)
    np.testing.assert_array_equal(whole, halves[0] ^ halves[1])


@given(st.lists(corner, min_size=3, max_size=8), st.integers(0, 7))
def test_where_an_outline_starts_and_which_way_it_runs_do_not_matter(corners, start):
    turned = np.roll(corners, start, axis=0)
    np.testing.assert_array_equal(polygon_mask(corners, (20, 20)), polygon_mask(turned, (20, 20)))
    np.testing.assert_array_equal(polygon_mask(corners, (20, 20)), polygon_mask(turned[::-1], (20, 20)))


def test_what_lies_outside_the_image_is_cut_off():
    assert polygon_mask([(-9, -9), (-9, 99), (99, 99), (99, -9)], (5, 7)).all()
    assert not polygon_mask([(-9, -9), (-9, -2), (-2, -2)], (5, 7)).any()


@pytest.mark.parametrize("bad", [[(0, 0), (1, 1)], [(0, 0, 0)] * 3, [(0, 0), (0, np.nan), (1, 1)]])
def test_outlines_that_are_none(bad):
    with pytest.raises(MicrographError, match="three corners"):
        polygon_mask(bad, (5, 5))
