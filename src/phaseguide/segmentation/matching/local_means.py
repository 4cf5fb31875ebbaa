"""Local means of maps in which some pixels do not count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[Any]
Mask = NDArray[np.bool_]

_LEAST_WEIGHT = 1e-3  # of pixels that count, for a mean to be worth it


def local_mean(mean: Callable[[Plane], Plane], excluded: Mask | None) -> Callable[[Plane], Plane]:
    """Make a local mean one of those pixels alone that are not excluded.

    Parameters
    ----------
    mean : callable
        Weighted mean over the surroundings of each pixel, such as a Gaussian or a box filter of SciPy.
    excluded : ndarray of bool, or None
        Of the shape of the maps that are to be averaged. None: every pixel counts, and ``mean`` is returned.

    Returns
    -------
    callable
        Far inside of what is excluded it returns the value itself.
    """
    if excluded is None or not excluded.any():
        return mean
    weight = mean((~excluded).astype(np.float32))
    known = weight > _LEAST_WEIGHT

    def masked(plane: Plane) -> Plane:
        total = mean(np.where(excluded, plane.dtype.type(0), plane))
        return np.where(known, total / np.where(known, weight, 1), plane).astype(plane.dtype, copy=False)

    return masked
