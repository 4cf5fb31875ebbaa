"""From outlines, as any tool writes them, to entries: images without any, and what no outline covers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phaseguide.datasets.reading.base import Entry, Field
from phaseguide.datasets.reading.fields import as_field, read_plane
from phaseguide.datasets.reading.files import check_stems, dropped, facts, unlabelled
from phaseguide.datasets.reading.options import NO_BACKGROUND, LayoutOptions
from phaseguide.datasets.reading.outlines import Outline, draw
from phaseguide.datasets.reading.schemes import label_of
from phaseguide.errors import DatasetError
from phaseguide.phases import NOT_CLASSIFIED, PhaseScheme


@dataclass(frozen=True, eq=False)
class Annotated:
    """An image and its outlines; ``size`` is (H, W) where the annotations say it, and ``where`` they stand.

    ``outlines`` parses them when it is called, so that a bad one befalls its own image only.
    """

    image: Path
    where: str
    outlines: Callable[[], Sequence[Outline]]
    made_of: tuple[str, ...]
    size: tuple[int, int] | None = None
    empty: bool = False


def entries_of(
    folder: Path, annotated: Sequence[Annotated], scheme: PhaseScheme, options: LayoutOptions
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Return entries for images with outlines, and what there is to tell; images without any are as the options say.

    `DatasetError` for the first image without, unless they count as negatives or are dropped, and for one that is
    annotated twice.
    """
    seen: dict[Path, str] = {}
    for one in annotated:
        if one.image in seen:
            raise DatasetError(
                f"{one.where}: is for {one.image.relative_to(folder)}, and so is {seen[one.image]}. Keep one."
            )
        seen[one.image] = one.where
    empty = [one for one in annotated if one.empty]
    if empty and options.unlabelled == "refuse":
        raise unlabelled(
            empty[0].image, f"{empty[0].where} has no polygon for it", len(empty), negatives=True
        )
    kept = [one for one in annotated if not (one.empty and options.unlabelled == "drop")]
    check_stems(folder, [(one.image.stem, str(one.image.relative_to(folder))) for one in kept])
    background = NOT_CLASSIFIED
    if options.background != NO_BACKGROUND:
        background = label_of(options.background, scheme, str(folder))
    entries = tuple(
        Entry(
            one.image.stem,
            lambda one=one: _read(one, scheme, background, options),  # type: ignore[misc]
            (*facts(one.image), *one.made_of),
            one.image,
        )
        for one in kept
    )
    return entries, dropped([one.image.name for one in empty]) if options.unlabelled == "drop" else ()


def _read(one: Annotated, scheme: PhaseScheme, background: int, options: LayoutOptions) -> Field:
    micrograph = read_plane(one.image)
    shape = micrograph.plane_shape
    if one.size is not None and one.size != shape:
        raise DatasetError(
            f"{one.where}: is made for an image of {one.size[0]} x {one.size[1]} px, but {one.image} is "
            f"{shape[0]} x {shape[1]} px. Find the image that was annotated."
        )
    outlines = one.outlines()
    values = {outline.phase: label_of(outline.phase, scheme, outline.where) for outline in outlines}
    below = np.full(shape, background, dtype=np.uint8)
    labels, told = draw(outlines, values, below, options)
    return as_field(micrograph, labels, options, told)
