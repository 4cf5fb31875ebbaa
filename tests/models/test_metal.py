"""What of an image counts, and what a network is shown of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from phaseguide.models.metal import find_metal
from phaseguide.models.segmenter import intensity_limits
from phaseguide.phases import EXCLUDED


def picture(height: int = 100, width: int = 120) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(90, 140, (height, width)).astype(np.uint8)


def excluding(*windows: tuple[slice, slice]) -> NDArray[np.uint8]:
    labels = np.zeros((100, 120), np.uint8)
    for window in windows:
        labels[window] = EXCLUDED
    return labels


def test_without_exclusions_the_image_is_taken_as_it_is() -> None:
    image = picture()
    for labels in (None, np.ones_like(image), np.full_like(image, EXCLUDED)):
        metal = find_metal(image, labels)
        assert metal.pixels is image and metal.is_whole and metal.excluded is None
        assert metal.limits == intensity_limits(image)


def test_rows_and_columns_that_are_excluded_altogether_are_cut_off() -> None:
    image, labels = picture(), excluding((slice(80, None), slice(None)), (slice(None), slice(0, 10)))
    image[80:], image[:, :10] = 255, 0
    metal = find_metal(image, labels)
    assert metal.window == (slice(0, 80), slice(10, 120)) and metal.excluded is None
    assert metal.limits == intensity_limits(image[:80, 10:])
    assert np.array_equal(metal.planes(), find_metal(image[:80, 10:].copy(), None).planes())


def test_a_hole_leaves_the_limits_and_is_not_seen() -> None:
    image, hole = picture(), (slice(40, 60), slice(40, 90))
    image[hole] = 0
    metal = find_metal(image, excluding(hole))
    assert metal.is_whole and np.ptp(metal.pixels[hole]) == 0 and abs(metal.planes()[0][hole]).max() < 0.05
    beside = np.ones(image.shape, dtype=bool)
    beside[hole] = False
    assert np.array_equal(metal.pixels[beside], image[beside])
    assert metal.limits[0] >= 90 > intensity_limits(image)[0]
    assert metal.excluded is not None and metal.excluded.sum() == 20 * 50


@settings(max_examples=20, deadline=None)
@given(value=st.sampled_from([0, 1, 128, 255]), seed=st.integers(0, 5))
def test_the_values_of_a_rim_have_no_influence_at_all(value: int, seed: int) -> None:
    """A turned picture has corners that no rectangle leaves out."""
    rows, columns = np.mgrid[:100, :120]
    rim = (rows + columns < 30 + 5 * seed) | (rows - columns > 60)
    labels = np.where(rim, EXCLUDED, 0).astype(np.uint8)
    image, other = picture(), picture()
    image[rim] = value
    one, two = find_metal(image, labels), find_metal(other, labels)
    assert one.looks_like(two) and np.array_equal(one.planes(), two.planes())
    assert np.abs(one.planes()[0][rim]).max() < 0.05, "as beyond a border"


def test_what_is_no_number_is_never_shown() -> None:
    image, hole = picture().astype(np.float32), (slice(40, 60), slice(40, 90))
    image[hole] = np.nan
    assert np.isfinite(find_metal(image, excluding(hole)).pixels).all()


def test_a_network_is_shown_a_patch_that_it_can_work_on() -> None:
    labels = np.full((100, 120), EXCLUDED, np.uint8)
    labels[99, 3] = 0
    metal = find_metal(picture(), labels)
    assert metal.seen.shape == (64, 64) and metal.limits[0] == metal.limits[1] == picture()[99, 3]


@pytest.mark.parametrize("channels", [2, 3])
def test_colour(channels: int) -> None:
    image = np.dstack([picture()] * channels)
    labels = excluding((slice(0, 20), slice(0, 30)))
    image[:20, :30] = 255
    metal = find_metal(image, labels)
    assert metal.limits == intensity_limits(picture(), labels == EXCLUDED)
    assert (metal.pixels[:20, :30] < 255).all() and (image[:20, :30] == 255).all(), "the image stays as it is"
