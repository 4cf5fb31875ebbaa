"""How many parameters a model has, module by module, and how many of them learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from phaseguide.models.card import Card
    from phaseguide.models.segmenter import GuidedSegmenter


class Count(NamedTuple):
    """Parameters of a module.

    Attributes
    ----------
    trainable : int
        Those that training may change.
    total : int
        All of them, shared base weights included.
    """

    trainable: int
    total: int


def count_parameters(segmenter: GuidedSegmenter) -> dict[str, Count]:
    """Count the parameters of a model.

    Base weights of Segment Anything count as frozen parameters of the encoder, although they are no parameters
    of the segmenter and are not in its file. Its prompt encoder and quality head are not used and not counted.

    Parameters
    ----------
    segmenter : GuidedSegmenter
        May be on the meta device.

    Returns
    -------
    dict of str to Count
        ``encoder``, ``adapters`` (where there are some), ``guidance``, ``decoder``, and their sum ``all``.
    """
    backbone = segmenter.backbone
    counts = {"encoder": Count(0, _frozen_base(segmenter)), "adapters": Count(0, 0)}
    for name, module in backbone.encoder_parts().items():
        own = sum(p.numel() for p in module.parameters())
        counts[name] = Count(counts[name].trainable + own, counts[name].total + own)
    guidance = sum(p.numel() for p in segmenter.guidance.parameters())
    decoder = sum(p.numel() for module in backbone.decoder_parts().values() for p in module.parameters())
    counts["guidance"], counts["decoder"] = Count(guidance, guidance), Count(decoder, decoder)
    if not counts["adapters"].total:
        del counts["adapters"]
    parts = list(counts.values())
    counts["all"] = Count(sum(c.trainable for c in parts), sum(c.total for c in parts))
    return counts


def count_of_card(card: Card) -> dict[str, Count]:
    """Count the parameters of the model that a card describes, without its weights or those below them.

    Raises
    ------
    ModelError
        The card names an architecture that cannot be built here, for example since a package is missing.
    """
    from phaseguide.models.backbones.unet import BackboneOptions
    from phaseguide.models.on_meta import on_meta
    from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter

    with on_meta():
        segmenter = GuidedSegmenter(
            BackboneOptions(**card.backbone.model_dump()),
            GuidanceOptions(**card.guidance.model_dump()),
            card.scheme,
        )
    return count_parameters(segmenter)


def _frozen_base(segmenter: GuidedSegmenter) -> int:
    """Parameters of the base weights that a model's adapters sit on; 0 for a model that has all of its own."""
    from phaseguide.models.backbones.unet import SAM

    options = segmenter.backbone.options
    if options.architecture != SAM or options.adapter["merged"]:
        return 0
    import torch

    from phaseguide.models.sam.encoder import build_encoder
    from phaseguide.models.sam.shapes import find_shape

    with torch.device("meta"):
        encoder = build_encoder(find_shape(options.encoder))
    return sum(p.numel() for p in encoder.parameters())
