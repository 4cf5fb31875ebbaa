"""Ratio matching: per-phase offsets on the scores so that the label map has a wanted composition.

Among all label maps with the wanted pixel counts, matching returns the one with the highest total
score. That map is ``argmax_k(z_k + b_k)`` for offsets ``b`` that solve a convex dual with K - 1
unknowns (semi-discrete optimal transport). `whole_image` solves it for a large image without
sorting all of it, `transport` for a few thousand pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import PhaseguideError, RatioError, SchemeError
from phaseguide.phases import EXCLUDED, MAX_PHASES
from phaseguide.segmentation.matching.transport import Floats, Ints, Labels, round_shares
from phaseguide.segmentation.matching.whole_image import Scores, count_labels, is_constant, solve, survey

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
    return Matcher(scores, fixed, seed=seed).match(wanted)


class Matcher:
    """Answers many ratios on the same scores; what one look at them tells is kept for all.

    Takes what `match_ratio` takes, which must not change while the matcher is in use, and raises what that raises.
    """

    def __init__(self, scores: Scores, fixed: Labels | None = None, *, seed: int = 0) -> None:
        z, given = _flatten(scores, fixed)
        self._shape = scores.shape[1:]
        self._field, _ = survey(z, given)
        if not self._field.own.any():
            raise PhaseguideError(
                "Every pixel is excluded, so no composition can be matched. Erase some of 255."
            )
        self._seed = seed

    def match(self, wanted: ArrayLike) -> Match:
        """Do what `match_ratio` does; the same numbers give the same map bit for bit."""
        own, fixed = self._field.own, self._field.fixed
        n_phases, total = len(own), int(own.sum())
        shares_wanted = _check_wanted(wanted, n_phases)
        targets = _targets(shares_wanted, fixed, total)
        need = targets - fixed
        # With one phase left to give, there is no choice of pixels, whatever the scores say.
        determinable = (
            np.array_equal(own, targets) or np.count_nonzero(need) == 1 or not is_constant(self._field)
        )
        if determinable and not np.array_equal(own, targets):
            labels, offsets = solve(self._field, self._sample, need, np.random.default_rng(self._seed))
        else:
            labels, offsets = survey(self._field.z, self._field.given)[1], np.zeros(n_phases)
        return Match(
            labels=labels.reshape(self._shape),
            offsets=offsets - offsets.mean(),
            achieved=shares(labels, n_phases),
            targets=targets,
            determinable=determinable,
            reachable=bool((np.abs(targets - shares_wanted * total) < 1 + 1e-6).all()),
        )

    @cached_property
    def _sample(self) -> Floats:
        return self._field.sample(np.random.default_rng(self._seed))


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
    return survey(z, given)[1].reshape(scores.shape[1:])


def shares(labels: NDArray[Any], n_phases: int) -> Floats:
    """Area shares, (K,), of a label map among the pixels that carry a phase (1..K); NaN if none does."""
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
