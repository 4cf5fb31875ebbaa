"""What the part for painted labels computes in a thread: arrays in, an estimate out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.jobs.plane_index import Index
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED, PhaseScheme

if TYPE_CHECKING:
    from phaseguide.estimation.painted import PaintedEstimate
    from phaseguide.models.metal import Metal


@dataclass(frozen=True)
class ScoredImage:
    """The arrays of a session, which stay as they are whatever another thread does with it."""

    metal: Metal
    scores: NDArray[np.float32]

    def is_same(self, other: ScoredImage) -> bool:
        """Whether these are the very arrays of another one."""
        return self.scores is other.scores and self.metal is other.metal


def counted_share(labels: NDArray[Any], scheme: PhaseScheme, source: str) -> tuple[PaintedEstimate, None]:
    """Painted share of one plane; the second value is nothing that need be kept."""
    from phaseguide.estimation.painted import painted_share

    return painted_share(labels, scheme, source=source), None


def pooled_share(
    data: Any, indices: list[Index], scheme: PhaseScheme, source: str
) -> tuple[PaintedEstimate, None]:
    """Painted share of all planes of a Labels layer's data on which something is painted."""
    from phaseguide.estimation.painted import painted_share, pool_planes

    each = [np.asarray(data[index]) for index in indices]
    painted = [labels for labels in each if np.isin(labels, range(1, len(scheme) + 1)).any()] or each[:1]
    return pool_planes([painted_share(labels, scheme, source=source) for labels in painted], scheme), None


def learnt_share(
    labels: NDArray[Any],
    excluded: NDArray[np.bool_] | None,
    scored: ScoredImage,
    features: NDArray[np.float16] | None,
    scheme: PhaseScheme,
    source: str,
) -> tuple[PaintedEstimate, tuple[ScoredImage, NDArray[np.float16]]]:
    """Extrapolated share of one plane; and, to be kept for the next stroke, the arrays and features of them.

    Parameters
    ----------
    labels : ndarray of int, shape (H, W)
    excluded : ndarray of bool, shape (H, W), or None
        What the session leaves out, such as the information bar.
    scored : ScoredImage
    features : ndarray of float16, or None
        Those of this image, if they were kept.
    scheme : PhaseScheme
    source : str
        The layer, for errors.
    """
    from phaseguide.estimation.extrapolated import extrapolated_share
    from phaseguide.estimation.painted import check_painted
    from phaseguide.estimation.pixel_features import pixel_features

    labels = check_painted(labels, scheme, scored.metal.pixels.shape[:2], source=source)
    if excluded is not None:
        labels = np.where((labels == NOT_CLASSIFIED) & excluded, np.uint8(EXCLUDED), labels)
    if features is None:
        features = pixel_features(scored)
    return extrapolated_share(labels, features, scheme, source=source), (scored, features)
