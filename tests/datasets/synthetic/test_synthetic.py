"""Synthetic micrographs: exact composition, textures by phase, the bar, and the same bytes of the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phaseguide.datasets.synthetic.appearance import synthetic_image
from phaseguide.datasets.synthetic.composition import pixel_counts
from phaseguide.datasets.synthetic.drawing import draw_field
from phaseguide.datasets.synthetic.fields import gaussian_field, smooth
from phaseguide.datasets.synthetic.recipes import RECIPES, synthetic_labels
from phaseguide.datasets.synthetic.scale_bar import scale_text
from phaseguide.datasets.synthetic.settings import SyntheticSettings
from phaseguide.errors import DatasetError
from phaseguide.micrographs.info_bar import detect_info_bar
from phaseguide.micrographs.lengths import scale_length

SMALL: dict[str, Any] = {"height": 96, "width": 200, "length_px": 16.0}


@st.composite
def compositions(draw: st.DrawFn) -> tuple[str, list[float]]:
    recipe = draw(st.sampled_from(list(RECIPES)))
    phases = draw(st.integers(2, RECIPES[recipe].most))
    parts = draw(st.lists(st.floats(0, 1), min_size=phases, max_size=phases).filter(lambda x: sum(x) > 0.01))
    return recipe, [part / sum(parts) for part in parts]


@given(compositions(), st.tuples(st.integers(32, 60), st.integers(32, 60)), st.integers(0, 2**31))
def test_each_phase_has_its_share_to_less_than_one_pixel(
    plan: tuple[str, list[float]], shape: tuple[int, int], seed: int
) -> None:
    recipe, shares = plan
    labels = synthetic_labels(recipe, shape, shares, length_px=8, rng=seed)
    counts = np.bincount(labels.ravel(), minlength=len(shares) + 1)
    assert labels.shape == shape and counts[0] == 0 and len(counts) == len(shares) + 1
    assert np.abs(counts[1:] - np.array(shares) * labels.size).max() < 1 + 1e-6


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8).filter(lambda x: sum(x) > 0.01), st.integers(1, 10**7)
)
def test_no_pixel_is_left_over(shares: list[float], pixels: int) -> None:
    counts = pixel_counts(shares, pixels)
    assert counts.sum() == pixels and counts.min() >= 0


def test_layers_lie_on_one_another_and_a_network_parts_the_matrix() -> None:
    from scipy.ndimage import label

    layers = synthetic_labels("coating", (80, 120), [0.3, 0.3, 0.4], length_px=16, rng=1)
    assert (np.diff(layers.astype(int), axis=0) >= 0).mean() > 0.99
    assert set(layers[0]) == {1} and set(layers[-1]) == {3}
    network = synthetic_labels("network", (160, 160), [0.7, 0.3], length_px=32, rng=1)
    _, meshes = label(network == 1)
    assert meshes > 9


def test_a_spinodal_structure_has_waves_of_the_length_that_was_asked() -> None:
    labels = synthetic_labels("spinodal", (256, 256), [0.5, 0.5], length_px=16, rng=3)
    power = np.abs(np.fft.fft2(labels - labels.mean())) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    in_band = power[(frequency > 0.75 / 16) & (frequency < 1.3 / 16)].sum()
    assert in_band / power.sum() > 0.6


def test_phases_differ_in_texture_and_not_only_in_grey() -> None:
    """Without contrast, gradient, noise and blur, the texture is all there is."""
    halves = np.repeat(np.array([1, 2, 3], np.uint8), 60)[:, None].repeat(200, axis=1)
    image = synthetic_image(halves, 3, contrast=0, texture=0.1, gradient=0, noise=0, blur_px=0, rng=2).astype(
        float
    )
    steps = []
    for phase in (1, 2, 3):
        rows = image[halves == phase].reshape(60, 200)
        assert rows.std() / 255 == pytest.approx(0.1, rel=0.5)
        steps.append(np.hypot(np.diff(rows, axis=0)[:, 1:], np.diff(rows, axis=1)[1:]).mean() / rows.std())
    steps.sort()
    assert steps[1] > 1.3 * steps[0] and steps[2] > 1.3 * steps[1]


def test_grey_gradient_noise_and_blur_do_what_they_are_asked() -> None:
    labels = np.ones((100, 100), np.uint8)
    labels[:, 50:] = 2
    plain: dict[str, Any] = {"texture": 0, "gradient": 0, "noise": 0, "blur_px": 0, "rng": 1}
    image = synthetic_image(labels, 2, contrast=0.4, **plain)
    assert np.unique(image).tolist() == [76, 178]
    assert len(np.unique(synthetic_image(labels, 2, **{**plain, "blur_px": 3}))) > 9
    flat = np.ones((100, 100), np.uint8)
    grey = synthetic_image(flat, 2, contrast=0.0, **{**plain, "noise": 0.05})
    assert grey.std() / 255 == pytest.approx(0.05, rel=0.1)
    lit = synthetic_image(flat, 2, contrast=0.0, **{**plain, "gradient": 0.5}).astype(int)
    assert np.ptp(lit) > 0.5 * 127 * 0.9


def test_the_same_settings_draw_the_same_and_another_seed_or_number_others() -> None:
    settings = SyntheticSettings(**SMALL)
    one, again = draw_field(settings, 1), draw_field(settings, 1)
    assert np.array_equal(one.image, again.image) and np.array_equal(one.labels, again.labels)
    for other in (draw_field(settings, 2), draw_field(settings.changed(seed=1), 1)):
        assert not np.array_equal(one.labels, other.labels)
    noisy = draw_field(settings.changed(noise=0.2, texture=0.0), 1)
    assert np.array_equal(one.labels, noisy.labels) and not np.array_equal(one.image, noisy.image)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_bar_is_found_as_in_a_measured_image(recipe: str) -> None:
    field = draw_field(SyntheticSettings(recipe=recipe, **{**SMALL, "height": 200}), 1)
    assert detect_info_bar(field.image) == field.bar_rows == 32
    assert set(np.unique(field.labels[-32:])) == {255} and 255 not in field.labels[:-32]


def test_without_a_bar_all_is_metal() -> None:
    field = draw_field(SyntheticSettings(**SMALL, bar_rows=0), 1)
    assert field.labels.shape == (96, 200) and field.labels.max() == 2


@given(st.floats(1e-4, 1e5))
def test_a_scale_is_a_round_length_and_fits(most: float) -> None:
    length = scale_length(most)
    assert most / 2.5 < length <= most * (1 + 1e-8)
    assert f"{length:e}"[0] in "125"


def test_a_scale_in_words() -> None:
    assert [scale_text(um) for um in (0.05, 20, 2000)] == ["50 nm", "20 um", "2 mm"]


@given(st.integers(0, 2**31), st.floats(1, 4))
def test_a_gaussian_field_has_unit_variance_and_is_smoother_the_longer(seed: int, length: float) -> None:
    field = gaussian_field((150, 150), smooth(length), 6 * length, np.random.default_rng(seed))
    assert 0.4 < field.var() < 2
    assert np.diff(field, axis=0).std() == pytest.approx(1 / (np.sqrt(2) * length), rel=0.35)


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"fractions": (0.5, 0.4)}, "sum to 90 %. Give areas that sum to 100 %"),
        ({"fractions": (1.2, -0.2)}, "fraction -20 % is below 0"),
        ({"fractions": (0.5, 0.3, 0.2)}, "There are 3 fractions for 2 phases (ferrite, martensite)"),
        ({"phases": ("a", "b", "c")}, "dual-phase has 2 phases, not 3"),
        ({"recipe": "network", "phases": ("a",)}, "network has 2 to 3 phases, not 1"),
        ({"recipe": "network", "phases": ("a", "b")}, "Give a fraction of each"),
        ({"recipe": "dendrites"}, "choose dual-phase, network, laths, spinodal or coating"),
        ({"count": 0}, "count is 0; it must lie between 1 and 100000"),
        ({"height": 20}, "height is 20; it must lie between 64 and 4096"),
        ({"bar_rows": 60, "height": 100}, "bar of 60 rows covers more than half of an image of 100 rows"),
        ({"bar_rows": 3}, "bar_rows is 3; it must lie between 16 and 256, or be 0 (no bar)"),
    ],
)
def test_what_cannot_be_drawn_is_told(told: dict[str, Any], words: str) -> None:
    with pytest.raises(DatasetError) as error:
        SyntheticSettings(**told)
    assert words in str(error.value)


def test_an_unknown_recipe_of_the_function_is_told() -> None:
    with pytest.raises(DatasetError, match=r"no recipe 'dendrites'\. Choose one of dual-phase"):
        synthetic_labels("dendrites", (64, 64), [0.5, 0.5])
