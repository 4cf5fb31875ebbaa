"""Principal components of tokens as red, green and blue, by one projection and one scale for several maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_TOKENS = 16_384
"""A projection is fitted on so many tokens; more cost memory and change nothing that is seen."""

PERCENTILES = (1.0, 99.0)
"""Values of a component that become dark and bright; what lies beyond is clipped."""

_NARROW = 256
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class Projection:
    """From C channels to three colours.

    Attributes
    ----------
    mean : ndarray, shape (C,)
    components : ndarray, shape (3, C)
        Rows of zeros where there are fewer components than three.
    explained : tuple of float
        Share of the variance that each component holds, 0..1.
    low, high : ndarray, shape (3,)
        Values that become dark and bright.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    explained: tuple[float, float, float]
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def colours(self, tokens: NDArray[Any]) -> NDArray[np.uint8]:
        """Return a map of tokens, shape (h, w, C), as RGB, shape (h, w, 3)."""
        span = self.high - self.low
        flat = tokens.reshape(-1, tokens.shape[-1])
        rgb = np.empty((len(flat), 3), dtype=np.uint8)
        for start in range(0, len(flat), _ROWS_AT_ONCE):  # the maps of large images as float32 would be large
            values = self._project(flat[start : start + _ROWS_AT_ONCE])
            shades = np.where(span > 0, (values - self.low) / np.where(span > 0, span, 1), 0.5)
            rgb[start : start + _ROWS_AT_ONCE] = np.rint(np.clip(shades, 0, 1) * 255)
        return rgb.reshape(*tokens.shape[:2], 3)

    def _project(self, tokens: NDArray[Any]) -> NDArray[np.float32]:
        centred = np.asarray(tokens, dtype=np.float32) - self.mean
        return np.asarray(centred @ self.components.T, dtype=np.float32)


def fit_projection(maps: Sequence[NDArray[Any]]) -> Projection:
    """Find the three principal components of the tokens of all maps together.

    The same maps give the same projection: the seed is fixed, and the sign of a component is chosen
    so that its largest weight is positive. Where maps hold more tokens than `MOST_TOKENS`, a random
    sample is taken, at the same places of maps of one size.

    Parameters
    ----------
    maps : sequence of ndarray, shape (h, w, C)
        One C for all.

    Returns
    -------
    Projection
        Its scale goes over the percentiles `PERCENTILES` of all maps together, each component by itself.
    """
    sample = np.concatenate([_sample(tokens, MOST_TOKENS // len(maps)) for tokens in maps])
    channels = sample.shape[1]
    mean = sample.mean(axis=0, dtype=np.float64)
    components, explained = np.zeros((3, channels)), np.zeros(3)
    varies = len(sample) > 1 and bool(np.any(sample != sample[0]))
    sample -= mean.astype(np.float32)  # float32 suffices for what is centred, and is twice as quick
    if varies:
        found, shares = _principal(sample)
        components[: len(found)], explained[: len(found)] = found, shares
    values = sample @ components.T.astype(np.float32)
    low, high = np.percentile(values, PERCENTILES, axis=0)
    first, second, third = (float(share) for share in explained)
    return Projection(
        mean.astype(np.float32),
        components.astype(np.float32),
        (first, second, third),
        low.astype(np.float32),
        high.astype(np.float32),
    )


def _principal(sample: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """At most three components, shape (n, C), and their shares of the variance."""
    from sklearn.decomposition import PCA

    count = min(3, *sample.shape)
    # Exact where that is quick; else by random projections, which agree to what can be seen.
    solver = "covariance_eigh" if len(sample) >= sample.shape[1] else "full"
    if min(sample.shape) > _NARROW:
        solver = "randomized"
    pca = PCA(count, svd_solver=solver, iterated_power=4, random_state=0)
    pca.fit(sample)
    components = pca.components_.astype(np.float64)
    largest = components[np.arange(count), np.abs(components).argmax(axis=1)]
    return components * np.where(largest < 0, -1.0, 1.0)[:, None], np.nan_to_num(
        pca.explained_variance_ratio_
    )


def _sample(tokens: NDArray[Any], most: int) -> NDArray[np.float32]:
    flat = tokens.reshape(-1, tokens.shape[-1])
    if len(flat) > most:
        flat = flat[np.sort(np.random.default_rng(0).choice(len(flat), most, replace=False))]
    return flat.astype(np.float32)
