"""The card: everything inside a model file beside the weights, so that nobody repeats a setting."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from phaseguide.models.architectures import REFINE, takes_ratio
from phaseguide.models.old_names import current_options
from phaseguide.models.training_record import check_record
from phaseguide.phases import MAX_PHASES, PhaseScheme
from phaseguide.ratios import FLOOR

FORMAT_VERSION = 3
"""2 added what adapters sit on (`BackboneCard.adapter`); 3 how a result is made sooner (`InferenceCard.unsure_below`,
`InferenceCard.fold_norms`). Files of earlier formats are read as they are."""

DEFAULT_OWN_ERROR = 0.3
"""Composition error assumed for a model that nobody has calibrated, as log-ratio standard deviation."""

LARGEST_ERROR = 15.0
"""Of a composition, as log-ratio standard deviation: more than from one end of what is told apart to the other."""

# Numbers that steer a result, each with the range in which it means something.
_Share = Annotated[float, Field(ge=0, le=1 + MAX_PHASES * FLOOR)]
_LogError = Annotated[float, Field(ge=0, le=LARGEST_ERROR)]
_Weight = Annotated[float, Field(ge=-1e4, le=1e4)]
_Name = Annotated[str, Field(max_length=300)]
_Text = Annotated[str, Field(max_length=20_000)]


class _Section(BaseModel):
    # Unknown keys of the same format version are kept out on purpose: they would be settings that
    # this version silently ignores.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackboneCard(_Section):
    """Architecture and options; see `phaseguide.models.backbones.base.BackboneOptions`."""

    architecture: _Name
    encoder: _Name
    in_channels: int = Field(ge=1, le=64)
    decoder: dict[str, Any] = {}
    adapter: dict[str, Any] = {}

    @property
    def takes_prompts(self) -> bool:
        """Whether boxes and points can guide the decoder; as `GuidedSegmenter.takes_prompts`, without the network."""
        return self.architecture == "sam" and self.decoder.get("head", "mask") == "mask"


class GuidanceCard(_Section):
    """Kind, options and scales of the guidance; see `phaseguide.models.segmenter.GuidanceOptions`."""

    kind: _Name
    options: dict[str, Any] = {}
    scales: int = Field(default=1, ge=1, le=6)

    @property
    def takes_ratio(self) -> bool:
        """Whether a ratio can act in the network or on its scores; else it acts by matching only."""
        return takes_ratio(self.kind, self.options)

    @property
    def acts_inside(self) -> bool:
        """Whether a ratio can act in the network itself, where the model's own areas are news to it; not on scores."""
        return self.takes_ratio and self.kind != REFINE

    @model_validator(mode="before")
    @classmethod
    def _by_names_of_today(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("options"), dict):
            return {**data, "options": current_options(str(data.get("kind")), data["options"])}
        return data


class InputCard(_Section):
    """What the images were: normalisation, and pixel size in micrometres if known."""

    normalisation: Literal["percentile"] = "percentile"
    pixel_size_um: float | None = Field(default=None, gt=0, le=1e6)
    magnification: _Name | None = None


class ScoreHeadCard(_Section):
    """Linear calibration of the scores; see `phaseguide.segmentation.network.score_head`.

    Attributes
    ----------
    sigmas : list of float
        Sizes, in px, at which the image's local mean and standard deviation are taken.
    floor : float
        Log probabilities below it count as it.
    weights : list of list of float
        One row a phase: weights of the K log probabilities, of the image, and of mean and standard
        deviation at each size.
    bias : list of float
        One a phase.
    alone : bool
        Whether it decides where no ratio is given too; else it serves ratio matching only.
    """

    sigmas: list[Annotated[float, Field(gt=0, le=256)]] = Field(max_length=16)
    floor: float = Field(default=-8.0, ge=-1e4, lt=0)
    weights: list[list[_Weight]] = Field(max_length=MAX_PHASES)
    bias: list[_Weight] = Field(max_length=MAX_PHASES)
    alone: bool = False

    @model_validator(mode="after")
    def _check_shape(self) -> ScoreHeadCard:
        columns = len(self.bias) + 1 + 2 * len(self.sigmas)
        if len(self.weights) != len(self.bias) or any(len(row) != columns for row in self.weights):
            raise ValueError(f"a score head for {len(self.bias)} phases needs as many rows of {columns}")
        return self


class CalibrationCard(_Section):
    """How far the model's own composition can be believed, and how its scores read as probabilities.

    Attributes
    ----------
    own_error : list of float
        Root-mean-square error of the own composition per phase, in log(phase : rest).
    temperature : float
        Divides the scores so that they read as probabilities.
    auto_error_pp : float or None
        Mean magnitude of the error of the automatic estimate, in percentage points of area.
    own_variation : float or None
        Total variation between own and true composition that 95 % of the images stay below.
    head : ScoreHeadCard or None
        Calibrates the scores for ratio matching.
    source : str
        Which images it was measured on.
    """

    own_error: list[_LogError] = Field(max_length=MAX_PHASES)
    temperature: float = Field(default=1.0, ge=1e-3, le=1e3)
    auto_error_pp: float | None = Field(default=None, ge=0, le=100)
    own_variation: float | None = Field(default=None, ge=0, le=1)
    head: ScoreHeadCard | None = None
    source: _Text = "assumed"


