"""Crops around labels: few windows that together hold every labelled pixel, in every view of the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from phaseguide.finetuning.judging.places import GAP
from phaseguide.finetuning.sources import Source
from phaseguide.labels import is_labelled
from phaseguide.models.metal import Metal, find_metal
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED

MOST_WINDOWS = 400
"""Windows of one source; beyond them labels are left out, evenly."""

NEAR = 16
"""Where a label corrects the model, the model is likely to be wrong around it too, in px."""

_STEP = 32


@dataclass(frozen=True)
class Crop:
    """A square window of a source, at one zoom: normalised pixels (C, crop, crop), and labels, 0 where nothing is
    taught.

    ``far`` are pixels without a label that are farther than `NEAR` from any. ``ratio_of`` is the index of the source
    whose ratio the crop is a part of, -1 for none. ``area`` is what of it is image and not padding, in px at zoom 1.
    ``counts`` are pixels of each label value, by all labels of the source; ``places`` (crop, crop) are the numbers of
    the places of these labels, 0 for none (`phaseguide.finetuning.judging.places`).
    """

    source: int
    zoom: float
    pixels: Tensor
    labels: Tensor
    far: Tensor
    ratio_of: int
    area: float
    counts: Tensor | None = None
    places: Tensor | None = None

    def ratio(self, n_phases: int) -> Tensor:
        """Area shares (K,) by all labels of the source, the held-out ones too; NaN if not labelled all over."""
        if self.counts is None or self.counts[NOT_CLASSIFIED] or not self.counts[1 : n_phases + 1].any():
            return torch.full((n_phases,), torch.nan)
        here = self.counts[1 : n_phases + 1].float()
        return here / here.sum()


def label_crops(
    sources: Sequence[Source],
    labels: Sequence[NDArray[np.uint8] | None],
    crop: int,
    zooms: Sequence[float],
    places: Sequence[NDArray[np.int32] | None] | None = None,
) -> list[Crop]:
    """Cut crops that together hold every label of ``labels``, each in exactly one crop of a zoom.

    ``Crop.far`` keeps away from all labels of the sources, also from those that are held out. ``places`` are maps of
    places, to be cut with the labels.
    """
    found: list[Crop] = []
    for index, (source, marks) in enumerate(zip(sources, labels, strict=True)):
        if marks is None or not is_labelled(marks).any():
            continue
        metal = find_metal(source.image, source.labels)
        planes = torch.from_numpy(metal.planes())
        far = torch.from_numpy(
            far_from_labels(marks if source.labels is None else source.labels)[metal.window]
        )
        marks = np.ascontiguousarray(marks[metal.window])
        for zoom in zooms:
            image, scaled = zoomed(planes, torch.from_numpy(marks), zoom)
            every = scaled if source.labels is None else zoomed(planes, _inside(source, metal), zoom)[1]
            every = every.clone()
            scaled, (_, scaled_far) = scaled.clone(), zoomed(planes, far, zoom)
            numbers = None if places is None else _numbers(places[index], metal, zoom)
            for top, left in covering_windows(is_labelled(scaled.numpy()), crop):
                one = _cut(index, zoom, image, scaled, scaled_far > 0, top, left, crop, -1)
                part = every[top : top + crop, left : left + crop]
                one = replace(one, counts=torch.bincount(part.reshape(-1), minlength=256))
                if numbers is not None:
                    here = numbers[top : top + crop, left : left + crop]
                    here = F.pad(here, (0, crop - here.shape[1], 0, crop - here.shape[0]))
                    one = replace(one, places=here.contiguous())
                found.append(one)
                scaled[top : top + crop, left : left + crop] = 0
    return found


def _inside(source: Source, metal: Metal) -> Tensor:
    assert source.labels is not None
    return torch.from_numpy(np.ascontiguousarray(source.labels[metal.window]))


def _numbers(places: NDArray[np.int32] | None, metal: Metal, zoom: float) -> Tensor | None:
    """A map of places as the image is zoomed; a number is taken from the nearest pixel."""
    if places is None:
        return None
    numbers = torch.from_numpy(np.ascontiguousarray(places[metal.window]))
    if zoom == 1.0:
        return numbers
    size = [max(1, round(n * zoom)) for n in numbers.shape]
    return F.interpolate(numbers[None, None].double(), size=size, mode="nearest")[0, 0].int()


def has_labels(crop: Crop) -> bool:
    """Whether something is labelled in a crop."""
    return bool(((crop.labels != NOT_CLASSIFIED) & (crop.labels != EXCLUDED)).any())


def without_places(crops: Sequence[Crop], left_out: Tensor) -> list[Crop]:
    """The same crops without the labels of places, and of what is within `GAP` of these; (P + 1,) says which."""
    found = []
    for crop in crops:
        assert crop.places is not None
        reach = 2 * round(GAP * crop.zoom) + 1
        held = left_out[crop.places.long()].float()[None, None]
        near = F.max_pool2d(held, reach, stride=1, padding=reach // 2)[0, 0] > 0
        silent = near & (crop.labels != EXCLUDED)
        found.append(replace(crop, labels=crop.labels.masked_fill(silent, NOT_CLASSIFIED)))
    return found


def only_places(crops: Sequence[Crop], kept: Tensor) -> list[Crop]:
    """The same crops with the labels of some places alone; (P + 1,) says which."""
    found = []
    for crop in crops:
        assert crop.places is not None
        silent = ~kept[crop.places.long()] & (crop.labels != EXCLUDED)
        found.append(replace(crop, labels=crop.labels.masked_fill(silent, NOT_CLASSIFIED)))
    return found


def field_crops(sources: Sequence[Source], crop: int) -> list[Crop]:
    """Cut crops that tile each source with a ratio, without labels."""
    found: list[Crop] = []
    for index, source in enumerate(sources):
        if source.ratio is None:
            continue
        metal = find_metal(source.image, source.labels)
        planes = torch.from_numpy(metal.planes())
        height, width = planes.shape[1:]
        blank = torch.zeros((height, width), dtype=torch.uint8)
        if source.labels is not None:
            # What is excluded leaves the denominator of a ratio.
            blank[torch.from_numpy(source.labels[metal.window] == EXCLUDED)] = EXCLUDED
        nowhere = torch.zeros_like(blank, dtype=torch.bool)
        for top in _starts(height, crop):
            for left in _starts(width, crop):
                found.append(_cut(index, 1.0, planes, blank, nowhere, top, left, crop, index))
    return found


def zoomed(planes: Tensor, labels: Tensor, zoom: float) -> tuple[Tensor, Tensor]:
    """Resample an image (C, H, W) linearly and its labels (H, W) to the nearest."""
    if zoom == 1.0:
        return planes, labels
    size = [max(1, round(n * zoom)) for n in planes.shape[1:]]
    image = F.interpolate(planes[None], size=size, mode="bilinear", align_corners=False, antialias=zoom < 1)[
        0
    ]
    marks = F.interpolate(labels[None, None].float(), size=size, mode="nearest")[0, 0]
    return image, marks.to(torch.uint8)


def covering_windows(mask: NDArray[np.bool_], crop: int) -> list[tuple[int, int]]:
    """Choose windows greedily, each where most of the mask is not covered yet.

    Top and left of each; together they hold the whole mask.
    """
    height, width = mask.shape
    if height <= crop and width <= crop:
        return [(0, 0)]
    tops, lefts = _places(height, crop), _places(width, crop)
    left_over = mask.copy()
    windows: list[tuple[int, int]] = []
    while left_over.any() and len(windows) < MOST_WINDOWS:
        total = np.zeros((height + 1, width + 1), dtype=np.int64)
        np.cumsum(np.cumsum(left_over, axis=0), axis=1, out=total[1:, 1:])
        ends_y, ends_x = np.minimum(tops + crop, height), np.minimum(lefts + crop, width)
        inside = (
            total[np.ix_(ends_y, ends_x)]
            - total[np.ix_(tops, ends_x)]
            - total[np.ix_(ends_y, lefts)]
            + total[np.ix_(tops, lefts)]
        )
        # Of equally good windows the one in the middle of them: labels want surroundings on all sides.
        best = np.argwhere(inside == inside.max())
        row, column = best[np.square(best - best.mean(0)).sum(1).argmin()]
        top, left = int(tops[row]), int(lefts[column])
        windows.append((top, left))
        left_over[top : top + crop, left : left + crop] = False
    return windows


def _places(size: int, crop: int) -> NDArray[np.int64]:
    last = max(0, size - crop)
    return np.unique(np.append(np.arange(0, last + 1, _STEP), last))


def _starts(size: int, crop: int) -> list[int]:
    """Starts of the fewest windows of one size that tile a side, spread evenly."""
    count = -(-size // crop)
    return [0] if count == 1 else [round(i * (size - crop) / (count - 1)) for i in range(count)]


def far_from_labels(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """1 where nothing is labelled within `NEAR` px, else 0."""
    from scipy.ndimage import maximum_filter

    near = maximum_filter(is_labelled(labels).astype(np.uint8), size=2 * NEAR + 1, mode="constant")
    far: NDArray[np.uint8] = ((near == 0) & (labels == 0)).astype(np.uint8)
    return far


def _cut(
    source: int,
    zoom: float,
    image: Tensor,
    labels: Tensor,
    far: Tensor,
    top: int,
    left: int,
    crop: int,
    ratio_of: int,
) -> Crop:
    window = (slice(top, top + crop), slice(left, left + crop))
    pixels, marks, away = image[:, *window], labels[window].long(), far[window].clone()
    height, width = marks.shape
    bottom, right = crop - height, crop - width
    if bottom or right:
        mode = "reflect" if bottom < height and right < width else "replicate"
        pixels = F.pad(pixels[None], (0, right, 0, bottom), mode=mode)[0]
        # What was mirrored in is no second observation.
        marks = F.pad(marks, (0, right, 0, bottom), value=EXCLUDED)
        away = F.pad(away, (0, right, 0, bottom), value=False)
    area = height * width / zoom**2
    return Crop(source, zoom, pixels.contiguous(), marks.contiguous(), away, ratio_of, area)
