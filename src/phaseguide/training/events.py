"""What the training generator yields beside `Progress`, `Notice` and `Finished`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseguide.models.card import Card
    from phaseguide.models.segmenter import GuidedSegmenter


@dataclass(frozen=True)
class EpochDone:
    """One epoch is over.

    Attributes
    ----------
    stage : str
        ``backbone``, ``guidance`` or ``joint``.
    epoch, epochs : int
        Epochs done, of all stages together.
    loss : float
        Mean training loss of the epoch.
    miou, dice_mean, accuracy : float or None
        On the validation images, in [0, 1]; None where this epoch was not validated.
    fraction_mae : float or None
        Mean absolute composition error on the validation images, in [0, 1].
    best : bool
        Whether this is the best model so far.
    seconds, seconds_left : float
    gauges : dict
        Scalars of the guidance module worth watching (gamma, delta).
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


@dataclass(frozen=True)
class TrainingResult:
    """The trained segmenter (best validation, averaged weights, on the CPU) and its card."""

    segmenter: GuidedSegmenter
    card: Card
    history: tuple[EpochDone, ...]
    stopped_early: bool
    record: dict[str, Any]
