"""Images with nothing to segment are refused with their name and the reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.micrographs import check_image

GOOD = np.arange(48.0).reshape(6, 8)


@pytest.mark.parametrize(
    "image",
    [
        GOOD,
        -GOOD,
        GOOD.astype(np.uint8),
        GOOD.astype(np.float16),
        GOOD > 9,
        np.dstack([GOOD] * 3),
    ],
)
def test_good_images_pass(image: NDArray[Any]) -> None:
    check_image(image, "good")


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.ones((1, 1), np.uint8), "1 x 1 pixels"),
        (np.arange(9.0)[None], "9 x 1 pixels"),
        (np.zeros((0, 9)), "9 x 0 pixels"),
        (np.zeros((9, 9), np.uint8), "all black"),
        (np.zeros((9, 9, 3), np.float32), "all black"),
        (np.full((9, 9), 7, np.uint16), "constant .*7"),
        (np.where(GOOD == 5, np.nan, GOOD), "not finite"),
        (np.where(GOOD == 5, np.inf, GOOD), "not finite"),
        (np.full((9, 9), np.nan), "not finite"),
        (GOOD[0], "shape"),
        (np.zeros((2, 9, 9)), "single plane"),
        (np.zeros((9, 9, 4)), "single plane"),
        (GOOD.astype(complex), "complex"),
    ],
)
def test_bad_images_are_named(image: NDArray[Any], reason: str) -> None:
    with pytest.raises(MicrographError, match=f"steel.*{reason}"):
        check_image(image, "steel")
