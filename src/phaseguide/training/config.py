"""The one form of a training run: defaults, limits, validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from phaseguide.errors import TrainingError
from phaseguide.models.architectures import FINE, FPN, NNUNET, OWN_ENCODER, REFINE, SAM, WIDTHS, takes_ratio
from phaseguide.models.backbones.pretrained import check_weights
from phaseguide.option_values import IMAGENET, NO_WEIGHTS, SAM_BASE, SEED, SYSTEMS, THREADS, TRAINING
from phaseguide.settings import Settings, setting

RECOMMENDED: dict[str, dict[str, Any]] = {
    "ccrm": {"coordinates": False, "delta": 1.0},
    "plm": {"width": 32, "coordinates": False, "delta": 1.0},
}
"""Options of a guidance module where a run names none: textures have no preferred place, and a module
that starts with some strength learns faster on a frozen backbone."""


_PYRAMID = {"decoder_pyramid_channels": 128, "decoder_segmentation_channels": 64}

DECODERS: dict[str, dict[str, Any]] = {FPN: _PYRAMID, FINE: _PYRAMID}
"""Options of a decoder by architecture, where a run names none; of others those of the library."""


def with_encoder_weights(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, with ``encoder_weights`` where an older record has ``imagenet``; `ValueError` for both names."""
    found = dict(settings)
    if "imagenet" in found:
        if "encoder_weights" in found:
            raise ValueError("imagenet is an older name of encoder_weights. Give encoder_weights alone.")
        begun = SAM_BASE if found.get("architecture") == SAM else IMAGENET
        found["encoder_weights"] = begun if found.pop("imagenet") else NO_WEIGHTS
    return found


