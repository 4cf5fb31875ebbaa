"""What a fine-tuning run yields beside `Progress`, `Notice`, `EpochDone` and `Finished`."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from phaseguide.training.events import EpochDone

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel

Ending = Literal["done", "early", "stopped", "time", "unstable"]


@dataclass(frozen=True)
class PreviewField:
    """What the user is looking at, to be predicted while the model learns: raw pixels, (H, W) or (H, W, C).

    At most some 1024 px a side keep the preview quick. ``limits`` are the grey values of the whole image that become
    -1 and 1 (`phaseguide.models.segmenter.intensity_limits`); None takes those of the pixels. While ``key`` stays,
    features are kept.
    """

    pixels: NDArray[Any]
    limits: tuple[float, float] | None
    key: Hashable


@dataclass(frozen=True)
class Preview:
    """A prediction (H, W), 1..K, of the preview field of that key by the model as it is after so many epochs."""

    labels: NDArray[np.uint8]
    epoch: int
    key: Hashable


@dataclass(frozen=True)
class PhaseScore:
    """Scores of one phase on the validation pixels; None where the phase is not among them, or was never learnt.

    ``pixels`` and ``places`` are the labelled pixels of that phase behind the numbers, and the strokes or blocks that
    these lie in; ``low`` and ``high`` the 95 % range of the Dice (`phaseguide.finetuning.judging.evidence.scores_of`).
    """

    phase: str
    dice: float | None
    iou: float | None
    pixels: int
    places: int = 0
    low: float | None = None
    high: float | None = None
    trained: bool = True


@dataclass(frozen=True)
class ValidationScores:
    """A model on the validation pixels.

    The mean Dice, in [0, 1], is over the phases that these hold and the model has learnt; ``low`` and ``high`` are its
    95 % range over ``places``, which are strokes or blocks. ``fraction_mae`` is the mean absolute difference of the
    phases' shares among the pixels. ``source`` says in words where they lie.
    """

    phases: tuple[PhaseScore, ...]
    dice_mean: float | None
    fraction_mae: float | None
    pixels: int
    source: str
    places: int = 0
    low: float | None = None
    high: float | None = None

    @property
    def dice_range(self) -> tuple[float, float] | None:
        """The 95 % range of the mean Dice; None where there is none."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Phases of which no pixel judges, so that nothing is known of them."""
        return tuple(s.phase for s in self.phases if not s.pixels)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "dice_mean": self.dice_mean,
            "dice_range": [self.low, self.high],
            "fraction_mae": self.fraction_mae,
            "pixels": self.pixels,
            "places": self.places,
            "source": self.source,
            "phases": {
                s.phase: {
                    "dice": s.dice,
                    "dice_range": [s.low, s.high],
                    "iou": s.iou,
                    "pixels": s.pixels,
                    "places": s.places,
                    "trained": s.trained,
                }
                for s in self.phases
            },
        }


@dataclass(frozen=True)
class FinetuneResult:
    """The end of a run: a model on the CPU that is not saved yet (its path is empty), judged before and after.

    ``after`` is None where nothing could judge, ``before`` also where the model had learnt none of the phases.
    ``better`` says whether the mean Dice rose over the phases that have a score in both, None where none has;
    ``changed`` counts the places in which more pixels became right, and those in which fewer did. A run ends
    ``unstable`` when the loss left the numbers twice. ``record`` is what it takes to repeat the run.
    """

    model: LoadedModel
    before: ValidationScores | None
    after: ValidationScores | None
    history: tuple[EpochDone, ...]
    ended: Ending
    better: bool | None
    record: dict[str, Any]
    data_sha256: str
    changed: tuple[int, int] | None = None
