"""The one form of a training run: defaults, limits, validation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from phaseguide.errors import TrainingError

RECOMMENDED: dict[str, dict[str, Any]] = {
    "ccrm": {"coordinates": False, "delta": 1.0},
    "plm": {"width": 32, "coordinates": False, "delta": 1.0},
}
"""Options of a guidance module where a run names none: textures have no preferred place, and a module
that starts with some strength learns faster on a frozen backbone."""


@dataclass(frozen=True)
class TrainingConfig:
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

    architecture: str = "fpn"
    encoder: str = "tu-tf_efficientnet_lite1"
    decoder: dict[str, Any] = field(
        default_factory=lambda: {"decoder_pyramid_channels": 128, "decoder_segmentation_channels": 64}
    )
    adapter: dict[str, Any] = field(default_factory=dict)
    imagenet: bool = True
    guidance: str = "ccrm"
    guidance_options: dict[str, Any] = field(default_factory=dict)
    guidance_scales: int = 4
    schedule: str = "staged"
    guidance_epochs: int = 11
    guidance_rate: float = 15.0
    guidance_degrade: float = 0.5
    guidance_composition_weight: float = 3.0
    epochs: int = 45
    crop: int = 256
    batch: int = 4
    checkpointing: bool = False
    learning_rate: float = 1.5e-3
    encoder_rate: float = 0.5
    weight_decay: float = 1e-2
    dice_weight: float = 1.0
    composition_weight: float = 0.1
    ratio_dropout: float = 0.5
    ratio_noise: float = 0.5
    degrade: float = 0.15
    augment_scale: float = 0.4
    average: float = 0.98
    patience: int = 6
    validate_every: int = 5
    seed: int = 0
    device: str = "auto"
    threads: int = 0

    def validate(self) -> None:
        """Raise `TrainingError` naming the first value out of its limits."""
        limits: dict[str, tuple[float, float]] = {
            "epochs": (1, 100_000),
            "guidance_scales": (1, 16),
            "guidance_epochs": (1, 100_000),
            "guidance_rate": (0.0, 100.0),
            "guidance_degrade": (0.0, 1.0),
            "guidance_composition_weight": (0.0, 100.0),
            "crop": (32, 4096),
            "batch": (1, 1024),
            "learning_rate": (1e-8, 1.0),
            "encoder_rate": (0.0, 10.0),
            "weight_decay": (0.0, 1.0),
            "dice_weight": (0.0, 100.0),
            "composition_weight": (0.0, 100.0),
            "ratio_dropout": (0.0, 1.0),
            "ratio_noise": (0.0, 3.0),
            "degrade": (0.0, 1.0),
            "augment_scale": (0.0, 2.0),
            "average": (0.0, 0.9999),
            "patience": (0, 100_000),
            "validate_every": (1, 100_000),
            "threads": (0, 1024),
            "seed": (0, 2**31 - 1),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise TrainingError(f"{name} is {value}; it must lie between {low:g} and {high:g}.")
        if self.schedule not in ("staged", "guidance", "joint"):
            raise TrainingError(f"schedule is {self.schedule!r}; choose staged, guidance or joint.")
        if self.schedule == "guidance" and self.guidance == "none":
            raise TrainingError(
                "schedule is 'guidance', but guidance is 'none'. Choose additive, spatial, plm or ccrm."
            )
        if self.crop % 32:
            raise TrainingError(
                f"crop is {self.crop}; it must be a multiple of 32, for example {self.crop // 32 * 32 or 32}."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-compatible values."""
        return asdict(self)

    def is_recorded_as(self, data: dict[str, Any]) -> bool:
        """Whether these are the settings of a record, which may be older than some of the settings."""
        return bool(data) and {**TrainingConfig().to_dict(), **data} == self.to_dict()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrainingConfig:
        """Read what `to_dict` wrote; unknown keys raise `TrainingError`."""
        known = {f.name for f in fields(cls)}
        foreign = sorted(set(data) - known)
        if foreign:
            raise TrainingError(
                f"Unknown training setting {', '.join(foreign)}. Known are {', '.join(sorted(known))}."
            )
        return cls(**data)
