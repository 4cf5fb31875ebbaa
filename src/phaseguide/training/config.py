"""The one form of a training run: defaults, limits, validation."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from phaseguide.settings import Settings, setting

RECOMMENDED: dict[str, dict[str, Any]] = {
    "ccrm": {"coordinates": False, "delta": 1.0},
    "plm": {"width": 32, "coordinates": False, "delta": 1.0},
}
"""Options of a guidance module where a run names none: textures have no preferred place, and a module
that starts with some strength learns faster on a frozen backbone."""


class TrainingConfig(Settings):
    """Everything that decides a training run, apart from the images.

    Attributes
    ----------
    architecture, encoder, decoder
        See `phaseguide.models.backbones.base.BackboneOptions`.
    adapter : dict
        For architecture ``sam``: rank, blocks and base of the adapters; see
        `phaseguide.models.backbones.sam.SamBackbone`. Without a base, the official one of the size.
    imagenet : bool
        Start the encoder from the ImageNet weights that come with the installation; for ``sam`` the decoder
        from that of the base.
    guidance : str
        ``none``, ``additive``, ``spatial``, ``plm`` or ``ccrm``.
    guidance_options : dict
        Keyword arguments of the guidance module; empty: those that were found best, see
        `RECOMMENDED`.
    guidance_scales : int
        How many of the encoder's maps are guided, from the coarsest; see `GuidanceOptions`. ``sam`` has one.
    schedule : str
        ``staged``: first backbone without ratios, then the guidance module alone on the frozen
        backbone, so that a missing ratio costs nothing. ``guidance``: only the second of these, on
        the backbone of the model that the run starts from. ``joint``: all at once with ratio dropout.
    guidance_epochs, guidance_rate, guidance_degrade, guidance_composition_weight
        Epochs, rate relative to ``learning_rate``, share of heavily degraded crops and weight of the
        composition term of the second stage. Degraded crops give the ratio something to say.
    epochs : int
        Passes; one epoch shows as many pixels as the training images have.
    crop : int
        Side of the square crops in px, a multiple of 32.
    batch : int
        Crops a step. Below 8 the batch norms of the encoder keep their statistics.
    checkpointing : bool
        For ``sam``: compute blocks of the encoder again for the gradient instead of keeping what is in them.
    learning_rate : float
        Peak rate of decoder and guidance; the encoder gets ``encoder_rate`` times it.
    weight_decay : float
    dice_weight, composition_weight : float
        Weights beside the cross-entropy (weight 1).
    ratio_dropout : float
        Share of crops that are shown without a ratio, so that a missing one costs nothing.
    ratio_noise : float
        Largest standard deviation, in log space, of the noise on the ratios shown; drawn per crop.
    degrade : float
        Share of crops that are degraded heavily (blur, noise, stains) so that the ratio has something to say.
    augment_scale : float
        Crops are zoomed by a factor of up to exp(+-this).
    average : float
        Decay of the moving average of the weights; the averaged model is validated and kept.
    patience : int
        Stop after this many validations without a better one; 0 never stops early.
    validate_every : int
        Epochs between validations.
    seed : int
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    threads : int
        CPU threads of torch; 0 leaves its default. Bit-equal weights need the same number.
    """

    kind: ClassVar[str] = "training setting"

    architecture: str = "fpn"
    encoder: str = "tu-tf_efficientnet_lite1"
    decoder: dict[str, Any] = Field(
        default_factory=lambda: {"decoder_pyramid_channels": 128, "decoder_segmentation_channels": 64}
    )
    adapter: dict[str, Any] = Field(default_factory=dict)
    imagenet: bool = True
    guidance: str = "ccrm"
    guidance_options: dict[str, Any] = Field(default_factory=dict)
    guidance_scales: int = setting(4, low=1, high=16)
    schedule: Literal["staged", "guidance", "joint"] = "staged"
    guidance_epochs: int = setting(11, low=1, high=100_000)
    guidance_rate: float = setting(15.0, low=0.0, high=100.0)
    guidance_degrade: float = setting(0.5, low=0.0, high=1.0)
    guidance_composition_weight: float = setting(3.0, low=0.0, high=100.0)
    epochs: int = setting(45, low=1, high=100_000)
    crop: int = setting(256, low=32, high=4096, multiple_of=32)
    batch: int = setting(4, low=1, high=1024)
    checkpointing: bool = False
    learning_rate: float = setting(1.5e-3, low=1e-8, high=1.0)
    encoder_rate: float = setting(0.5, low=0.0, high=10.0)
    weight_decay: float = setting(1e-2, low=0.0, high=1.0)
    dice_weight: float = setting(1.0, low=0.0, high=100.0)
    composition_weight: float = setting(0.1, low=0.0, high=100.0)
    ratio_dropout: float = setting(0.5, low=0.0, high=1.0)
    ratio_noise: float = setting(0.5, low=0.0, high=3.0)
    degrade: float = setting(0.15, low=0.0, high=1.0)
    augment_scale: float = setting(0.4, low=0.0, high=2.0)
    average: float = setting(0.98, low=0.0, high=0.9999)
    patience: int = setting(6, low=0, high=100_000)
    validate_every: int = setting(5, low=1, high=100_000)
    seed: int = setting(0, low=0, high=2**31 - 1)
    device: str = "auto"
    threads: int = setting(0, low=0, high=1024)

    @model_validator(mode="after")
    def _has_a_module_to_learn(self) -> Self:
        if self.schedule == "guidance" and self.guidance == "none":
            raise ValueError(
                "schedule is 'guidance', but guidance is 'none'. Choose additive, spatial, plm or ccrm."
            )
        return self

    def is_recorded_as(self, data: dict[str, Any]) -> bool:
        """Whether these are the settings of a record, which may be older than some of the settings."""
        return bool(data) and {**TrainingConfig().to_dict(), **data} == self.to_dict()
