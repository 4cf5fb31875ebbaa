"""Which encoder to compare a model with: what its training began with, as far as that is at hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from phaseguide.errors import ModelError, PhaseguideError
from phaseguide.models.architectures import SAM
from phaseguide.models.backbones.imagenet import is_offline
from phaseguide.models.card import Card
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.models.segmenter import GuidedSegmenter
from phaseguide.models.summary import parent_name
from phaseguide.models.zoo import check_name, find_model
from phaseguide.option_values import IMAGENET as WEIGHTS
from phaseguide.segmentation.inside.activations import has_adapters

IMAGENET = "ImageNet"


def find_base(model: LoadedModel) -> tuple[str, GuidedSegmenter] | None:
    """Return the encoder that a model's training began with, and its name; None where it is not at hand.

    That is the model it was fine-tuned from, if it is among the known models and has the same encoder;
    else the ImageNet weights, if the training began with them and they come with the installation. A
    model with adapters needs no other: it is compared with itself without them; one whose adapters were
    merged into the weights is compared with its base weights.
    """
    backbone = model.segmenter.backbone
    if has_adapters(backbone):
        return None
    if backbone.options.architecture == SAM:
        return _sam_base(model.segmenter)
    parent = parent_name(model.card)
    if parent:
        try:
            check_name(parent)  # never a path: a card must not choose which files are opened
            found = load_model(find_model(parent))
        except PhaseguideError:
            return None
        same = found.card.backbone == model.card.backbone
        return (found.card.name, found.segmenter) if same else None
    # A card must not decide that something is downloaded.
    if not began_with_imagenet(model.card) or not is_offline(backbone.options.encoder):
        return None
    try:
        return IMAGENET, imagenet_start(model.segmenter)
    except ModelError:  # their package is missing
        return None


def _sam_base(segmenter: GuidedSegmenter) -> tuple[str, GuidedSegmenter] | None:
    """The base weights below adapters that were merged; None where there were none, or the base is not at hand."""
    options = segmenter.backbone.options
    if not options.adapter["merged"] or not options.adapter["base"]:
        return None
    alone = replace(options, adapter={"rank": 0, "base": options.adapter["base"]})
    base = GuidedSegmenter(alone, segmenter.guidance_options, segmenter.scheme).eval()
    try:
        _ = base.backbone.base
    except PhaseguideError:
        return None
    return "Segment Anything", base


def imagenet_start(segmenter: GuidedSegmenter) -> GuidedSegmenter:
    """Return a segmenter of the same architecture whose encoder has the ImageNet weights, or raise `ModelError`."""
    fresh = GuidedSegmenter(segmenter.backbone.options, segmenter.guidance_options, segmenter.scheme)
    fresh.backbone.load_pretrained()
    return fresh.eval()


def began_with_imagenet(card: Card) -> bool:
    """Whether the training that a card tells of, or the one before it, began with ImageNet weights."""
    record: Any = card.training
    while isinstance(record, dict):
        config = record.get("config")
        if isinstance(config, dict) and (config.get("imagenet") or config.get("encoder_weights") == WEIGHTS):
            return True
        record = record.get("start")
    return False
