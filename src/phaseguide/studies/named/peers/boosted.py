"""Gradient-boosted trees that are pulled to stated area shares of the whole image while they learn from strokes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import PhaseguideError
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED
from phaseguide.ratios import Ratio
from phaseguide.studies.finetune.random_forest import ROWS_AT_ONCE, Features

Floats = NDArray[np.float64]

STEEPEST = 4.0
"""Largest step that one pixel asks of a tree in a round (Friedman, Hastie and Tibshirani 2000, LogitBoost)."""

SMALLEST = 1e-12


@dataclass(frozen=True)
class BoostingOptions:
    """How the trees grow.

    ``rounds`` trees of ``depth``, each added at ``rate``; ``pixels`` of the image, drawn by the seed, stand for all of
    it in the term of the shares. Rounds are those of the user guide of the published tool, depth and rate the defaults
    of the library that it is built on.
    """

    rounds: int = 100
    depth: int = 6
    rate: float = 0.3
    pixels: int = 10_000


class BoostedTrees:
    """Boosted trees whose objective has a term for the area shares of the image that is being segmented.

    Source of the method: ExpertSegmentation (*Segmentation for microscopy with domain-informed targets*, Acta
    Materialia 291, 2025; NREL/JA-5700-90282), by its abstract and user guide: a tree-based classifier of hand-labelled
    pixels is trained with an additional loss that targets the volume fractions of the predicted phases, those of every
    phase, and a weight lambda says how much it counts. Its equations and its code were not read. What is not said there
    was derived anew:

    the objective is ``CE + weight * sum_k (v_k - t_k)^2``. CE is the mean cross-entropy of the painted pixels, phases
    weighted alike; v are the mean probabilities over the image, t the stated shares. With
    ``dv_j / dz_ik = p_ij ([j = k] - p_ik) / N``, a pixel's gradient is
    ``2 weight / N * p_ik (v_k - t_k - sum_j p_ij (v_j - t_j))``. Where all pixels of a phase move together, the
    curvature of the square is at most ``2 weight * mean_i(p_ik (1 - p_ik))`` times that of a pixel, by Cauchy and
    Schwarz; with it the leaves take Newton steps (Friedman 2001), held back by one painted pixel. One tree a round
    serves all phases.
    """

    def __init__(
        self, n_phases: int, options: BoostingOptions | None = None, *, weight: float = 1.0, seed: int = 0
    ) -> None:
        self._n_phases, self._options = n_phases, options or BoostingOptions()
        self._weight, self._seed = weight, seed
        self._trees: list[tuple[Any, Floats]] = []

    def fit(self, features: Features, marks: NDArray[np.uint8], wanted: Ratio | None = None) -> None:
        """Learn from the painted pixels of an image (labels 0 teach nothing, 255 is no part of it).

        ``wanted`` are the shares of all phases, sum 1; None leaves their term out.
        """
        known = (marks != NOT_CLASSIFIED) & (marks != EXCLUDED)
        if not known.any():
            raise PhaseguideError("No pixel is labelled, so trees have nothing to learn from. Paint some.")
        if wanted is not None and not (np.isfinite(wanted).all() and abs(wanted.sum() - 1) < 1e-6):
            raise PhaseguideError("Boosted trees need the share of every phase, sum 1. State all of them.")
        from sklearn.tree import DecisionTreeRegressor

        rng = np.random.default_rng(self._seed)
        rows, n = features[known], int(known.sum())
        if wanted is not None:
            image = np.flatnonzero(marks != EXCLUDED)
            drawn = rng.choice(image, min(self._options.pixels, image.size), replace=False)
            rows = np.concatenate([rows, features.reshape(-1, features.shape[-1])[drawn]])
        truth = np.eye(self._n_phases)[marks[known].astype(np.intp) - 1]
        alike = (truth / np.maximum(truth.sum(0), 1)).sum(1, keepdims=True)
        alike /= alike.sum()
        self._trees = []
        scores = np.zeros((len(rows), self._n_phases))
        for _ in range(self._options.rounds):
            p = _softmax(scores)
            gradient, curvature = alike * (p[:n] - truth), alike * p[:n] * (1 - p[:n])
            if wanted is not None:
                term = _share_term(p[n:], wanted, self._weight)
                gradient, curvature = (
                    np.concatenate(pair) for pair in zip((gradient, curvature), term, strict=True)
                )
            heavy = curvature.mean(1) + SMALLEST
            step = np.clip(-gradient / heavy[:, None], -STEEPEST, STEEPEST)
            tree = DecisionTreeRegressor(
                max_depth=self._options.depth,
                max_features="sqrt",
                random_state=int(rng.integers(2**31)),
            )
            leaves = tree.fit(rows, step, sample_weight=heavy / heavy.sum()).apply(rows)
            values = self._options.rate * _newton(leaves, tree.tree_.node_count, gradient, curvature, 1 / n)
            scores += values[leaves]
            self._trees.append((tree, values))

    def scores(self, features: Features) -> NDArray[np.float32]:
        """Return the scores of each pixel before softmax, shape (K, H, W)."""
        if not self._trees:
            raise PhaseguideError("The trees have learnt nothing yet. Fit them first.")
        rows = features.reshape(-1, features.shape[-1])
        found = np.zeros((len(rows), self._n_phases), dtype=np.float32)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            for tree, values in self._trees:
                found[part] += values[tree.apply(rows[part])].astype(np.float32)
        return np.ascontiguousarray(np.moveaxis(found.reshape(*features.shape[:2], -1), -1, 0))

    def predict(self, features: Features) -> NDArray[np.uint8]:
        """Return the likeliest phase of each pixel, shape (H, W)."""
        labels: NDArray[np.uint8] = (1 + self.scores(features).argmax(0)).astype(np.uint8)
        return labels


def _softmax(scores: Floats) -> Floats:
    grown = np.exp(scores - scores.max(1, keepdims=True))
    found: Floats = grown / grown.sum(1, keepdims=True)
    return found


def _share_term(p: Floats, wanted: Ratio, weight: float) -> tuple[Floats, Floats]:
    """Gradient and curvature of ``weight * sum_k (mean_i p_ik - wanted_k)^2`` by each score."""
    gap = p.mean(0) - wanted
    spread = p * (1 - p)
    gradient = 2 * weight / len(p) * p * (gap - (p @ gap)[:, None])
    return gradient, 2 * weight / len(p) * spread.mean(0) * spread


def _newton(
    leaves: NDArray[np.intp], count: int, gradient: Floats, curvature: Floats, held_back: float
) -> Floats:
    """Step of each leaf, shape (nodes, K)."""
    sums = [
        np.stack([np.bincount(leaves, weights=column, minlength=count) for column in of.T], axis=1)
        for of in (gradient, curvature)
    ]
    # A pixel's curvature is 1/4 at most, so that one painted pixel is a quarter of its weight.
    found: Floats = np.clip(-sums[0] / (sums[1] + held_back / 4), -STEEPEST, STEEPEST)
    return found
