"""Where a plane lies in a stack, what it is called, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = tuple[int, ...]
"""Position along the leading axes; ``()`` for a plain image."""


def plane_reader(data: Any, index: Index, *, rgb: bool) -> Callable[[], NDArray[Any]]:
    """Return a function that reads one plane; to be called in a worker, since a lazy array may take long.

    The array is (H, W), or (H, W, 3) without transparency.
    """

    def read() -> NDArray[Any]:
        plane = np.asarray(data[index] if index else data)
        if rgb and plane.shape[-1] == 4:
            plane = plane[..., :3]
        return plane.astype(np.uint8) if plane.dtype == bool else plane

    return read


def plane_name(name: str, index: Index) -> str:
    """Name a plane as the sliders do, for messages and tables."""
    return f"{name}, plane {' '.join(map(str, index))}" if index else name
