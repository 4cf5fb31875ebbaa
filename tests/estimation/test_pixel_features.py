"""Features of pixels: what they hold, that strips do not show, and large images."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from phaseguide.errors import MicrographError
from phaseguide.estimation import pixel_features as module
from phaseguide.estimation.pixel_features import pixel_features
from phaseguide.models.metal import find_metal


def scored(height: int = 90, width: int = 70, *, rgb: bool = False) -> Any:
    rng = np.random.default_rng(0)
    shape = (height, width, 3) if rgb else (height, width)
    return SimpleNamespace(
        metal=find_metal(rng.integers(0, 256, shape).astype(np.uint8), None),
        scores=rng.normal(0, 3, (3, height, width)).astype(np.float32),
    )


def test_log_probabilities_come_first_and_all_is_finite() -> None:
    session = scored()
    features = pixel_features(session)
    assert features.shape == (90, 70, 3 * 3 + 10) and features.dtype == np.float16
    probabilities = np.exp(features[..., [0, 3, 6]].astype(np.float64)).sum(-1)
    assert probabilities == pytest.approx(1, abs=0.02)
    assert np.isfinite(features).all()


def test_strips_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    session = scored()
    whole = pixel_features(session)
    monkeypatch.setattr(module, "STRIP_ROWS", 17)
    assert np.abs(pixel_features(session).astype(float) - whole).max() < 0.02


def test_large_images_keep_every_nth_row_and_column(monkeypatch: pytest.MonkeyPatch) -> None:
    session = scored(91, 70)
    whole = pixel_features(session)
    monkeypatch.setattr(module, "MOST_PIXELS", 91 * 70 // 7)
    monkeypatch.setattr(module, "STRIP_ROWS", 20)
    few = pixel_features(session)
    assert few.shape[:2] == (31, 24)
    assert np.abs(few.astype(float) - whole[::3, ::3]).max() < 0.02


def test_colour_and_pixels_that_are_no_number() -> None:
    session = scored(rgb=True)
    pixels = session.metal.pixels.astype(np.float32)
    pixels[5:9, 5:9] = np.nan
    session.metal = find_metal(pixels, None)
    session.scores *= 100
    assert np.isfinite(pixel_features(session)).all()


def test_scores_are_needed() -> None:
    session = scored()
    session.scores = None
    with pytest.raises(MicrographError, match="Segment it once"):
        pixel_features(session)
