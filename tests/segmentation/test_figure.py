"""The picture for a report: overlay, name, scale bar, legend with area %."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.segmentation.figure import INK, PAPER, Entry, with_legend

PICTURE = np.full((200, 400, 3), 90, dtype=np.uint8)
ENTRIES = [Entry("#ff0000", "ferrite  62.0 %"), Entry("#0000ff", "Widmanstätten γ′  38.0 %")]


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def count(strip: np.ndarray, colour: str) -> int:
    return int(np.all(strip == rgb(colour), axis=-1).sum())


def longest_run(strip: np.ndarray) -> int:
    ink = np.all(strip == rgb(INK), axis=-1)
    longest = 0
    for row in ink:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(int)))
        longest = max(longest, *(edges[1::2] - edges[::2]), 0)
    return longest


def test_the_picture_stays_pixel_for_pixel_and_each_phase_has_its_colour() -> None:
    whole = with_legend(PICTURE, "steel 7", ENTRIES, "", None)
    assert np.array_equal(whole[:200, :400], PICTURE)
    strip = whole[200:]
    assert count(strip, PAPER) > strip.shape[0] * strip.shape[1] / 2
    assert count(strip, "#ff0000") == count(strip, "#0000ff") > 50


@pytest.mark.parametrize(("pixel_um", "bar_px"), [(0.1, 100), (0.05, 100), (0.013, 77)])
def test_the_bar_is_as_long_as_it_says(pixel_um: float, bar_px: int) -> None:
    without = with_legend(PICTURE, "steel 7", ENTRIES, "", None)
    scaled = with_legend(PICTURE, "steel 7", ENTRIES, "", pixel_um)
    assert longest_run(scaled[200:]) == bar_px  # 10, 5 and 1 µm
    assert longest_run(without[200:]) < bar_px


def test_nothing_is_cut_in_a_narrow_picture() -> None:
    """A small picture, a long name: the strip is wider and higher, and the right and lower edges stay empty."""
    small = np.zeros((30, 40, 3), dtype=np.uint8)
    long = "a_name_without_any_blank_" * 6
    note = "constrained by your value, not independent; guided by your boxes and points, not independent"
    whole = with_legend(small, long, ENTRIES * 3, note, 0.2)
    assert np.array_equal(whole[:30, :40], small)
    assert (whole[30:, -2:] == 255).all() and (whole[-2:] == 255).all()
    assert whole.shape[0] > with_legend(small, "a", ENTRIES * 3, "", None).shape[0]
