"""Published numbers by data set, each with its source and with what differs of the protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from phaseguide.phases import normalise_name
from phaseguide.studies.networks.splits import StudyData
from phaseguide.studies.report import plain_table


@dataclass(frozen=True)
class Published:
    """A number of a publication, %: what was measured, by whom, and how it was done otherwise than here."""

    what: str
    metric: str
    value: str
    source: str
    differs: str
    train: int = 0  # training images of the split that it is of; 0 for any


UHCS = (
    Published(
        "PixelNet",
        "mIoU; accuracy",
        "69.8 ± 2.2; 91.6 ± 1.4",
        "DeCost and others, draft of 2017 in the authors' repository",
        "six folds of four images, pooled over a fold, mean of folds ± standard error",
    ),
    Published(
        "PixelNet, focal loss",
        "mIoU; accuracy",
        "62.6 ± 2.5; 86.5 ± 1.6",
        "DeCost, Lei, Francis, Holm, manuscript of 2018 in the authors' repository",
        "six folds of four images, but scores image by image, ± standard error",
    ),
    Published(
        "U-Net, VGG16",
        "mIoU; accuracy",
        "81.3; 95.3",
        "MatSeg (leibo-cmu), output of its notebook",
        "one fold (F3) tested, another validates; a larger encoder; pooled over 4 images",
    ),
)
_NASA = "figure of the CS-UNet comparison, data of Stuckner, Harder, Smith, npj Computational Materials 2022"
_NASA_DIFFERS = "the same train, validation and test images, early stop by validation; encoders pretrained on"


def _nasa(train: int, imagenet: str, microscopy: str) -> tuple[Published, ...]:
    """Best encoders of the CS-UNet comparison, on the published split with so many training images."""
    return tuple(
        Published(f"best of {of} encoders", "micro-IoU", value, _NASA, f"{_NASA_DIFFERS} {of}", train)
        for of, value in (("ImageNet", imagenet), ("microscopy (MicroNet)", microscopy))
    )


SUPERALLOY = (
    *_nasa(10, "96.2", "96.4"),
    Published(
        "U-Net++, MicroNet ResNet-50",
        "micro-IoU",
        "94.2",
        "notebook in the authors' repository",
        f"{_NASA_DIFFERS} microscopy (MicroNet)",
        10,
    ),
    *_nasa(4, "96.0", "96.1"),
    *_nasa(1, "87.0", "93.5"),
)
EBC = (*_nasa(18, "98.0", "97.7"), *_nasa(4, "92.0", "92.8"))
_PLM = "Phase Learning Module manuscript (ICLR 2025 submission), table 1"
_PLM_DIFFERS = (
    "one split of 70/20/10 %, about four test images, no spread; the guided networks are given the true ratio "
    "blended to 90 % (an oracle); averaging of Dice not stated; larger networks"
)
METALDAM = tuple(
    Published(f"{name}, without and with PLM", "Dice", f"{without}; {told}", _PLM, _PLM_DIFFERS)
    for name, without, told in (
        ("U-Net", "76.43", "86.33"),
        ("U-Net 3+", "84.34", "90.21"),
        ("LoRA-SAM", "86.21", "92.34"),
    )
)

BY_PHASE: dict[str, tuple[Published, ...]] = {
    "spheroidite": UHCS,
    "secondary precipitate": SUPERALLOY,
    "thermally grown oxide": EBC,
    "austenite": METALDAM,
}
"""By a phase that only this data set has, normalised: folders may be called anything."""


def published_of(data: StudyData) -> list[Published]:
    """Return the published numbers of a data set with these phases and training images; none for other material."""
    names = {normalise_name(name) for name in data.scheme.names}
    taught = {len(split.train) for split in data.splits.values()}
    found = next((of for phase, of in BY_PHASE.items() if normalise_name(phase) in names), ())
    return [one for one in found if not one.train or one.train in taught]


def published_rows(data: StudyData) -> list[dict[str, str]]:
    """Return them as plain numbers."""
    keys = ("what", "metric", "value", "source", "differs")
    return [{key: getattr(one, key) for key in keys} for one in published_of(data)]


def published_table(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the lines of a table, none where nothing is published."""
    titles = ["published", "metric", "%", "source", "what differs from ours"]
    return plain_table(
        titles, ([row[key] for key in ("what", "metric", "value", "source", "differs")] for row in rows)
    )
