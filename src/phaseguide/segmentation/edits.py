"""Manual edits as a session takes them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from phaseguide.errors import MicrographError
from phaseguide.micrographs.arrays import as_label_array
from phaseguide.phases import EXCLUDED, PhaseScheme

Labels = NDArray[np.uint8]


def take_edits(
    edits: ArrayLike | None, shape: tuple[int, ...], scheme: PhaseScheme, name: str
) -> Labels | None:
    """Return edits of an image in an array of their own; None where they say nothing.

    Raises
    ------
    MicrographError
        Another shape than the image, or no label map at all.
    SchemeError
        A value that is not in the scheme.
    """
    edits = None if edits is None else as_label_array(edits, f"edits of {name}").copy()
    if edits is None or not np.any(edits):
        return None
    if edits.shape != shape:
        raise MicrographError(
            f"The edits are {' x '.join(map(str, edits.shape))} px, but {name} is "
            f"{' x '.join(map(str, shape))} px. Use edits that were painted on this image."
        )
    scheme.check_labels(np.unique(edits).tolist(), source=f"edits of {name}")
    return edits


def painted_px(edits: Labels | None) -> int:
    """Count the pixels that were painted: with a phase, or as excluded."""
    return 0 if edits is None else int(np.count_nonzero(edits))


def say_the_same(one: Labels | None, other: Labels | None) -> bool:
    """Whether two maps of edits say the same; None says nothing."""
    if one is None or other is None:
        said = one if other is None else other
        return said is None or not said.any()
    return np.array_equal(one, other)


def excluded_only(edits: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """Return of manual edits only what is excluded; None without edits."""
    return None if edits is None else np.where(edits == EXCLUDED, np.uint8(EXCLUDED), np.uint8(0))
