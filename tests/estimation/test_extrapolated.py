"""Extrapolated share: strokes against the proportions, no intervals, errors."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.errors import MicrographError
from phaseguide.estimation.extrapolated import extrapolated_share
from phaseguide.estimation.painted import STROKES, painted_share
from phaseguide.phases import PhaseScheme
from phaseguide.studies.intervals import synthetic

SCHEME = PhaseScheme.from_names(["ferrite", "carbide", "pearlite"])
SHARES = (0.75, 0.2, 0.05)


def painted_field(
    seed: int = 0, counts: tuple[int, ...] = (12, 12, 12), noise: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The truth, strokes on it, and features."""
    rng = np.random.default_rng(seed)
    labels = synthetic.make_field("islands", (256, 256), SHARES, 18, rng)
    strokes = synthetic.paint_strokes(labels, counts, rng)
    return labels, strokes, synthetic.make_features(labels, 3, rng, noise=noise)


def truth(labels: np.ndarray) -> np.ndarray:
    return np.array([np.mean(labels == k) for k in (1, 2, 3)])


def test_strokes_against_the_proportions_give_the_field() -> None:
    labels, strokes, features = painted_field()
    estimate = extrapolated_share(strokes, features, SCHEME)
    assert np.abs(estimate.shares - truth(labels)).max() < 0.06
    assert np.abs(painted_share(strokes, SCHEME).shares - truth(labels)).max() > 0.2
    assert estimate.shares.sum() == pytest.approx(1) and estimate.reading == "extrapolated"
    assert estimate.pixels.tolist() == np.bincount(strokes.ravel(), minlength=4)[1:].tolist()


def test_confusion_is_corrected() -> None:
    """Errors stay centred on 0 although a third of the pixels is confused."""
    errors = []
    for seed in range(12):
        labels, strokes, features = painted_field(seed, noise=2.0)
        errors.append(extrapolated_share(strokes, features, SCHEME).shares - truth(labels))
    spread = np.std(errors, axis=0) / np.sqrt(12)
    assert (np.abs(np.mean(errors, axis=0)) < 3 * spread + 0.005).all()


def test_more_strokes_and_clearer_phases_make_it_better() -> None:
    def error(**how: object) -> float:
        errors = []
        for seed in range(4):
            labels, strokes, features = painted_field(seed, **how)  # type: ignore[arg-type]
            errors.append(np.abs(extrapolated_share(strokes, features, SCHEME).shares - truth(labels)))
        return float(np.mean(errors))

    assert error(counts=(30, 30, 30)) < error(counts=(4, 4, 4))
    assert error() < error(noise=2.5)


def test_strokes_carry_no_interval_and_are_hardly_believed() -> None:
    _, strokes, features = painted_field()
    estimate = extrapolated_share(strokes, features, SCHEME)
    assert np.isnan(estimate.low).all() and np.isnan(estimate.high).all()
    assert estimate.uncertainty == (STROKES,) * 3 and "carry no interval" in estimate.warnings[0]


def test_the_same_paint_gives_the_same_numbers() -> None:
    _, strokes, features = painted_field()
    first, second = (extrapolated_share(strokes, features, SCHEME) for _ in range(2))
    assert np.array_equal(first.shares, second.shares)


def test_excluded_pixels_are_left_out() -> None:
    labels, strokes, features = painted_field()
    half = strokes.copy()
    half[:, 128:] = 255
    garbage = features.copy()
    garbage[:, 128:] = 50.0
    estimate = extrapolated_share(half, garbage, SCHEME)
    assert np.abs(estimate.shares - truth(labels[:, :128])).max() < 0.08


def test_when_all_is_painted_nothing_is_extrapolated() -> None:
    labels, _, features = painted_field()
    estimate = extrapolated_share(labels, features, SCHEME)
    assert estimate.shares == pytest.approx(truth(labels))
    assert estimate.high - estimate.low == pytest.approx(0, abs=1e-12)


def test_features_of_every_second_row_and_column_do() -> None:
    labels, strokes, features = painted_field(counts=(20, 20, 20))
    estimate = extrapolated_share(strokes, features[::2, ::2], SCHEME)
    assert np.abs(estimate.shares - truth(labels)).max() < 0.08
    assert estimate.pixels.sum() == np.count_nonzero(strokes)


def test_a_phase_without_paint_stays_open() -> None:
    _, strokes, features = painted_field(counts=(12, 12, 0))
    estimate = extrapolated_share(strokes, features, SCHEME)
    assert np.isnan(estimate.shares[2])
    assert estimate.shares[:2].sum() == pytest.approx(1)
    assert "pearlite is not painted" in " ".join(estimate.warnings)
    assert all(np.isfinite(estimate.uncertainty))


def test_what_cannot_be_told_apart_is_said() -> None:
    _, strokes, features = painted_field()
    blind = np.random.default_rng(0).standard_normal(features.shape).astype(np.float32)
    estimate = extrapolated_share(strokes, blind, SCHEME)
    assert "look much alike" in " ".join(estimate.warnings)
    assert np.isnan(estimate.shares).all(), "left open"


def test_few_strokes_are_said() -> None:
    _, strokes, features = painted_field(counts=(12, 2, 12))
    assert "carbide: only" in " ".join(extrapolated_share(strokes, features, SCHEME).warnings)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ((5, 0, 0), "at least two phases, and only ferrite"),
        ((5, 1, 5), "carbide is painted in one place only"),
    ],
)
def test_too_little_paint_is_refused(counts: tuple[int, ...], words: str) -> None:
    _, strokes, features = painted_field(counts=counts)
    with pytest.raises(MicrographError, match=words):
        extrapolated_share(strokes, features, SCHEME)


def test_features_of_another_image_are_refused() -> None:
    _, strokes, features = painted_field()
    with pytest.raises(MicrographError, match="does not fit the features"):
        extrapolated_share(strokes, features[:, :200], SCHEME)
