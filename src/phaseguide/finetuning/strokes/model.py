"""A pixel classifier as a model like any other: an encoder that somebody else trained, a linear layer, a card."""

from __future__ import annotations

import copy
from dataclasses import asdict
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from phaseguide.errors import ModelError
from phaseguide.finetuning.strokes.fit import PixelFit
from phaseguide.models.architectures import PIXELS
from phaseguide.models.backbones.base import BackboneOptions
from phaseguide.models.backbones.pixels.backbone import LEVELS, SIGMAS, ZOOMS, PixelBackbone, PixelFeatures
from phaseguide.models.backbones.split import SplitBackbone
from phaseguide.models.card import DEFAULT_OWN_ERROR, BackboneCard, CalibrationCard, Card, GuidanceCard
from phaseguide.models.model_file import LoadedModel
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.models.zoo import USUAL
from phaseguide.phases import PhaseScheme


def blank_model(start: LoadedModel, scheme: PhaseScheme, name: str) -> LoadedModel:
    """Return a pixel classifier that knows nothing yet, on the encoder of another model.

    A pixel classifier may be the other model; its encoder is then taken as it is.

    Raises
    ------
    ModelError
        The other model has no encoder of the library that could be taken.
    """
    given = start.segmenter.backbone
    options = given.options
    built = BackboneOptions(
        PIXELS,
        options.encoder,
        options.in_channels,
        {"zooms": ZOOMS, "levels": LEVELS, "sigmas": SIGMAS},
    )
    known = _encoder_tensors(given) if isinstance(given, SplitBackbone) else {}
    segmenter = GuidedSegmenter(built, GuidanceOptions("none"), scheme) if known else None
    network = None if segmenter is None else encoder_of(segmenter).network
    wanted = {} if network is None else network.state_dict()
    fits = all(key in known and known[key].shape == one.shape for key, one in wanted.items())
    if segmenter is None or network is None or not fits:
        raise ModelError(
            f"Model {start.card.name!r} ({options.architecture}) has no plain encoder of the library, which strokes "
            f"are learnt on. Choose another one, such as {USUAL}."
        )
    network.load_state_dict({key: known[key] for key in wanted})
    segmenter.eval().requires_grad_(False)
    k = len(scheme)
    card = Card(
        name=name,
        phases=scheme.to_dict()["phases"],
        backbone=BackboneCard(**built.to_dict()),
        guidance=GuidanceCard(**asdict(segmenter.guidance_options)),
        input=start.card.input.model_copy(update={"pixel_size_um": None, "magnification": None}),
        training_ratio_mean=[1 / k] * k,
        training_ratio_spread=[1.0] * k,
        calibration=CalibrationCard(own_error=[DEFAULT_OWN_ERROR] * k),
        training={"parent": start.card.name, "parent_sha256": start.card.tensors_sha256},
        data_licence=start.card.data_licence and f"Of the encoder: {start.card.data_licence}",
        model_licence=start.card.model_licence,
        citation=start.card.citation,
    )
    return LoadedModel(segmenter, card, Path())


def with_fit(blank: LoadedModel, fit: PixelFit) -> LoadedModel:
    """Return a model with a fitted layer; it shares the encoder with the other one, which stays as it is."""
    encoder = encoder_of(blank.segmenter)
    segmenter: GuidedSegmenter = copy.deepcopy(blank.segmenter, {id(encoder): encoder})
    layer = cast(PixelBackbone, segmenter.backbone).net.decoder
    with torch.no_grad():
        for name in ("centre", "spread", "weight", "bias"):
            getattr(layer, name).copy_(torch.from_numpy(getattr(fit, name)))
    return LoadedModel(segmenter, blank.card, Path())


def encoder_of(segmenter: GuidedSegmenter) -> PixelFeatures:
    """The frozen part of a pixel classifier."""
    return cast(PixelFeatures, cast(PixelBackbone, segmenter.backbone).net.encoder)


def _encoder_tensors(backbone: SplitBackbone) -> dict[str, Tensor]:
    """The tensors of a backbone's encoder: of the plain one in a pyramid with a stem, and below a pixel classifier."""
    encoder = backbone.net.encoder
    plain: nn.Module = getattr(encoder, "coarse", getattr(encoder, "network", encoder))
    return plain.state_dict()
