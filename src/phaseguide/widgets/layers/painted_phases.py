"""Which phases a layer was painted for: strokes of others are never taken for the phases of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.labels import mean_the_same
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED, PhaseScheme
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.edit_log import scheme_of

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from phaseguide.jobs.plane_index import Index


def is_painted_for(layer: Labels, scheme: PhaseScheme, labels: NDArray[Any] | None = None) -> bool:
    """Whether the numbers painted on a layer, or in a part of it, mean phases of the same names in a scheme.

    Numbers on a layer that the program does not know mean whatever the scheme says.
    """
    painted = scheme_of(layer)
    return painted is None or mean_the_same(layer.data if labels is None else labels, painted, scheme)


def painted_for_others(layer: Labels, scheme: PhaseScheme) -> str:
    """Return the sentence that says why strokes on a layer do not count under a scheme."""
    painted = scheme_of(layer)
    told = "other phases" if painted is None else painted.describe()
    return (
        f"{layer.name!r} was painted for {told}, and this model has {scheme.describe()}: these strokes are left out. "
        "To use them, choose a model that has their phases. To correct this model, remove the layer (a duplicate keeps "
        "what is painted); then an empty one is made."
    )


def edits_for(
    layer: Labels | None, image: Image, index: Index, scheme: PhaseScheme | None
) -> NDArray[Any] | None:
    """Copy one plane of the edits; where they were painted for other phases, only what is excluded.

    Raises
    ------
    MicrographError
        The layer has another shape than the image, or does not lie on it.
    """
    edits = roles.edits_of(layer, image, index)
    if layer is None or edits is None or scheme is None or is_painted_for(layer, scheme, edits):
        return edits
    return np.where(edits == EXCLUDED, edits, NOT_CLASSIFIED).astype(edits.dtype)
