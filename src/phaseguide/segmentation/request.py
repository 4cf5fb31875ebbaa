"""What a user asks of a session, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from phaseguide.models.sam.prompts import Prompts
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import Ratio
from phaseguide.segmentation.constraints.regions import Region, RegionShares

ENCODING = "Encoding the image"
READING = "Reading what was kept of the image"
FEEDING_BACK = "Feeding the measured areas back to the network"
SECOND_LOOK = "Looking again where the model is unsure"
"""What the progress of a session is called while the network looks at an image; widgets tell them apart."""

Mode = Literal["matched", "conditioned", "both"]
Estimator = Literal["own", "autoregressive", "prior-shift"]

AUTO: Estimator = "own"
"""The automatic estimate: the best of the three on the cross-validation folds (``docs/benchmarks/guidance.md``)."""


@dataclass(frozen=True)
class Request:
    """One segmentation of a session's image.

    Attributes
    ----------
    asked : ndarray, shape (K,), or None
        Area shares that the user expects, NaN where open; None for no ratio.
    auto : bool
        Let the model find the ratio, see ``estimator``.
    uncertainty : float or tuple of float
        Standard deviation of ``asked`` in log-ratio space; 0 means exact.
    mode : {"matched", "conditioned", "both"} or None
        Where the ratio acts: on the label map, in the network, or on both. None: as the card says.
    smoothing_px : float
        Standard deviation of a Gaussian on the scores, in px; 0 is off.
    min_island_px : int
        Islands of fewer pixels join their surroundings; 0 is off.
    regions : tuple of Region
        Parts of the image with ratios of their own; ``asked`` is then about the rest of the field.
    scope : {"field", "specimen"}
        What ``asked`` is about, which decides whether a disagreement with this field is worth a word. How
        a specimen's ratio becomes those of its fields: `phaseguide.segmentation.specimen`.
    estimator : {"own", "autoregressive", "prior-shift"}
        How ``auto`` finds the ratio. Own: measure the map without one. Prior-shift: see
        `phaseguide.segmentation.matching.prior_shift`. Calibrated scores are then matched to it. Auto-regressive: feed
        what is measured back to the network until it settles; the map is then what the network sees that knows the
        ratio (``mode`` "conditioned", or None), the same matched to it ("both"), or calibrated scores without the ratio
        matched to it ("matched").
    prompts : Prompts or None
        Boxes and points that the network is shown, where it can take them; a ratio acts on what it then sees.
    """

    asked: Ratio | None = None
    auto: bool = False
    uncertainty: float | tuple[float, ...] = 0.3
    mode: Mode | None = None
    smoothing_px: float = 0.0
    min_island_px: int = 0
    regions: tuple[Region, ...] = ()
    scope: Literal["field", "specimen"] = "field"
    estimator: Estimator = AUTO
    prompts: Prompts | None = None


@dataclass(frozen=True)
class FoundRatio:
    """How a ratio was found by the model: the estimator, and for one in rounds how many, and whether it settled."""

    estimator: Estimator
    rounds: int = 0
    settled: bool = True


@dataclass(frozen=True)
class Segmentation:
    """A label map with everything needed to judge it.

    Attributes
    ----------
    labels : ndarray of uint8, shape (H, W)
        1..K, and 255 where excluded.
    asked : ndarray, shape (K,), or None
    own : ndarray, shape (K,)
        Area shares of the map without any ratio and without prompts (and without manual phases).
    imposed : ndarray, shape (K,), or None
        What the map should have: the blend of asked and own, or the estimate of ``auto``.
    achieved : ndarray, shape (K,)
        Area shares of ``labels``.
    own_labels : ndarray of uint8, shape (H, W)
        The map without any ratio.
    mode : {"matched", "conditioned", "both"} or None
        None when no ratio acted.
    notices : tuple of str
        What the user should know about this result.
    regions : tuple of RegionShares
        What is known of each region, and of the rest of the field; empty without regions.
    prompts : Prompts or None
        Boxes and points that the network was shown.
    found : FoundRatio or None
        How the model found ``imposed``; None where it did not.
    edited_px : int
        Pixels of ``labels`` that the user has painted.
    """

    labels: NDArray[np.uint8]
    scheme: PhaseScheme
    asked: Ratio | None
    own: Ratio
    imposed: Ratio | None
    achieved: Ratio
    own_labels: NDArray[np.uint8]
    mode: Mode | None
    uncertainty: float | tuple[float, ...] | None
    notices: tuple[str, ...]
    regions: tuple[RegionShares, ...] = ()
    prompts: Prompts | None = None
    found: FoundRatio | None = None
    edited_px: int = 0

    @property
    def has_ratio(self) -> bool:
        """Whether a user's ratio, of the field or of a region, had a part in the areas."""
        return self.asked is not None or any(part.asked is not None for part in self.regions)

    @property
    def constrained(self) -> bool:
        """Whether what a user said had a part in the areas, so that they are no measurement."""
        return self.has_ratio or self.prompts is not None


@dataclass(frozen=True)
class Preview:
    """A first answer for the part of the image that is on show; the whole is still being worked on.

    Attributes
    ----------
    labels : ndarray of uint8, shape of the window
    window : (slice, slice)
        Rows and columns of the image.
    """

    labels: NDArray[np.uint8]
    window: tuple[slice, slice]


@dataclass(frozen=True)
class FirstLook:
    """What the model sees in an image without a ratio at a first look; a second one at unsure places follows.

    Attributes
    ----------
    labels : ndarray of uint8, shape (H, W)
    """

    labels: NDArray[np.uint8]
