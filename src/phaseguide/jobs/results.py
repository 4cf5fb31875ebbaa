"""What is shown and counted: a prediction with the user's edits on top."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.labels import area_shares
from phaseguide.models.model_file import UsedModel
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.ratios import Ratio
from phaseguide.segmentation.request import Segmentation
from phaseguide.segmentation.saving import constraint_note

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Provenance:
    """How a result was made, for its record.

    Attributes
    ----------
    model : UsedModel
    source : str or None
        Where the ratio comes from, in the user's words.
    settings : dict
        See `phaseguide.segmentation.saving.run_settings`.
    notices : tuple of str
        What the record tells before the notices of the segmentation: about the file, and what was left out of it.
    """

    model: UsedModel
    source: str | None
    settings: dict[str, Any]
    notices: tuple[str, ...] = ()

    def told(self, segmentation: Segmentation) -> Segmentation:
        """Return a segmentation with all notices of its record."""
        return replace(segmentation, notices=(*self.notices, *segmentation.notices))


@dataclass(frozen=True)
class PlaneResult:
    """A segmentation of one plane, the edits it was made with, and how.

    Attributes
    ----------
    segmentation : Segmentation
    made : Provenance
    edits : ndarray of uint8, shape (H, W), or None
        What the user had painted; without information bars and rims.
    """

    segmentation: Segmentation
    made: Provenance
    edits: Labels | None


def with_edits(result: PlaneResult, edits: Labels | None) -> Segmentation:
    """Return the segmentation as it stands after further edits.

    New strokes lie on top. Where a stroke was erased, the prediction without guidance shows, until
    the plane is segmented again. Values that are in no scheme are not shown.

    Parameters
    ----------
    result : PlaneResult
    edits : ndarray of uint8, shape (H, W), or None
        The edits now.
    """
    before, done = result.edits, result.segmentation
    if edits is None or not edits.any():
        edits = None
    if edits is None and before is None:
        return done
    if edits is not None and before is not None and np.array_equal(edits, before):
        return done
    labels = done.labels
    if before is not None:
        withdrawn = before > 0 if edits is None else (before > 0) & (edits == 0)
        labels = np.where(withdrawn, done.own_labels, labels)
    if edits is not None:
        known = (edits > 0) & ((edits <= len(done.scheme)) | (edits == EXCLUDED))
        labels = np.where(known, edits, labels)
    own_labels = np.where(labels == EXCLUDED, np.uint8(EXCLUDED), done.own_labels)
    phases = len(done.scheme)
    return replace(
        done,
        labels=labels,
        achieved=area_shares(labels, phases),
        own=area_shares(own_labels, phases),
        edited_px=0 if edits is None else int(np.count_nonzero(known)),
    )


def summary(segmentation: Segmentation) -> dict[str, object]:
    """Return what a result layer carries as metadata; shares in [0, 1] by phase name."""

    def by_name(shares: Ratio | None, scheme: PhaseScheme) -> dict[str, float | None] | None:
        if shares is None:
            return None
        return {p.name: None if np.isnan(s) else float(s) for p, s in zip(scheme, shares, strict=True)}

    scheme = segmentation.scheme
    return {
        "asked": by_name(segmentation.asked, scheme),
        "imposed": by_name(segmentation.imposed, scheme),
        "achieved": by_name(segmentation.achieved, scheme),
        "own": by_name(segmentation.own, scheme),
        "mode": segmentation.mode,
        "uncertainty": segmentation.uncertainty,
        "note": constraint_note(segmentation),
    }
