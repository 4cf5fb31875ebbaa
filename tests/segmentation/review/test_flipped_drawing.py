"""Islands that change phase, drawn so that they are seen on the phases' own colours."""

from __future__ import annotations

import numpy as np

from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.review.flipped_drawing import DARK, LIGHT, drawn
from phaseguide.segmentation.review.flipped_islands import find_flipped_islands

SCHEME = PhaseScheme.from_names(["ferrite", "carbide"])


def test_an_island_has_a_light_and_a_dark_line_and_a_moved_rim_is_hatched() -> None:
    before = np.ones((120, 160), dtype=np.uint8)
    before[60:, :80] = 2
    after = before.copy()
    after[10:30, 10:30] = 2  # an island that is new
    after[59, :80] = 2  # a rim that moves by a pixel
    picture = drawn(find_flipped_islands(before, after, SCHEME))
    assert (picture[11:29, 11:29] == 2).all()
    assert (picture[10, 10:30] == LIGHT).all() and (picture[10:30, 29] == LIGHT).all()
    assert (picture[9, 9:31] == DARK).all() and (picture[9:31, 30] == DARK).all()
    assert set(np.unique(picture[59, :80])) == {2, LIGHT}
    assert not picture[60:].any() and not picture[40:58].any()


def test_lines_are_wider_on_a_large_image_and_none_runs_along_the_frame() -> None:
    before = np.ones((1200, 1300), dtype=np.uint8)
    after = before.copy()
    after[:100, :100] = 2
    picture = drawn(find_flipped_islands(before, after, SCHEME))
    assert (picture[:98, :98] == 2).all()
    assert (picture[:100, 98:100] == LIGHT).all() and (picture[:100, 100:102] == DARK).all()


def test_maps_that_are_the_same_draw_nothing() -> None:
    same = np.ones((20, 20), dtype=np.uint8)
    assert not drawn(find_flipped_islands(same, same, SCHEME)).any()
