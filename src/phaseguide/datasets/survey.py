"""What a folder of images and labels holds: sizes, bars, phases and their shares, counted image by image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from phaseguide.datasets.label_gaps import describe_gaps
from phaseguide.datasets.reading.base import Field, Listing
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED
from phaseguide.ratios import count_labels


@dataclass(frozen=True)
class Facts:
    """What is known of one field once it was read; ``counts`` are pixels by label, of labels that occur."""

    stem: str
    size: tuple[int, int]
    counts: dict[int, int]
    values: str
    bar_rows: int = 0
    pixel_size_um: float | None = None
    notices: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-compatible values."""
        return {**vars(self), "counts": {str(label): n for label, n in self.counts.items()}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Facts:
        """Read what `to_dict` wrote; KeyError, TypeError or ValueError for anything else."""
        height, width = (int(side) for side in data["size"])
        counts = {int(label): int(n) for label, n in data["counts"].items()}
        told = {**data, "size": (height, width), "counts": counts, "notices": tuple(data["notices"])}
        return cls(**told)


def look_at(stem: str, field: Field) -> Facts:
    """Count a field."""
    counts = count_labels(field.labels)
    colour = " RGB" if field.image.ndim == 3 else ""
    return Facts(
        stem,
        (field.labels.shape[0], field.labels.shape[1]),
        {int(label): int(counts[label]) for label in np.flatnonzero(counts)},
        f"{field.image.dtype}{colour}",
        field.bar_rows,
        field.pixel_size_um,
        field.notices,
    )


@dataclass(frozen=True)
class PhaseRow:
    """A phase: its pixels in all images, its share of all pixels that have a phase, and images that have it."""

    label: int
    name: str
    pixels: int
    share: float
    images: int


@dataclass(frozen=True)
class Report:
    """What a folder holds.

    ``sizes`` are images by "height x width", ``values`` images by type, ``bars`` images by rows of information bar.
    ``excluded`` and ``not_classified`` are shares of all pixels. ``groups`` are images of each split or fold.
    ``problems`` are sentences on images that cannot be used.
    """

    listing: Listing
    images: int
    sizes: dict[str, int]
    values: dict[str, int]
    bars: dict[int, int]
    with_pixel_size: int
    phases: tuple[PhaseRow, ...]
    excluded: float
    not_classified: float
    groups: dict[str, int]
    notices: tuple[str, ...]
    problems: tuple[Exception, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-compatible values."""
        return {
            "layout": self.listing.about.to_dict(),
            "folder": str(self.listing.folder),
            "images": self.images,
            "sizes": self.sizes,
            "values": self.values,
            "bar_rows": {str(rows): count for rows, count in self.bars.items()},
            "with_pixel_size": self.with_pixel_size,
            "phases": [vars(row) for row in self.phases],
            "excluded": self.excluded,
            "not_classified": self.not_classified,
            self.listing.grouping: {name: list(group) for name, group in self.listing.groups.items()},
            "notices": list(self.notices),
            "problems": [str(problem) for problem in self.problems],
        }


def report_on(listing: Listing, seen: Iterable[Facts], problems: Iterable[Exception] = ()) -> Report:
    """Sum up what was seen of a listing; a phase that no image has is among the notices."""
    facts = list(seen)
    counts = np.zeros(256, dtype=np.int64)
    having: Counter[int] = Counter()
    for one in facts:
        having.update(one.counts.keys())
        for label, pixels in one.counts.items():
            counts[label] += pixels
    every = int(counts.sum())
    classified = every - int(counts[EXCLUDED]) - int(counts[NOT_CLASSIFIED])
    rows = tuple(
        PhaseRow(
            p.label, p.name, int(counts[p.label]), int(counts[p.label]) / max(classified, 1), having[p.label]
        )
        for p in listing.scheme
    )
    told = [f"{one.stem}: {notice}" for one in facts for notice in one.notices]
    return Report(
        listing,
        images=len(facts),
        sizes=dict(Counter(f"{one.size[0]} x {one.size[1]}" for one in facts)),
        values=dict(Counter(one.values for one in facts)),
        bars=dict(sorted(Counter(one.bar_rows for one in facts if one.bar_rows).items())),
        with_pixel_size=sum(one.pixel_size_um is not None for one in facts),
        phases=rows,
        excluded=int(counts[EXCLUDED]) / max(every, 1),
        not_classified=int(counts[NOT_CLASSIFIED]) / max(every, 1),
        groups={name: len(group) for name, group in listing.groups.items()},
        notices=(*listing.notices, *(describe_gaps(counts, listing.scheme) if facts else ()), *told),
        problems=tuple(problems),
    )
