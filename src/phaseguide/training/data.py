"""Images and labels as training wants them, and which of them validate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phaseguide.datasets.folder import Dataset
from phaseguide.errors import TrainingError
from phaseguide.micrographs.records import sha256_of_array
from phaseguide.micrographs.validation import check_shape, check_values
from phaseguide.models.card import Card, TrainingDomainCard
from phaseguide.models.metal import find_metal
from phaseguide.models.training_record import generations
from phaseguide.phases import PhaseScheme
from phaseguide.ratios import ratio_from_labels
from phaseguide.segmentation.review.out_of_distribution import FEWEST_IMAGES, TrainingDomain, describe_image


@dataclass(frozen=True)
class TrainingImage:
    """One field: normalised pixels (C, H, W), labels (H, W), and what the image is like before it is normalised (see
    `phaseguide.segmentation.review.out_of_distribution`). The pixels are the window of
    `phaseguide.models.metal.find_metal`.
    """

    stem: str
    image: Tensor
    labels: Tensor
    properties: NDArray[np.float64] | None = None

    def ratio(self, n_phases: int) -> NDArray[np.float64] | None:
        """Area shares of the field, or None when nothing is labelled."""
        return ratio_from_labels(self.labels.numpy(), n_phases)


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from, what it is judged by, and what only scores the finished model; they share no image."""

    train: tuple[TrainingImage, ...]
    validation: tuple[TrainingImage, ...]
    scheme: PhaseScheme
    test: tuple[TrainingImage, ...] = ()

    def __post_init__(self) -> None:
        taught, judging, tested = (
            {i.stem for i in side} for side in (self.train, self.validation, self.test)
        )
        if shared := taught & judging:
            raise TrainingError(f"Images both for training and for validation: {', '.join(sorted(shared))}.")
        if shared := (taught | judging) & tested:
            raise TrainingError(f"Test images that also train or validate: {', '.join(sorted(shared))}.")
        for side, images in (("training", self.train), ("validation", self.validation)):
            if (images or side == "training") and all(i.ratio(len(self.scheme)) is None for i in images):
                stems = ", ".join(i.stem for i in images) or "none"
                raise TrainingError(
                    f"No pixel of the {side} images ({stems}) carries a phase. Label some, then train."
                )

    @cached_property
    def taught(self) -> tuple[TrainingImage, ...]:
        """Training images with a labelled pixel; the others teach nothing."""
        return tuple(i for i in self.train if i.ratio(len(self.scheme)) is not None)

    @cached_property
    def judging(self) -> tuple[TrainingImage, ...]:
        """Validation images with a labelled pixel."""
        return tuple(i for i in self.validation if i.ratio(len(self.scheme)) is not None)

    @cached_property
    def tested(self) -> tuple[TrainingImage, ...]:
        """Test images with a labelled pixel."""
        return tuple(i for i in self.test if i.ratio(len(self.scheme)) is not None)

    @property
    def stems(self) -> dict[str, list[str]]:
        """Names of the images by what they are for, as records have them."""
        tested = {"test": [i.stem for i in self.test]} if self.test else {}
        return {
            "train": [i.stem for i in self.train],
            "validation": [i.stem for i in self.validation],
            **tested,
        }

    @property
    def channels(self) -> int:
        """Channels of all images."""
        return int(self.train[0].image.shape[0])


def data_sha256(data: TrainingData) -> str:
    """Checksum over the pixels and labels of all images, in their order, and over which of them validate or test."""
    parts = [
        f"{side}|{item.stem}|{sha256_of_array(item.image.numpy())}|{sha256_of_array(item.labels.numpy())}"
        for side, images in (("train", data.train), ("validation", data.validation), ("test", data.test))
        for item in images
    ]
    return hashlib.sha256("\n".join(parts).encode(errors="surrogateescape")).hexdigest()


def training_domain_card(images: Sequence[TrainingImage]) -> TrainingDomainCard | None:
    """Return what training images have in common; None where too few of them are described."""
    described = [i.properties for i in images if i.properties is not None]
    if len(described) < FEWEST_IMAGES:
        return None
    usual = TrainingDomain.from_properties(np.array(described), source=f"{len(described)} training images")
    return TrainingDomainCard(**usual.to_dict())