class TrainingDomainCard(_Section):
    """What the training images were like; see `phaseguide.segmentation.review.out_of_distribution.TrainingDomain`.

    Attributes
    ----------
    names : list of str
        Properties; the lists below are in their order.
    centre, spread : list of float
        Median and spread over the training images.
    lowest, highest : list of float
        Range over the training images.
    threshold : float
        Distance in spreads from which on an image is unlike them.
    source : str
        Which images.
    """

    names: list[_Name] = Field(max_length=64)
    centre: list[float]
    spread: list[Annotated[float, Field(gt=0)]]
    lowest: list[float]
    highest: list[float]
    threshold: float = Field(gt=0)
    source: _Text = ""

    @model_validator(mode="after")
    def _check_shape(self) -> TrainingDomainCard:
        columns = (self.centre, self.spread, self.lowest, self.highest)
        if any(len(column) != len(self.names) for column in columns):
            raise ValueError(f"{len(self.names)} properties need as many centres, spreads and ranges")
        if len(set(self.names)) < len(self.names):
            raise ValueError("a property stands in it twice")
        if any(low > high for low, high in zip(self.lowest, self.highest, strict=True)):
            raise ValueError("the lowest value of a property lies above its highest")
        return self


class ViewCard(_Section):
    """One view of an image at test time: zoomed, and mirrored along x, y or both."""

    zoom: float = Field(default=1.0, ge=0.25, le=4.0)
    flip: Literal["none", "x", "y", "xy"] = "none"


FOUR_FLIPS = (ViewCard(), ViewCard(flip="x"), ViewCard(flip="y"), ViewCard(flip="xy"))


class InferenceCard(_Section):
    """How the model is best run.

    Attributes
    ----------
    views : list of ViewCard
        The scores are averaged over these (test-time augmentation).
    mode : {"matched", "conditioned", "both"}
        Where a ratio acts: on the label map, in the network, or on both.
    unsure_below : float or None
        The views after the first look only at places where the first is unsure: where the probability of the likeliest
        phase is, on average, ahead of the next one by less than this. None: they look everywhere.
    fold_norms : bool
        On devices with single precision, run with the batch normalisations folded into the convolutions: faster, and
        the same scores to rounding.
    """

    views: list[ViewCard] = Field(default=[ViewCard()], min_length=1, max_length=16)
    mode: Literal["matched", "conditioned", "both"] = "matched"
    unsure_below: float | None = Field(default=None, gt=0, lt=1)
    fold_norms: bool = False


class Card(_Section):
    """Card of a model file.

    Attributes
    ----------
    training_ratio_mean, training_ratio_spread : list of float
        Mean area share per phase over the training images, and standard deviation of its logarithm.
    """

    format_version: int = Field(default=FORMAT_VERSION, ge=1, le=FORMAT_VERSION)
    name: _Name
    description: _Text = ""
    version: _Name = "1"
    phases: list[dict[str, Any]] = Field(max_length=MAX_PHASES)
    backbone: BackboneCard
    guidance: GuidanceCard
    input: InputCard = InputCard()
    inference: InferenceCard = InferenceCard()
    training_ratio_mean: list[_Share] = Field(max_length=MAX_PHASES)
    training_ratio_spread: list[_LogError] = Field(max_length=MAX_PHASES)
    calibration: CalibrationCard
    familiarity: TrainingDomainCard | None = None
    training: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    data_licence: _Text = ""
    model_licence: _Text = ""
    citation: _Text = ""
    tensors_sha256: _Name = ""

    @model_validator(mode="after")
    def _check_phases(self) -> Card:
        """Whether everything that is told a phase is told for each of them."""
        k, head = len(self.phases), self.calibration.head
        lists = {
            "training_ratio_mean": self.training_ratio_mean,
            "training_ratio_spread": self.training_ratio_spread,
            "calibration.own_error": self.calibration.own_error,
            "calibration.head.bias": [0.0] * k if head is None else head.bias,
        }
        for name, values in lists.items():
            if len(values) != k:
                raise ValueError(f"it has {k} phases, but {len(values)} values of {name}")
        if abs(sum(self.training_ratio_mean) - 1) > 0.01 + k * FLOOR:
            raise ValueError("the shares of training_ratio_mean do not sum to 1")
        check_record(self.training)
        return self

    @property
    def base_sha256(self) -> str:
        """Checksum of the base weights that its adapters sit on; empty for a model that needs none."""
        adapter = self.backbone.adapter
        return "" if adapter.get("merged") else str(adapter.get("base", ""))

    @property
    def scheme(self) -> PhaseScheme:
        """The phases with their colours."""
        return _scheme(self.name, json.dumps(self.phases))

    @property
    def own_error(self) -> NDArray[np.float64]:
        """`CalibrationCard.own_error` as an array, shape (K,)."""
        return np.asarray(self.calibration.own_error, dtype=np.float64)


@lru_cache(maxsize=64)
def _scheme(model: str, phases: str) -> PhaseScheme:
    """Phases are asked for with every stroke and every number; a card that is copied may have others."""
    return PhaseScheme.from_dict({"phases": json.loads(phases)}, source=f"model {model!r}")
