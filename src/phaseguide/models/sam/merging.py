"""Merging adapters into the base: one set of weights for deployment, which needs neither PEFT nor a base file."""

from __future__ import annotations

from dataclasses import replace

import torch

from phaseguide.errors import ModelError
from phaseguide.models.backbones.sam import SamBackbone
from phaseguide.models.sam.lora import ADAPTER, lora_layers
from phaseguide.models.segmenter import GuidedSegmenter


def merge_adapters(segmenter: GuidedSegmenter) -> GuidedSegmenter:
    """Return a segmenter that holds its whole encoder, with B A added to the queries and values.

    Its logits equal those of the adapters on their base up to rounding (tested: 1e-5 relative to their size).

    Parameters
    ----------
    segmenter : GuidedSegmenter
        Stays as it is.

    Raises
    ------
    ModelError
        No adapters to merge, or their base is not at hand.
    """
    old = segmenter.backbone
    if not isinstance(old, SamBackbone) or old.options.adapter["merged"]:
        raise ModelError("Only a model with adapters can be merged; this one has none.")
    adapter = {**old.options.adapter, "rank": 0, "blocks": 0, "merged": True}
    options = replace(old.options, adapter=adapter)
    new = GuidedSegmenter(options, segmenter.guidance_options, segmenter.scheme)
    assert isinstance(new.backbone, SamBackbone)
    weights = {name: tensor.clone() for name, tensor in old.base.encoder.items()}
    width = old.shape.width
    layers = lora_layers(old.encoder)
    with torch.no_grad():
        for index, layer in enumerate(layers):
            # Two layers a block, queries before values, from the first adapted block on.
            block, part = old.first_adapted + index // 2, (0, 2)[index % 2]
            rows = slice(part * width, (part + 1) * width)
            weights[f"blocks.{block}.attn.qkv.weight"][rows] += layer.get_delta_weight(ADAPTER).cpu()
    new.backbone.encoder.load_state_dict(weights)
    new.backbone.decoder.load_state_dict(old.decoder.state_dict())
    new.guidance.load_state_dict(segmenter.guidance.state_dict())
    new.eval()
    return new
