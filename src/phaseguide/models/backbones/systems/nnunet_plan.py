"""How large nnU-Net's patches are and how deep its network is, from the sizes of the images.

Source: the rules for 2-D data in F. Isensee and others, Nature Methods 18 (2021) 203-211, supplementary note 2, and the
constants of nnU-Net version 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

SMALLEST_MAP = 4
"""A map is halved as long as its side stays at least so long, px."""

FIRST, MOST = 32, 512
"""Channels of the finest stage, doubled at every stage, and of any stage at most."""

LARGEST = 2048
"""Side that a patch begins with at most, px."""

BUDGET = 85e6
"""Numbers in the maps of a network that fit the memory for which nnU-Net plans."""


@dataclass(frozen=True)
class Plan:
    """Side of the patches in px, and how many stages the network has."""

    side: int
    stages: int


def plan_network(sizes: Sequence[tuple[int, int]], n_phases: int) -> Plan:
    """Plan for images of these heights and widths, px.

    1. The patch begins as large as the median image, at most 2048 px a side.
    2. Its side is halved from stage to stage as long as the next map has at least 4 px; the side is brought up to a
       multiple of what the network divides it by.
    3. The numbers in all maps of the network are counted: two convolutions a stage, 32 channels at full size, doubled
       at every stage up to 512; in the decoder the transposed convolution too, and the scores of every stage.
    4. While these are more than 85 million, which is what nnU-Net gives a batch of 12, the side is made smaller by what
       the network divides it by, and steps 2 to 4 are repeated.

    What differs: crops here are squares, so the shorter side of the images counts, and sides are multiples of 32. The
    batch is the setting of the run: nnU-Net's follows from the memory of a GPU that it plans for.
    """
    side = min(round(median(min(size) for size in sizes)), LARGEST)
    side = _fitting(side)
    while count_numbers(side, n_phases) > BUDGET:
        side = _fitting(side - _step(side))
    return Plan(side, stages_for(side))


def stages_for(side: int) -> int:
    """How many stages a network has that is made for patches of a side, px."""
    stages = 1
    while side >= SMALLEST_MAP << stages:
        stages += 1
    return stages


def stage_channels(stages: int) -> list[int]:
    """Channels of every stage, from fine to coarse."""
    return [min(FIRST << stage, MOST) for stage in range(stages)]


def count_numbers(side: int, n_phases: int) -> int:
    """How many numbers the maps of a network hold for one patch."""
    channels = stage_channels(stages_for(side))
    areas = [(side >> stage) ** 2 for stage in range(len(channels))]
    encoder = sum(2 * c * area for c, area in zip(channels, areas, strict=True))
    decoder = sum((3 * c + n_phases) * area for c, area in zip(channels[:-1], areas, strict=False))
    return encoder + decoder


def _step(side: int) -> int:
    """What the side of a patch has to be a multiple of."""
    return max(32, 1 << (stages_for(side) - 1))


def _fitting(side: int) -> int:
    """A side brought up to a multiple of what the network divides it by."""
    side = max(side, 32)
    return -(-side // _step(side)) * _step(side)
