"""Label maps: one byte a pixel, 0 not classified, 1 to 254 a phase, 255 excluded; and what is done with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED, PhaseScheme, normalise_name

Map = NDArray[np.uint8]


def as_uint8(labels: NDArray[Any]) -> Map:
    """Copy labels as bytes; what no byte holds becomes 'not classified'."""
    array = np.array(labels)
    if array.dtype == np.uint8:
        return array
    return np.where((array < 0) | (array > EXCLUDED), NOT_CLASSIFIED, array).astype(np.uint8)


def overlay(below: NDArray[np.uint8], above: NDArray[Any] | None) -> Map:
    """Return a map with another one on top: where that says nothing, the map below shows.

    What is no label at all (below 0, above 255) says nothing. None, like a map of another shape, leaves ``below`` as
    it is.
    """
    if above is None or above.shape != below.shape:
        return below
    says = above != NOT_CLASSIFIED
    if above.dtype != np.uint8:
        says &= (above > NOT_CLASSIFIED) & (above <= EXCLUDED)
    return np.where(says, above, below).astype(np.uint8)


def where_corrected(said: Map, edits: Map, result: Map | None) -> NDArray[np.bool_]:
    """Return where labels that were corrected elsewhere are to be taken over into edits.

    That is where they say something (0 says nothing) and not what is on show, the result with the edits on top, says
    already. Without a result every label counts, where the edits do not say the same. All have the same shape.
    """
    shown = edits if result is None else overlay(result, edits)
    mask: NDArray[np.bool_] = (said != NOT_CLASSIFIED) & (said != shown)
    return mask


def is_labelled(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which pixels have a phase: they are classified and not excluded."""
    mask: NDArray[np.bool_] = (labels != NOT_CLASSIFIED) & (labels != EXCLUDED)
    return mask


def is_partial(labels: NDArray[Any]) -> bool:
    """Whether some pixel is not classified."""
    return bool((labels == NOT_CLASSIFIED).any())


def count_labels(labels: NDArray[np.uint8], phases: int) -> NDArray[np.int64]:
    """Count the pixels of each phase, 1 to ``phases``: shape (K,).

    Goes phase by phase, several times quicker than a histogram of a large uint8 map.
    """
    return np.array([np.count_nonzero(labels == k) for k in range(1, phases + 1)], dtype=np.int64)


def area_shares(labels: NDArray[np.uint8], phases: int) -> NDArray[np.float64]:
    """Area share of each phase among all classified pixels, in [0, 1]: shape (K,); zeros if there are none."""
    counts = count_labels(labels, phases).astype(np.float64)
    shares: NDArray[np.float64] = counts / max(counts.sum(), 1.0)
    return shares


def relabel_table(relabel: Mapping[int, int]) -> Map:
    """Return the new value of each of the 256 values of a map; what is not told of stays, as what is excluded does."""
    table = np.arange(256, dtype=np.uint8)
    for old, new in relabel.items():
        table[old] = new
    table[EXCLUDED] = EXCLUDED
    return table


def relabelled(labels: NDArray[np.uint8], relabel: Mapping[int, int]) -> Map:
    """Return labels under other numbers, old label -> new label."""
    changed: Map = relabel_table(relabel)[labels]
    return changed


def mean_the_same(labels: NDArray[Any], painted: PhaseScheme, scheme: PhaseScheme) -> bool:
    """Whether each phase in labels that were painted for one scheme has the same number in another one."""
    now = {phase.label: normalise_name(phase.name) for phase in scheme}
    others = [phase.label for phase in painted if now.get(phase.label) != normalise_name(phase.name)]
    return not others or not np.isin(labels, others).any()
