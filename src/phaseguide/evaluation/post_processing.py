"""Post-processing of a map of two phases, judged beside the map as it is: another threshold, opening and closing."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Item
from phaseguide.errors import PhaseguideError
from phaseguide.evaluation.confusion import Ints, confusion_matrix, scores_from_confusion
from phaseguide.evaluation.evaluate import Predicted
from phaseguide.evaluation.ratio_source import RatioSource
from phaseguide.evaluation.tables import Numbers, over_repeats
from phaseguide.phases import PhaseScheme

SOUGHT = 2
"""Label of the phase that is looked for, where there are two; the other one is what lies around it."""


def opened_and_closed(labels: NDArray[np.uint8], radius_px: int) -> NDArray[np.uint8]:
    """Remove islands of phase 2 that are smaller than a disk, then fill what is narrower than it; other pixels stay.

    The map has phases 1 and 2; what is neither stays as it is. At the border the image goes on as it ends there.
    """
    from skimage.morphology import closing, disk, opening

    found = np.pad((labels == SOUGHT).astype(np.uint8), radius_px, mode="edge")
    mark = disk(radius_px)  # type: ignore[no-untyped-call]
    found = closing(opening(found, mark), mark)
    kept = found[radius_px : found.shape[0] - radius_px, radius_px : found.shape[1] - radius_px] > 0
    phases = (labels == 1) | (labels == SOUGHT)
    result: NDArray[np.uint8] = np.where(phases, np.where(kept, SOUGHT, 1), labels).astype(np.uint8)
    return result


def over_threshold(
    scores: NDArray[np.float32], labels: NDArray[np.uint8], threshold: float
) -> NDArray[np.uint8]:
    """Give phase 2 where its probability, the sigmoid of how far its score is ahead, is over a threshold, else phase 1.

    ``scores`` are (2, H, W), ``threshold`` lies between 0 and 1; a label that is no phase stays.
    """
    found = scores[1] - scores[0] > math.log(threshold / (1 - threshold))
    phases = (labels == 1) | (labels == SOUGHT)
    result: NDArray[np.uint8] = np.where(phases, np.where(found, SOUGHT, 1), labels).astype(np.uint8)
    return result


@dataclass
class PostProcessing:
    """Judges the maps of a study after `over_threshold` and `opened_and_closed`, either of which may be left out.

    `PhaseguideError` for another number of phases than two, and for a threshold beside a ratio, which moves it itself.
    """

    scheme: PhaseScheme
    source: RatioSource
    threshold: float | None = None
    radius_px: int | None = None
    _confusions: dict[int, Ints] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.scheme) != 2:
            what = "A threshold acts" if self.radius_px is None else "Opening and closing act"
            raise PhaseguideError(
                f"{what} on the second of two phases, but the model has {len(self.scheme)} "
                f"({self.scheme.describe()}). Leave --threshold and --opening out, or choose a model of two phases."
            )
        if self.threshold is not None and self.source.kind != "none":
            raise PhaseguideError(
                f"A threshold acts on scores without a ratio, but the ratio is {self.source}, which moves the "
                "threshold itself. Leave --threshold or --ratio out."
            )

    def see(self, item: Item, labels: NDArray[np.uint8], predicted: Predicted) -> None:
        """Count the pixels of an image."""
        made = predicted.segmentation.labels
        if self.threshold is not None:
            assert predicted.scores is not None  # there is one for every image that was segmented
            made = over_threshold(predicted.scores, made, self.threshold)
        if self.radius_px is not None:
            made = opened_and_closed(made, self.radius_px)
        counts = confusion_matrix(labels, made, len(self.scheme))
        before = self._confusions.get(predicted.repeat)
        self._confusions[predicted.repeat] = counts if before is None else before + counts

    def finish(self) -> None:
        """Nothing is left to do."""

    def describe(self) -> str:
        """What was done, as the beginning of a sentence."""
        done = [] if self.threshold is None else [f"a threshold of {self.threshold:g}"]
        if self.radius_px is not None:
            done.append(f"opening and closing with a disk of radius {self.radius_px} px")
        return f"After {' and '.join(done)}"

    def to_dict(self) -> Numbers | None:
        """Return the scores over the pixels of all images, as means over the repeats; None before one was seen."""
        if not self._confusions:
            return None
        scores = [scores_from_confusion(counts) for counts in self._confusions.values()]
        tables = [{**one.agreement(self.scheme), **one.counts(self.scheme)} for one in scores]
        return {
            "threshold": self.threshold,
            "radius_px": self.radius_px,
            **over_repeats(tables, np.mean),
        }