def load_images(dataset: Dataset, scheme: PhaseScheme) -> Iterator[TrainingImage]:
    """Read the labelled fields of a data set one by one, each checked; errors name the file."""
    channels: int | None = None
    for item in dataset.labelled().items:
        micrograph = item.read_image()
        data, name = micrograph.data, str(item.image_path)
        check_shape(data, name)
        found = 1 if data.ndim == 2 else data.shape[2]
        if channels is not None and found != channels:
            raise TrainingError(
                f"{item.image_path}: has {found} channels, the images before it {channels}. "
                "Train on images of one kind."
            )
        channels = found
        labels = micrograph.excluding(item.read_labels(scheme, (data.shape[0], data.shape[1])))
        check_values(data, name, labels)
        metal = find_metal(data, labels)
        yield TrainingImage(
            item.stem,
            torch.from_numpy(metal.planes()),
            torch.from_numpy(np.ascontiguousarray(labels[metal.window])),
            describe_image(metal.seen, excluded=metal.excluded),
        )


def split_images(
    images: Sequence[TrainingImage],
    scheme: PhaseScheme,
    *,
    validation: Sequence[str] = (),
    share: float = 0.15,
    seed: int = 0,
    test: Sequence[str] = (),
    test_share: float = 0.0,
) -> TrainingData:
    """Split whole images (never crops of one image) into training, validation and, where one is asked for, a test.

    Without names of images to validate on, a share of all, at least one, is drawn with ``seed``, or none for a share of
    0; so are test images, where there is a ``test_share``, before them. `TrainingError` for too few images, or a stem
    that is not there.
    """
    stems = {i.stem for i in images}
    for kind, asked in (("Validation", validation), ("Test", test)):
        if missing := sorted(set(asked) - stems):
            raise TrainingError(f"{kind} image {', '.join(missing)} is not among the labelled images.")
    # Drawn images hold a phase mix as close to the whole as a few random draws can find: one odd field would make a
    # poor judge.
    tested, chosen = set(test), set(validation)
    if test_share and not tested:
        free = [i for i in images if i.stem not in chosen]
        count = max(1, round(test_share * len(images)))
        uses = ["to learn from", *(["to validate on"] if share or chosen else []), "to test on"]
        if len(images) < len(uses):
            raise TrainingError(
                f"A test set needs at least {len(uses)} labelled images: {', '.join(uses)}. There are {len(images)}; "
                "label more, or leave the test out."
            )
        if len(free) < count + (1 if chosen or not share else 2):
            raise TrainingError(
                _too_large(len(images), len(chosen), count, f"test_share (now {test_share:g})")
            )
        tested = _typical_draw(free, len(scheme), count, seed)
    free = [i for i in images if i.stem not in tested]
    if not chosen and free and share:
        chosen = _typical_draw(free, len(scheme), max(1, round(share * len(images))), seed)
    taught = tuple(i for i in free if i.stem not in chosen)
    if not taught and len(free) > 1:
        what = "the names to validate on" if validation else f"validation_share (now {share:g})"
        raise TrainingError(_too_large(len(images), len(chosen), len(tested), what))
    if not taught or (share and not chosen):
        raise TrainingError(
            "Training needs at least two labelled images: one to learn from and one to validate on. "
            f"There are {len(taught)} and {len(chosen)}. Label more, or let all of them teach (--set "
            "validation_share=0)."
        )
    return TrainingData(
        taught,
        tuple(i for i in images if i.stem in chosen),
        scheme,
        tuple(i for i in images if i.stem in tested),
    )


def _too_large(labelled: int, validate: int, test: int, what: str) -> str:
    return (
        f"Of {labelled} labelled images {test} would test and {validate or 'at least one'} validate, which leaves none "
        f"to learn from. Lower {what}, or label more images."
    )


def _typical_draw(images: Sequence[TrainingImage], n_phases: int, count: int, seed: int) -> set[str]:
    rng = np.random.default_rng(seed)
    known = {k: r for k, i in enumerate(images) if (r := i.ratio(n_phases)) is not None}
    if not known:
        raise TrainingError("No pixel of any image carries a phase. Label some, then train.")
    mean = np.mean(list(known.values()), axis=0)
    draws = [rng.choice(list(known), size=min(count, len(known)), replace=False) for _ in range(16)]

    def distance(draw: NDArray[np.int64]) -> float:
        return float(np.abs(np.mean([known[k] for k in draw], axis=0) - mean).sum())

    best = min(draws, key=distance)
    return {images[k].stem for k in best}


def seen_images(card: Card) -> set[str]:
    """Images that a model was trained or validated on, those of the model it started from included."""
    seen: set[str] = set()
    for record in generations(card.training):
        images = record.get("images", {})
        seen |= {*images.get("train", []), *images.get("validation", [])}
    return seen
