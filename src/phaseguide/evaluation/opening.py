"""Post-processing of a map of two phases: opening and closing, judged beside the map as it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Item
from phaseguide.errors import PhaseguideError
from phaseguide.evaluation.confusion import Ints, confusion_matrix, scores_from_confusion
from phaseguide.evaluation.evaluate import Predicted
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


@dataclass
class Opening:
    """Judges the maps of a study after `opened_and_closed`; `PhaseguideError` for another number of phases than two."""

    radius_px: int
    scheme: PhaseScheme
    _confusions: dict[int, Ints] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.scheme) != 2:
            raise PhaseguideError(
                f"Opening and closing act on the second of two phases, but the model has {len(self.scheme)} "
                f"({self.scheme.describe()}). Leave --opening out, or choose a model of two phases."
            )

    def see(self, item: Item, labels: NDArray[np.uint8], predicted: Predicted) -> None:
        """Count the pixels of an image."""
        mended = opened_and_closed(predicted.segmentation.labels, self.radius_px)
        counts = confusion_matrix(labels, mended, len(self.scheme))
        before = self._confusions.get(predicted.repeat)
        self._confusions[predicted.repeat] = counts if before is None else before + counts

    def finish(self) -> None:
        """Nothing is left to do."""

    def to_dict(self) -> Numbers | None:
        """Return the scores over the pixels of all images, as means over the repeats; None before one was seen."""
        if not self._confusions:
            return None
        scores = [scores_from_confusion(counts) for counts in self._confusions.values()]
        tables = [{**one.agreement(self.scheme), **one.counts(self.scheme)} for one in scores]
        return {"radius_px": self.radius_px, **over_repeats(tables, np.mean)}
