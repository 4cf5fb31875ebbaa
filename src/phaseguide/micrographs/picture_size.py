"""A limit to the size of pictures that the free memory gives, told before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Sequence

from phaseguide.errors import MicrographError

_COPIES = 2  # as stored, and in the form that is worked on


def check_size(shape: Sequence[int], bytes_a_value: int) -> None:
    """Raise `MicrographError`, without the name of the file, if a picture would not fit into the free memory.

    The shape is what its header declares, height and width among it.
    """
    import psutil

    needed, free = _COPIES * math.prod(shape) * bytes_a_value, psutil.virtual_memory().available
    if needed > free:
        raise MicrographError(
            f"holds {' x '.join(map(str, shape))} values by its own account, which take {needed / 1e9:,.3g} GB of "
            f"memory to read; {free / 1e9:,.3g} GB are free. Close other programs, or crop or bin the image; if it is "
            "not that large, the file is damaged."
        )
