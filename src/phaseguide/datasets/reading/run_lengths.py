"""Run lengths: how many pixels are out, in, out ... along the rows of a map; plain numbers, or COCO's letters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import DatasetError


def read_counts(told: Any, where: str) -> list[int]:
    """Return run lengths from a list of numbers or from COCO's compressed text; `DatasetError` for anything else."""
    if isinstance(told, str):
        return _decompressed(told, where)
    if isinstance(told, list) and all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in told
    ):
        return told
    raise DatasetError(
        f"{where}: its run lengths are neither whole numbers nor COCO's text. Export it again."
    )


def unrolled(counts: Sequence[int], shape: tuple[int, int], where: str) -> NDArray[np.bool_]:
    """Return the map (H, W) of run lengths, which begin outside; `DatasetError` if they do not fill it."""
    if sum(counts) != shape[0] * shape[1]:
        raise DatasetError(
            f"{where}: its run lengths cover {sum(counts)} pixels of {shape[0] * shape[1]}; they are cut short or for "
            "another image. Export it again."
        )
    inside = np.arange(len(counts)) % 2 == 1
    filled: NDArray[np.bool_] = np.repeat(inside, counts).reshape(shape)
    return filled


def _decompressed(text: str, where: str) -> list[int]:
    """Decode COCO's text: groups of 5 bits in letters from "0", the sixth bit says that more follow.

    From the fourth number on each is told as a difference from that two before it.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise DatasetError(f"{where}: its run lengths hold the letter {letter!r}. Export it again.")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift or any(count < 0 for count in counts):
        raise DatasetError(f"{where}: its run lengths are cut short or damaged. Export it again.")
    return counts
