"""Area shares from painted pixels, first reading: the *painted share*, which is what was counted.

It is right when the painted part is representative: a fully labelled rectangle, or patches that were placed
without looking, in which every pixel was labelled. Strokes on picked islands are not, so they get no interval
(`is_complete`); see `phaseguide.estimation.extrapolated` for those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import MicrographError
from phaseguide.labels import count_labels, is_labelled
from phaseguide.micrographs.arrays import as_label_array
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.ratios import FLOOR, Ratio

Reading = Literal["painted", "extrapolated"]

LEVEL = 0.95
NORMAL = 1.959963984540054
"""Half-width of a 95 % interval of a normal distribution, in standard deviations."""

FEW_PIXELS = 200
"""Painted pixels of a phase below which a warning says so."""

FEW_AREAS = 5.0
"""Independent areas of a phase below which its interval is called rough."""

COMPLETE = 0.15
"""Border between phases within the paint, as part of the paint's own outline, from which it is a labelled part.

Strokes of two phases rarely touch: on synthetic fields the part was at most 0.015 for strokes, and at least 0.23 for
patches on the largest islands.
"""

STROKES = 2.0
"""Log-ratio standard deviation of shares from strokes, which carry no interval.

1.96 times this holds 95 % of what they were off by on labelled micrographs of one steel that the model had not seen,
over all ways of painting (``phaseguide benchmark strokes``, ``docs/benchmarks/coverage.md``).
"""

COUNTED_STROKES = (
    "Painted share is right for a rectangle, or patches put down without looking, in which every pixel is labelled. "
    "Choose Extrapolated for strokes."
)
NO_INTERVAL = "Strokes are where you chose to paint, so these shares carry no interval."

UNKNOWN = 1.0
"""Log-ratio standard deviation given for a phase about which nothing is known; it is left open anyway."""


@dataclass(frozen=True)
class PaintedEstimate:
    """Area shares of the phases with a 95 % interval, each of shape (K,), in [0, 1].

    Shares are of all that is not excluded, NaN for a phase that this reading cannot know; the interval is for the
    share in this field (pooled: in the specimen), NaN where there is none, as for strokes. ``pixels`` are painted ones,
    ``blocks`` separate blobs of them (extrapolated: large ones cut into pieces).
    """

    reading: Reading
    shares: Ratio
    low: Ratio
    high: Ratio
    pixels: NDArray[np.int64]
    blocks: NDArray[np.int64]
    warnings: tuple[str, ...]

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval for some phase."""
        return not bool(np.isnan(self.low).all())

    @property
    def uncertainty(self) -> tuple[float, ...]:
        """Standard deviation of log(phase : rest) for each phase, from the width of its interval.

        Ends are kept 0.1 percentage points from 0 and 1. It is 0 where nothing is left unknown, `STROKES` where there
        is no interval.
        """
        ends = [np.clip(end, FLOOR, 1 - FLOOR) for end in (self.low, self.high)]
        low, high = (np.log(end / (1 - end)) for end in ends)
        spread = np.where(np.isnan(low), STROKES, (high - low) / (2 * NORMAL))
        return tuple(UNKNOWN if np.isnan(p) else float(s) for p, s in zip(self.shares, spread, strict=True))


def check_painted(
    labels: ArrayLike, scheme: PhaseScheme, shape: tuple[int, ...] | None = None, *, source: str = "labels"
) -> NDArray[np.uint8]:
    """Return painted labels (H, W) as uint8 if an estimate can be made of them.

    Raises `MicrographError` for another shape than the image's, no plane, no label map, or nothing painted;
    `SchemeError` for a value outside the scheme.
    """
    array = as_label_array(labels, source)
    if shape is not None and array.shape != tuple(shape):
        raise MicrographError(
            f"{source} is {' x '.join(map(str, array.shape))} px, but the image is "
            f"{' x '.join(map(str, shape))} px. Use labels that were painted on this image."
        )
    if array.ndim != 2:
        raise MicrographError(
            f"{source} has {array.ndim} axes; an estimate takes one plane. Choose a plane, or pool several."
        )
    counts = np.bincount(array.ravel(), minlength=256)
    scheme.check_labels(np.flatnonzero(counts).tolist(), source=source)
    if not counts[1 : len(scheme) + 1].any():
        raise MicrographError(
            f"{source}: nothing is painted with a phase. Paint some pixels of each phase: {scheme.describe()}."
        )
    return array


def painted_share(labels: ArrayLike, scheme: PhaseScheme, *, source: str = "labels") -> PaintedEstimate:
    """Count painted pixels; of a part that is labelled completely, with an interval for the share in the whole field.

    The interval is Wilson's with Student's quantile, on as many independent areas as the two-point correlation of the
    painted pixels says there are, and with the finite-population correction of that correlation
    (`phaseguide.estimation.two_point`). Measured on synthetic fields it covers 94-97 %, from some hundred islands down
    to about ten in the painted part, where resampled blocks alone cover 60-94 %. It is too narrow (about 87 %) for
    long bands that run through a small painted part. Strokes get none, and a warning (`is_complete`).
    Reproduce: ``phaseguide benchmark coverage``. Labels as for `check_painted`, which also says what is raised.
    """
    from scipy.stats import t as student

    from phaseguide.estimation.two_point import painted_information

    painted = check_painted(labels, scheme, source=source)
    pixels = count_labels(painted, len(scheme))
    shares = pixels / pixels.sum()
    blocks = count_blobs(painted, len(scheme))
    if not is_complete(painted):
        none = np.full(len(scheme), np.nan)
        warnings = (f"{NO_INTERVAL} {COUNTED_STROKES}", *_unpainted(scheme, pixels))
        return PaintedEstimate("painted", shares, none, none, pixels, blocks, warnings)
    known = painted_information(painted, len(scheme))
    quantile = student.ppf((1 + LEVEL) / 2, np.maximum(1 / known.alone - 1, 1.0))
    low, high = _wilson(shares, known.of_field, quantile)
    warnings = _painted_warnings(scheme, pixels, shares, known.alone)
    return PaintedEstimate("painted", shares, low, high, pixels, blocks, warnings)


