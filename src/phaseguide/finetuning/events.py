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
    """What the user is looking at, to be predicted while the model learns.

    Attributes
    ----------
    pixels : ndarray, shape (H, W) or (H, W, C)
        Raw; at most some 1024 px a side keeps the preview quick.
    limits : tuple of float or None
        Grey values of the whole image that become -1 and 1; see
        `phaseguide.models.segmenter.intensity_limits`. None takes those of ``pixels``.
    key : hashable
        Changes when the pixels do; while it stays, their features are kept.
    """

    pixels: NDArray[Any]
    limits: tuple[float, float] | None
    key: Hashable


@dataclass(frozen=True)
class Preview:
    """A prediction of the preview field by the model as it is now.

    Attributes
    ----------
    labels : ndarray of uint8, shape (H, W)
        1..K.
    epoch : int
        Epochs done.
    key : hashable
        Of the field it belongs to.
    """

    labels: NDArray[np.uint8]
    epoch: int
    key: Hashable


@dataclass(frozen=True)
class PhaseScore:
    """Scores of one phase on the validation pixels; None where the phase is not among them.

    ``pixels`` are the labelled pixels of that phase behind the numbers.
    """

    phase: str
    dice: float | None
    iou: float | None
    pixels: int


@dataclass(frozen=True)
class ValidationScores:
    """A model on the validation pixels.

    Attributes
    ----------
    phases : tuple of PhaseScore
    dice_mean : float or None
        Over the phases that the validation pixels hold, in [0, 1].
    fraction_mae : float or None
        Mean absolute difference of the phases' shares among these pixels, in [0, 1].
    pixels : int
        Labelled validation pixels.
    source : str
        Where they lie, in words.
    """

    phases: tuple[PhaseScore, ...]
    dice_mean: float | None
    fraction_mae: float | None
    pixels: int
    source: str

    @property
    def unjudged(self) -> tuple[str, ...]:
        """Phases of which no pixel was held out, so that nothing is known of them."""
        return tuple(s.phase for s in self.phases if not s.pixels)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "dice_mean": self.dice_mean,
            "fraction_mae": self.fraction_mae,
            "pixels": self.pixels,
            "source": self.source,
            "phases": {s.phase: {"dice": s.dice, "iou": s.iou, "pixels": s.pixels} for s in self.phases},
        }


@dataclass(frozen=True)
class FinetuneResult:
    """The end of a run.

    Attributes
    ----------
    model : LoadedModel
        Fine-tuned, on the CPU, not saved yet (its path is empty).
    before, after : ValidationScores or None
        None where nothing could be held out.
    history : tuple of EpochDone
    ended : {"done", "early", "stopped", "time", "unstable"}
        All epochs; the validation stopped improving; the user; the minutes were over; the loss left
        the numbers twice.
    better : bool or None
        Whether the mean Dice on the validation pixels rose; None where nothing could be held out.
    record : dict
        Settings, sources, threads and device: what it takes to repeat the run.
    data_sha256 : str
        Checksum of everything that was learnt from.
    """

    model: LoadedModel
    before: ValidationScores | None
    after: ValidationScores | None
    history: tuple[EpochDone, ...]
    ended: Ending
    better: bool | None
    record: dict[str, Any]
    data_sha256: str
