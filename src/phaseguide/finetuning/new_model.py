"""A model for phases that no model knows yet: a fresh decoder on an encoder that has seen the world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from phaseguide.errors import ModelError
from phaseguide.models.card import DEFAULT_OWN_ERROR, BackboneCard, CalibrationCard, Card, GuidanceCard
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import PhaseScheme
from phaseguide.training.presets import training_config


def new_model(
    scheme: PhaseScheme,
    *,
    start: LoadedModel | None = None,
    channels: int = 1,
    name: str = "model",
    guidance: str = "",
    sam: str = "",
    adapter: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> LoadedModel:
    """Make an untrained model for the user's own phases.

    A ``start`` gives its encoder, its decoder, and what it knows of phases of the same name. Without one, ``sam``
    names the size of Segment Anything whose encoder and mask decoder are taken, with an ``adapter`` (rank, blocks,
    base) if not the usual one; else the weights of ImageNet that come with the installation, with a fresh decoder.
    `ModelError` if ``start`` was made for other channels, or weights are not at hand; the message says how to get
    them.
    """
    from phaseguide.models.rephase import origin_by_name, rephase
    from phaseguide.training.building import build_model

    if start is not None:
        if start.segmenter.in_channels != channels:
            raise ModelError(
                f"Model {start.card.name!r} was made for {start.segmenter.in_channels} channels, the images have "
                f"{channels}. Start from another model, or from ImageNet."
            )
        model = rephase(start, scheme, origin_by_name(start.card.scheme, scheme), seed=seed)
        return LoadedModel(model.segmenter, model.card.model_copy(update={"name": name}), Path())
    given: dict[str, Any] = {"guidance": guidance} if guidance else {}
    if sam:
        given |= {"architecture": "sam", "encoder": sam}
    config = training_config(None, given, "cpu")
    config = config.changed(seed=seed, adapter={**config.adapter, **(adapter or {})})
    segmenter = build_model(config, scheme, channels).eval()
    k = len(scheme)
    card = Card(
        name=name,
        phases=scheme.to_dict()["phases"],
        backbone=BackboneCard(**segmenter.backbone.options.to_dict()),
        guidance=GuidanceCard(**asdict(segmenter.guidance_options)),
        training_ratio_mean=[1 / k] * k,
        training_ratio_spread=[1.0] * k,
        calibration=CalibrationCard(own_error=[DEFAULT_OWN_ERROR] * k),
    )
    return LoadedModel(segmenter, card, Path())