def is_complete(painted: NDArray[np.uint8]) -> bool:
    """Whether paint looks like a part of the field in which every pixel was labelled, and not like strokes.

    Phases then meet within the paint: their border is at least `COMPLETE` of the outline between what is painted and
    what is not. Paint of one phase alone is a stroke.
    """
    inside = is_labelled(painted)
    within = outline = 0
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = painted[one] != painted[other]
        within += int(np.count_nonzero(differ & inside[one] & inside[other]))
        said = (painted[one] != EXCLUDED) & (painted[other] != EXCLUDED)
        outline += int(np.count_nonzero((inside[one] != inside[other]) & said))
    return within >= COMPLETE * outline


def pool_planes(estimates: Sequence[PaintedEstimate], scheme: PhaseScheme) -> PaintedEstimate:
    """Pool the estimates of several planes or fields into one for the specimen.

    Planes are the blocks: the interval is Student's over their scatter, but never narrower than what the intervals
    within the planes leave; there is none where a plane has none. Painted shares are weighted by painted pixels,
    extrapolated ones equally. One plane alone is returned as it is, with a warning. There is at least one, and all are
    of the same reading.
    """
    from scipy.stats import t as student

    if len(estimates) == 1:
        (one,) = estimates
        note = "Only one plane is painted: the shares are for that plane, not for the specimen."
        return PaintedEstimate(
            one.reading, one.shares, one.low, one.high, one.pixels, one.blocks, (*one.warnings, note)
        )
    counts = np.array([one.pixels for one in estimates])
    sizes = counts.sum(1) if estimates[0].reading == "painted" else np.ones(len(estimates))
    values = np.array([one.shares for one in estimates])
    seen = ~np.isnan(values)
    weights = np.where(seen, sizes[:, None], 0.0)
    total = weights.sum(0)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    filled = np.where(seen, values, 0.0)
    shares = np.where(total > 0, (weights * filled).sum(0), np.nan)
    shares = shares / np.nansum(shares)
    planes = seen.sum(0)
    scatter = (weights**2 * (filled - np.nan_to_num(shares)) ** 2).sum(0) * planes / np.maximum(planes - 1, 1)
    within = np.array([(one.high - one.low) / 2 for one in estimates])
    within = np.sqrt((weights**2 * np.where(seen, within, 0.0) ** 2).sum(0))
    between = student.ppf((1 + LEVEL) / 2, np.maximum(planes - 1, 1)) * np.sqrt(scatter)
    half = np.maximum(between, within)
    warnings = [NO_INTERVAL] if np.isnan(within).any() else []
    for phase, count in zip(scheme, planes, strict=True):
        if not count:
            warnings.append(f"{phase.name} is painted on no plane, so nothing is said about it.")
        elif count < len(estimates):
            warnings.append(f"{phase.name} is painted on {count} of {len(estimates)} planes only.")
    return PaintedEstimate(
        estimates[0].reading,
        shares,
        np.clip(shares - half, 0, 1),
        np.clip(shares + half, 0, 1),
        counts.sum(0),
        np.array([one.blocks for one in estimates]).sum(0),
        tuple(warnings),
    )


def count_blobs(labels: NDArray[np.uint8], n_phases: int) -> NDArray[np.int64]:
    """Number of connected blobs (8-neighbours) of each painted phase."""
    from scipy.ndimage import label as connect

    box = np.ones((3, 3))
    return np.array([connect(labels == k, structure=box)[1] for k in range(1, n_phases + 1)], dtype=np.int64)


def _wilson(shares: Ratio, variance: Ratio, quantile: Ratio) -> tuple[Ratio, Ratio]:
    """Wilson's interval (J. Am. Stat. Assoc. 22 (1927), 209) where one observation has variance p (1 - p)."""
    z = quantile**2 * variance
    middle = (shares + z / 2) / (1 + z)
    half = np.sqrt(z * (shares * (1 - shares) + z / 4)) / (1 + z)
    return np.clip(middle - half, 0, 1), np.clip(middle + half, 0, 1)


def _unpainted(scheme: PhaseScheme, pixels: NDArray[np.int64]) -> list[str]:
    return [
        f"{phase.name} is not painted and counts as absent. Is the painted part large enough?"
        for phase, count in zip(scheme, pixels, strict=True)
        if not count
    ]


def _painted_warnings(
    scheme: PhaseScheme, pixels: NDArray[np.int64], shares: Ratio, alone: Ratio
) -> tuple[str, ...]:
    warnings, rough = _unpainted(scheme, pixels), []
    for phase, count, share, variance in zip(scheme, pixels, shares, alone, strict=True):
        areas = share / variance
        if 0 < count < FEW_PIXELS:
            warnings.append(f"{phase.name}: only {count} painted px. Paint more of it.")
        elif count and areas < FEW_AREAS:
            rough.append(f"{max(1, round(areas))} of {phase.name}")
    if rough:
        warnings.append(
            f"The painted part is worth few separate areas (about {', '.join(rough)}), so these intervals are "
            "rough. Label a larger part."
        )
    return tuple(warnings)
