"""A random forest on multiscale features: what interactive pixel classifiers do, as a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError
from phaseguide.models.segmenter import normalise_image
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED

Features = NDArray[np.float32]

TREES = 100
SMALLEST_SIGMA, LARGEST_SIGMA = 0.5, 16.0

ROWS_AT_ONCE = 200_000
"""Pixels that are classified at once, for the memory."""


class PixelForest:
    """Random forest on intensity, edges and Hessian eigenvalues at several scales of each pixel.

    Source of the method: trainable Weka segmentation (Arganda-Carreras et al. 2017) and ilastik (Berg et al. 2019),
    here on scikit-image's ``multiscale_basic_features`` with all three groups and sizes from 0.5 to 16 px, and
    scikit-learn's forest of 100 trees with phases weighted alike.
    """

    def __init__(self, n_phases: int, *, seed: int = 0, threads: int = 1) -> None:
        self._n_phases, self._seed, self._threads = n_phases, seed, threads
        self._forest: Any = None

    def fit(self, features: Mapping[str, Features], labels: Mapping[str, NDArray[np.uint8]]) -> None:
        """Learn from all painted pixels of some images, by their names; labels 0 and 255 teach nothing."""
        from sklearn.ensemble import RandomForestClassifier

        samples, targets = [], []
        for name, marks in labels.items():
            known = (marks != NOT_CLASSIFIED) & (marks != EXCLUDED)
            samples.append(features[name][known])
            targets.append(marks[known])
        if not sum(len(t) for t in targets):
            raise PhaseguideError("No pixel is labelled, so a forest has nothing to learn from. Paint some.")
        self._forest = RandomForestClassifier(
            TREES,
            max_features="sqrt",
            class_weight="balanced",
            n_jobs=self._threads,
            random_state=self._seed,
        )
        self._forest.fit(np.concatenate(samples), np.concatenate(targets))

    def predict(self, features: Features) -> NDArray[np.uint8]:
        """Return the likeliest phase of each pixel, shape (H, W)."""
        labels: NDArray[np.uint8] = self._in_parts(features, "predict").astype(np.uint8)
        return labels.reshape(features.shape[:2])

    def scores(self, features: Features) -> NDArray[np.float32]:
        """Return the logarithm of the trees' mean probabilities, shape (K, H, W), as a ratio can be matched on it.

        Half a tree is added to each phase, so that one that no tree has voted for can still be ranked.
        """
        found = self._in_parts(features, "predict_proba")
        votes = np.zeros((len(found), self._n_phases))
        votes[:, self._forest.classes_.astype(np.intp) - 1] = found
        scores = np.log((votes + 0.5 / TREES) / (1 + 0.5 * self._n_phases / TREES)).astype(np.float32)
        return np.ascontiguousarray(scores.T).reshape(self._n_phases, *features.shape[:2])

    def _in_parts(self, features: Features, ask: str) -> NDArray[Any]:
        if self._forest is None:
            raise PhaseguideError("The forest has learnt nothing yet. Fit it first.")
        rows = features.reshape(-1, features.shape[-1])
        answer = getattr(self._forest, ask)
        return np.concatenate(
            [answer(rows[start : start + ROWS_AT_ONCE]) for start in range(0, len(rows), ROWS_AT_ONCE)]
        )


def pixel_features(image: NDArray[Any]) -> Features:
    """Return the features of each pixel, shape (H, W, F); the image is brought to one range of brightness first,
    like for the network.
    """
    from skimage.feature import multiscale_basic_features

    planes = normalise_image(image)
    grey = planes[0] if len(planes) == 1 else np.moveaxis(planes, 0, -1)
    return np.asarray(
        multiscale_basic_features(  # type: ignore[no-untyped-call]
            grey,
            sigma_min=SMALLEST_SIGMA,
            sigma_max=LARGEST_SIGMA,
            channel_axis=None if grey.ndim == 2 else -1,
        ),
        dtype=np.float32,
    )