class TrainingConfig(Settings):
    """Everything that decides a training run, apart from the images.

    ``staged`` is first the backbone without ratios, then the guidance module alone on the frozen backbone, so that a
    missing ratio costs nothing; ``guidance`` only the second of these, on the backbone of the model that the run
    starts from; ``joint`` all at once with ratio dropout. The fields ``guidance_...`` are about that second stage;
    degraded crops (blur, noise, stains) give the ratio something to say. Rates are relative to the peak
    ``learning_rate`` of decoder and guidance. One epoch shows as many pixels as the training images have. Bit-equal
    weights need the same number of threads.

    ``windows`` are what a step shows: crops at ``random`` places, or all windows of a fixed, overlapping grid
    (``sliding``), each once an epoch in another order; a run on sliding windows is judged on windows too, each with its
    own area shares, instead of on whole fields. ``augmentation`` is ``full`` (turned freely, zoomed, warped; light,
    stains, blur and noise varied) or ``plain`` (quarter turns, mirroring, brightness and contrast).
    ``validation_ratio`` says whether the judged images are shown their true ratio: a run in which every crop is shown
    its own never trains the path without one.

    Other architectures than ``fpn`` and ``fpn-fine`` have no decoder options where none are given. A published system
    has an encoder of its own and starts from random weights, unless ``encoder_weights`` is imagenet and it has some; a
    model of Segment Anything starts from its base weights. Older records say ``imagenet``, true or false, instead.

    With ``crossfit`` a model a fold is trained first, and the last one is calibrated on what these say of images that
    they have not seen (`phaseguide.training.crossfit.run`); the model itself stays the same.
    """

    kind: ClassVar[str] = "training setting"

    protocol: Literal["", "published"] = ""  # what the settings follow; where they differ from it is told
    architecture: str = TRAINING["architecture"]
    encoder: str = TRAINING["encoder"]
    decoder: dict[str, Any] = Field(default_factory=dict)  # where none is named: `DECODERS`
    width: float = setting(1.0, low=WIDTHS[0], high=WIDTHS[1])  # factor of all channels of a published system
    one_logit: bool = (
        False  # two phases from one channel: cross-entropy becomes binary cross-entropy with logits
    )
    adapter: dict[str, Any] = Field(default_factory=dict)  # ``sam``: rank, blocks, base (else official)
    encoder_weights: str = TRAINING[
        "encoder_weights"
    ]  # a name of `ENCODER_WEIGHTS`, or a file; ``sam``: base, none
    guidance: str = TRAINING["guidance"]  # none, additive, spatial, plm, ccrm or, with crossfit, refine
    guidance_options: dict[str, Any] = Field(default_factory=dict)  # of the module; empty: `RECOMMENDED`
    guidance_scales: int = setting(
        4, low=1, high=16
    )  # maps that are guided, from the coarsest; ``sam`` has one
    schedule: Literal["staged", "guidance", "joint"] = "staged"
    guidance_epochs: int = setting(11, low=1, high=100_000)
    guidance_rate: float = setting(15.0, low=0.0, high=100.0)
    guidance_degrade: float = setting(0.5, low=0.0, high=1.0)
    guidance_composition_weight: float = setting(3.0, low=0.0, high=100.0)
    epochs: int = setting(TRAINING["epochs"], low=1, high=100_000)
    crop: int = setting(
        TRAINING["crop"], low=32, high=4096, multiple_of=32, automatic=True
    )  # side in px; 0, for ``nnunet`` alone, plans it from the images
    crops: list[int] = Field(
        default_factory=list
    )  # sides instead of ``crop``, one of them drawn for each batch
    batch: int = setting(TRAINING["batch"], low=1, high=1024)
    frozen_norms_below: int = setting(
        8, low=0, high=1024
    )  # in smaller batches the batch norms of the encoder keep their statistics
    windows: Literal["random", "sliding"] = "random"
    window_overlap: float = setting(
        0.5, low=0.0, high=0.9
    )  # of neighbouring sliding windows, as part of their side
    augmentation: Literal["full", "plain"] = "full"
    checkpointing: bool = False  # for ``sam``: compute blocks again for the gradient, to save memory
    optimiser: Literal["adamw", "adam"] = "adamw"
    rate_schedule: Literal["cosine", "constant"] = "cosine"  # with a warm-up, or neither
    learning_rate: float = setting(TRAINING["learning_rate"], low=1e-8, high=1.0)
    encoder_rate: float = setting(0.5, low=0.0, high=10.0)
    weight_decay: float = setting(1e-2, low=0.0, high=1.0)
    clip_gradient: float = setting(1.0, low=0.0, high=1000.0)  # largest norm; 0 does not clip
    cross_entropy_weight: float = setting(1.0, low=0.0, high=100.0)
    dice_weight: float = setting(1.0, low=0.0, high=100.0)
    composition_weight: float = setting(0.1, low=0.0, high=100.0)
    composition_loss: Literal["l1", "mse"] = (
        "l1"  # sum of absolute, or mean of squared differences over the phases
    )
    ratio_dropout: float = setting(
        0.5, low=0.0, high=1.0
    )  # share of crops without a ratio: one that is missing costs nothing
    ratio_noise: float = setting(
        0.5, low=0.0, high=3.0
    )  # largest standard deviation in log space; drawn per crop; 0 shows exact ratios
    degrade: float = setting(0.15, low=0.0, high=1.0)  # share of crops that are degraded heavily
    augment_scale: float = setting(0.4, low=0.0, high=2.0)  # crops are zoomed by up to exp(+-this)
    inverted: float = setting(0.0, low=0.0, high=1.0)  # share of crops in which bright is dark
    average: float = setting(0.98, low=0.0, high=0.9999)  # decay; the averaged model is validated and kept
    patience: int = setting(
        TRAINING["patience"], low=0, high=100_000
    )  # validations without a better one; 0 never stops early
    validate_every: int = setting(5, low=1, high=100_000)  # epochs
    crossfit: int = setting(0, low=2, high=100, automatic=True, words={"0": "no cross-fitting"})  # folds
    crossfit_epochs: int = setting(
        0, low=1, high=100_000, automatic=True, words={"0": "as many as the run has"}
    )  # of the models of the folds
    validation_ratio: Literal["none", "true"] = "none"
    validation_share: float = setting(0.15, low=0.0, high=0.9)  # of the images, at least one; 0: all teach
    test_share: float = setting(0.0, low=0.0, high=0.9)  # kept out of all, and scored once at the end
    seed: int = setting(0, low=SEED[0], high=SEED[1])
    device: str = "auto"
    threads: int = setting(0, low=THREADS[0], high=THREADS[1])  # 0 leaves torch's default

    @model_validator(mode="before")
    @classmethod
    def _as_the_architecture_has_it(cls, given: dict[str, Any]) -> dict[str, Any]:
        """What is not given is what goes with the architecture."""
        given = with_encoder_weights(given)
        architecture = str(given.get("architecture", cls.default("architecture")))
        usual: dict[str, Any] = {"decoder": dict(DECODERS.get(architecture, {}))}
        if architecture in SYSTEMS:
            usual |= {"encoder": OWN_ENCODER, "encoder_weights": NO_WEIGHTS}
        if architecture == SAM:
            usual["encoder_weights"] = SAM_BASE
        if architecture == NNUNET:
            usual["crop"] = 0
        return {**usual, **given}

    @model_validator(mode="after")
    def _has_a_module_to_learn(self) -> Self:
        if self.schedule == "guidance" and self.guidance == "none":
            raise ValueError(
                "schedule is 'guidance', but guidance is 'none'. Choose additive, spatial, plm or ccrm."
            )
        if self.guidance == REFINE and self.schedule != "staged":
            raise ValueError(
                f"guidance is 'refine', which is learnt after the networks, but schedule is {self.schedule!r}. Take "
                "schedule 'staged', or guidance that acts in the network."
            )
        return self

    @model_validator(mode="after")
    def _has_sides_within_the_limits(self) -> Self:
        about = self.about("crop")
        low, high, of = (int(about[key]) for key in ("low", "high", "multiple_of"))
        if self.crops and self.windows == "sliding":
            raise ValueError(
                "crops are sides of random windows, but windows is 'sliding'. Give the one side as crop."
            )
        for side in self.crops:
            if not low <= side <= high or side % of:
                raise ValueError(
                    f"crops holds {side}; a side must be a multiple of {of} and lie between {low} and {high}, as in "
                    "[128, 256]."
                )
        return self

    @property
    def takes_ratio(self) -> bool:
        """Whether the guidance that is learnt takes a ratio; as `phaseguide.models.card.GuidanceCard.takes_ratio`."""
        return takes_ratio(self.guidance, self.guidance_options)

    @property
    def sides(self) -> tuple[int, ...]:
        """Sides that the crops of a batch can have, px."""
        return tuple(self.crops) or (self.crop,)

    def check_architecture(self) -> None:
        """Raise `TrainingError` for settings that the architecture has not; each alone may be meant for another."""
        if self.architecture in SYSTEMS and self.encoder != OWN_ENCODER:
            raise TrainingError(
                f"encoder is {self.encoder!r}, but {self.architecture} has an encoder of its own. Leave the encoder "
                "out, or choose another architecture."
            )
        self._check_encoder_weights()
        if self.architecture not in SYSTEMS and self.width != 1:
            raise TrainingError(
                f"width is {self.width:g}, but {self.architecture} takes its channels from its encoder and its decoder "
                f"options. Leave width out, or choose one of {', '.join(SYSTEMS)}."
            )
        if self.architecture == SAM and self.one_logit:
            raise TrainingError(
                f"one_logit is true, but the decoder of {SAM} has a mask for each phase. Leave one_logit out, or "
                "choose another architecture."
            )
        if self.architecture != NNUNET and not self.crop:
            raise TrainingError(
                f"crop is 0, which only {NNUNET} plans from the images. Give the side of the crops in px, as in "
                "crop=256."
            )

    def _check_encoder_weights(self) -> None:
        wanted = self.encoder_weights
        if self.architecture == SAM and wanted not in (SAM_BASE, NO_WEIGHTS):
            raise TrainingError(
                f"encoder_weights is {wanted!r}, but {SAM} starts from base weights of Segment Anything, which --base "
                "names. Leave the encoder weights out."
            )
        if self.architecture in SYSTEMS and wanted not in (IMAGENET, NO_WEIGHTS):
            raise TrainingError(
                f"encoder_weights is {wanted!r}, but {self.architecture} has an encoder of its own, which they do not "
                "fit. Leave them out, or choose another architecture."
            )
        if self.architecture not in (*SYSTEMS, SAM):
            check_weights(self.encoder, wanted)

    def is_recorded_as(self, data: dict[str, Any]) -> bool:
        """Whether these are the settings of a record, which may be older than some of the settings."""
        return bool(data) and {**TrainingConfig().to_dict(), **with_encoder_weights(data)} == self.to_dict()
