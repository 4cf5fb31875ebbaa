"""Counting the warnings about unfamiliar images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from phaseguide.errors import DatasetError
from phaseguide.segmentation.session import run_to_end
from phaseguide.studies.folds.out_of_distribution import DEGRADED, out_of_distribution_study, to_lines

FOLDS = {"A": ("f0", "f1", "f2"), "B": ("f3", "f4", "f5"), "C": ("f6", "f7")}


def field(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    grains = gaussian_filter(rng.standard_normal((96, 128)), 2) > 0.13
    grey = 80 + 100 * gaussian_filter(grains.astype(float), 0.7) + rng.normal(0, 6, grains.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)


def test_familiar_images_pass_and_degraded_and_foreign_ones_do_not() -> None:
    images = {f"f{i}": field(i) for i in range(9)}
    events = list(out_of_distribution_study(images, FOLDS, {"dark": [255 - field(20)]}))
    rates = {rate.kind: rate for rate in events[-1].result}
    assert list(rates) == ["as they are", *DEGRADED, "dark"]
    assert rates["as they are"].images == 8 and rates["as they are"].warned <= 1
    for kind in ("blurred, 4 px", "noise, 16 %", "contrast inverted", "contrast a third"):
        assert rates[kind].warned == 8, kind
    assert rates["dark"].warned == 1
    assert events[-2].done == events[-2].total
    assert "| dark | 1 | 1 (100 %) |" in to_lines(events[-1].result)


def test_other_than_grey_bytes_are_refused() -> None:
    images = {f"f{i}": field(i).astype(np.uint16) for i in range(9)}
    with pytest.raises(DatasetError, match="8-bit grey"):
        run_to_end(out_of_distribution_study(images, FOLDS, {}))
