"""Tokens of a feature map with the phase that is below each, and how far phases lie apart among them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED

Labels = NDArray[np.uint8]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Sample:
    """Features of tokens, shape (n, C), and their phases 1..K."""

    features: Floats
    labels: Labels

    @classmethod
    def joined(cls, parts: Sequence[Sample]) -> Sample:
        """All of several."""
        return cls(np.concatenate([p.features for p in parts]), np.concatenate([p.labels for p in parts]))


def tokens_of(features: Floats, labels: Labels, stride: int) -> tuple[Floats, Labels]:
    """Return the tokens of a map (C, h, w) as (h w, C), and the phase of each, (h w,).

    The network saw the labelled image padded at the right and below to multiples of ``stride``, px. A token has the
    phase that most of its pixels have; 0 where more than half of them have none, or lie in the padding.
    """
    channels, rows, columns = features.shape
    height, width = labels.shape
    down, across = (height + -height % stride) // rows, (width + -width % stride) // columns
    padded = np.full((rows * down, columns * across), NOT_CLASSIFIED, dtype=np.uint8)
    padded[:height, :width] = np.where(labels == EXCLUDED, NOT_CLASSIFIED, labels)
    cells = padded.reshape(rows, down, columns, across).transpose(0, 2, 1, 3).reshape(rows * columns, -1)
    counts = np.stack([(cells == label).sum(1) for label in range(int(padded.max()) + 1)], axis=1)
    known = counts[:, 0] * 2 <= cells.shape[1]
    counts[known, 0] = 0
    found: Labels = np.where(known, counts.argmax(1), 0).astype(np.uint8)
    return features.reshape(channels, -1).T, found


def sample_tokens(labels: Labels, per_phase: int, name: str) -> NDArray[np.intp]:
    """Draw so many tokens of each phase, all where there are fewer; the same for a name, whatever else is drawn."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
    found = [
        rng.permutation(np.flatnonzero(labels == label))[:per_phase]
        for label in np.unique(labels)
        if label != NOT_CLASSIFIED
    ]
    return np.sort(np.concatenate(found)) if found else np.zeros(0, dtype=np.intp)


def silhouettes(sample: Sample, n_phases: int) -> dict[str, Any]:
    """Mean silhouette of all tokens and of those of each phase, (K,); None with less than two phases.

    Source: Rousseeuw 1987, by scikit-learn.
    """
    there = np.unique(sample.labels)
    if len(there) < 2 or len(sample.labels) <= len(there):
        return {"all": None, "phases": [None] * n_phases}
    from sklearn.metrics import silhouette_samples

    values = silhouette_samples(sample.features, sample.labels)
    return {
        "all": float(values.mean()),
        "phases": [
            float(values[sample.labels == label].mean()) if label in there else None
            for label in range(1, n_phases + 1)
        ],
    }


def flat_picture(sample: Sample, per_phase: int) -> dict[str, Any]:
    """The two main components of the tokens (principal component analysis) of at most so many of each phase."""
    from sklearn.decomposition import PCA

    if len(sample.labels) < 2:
        return {"points": [], "labels": [], "explained": [0.0, 0.0]}
    found = PCA(2, svd_solver="full").fit(sample.features)
    chosen = sample_tokens(sample.labels, per_phase, "picture")
    return {
        "points": np.round(found.transform(sample.features[chosen]), 3).tolist(),
        "labels": sample.labels[chosen].tolist(),
        "explained": np.nan_to_num(found.explained_variance_ratio_).tolist(),
    }
