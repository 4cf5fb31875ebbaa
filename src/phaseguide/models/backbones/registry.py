"""Which class builds which architecture. A new backbone is one file in this folder, and one line here.

What a model file may ask of it stands in `phaseguide.models.architectures`.
"""

from __future__ import annotations

from pkgutil import resolve_name

from phaseguide.models.architectures import (
    ARCHITECTURES,
    FINE,
    NNUNET,
    ONE_LOGIT,
    PIXELS,
    SAM,
    check_backbone,
)
from phaseguide.models.backbones.base import Backbone, BackboneOptions

BACKBONES: dict[str, str] = {
    **dict.fromkeys(ARCHITECTURES, "phaseguide.models.backbones.unet:LibraryBackbone"),
    FINE: "phaseguide.models.backbones.fine:FineBackbone",
    SAM: "phaseguide.models.backbones.sam:SamBackbone",
    PIXELS: "phaseguide.models.backbones.pixels.backbone:PixelBackbone",
    "unet_2015": "phaseguide.models.backbones.systems.unet_2015:Unet2015",
    "attention_unet": "phaseguide.models.backbones.systems.attention_unet:AttentionUnet",
    "unet3plus": "phaseguide.models.backbones.systems.unet3plus:Unet3Plus",
    NNUNET: "phaseguide.models.backbones.systems.nnunet:NnUNet",
    "transunet": "phaseguide.models.backbones.systems.transunet:TransUNet",
    "uctransnet": "phaseguide.models.backbones.systems.uctransnet:UCTransNet",
    "elunet": "phaseguide.models.backbones.systems.elunet:EluNet",
}
"""Name of an architecture to module and class: by name, so that no network imports the libraries of another."""


def build_backbone(options: BackboneOptions, n_phases: int) -> Backbone:
    """Build the backbone that the options name, with fresh weights.

    Raises
    ------
    ModelError
        Unknown architecture or encoder, options that do not go together, or a package that is missing.
    """
    check_backbone(options.architecture, options.encoder, options.decoder, options.adapter)
    kind = resolve_name(BACKBONES[options.architecture])
    if options.decoder.get(ONE_LOGIT):
        from phaseguide.models.backbones.one_logit import build_with_one_logit

        return build_with_one_logit(kind, options, n_phases)
    backbone: Backbone = kind(options, n_phases)
    return backbone
