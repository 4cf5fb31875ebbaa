"""Which class builds which architecture. A new backbone is one file in this folder, and one line here.

What a model file may ask of it stands in `phaseguide.models.architectures`.
"""

from __future__ import annotations

from pkgutil import resolve_name

from phaseguide.models.architectures import ARCHITECTURES, FINE, SAM, check_backbone
from phaseguide.models.backbones.base import Backbone, BackboneOptions

BACKBONES: dict[str, str] = {
    **dict.fromkeys(ARCHITECTURES, "phaseguide.models.backbones.unet:LibraryBackbone"),
    FINE: "phaseguide.models.backbones.fine:FineBackbone",
    SAM: "phaseguide.models.backbones.sam:SamBackbone",
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
    backbone: Backbone = resolve_name(BACKBONES[options.architecture])(options, n_phases)
    return backbone
