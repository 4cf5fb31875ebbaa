"""Ratio matching: per-phase offsets on the scores so that the label map has a wanted composition.

Among all label maps with the wanted pixel counts, matching returns the one with the highest total
score. That map is ``argmax_k(z_k + b_k)`` for offsets ``b`` that solve a convex dual with K - 1
unknowns (semi-discrete optimal transport). `settling` solves it for a large image without
sorting all of it, `transport` for a few thousand pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import PhaseguideError, RatioError, SchemeError
from phaseguide.phases import EXCLUDED, MAX_PHASES
from phaseguide.segmentation.settling import ROUNDING, Scores, chunks, count_labels, solve
from phaseguide.segmentation.transport import Floats, Ints, Labels, Mask, round_shares

_SUM_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Match:
    """What `match_ratio` found.

    Attributes
    ----------
    labels : ndarray of uint8
        Spatial shape of the scores; 1..K, `phases.EXCLUDED` where excluded.
    offsets : ndarray of float64, shape (K,)
        Added to the scores, with mean zero. For a phase that gets no free pixel: the value at which
        it would get its first.
    achieved : ndarray of float64, shape (K,)
        Area shares of `labels` among the pixels that are not excluded.
    targets : ndarray of int64, shape (K,)
        Pixel counts aimed at, manual edits included.
    determinable : bool
        False if the scores do not tell one pixel from another, so that nothing says where a phase
        should go; `labels` is then the plain argmax.
    reachable : bool
        False if manual edits alone exceed a wanted share. The edits stay, and the other phases
        share the rest in the wanted proportions.
    """

    labels: Labels
    offsets: Floats
    achieved: Floats
    targets: Ints
    determinable: bool
    reachable: bool


def match_ratio(scores: Scores, wanted: ArrayLike, *, fixed: Labels | None = None, seed: int = 0) -> Match:
    """Find the label map of highest total score that has the wanted composition, exact to one pixel.

    Shares become pixel counts by largest remainder. Equal scores are resolved by pixel order: of two
    pixels that score alike, the earlier one gets the lower label.

    Parameters
    ----------
    scores : ndarray of float, shape (K, ...)
        One map per phase, higher is likelier (logits or log probabilities); float32 is the fast
        case. May be a memory map; only pixels near a boundary are copied.
    wanted : array_like, shape (K,)
        Area shares in [0, 1] of the pixels that are not excluded; sum 1.
    fixed : ndarray of uint8, spatial shape of `scores`, optional
        0 free; 1..K this pixel *is* that phase; 255 excluded.
    seed : int
        Seeds the pixel sample. It can change the speed, not the result.

    Returns
    -------
    Match

    Raises
    ------
    RatioError
        `wanted` has another length, is negative or not finite, or does not sum to 1.
    SchemeError
        `fixed` has another shape or holds a value that is no phase.
    PhaseguideError
        The scores hold NaN or infinity, or every pixel is excluded.

    Notes
    -----
    Raising one phase while the others shrink in proportion only adds pixels to it (up to the
    rounding to whole pixels).
    """
    z, given = _flatten(scores, fixed)
    n_phases = len(z)
    shares_wanted = _check_wanted(wanted, n_phases)
    labels, magnitude = _plain_argmax(z, given)
    free = None if given is None else given == 0
    edited = np.zeros(n_phases, np.int64) if given is None else count_labels(given, n_phases)
    own = count_labels(labels, n_phases)
    total = int(own.sum())
    if total == 0:
        raise PhaseguideError("Every pixel is excluded, so no composition can be matched. Erase some of 255.")

    targets = _targets(shares_wanted, edited, total)
    reachable = bool((np.abs(targets - shares_wanted * total) < 1 + 1e-6).all())
    offsets = np.zeros(n_phases)
    determinable = True
    if not np.array_equal(own, targets):
        need = targets - edited
        # With one phase left to give, there is no choice of pixels, whatever the scores say.
        determinable = np.count_nonzero(need) == 1 or not _is_constant(z, free, magnitude)
        if determinable:
            labels, offsets = solve(z, need, free, magnitude, np.random.default_rng(seed))
            if given is not None:
                np.copyto(labels, given, where=given != 0)
    return Match(
        labels=labels.reshape(scores.shape[1:]),
        offsets=offsets - offsets.mean(),
        achieved=shares(labels, n_phases),
        targets=targets,
        determinable=determinable,
        reachable=reachable,
    )


def argmax_labels(scores: Scores, fixed: Labels | None = None) -> Labels:
    """Give every pixel the phase of its highest score, the first of equals; `fixed` goes on top.

    Parameters
    ----------
    scores : ndarray of float, shape (K, ...)
    fixed : ndarray of uint8, spatial shape of `scores`, optional
        0 free; 1..K and 255 are copied to the result.

    Returns
    -------
    ndarray of uint8
        Spatial shape of `scores`, values 1..K and 255.

    Raises
    ------
    SchemeError, PhaseguideError
        As in `match_ratio`.
    """
    z, given = _flatten(scores, fixed)
    return _plain_argmax(z, given)[0].reshape(scores.shape[1:])


def shares(labels: NDArray[Any], n_phases: int) -> Floats:
    """Measure area shares of a label map among the pixels that carry a phase.

    Parameters
    ----------
    labels : ndarray of uint8
        1..K; 0 (not classified) and 255 (excluded) are in no denominator.
    n_phases : int

    Returns
    -------
    ndarray of float64, shape (K,)
        NaN if no pixel carries a phase.
    """
    counts = count_labels(labels, n_phases)
    with np.errstate(invalid="ignore"):
        result: Floats = counts / counts.sum()
    return result


def _flatten(scores: Scores, fixed: Labels | None) -> tuple[Scores, Labels | None]:
    """Return scores (K, N) and fixed (N,), checked; ``None`` if nothing is fixed."""
    if (
        scores.ndim < 2
        or not 1 <= scores.shape[0] <= MAX_PHASES
        or not np.issubdtype(scores.dtype, np.floating)
    ):
        raise PhaseguideError(
            f"Scores must be floating point of shape (phases, ...); these are {scores.dtype} {scores.shape}."
        )
    z = scores.reshape(scores.shape[0], -1)
    if fixed is None:
        return z, None
    if fixed.shape != scores.shape[1:]:
        raise SchemeError(
            f"The edits have shape {fixed.shape}, but the image {scores.shape[1:]}. Use its own edits."
        )
    given = np.ascontiguousarray(fixed).reshape(-1)
    highest = int(given.max(where=given != EXCLUDED, initial=0))
    if highest > len(z) or int(given.min(initial=0)) < 0:
        raise SchemeError(
            f"The edits hold label {highest}, but there are {len(z)} phases. Repaint these pixels."
        )
    return z, given.astype(np.uint8, copy=False) if given.any() else None


def _check_wanted(wanted: ArrayLike, n_phases: int) -> Floats:
    ratio = np.asarray(wanted, dtype=np.float64)
    if ratio.shape != (n_phases,):
        raise RatioError(
            f"The ratio has shape {ratio.shape}, but there are {n_phases} phases. Give one share each."
        )
    if not np.isfinite(ratio).all() or (ratio < 0).any() or abs(ratio.sum() - 1) > _SUM_TOLERANCE:
        raise RatioError(f"Shares to match must be at least 0 and sum to 1; these are {ratio.tolist()}.")
    scaled: Floats = ratio / ratio.sum()
    return scaled


def _targets(wanted: Floats, edited: Ints, total: int) -> Ints:
    """Whole pixel counts of all phases; what is edited is the least that a phase can have."""
    targets = round_shares(wanted * total, total)
    over = np.zeros(len(wanted), dtype=bool)
    while (targets < edited).any():
        over |= targets < edited
        rest = total - int(edited[over].sum())
        share = np.where(over, 0.0, wanted)
        # All weight can be in edited phases only if nothing is left to share.
        share *= rest / share.sum() if rest else 0.0
        targets = np.where(over, edited, round_shares(share, rest))
    return targets


def _plain_argmax(z: Scores, given: Labels | None) -> tuple[Labels, float]:
    """Return the argmax (phase by phase: 20 times faster than over axis 0) and the largest magnitude."""
    labels = np.ones(z.shape[1], dtype=np.uint8)
    magnitude = 0.0
    for part, block in chunks(z):
        best = block[0].copy()
        out = labels[part]
        for k in range(1, len(block)):
            higher = block[k] > best
            np.maximum(out, higher.view(np.uint8) * np.uint8(k + 1), out=out)
            np.maximum(best, block[k], out=best)  # carries NaN along, so that it shows at the end
        lowest, highest = float(block.min(initial=0)), float(best.max(initial=0))
        magnitude = max(magnitude, -lowest, highest)
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise PhaseguideError(
                "The scores hold NaN or infinity: the image has such values, or the model is damaged. "
                "Check the image, then try another model."
            )
    if given is not None:
        np.copyto(labels, given, where=given != 0)
    return labels, magnitude


def _is_constant(z: Scores, free: Mask | None, magnitude: float) -> bool:
    """True if the score differences between phases are the same at every free pixel."""
    first: Floats | None = None
    for part, block in chunks(z):
        if free is not None:
            block = block[:, free[part]]
        if not block.shape[1]:
            continue
        difference = block[1:] - block[:1]
        if first is None:
            first = difference[:, :1].astype(np.float64)
        if np.abs(difference - first).max(initial=0) > ROUNDING * magnitude:
            return False
    return True
