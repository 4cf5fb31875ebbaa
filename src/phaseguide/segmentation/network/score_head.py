"""The score head: scores that are comparable from place to place, for ratio matching.

Matching adds one offset per phase to the scores of all pixels, which is the best that can be done
with a ratio only if scores read as log probabilities everywhere (Bayes' rule for shifted
proportions; Saerens, Latinne, Decaestecker 2002). A network that was trained on its own images is too
sure of itself, and not equally so everywhere. The head is a multinomial logistic regression that
takes the network's log probabilities and the local grey value and contrast at several sizes, fitted
on images that the network had not seen (stacked generalisation, Wolpert 1992; matrix scaling, Guo
et al. 2017, with the image added). It has no part in a result without a ratio, unless it was refitted on
what a user painted (`ScoreHeadCard.alone`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from phaseguide.models.card import ScoreHeadCard
from phaseguide.segmentation.matching.local_means import local_mean
from phaseguide.segmentation.network.scratch import empty_beside, release

Floats32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

_STRIP = 1024  # rows a step
_REACH = 3.0  # standard deviations after which a Gaussian is cut off


def halo(head: ScoreHeadCard) -> int:
    """Pixels around a window that its calibrated scores depend on."""
    return int(np.ceil(_REACH * max(head.sigmas, default=0.0))) + 1


def head_inputs(
    scores: Floats32, image: Floats32, head: ScoreHeadCard, excluded: Mask | None = None
) -> Iterator[Floats32]:
    """Yield the maps that a head weighs, one after the other.

    Parameters
    ----------
    scores : ndarray of float32, shape (K, H, W)
        Mean logits of the views.
    image : ndarray of float32, shape (H, W)
        Grey values as the network sees them, see `phaseguide.models.segmenter.normalise_image`.
    head : ScoreHeadCard
        Only its ``sigmas`` and ``floor`` are used.
    excluded : ndarray of bool, shape (H, W), optional
        Pixels that the local mean and contrast of others leave out.

    Yields
    ------
    ndarray of float32, shape (H, W)
        K log probabilities, not below the floor; the image; and for each sigma, in px, the local mean
        and the local standard deviation.
    """
    from scipy.ndimage import gaussian_filter

    yield from _log_probabilities(scores, head)
    yield image
    square = image * image
    for sigma in head.sigmas:
        blur = local_mean(partial(gaussian_filter, sigma=sigma, truncate=_REACH), excluded)
        mean = blur(image)
        yield mean
        variance = blur(square) - mean * mean
        yield np.sqrt(np.maximum(variance, 0, out=variance), out=variance)


def _log_probabilities(scores: Floats32, head: ScoreHeadCard) -> Iterator[Floats32]:
    highest = scores.max(axis=0)
    total = np.zeros_like(highest)
    for plane in scores:
        total += np.exp(plane - highest)
    highest += np.log(total)
    for plane in scores:
        yield np.maximum(plane - highest, np.float32(head.floor))


def calibrate_scores(
    scores: Floats32, image: Floats32, head: ScoreHeadCard, excluded: Mask | None = None
) -> Floats32:
    """Return calibrated scores: log probabilities up to a constant at each pixel.

    Parameters
    ----------
    scores : ndarray of float32, shape (K, H, W)
    image : ndarray of float32, shape (H, W)
    head : ScoreHeadCard
    excluded : ndarray of bool, shape (H, W), optional
        See `head_inputs`.

    Returns
    -------
    ndarray of float32, shape (K, H, W)
    """
    weights = np.asarray(head.weights, dtype=np.float32)
    calibrated = np.empty(scores.shape, dtype=np.float32)
    calibrated[:] = np.asarray(head.bias, dtype=np.float32)[:, None, None]
    for column, values in zip(weights.T, head_inputs(scores, image, head, excluded), strict=True):
        for plane, weight in zip(calibrated, column, strict=True):
            plane += weight * values
    return calibrated


def calibrated_image(
    scores: Floats32, grey: Callable[[slice], Floats32], head: ScoreHeadCard, excluded: Mask | None = None
) -> Floats32:
    """Do what `calibrate_scores` does for a whole image, in strips, so that temporaries stay small.

    Parameters
    ----------
    scores : ndarray of float32, shape (K, H, W)
        May be a memory map; the result then is one too.
    grey : callable
        Returns rows of the image, shape (rows, W).
    head : ScoreHeadCard
    excluded : ndarray of bool, shape (H, W), optional
        See `head_inputs`.
    """
    calibrated = empty_beside(scores)
    height, around = scores.shape[1], halo(head)
    for top in range(0, height, _STRIP):
        rows = slice(max(0, top - around), min(height, top + _STRIP + around))
        inner = slice(top - rows.start, min(top + _STRIP, height) - rows.start)
        without = None if excluded is None else excluded[rows]
        strip = calibrate_scores(np.asarray(scores[:, rows]), grey(rows), head, without)
        calibrated[:, top : top + _STRIP] = strip[:, inner]
        release(scores)
        release(calibrated)
    return calibrated


def recalibrated(before: Floats32, calibrated: Floats32, scores: Floats32, head: ScoreHeadCard) -> Floats32:
    """Calibrate other scores of the same image; its surroundings need not be looked at again.

    Parameters
    ----------
    before, calibrated : ndarray of float32, shape (K, H, W)
        Scores of the image and what `calibrated_image` made of them.
    scores : ndarray of float32, shape (K, H, W)
        Other scores of the image, such as those of the network with another ratio.
    head : ScoreHeadCard
    """
    weights = np.asarray(head.weights, dtype=np.float32)
    result = empty_beside(calibrated)
    for top in range(0, scores.shape[1], _STRIP):
        rows = slice(top, top + _STRIP)
        result[:, rows] = calibrated[:, rows]
        pairs = zip(
            _log_probabilities(np.asarray(scores[:, rows]), head),
            _log_probabilities(np.asarray(before[:, rows]), head),
            strict=True,
        )
        for column, (now, then) in zip(weights.T, pairs, strict=False):
            now -= then
            for plane, weight in zip(result[:, rows], column, strict=True):
                plane += weight * now
        for array in (before, calibrated, scores, result):
            release(array)
    return result
