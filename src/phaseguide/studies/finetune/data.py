"""What a study with a simulated user works on: images with true labels, and the strokes painted so far."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.datasets.folder import Dataset
from phaseguide.finetuning.sources import Source
from phaseguide.phases import NOT_CLASSIFIED, PhaseScheme

Labels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Field:
    """An image and its true labels."""

    stem: str
    image: NDArray[Any]
    truth: Labels


@dataclass
class Strokes:
    """Everything painted so far, by image, in the order in which the images were taken up."""

    fields: list[Field] = field(default_factory=list)
    labels: dict[str, Labels] = field(default_factory=dict)

    def copy(self) -> Strokes:
        """Return strokes that can be added to without changing these."""
        return Strokes(list(self.fields), dict(self.labels))

    def add(self, one: Field, strokes: Labels) -> None:
        """Put new strokes on an image."""
        if one.stem not in self.labels:
            self.fields.append(one)
        self.labels[one.stem] = np.where(strokes > 0, strokes, self.of(one)).astype(np.uint8)

    def of(self, one: Field) -> Labels:
        """Strokes on an image; zeros if it is not painted."""
        found = self.labels.get(one.stem)
        return np.zeros_like(one.truth) if found is None else found

    @property
    def pixels(self) -> int:
        """Painted pixels of all images."""
        return sum(int(np.count_nonzero(labels)) for labels in self.labels.values())

    def unpainted_truth(self, one: Field) -> Labels:
        """True labels of an image, 0 where it is painted: a method is not judged on what it was told."""
        return np.where(self.of(one) == NOT_CLASSIFIED, one.truth, np.uint8(NOT_CLASSIFIED))

    def sources(self) -> list[Source]:
        """The strokes as what fine-tuning learns from."""
        return [Source(one.stem, one.image, self.labels[one.stem], "edits") for one in self.fields]


def read_fields(dataset: Dataset, stems: Iterable[str], scheme: PhaseScheme) -> tuple[Field, ...]:
    """Read images with their labels, in the order of ``stems``; errors name the file."""
    items = {item.stem: item for item in dataset.items}
    found = []
    for stem in stems:
        image = items[stem].read_image().data
        found.append(Field(stem, image, items[stem].read_labels(scheme, (image.shape[0], image.shape[1]))))
    return tuple(found)


def cut_rehearsal(fields: Sequence[Field], side: int, seed: int) -> tuple[list[Source], list[Field]]:
    """Cut a fully labelled crop out of each training image, as they would be shipped with a model.

    Also returns the images without the crops: their truth is 0 there, so that forgetting is judged on pixels that
    were not rehearsed.
    """
    crops, rest = [], []
    for one in fields:
        rng = seeded(seed, "rehearsal", one.stem)
        height, width = one.truth.shape
        top = int(rng.integers(0, max(1, height - side + 1)))
        left = int(rng.integers(0, max(1, width - side + 1)))
        window = (slice(top, top + side), slice(left, left + side))
        crops.append(Source(f"rehearsal {one.stem}", one.image[window], one.truth[window], "full"))
        kept = one.truth.copy()
        kept[window] = NOT_CLASSIFIED
        rest.append(Field(one.stem, one.image, kept))
    return crops, rest


def seeded(seed: int, *names: str | int) -> np.random.Generator:
    """Return a generator that depends on names and not on the order in which things are run."""
    digest = hashlib.sha256("\n".join(map(str, names)).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
