"""Boundary F1: whether phases meet where they should, within a tolerance of a few pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import SchemeError
from phaseguide.labels import is_labelled

Mask = NDArray[np.bool_]


def boundary_f1(
    true: NDArray[Any], predicted: NDArray[Any], n_phases: int, tolerance_px: float = 2
) -> NDArray[np.float64]:
    """Compute the boundary F1 score of each phase (Csurka et al., BMVC 2013).

    The boundary of a phase is its pixels with an edge neighbour that is not of the phase. Precision is the share of
    the predicted boundary within the tolerance of the true one, recall the reverse. The frame of the image and the
    edges of areas without a true label are no boundaries. The tolerance is a Euclidean distance in pixels, inclusive.
    In [0, 1], shape (K,); NaN for a phase that is in neither map. A phase that covers everything in both has no
    boundary to miss and scores 1.
    """
    if true.shape != predicted.shape:
        raise SchemeError(
            f"The true labels have shape {true.shape} but the prediction {predicted.shape}. "
            "Compare label maps of the same image."
        )
    labelled = is_labelled(true)
    scores = np.full(n_phases, np.nan)
    for k in range(1, n_phases + 1):
        in_true, in_predicted = (true == k) & labelled, (predicted == k) & labelled
        if in_true.any() or in_predicted.any():
            edge_true, edge_predicted = _boundary(in_true, labelled), _boundary(in_predicted, labelled)
            if edge_true.any() or edge_predicted.any():
                precision = _share_near(edge_predicted, edge_true, tolerance_px)
                recall = _share_near(edge_true, edge_predicted, tolerance_px)
                total = precision + recall
                scores[k - 1] = 2 * precision * recall / total if total else 0.0
            else:
                scores[k - 1] = float(np.array_equal(in_true, in_predicted))
    return scores


def _boundary(phase: Mask, labelled: Mask) -> Mask:
    other = labelled & ~phase
    touches = np.zeros_like(phase)
    touches[1:] |= other[:-1]
    touches[:-1] |= other[1:]
    touches[:, 1:] |= other[:, :-1]
    touches[:, :-1] |= other[:, 1:]
    return phase & touches


def _share_near(edge: Mask, reference: Mask, tolerance_px: float) -> float:
    """Share of the edge pixels within the tolerance of the reference; 0 if either is empty."""
    if not edge.any() or not reference.any():
        return 0.0
    # Looking around the few edge pixels costs far less than a distance transform of the image.
    reach = int(tolerance_px)
    around = np.pad(reference, reach)
    rows, columns = np.nonzero(edge)
    near = np.zeros(rows.size, dtype=bool)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dy * dy + dx * dx <= tolerance_px**2:
                near |= around[rows + dy + reach, columns + dx + reach]
    return float(near.mean())
