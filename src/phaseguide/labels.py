"""Label maps: one byte a pixel, 0 not classified, 1 to 254 a phase, 255 excluded; and what is done with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED

Map = NDArray[np.uint8]


def as_uint8(labels: NDArray[Any]) -> Map:
    """Copy labels as bytes; what no byte holds becomes 'not classified'."""
    array = np.array(labels)
    if array.dtype == np.uint8:
        return array
    return np.where((array < 0) | (array > EXCLUDED), NOT_CLASSIFIED, array).astype(np.uint8)


def with_edits(result: Map, edits: NDArray[Any] | None) -> Map:
    """Put edits on top of a label map."""
    if edits is None or edits.shape != result.shape:
        return result
    return np.where(edits == NOT_CLASSIFIED, result, edits).astype(np.uint8)
