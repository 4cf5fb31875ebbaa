"""What the training generator yields beside `Progress`, `Notice` and `Finished`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseguide.models.card import Card
    from phaseguide.models.segmenter import GuidedSegmenter


@dataclass(frozen=True)
class EpochDone:
    """One epoch, of all stages together, is over.

    ``loss`` is the mean of the epoch. Scores, in [0, 1], and the mean absolute composition error are those of the
    validation images, None where this epoch was not validated; ``best`` says whether this is the best model so far.
    ``gauges`` are scalars of the guidance worth watching (gamma, delta). ``judged`` are the pixels behind the scores
    and ``dice_range`` the 95 % range of the mean Dice, where these are known.
    """

    stage: str
    epoch: int
    epochs: int
    loss: float
    miou: float | None
    dice_mean: float | None
    accuracy: float | None
    fraction_mae: float | None
    best: bool
    seconds: float
    seconds_left: float
    gauges: dict[str, float]
    judged: int = 0
    dice_range: tuple[float, float] | None = None


def read_epoch(told: Mapping[str, Any]) -> EpochDone:
    """Read an epoch from JSON values, as a checkpoint keeps it."""
    around = told.get("dice_range")
    return EpochDone(**{**told, "dice_range": None if around is None else (around[0], around[1])})


@dataclass(frozen=True)
class TrainingResult:
    """The trained segmenter (best validation, averaged weights, on the CPU) and its card."""

    segmenter: GuidedSegmenter
    card: Card
    history: tuple[EpochDone, ...]
    stopped_early: bool
    record: dict[str, Any]
