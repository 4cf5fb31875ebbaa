"""Adapters added to their base: one set of weights, or one file, that needs neither PEFT nor base weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from phaseguide.errors import DeviceError, ModelError, is_out_of_memory
from phaseguide.events import Finished, Progress
from phaseguide.files.new_file import refuse_taken, write_new
from phaseguide.models.model_file import load_model, model_bytes, read_card
from phaseguide.models.zoo import SUFFIX

if TYPE_CHECKING:
    from phaseguide.models.card import Card
    from phaseguide.models.segmenter import GuidedSegmenter

T = TypeVar("T")

MERGED = " merged"
_STEPS = ("Reading the model", "Adding the adapters", "Writing the merged model")


def has_adapters(card: Card) -> bool:
    """Whether a model sits on base weights that are not in its file."""
    return bool(card.backbone.adapter) and not card.backbone.adapter.get("merged")


def merging_model(source: Path, target: Path) -> Iterator[Progress | Finished[Path]]:
    """Write a copy of a model with its adapters added to the base weights, which it then holds.

    The card is that of the model, its name followed by "merged". Scores equal those of the model up to the
    rounding of the file's half precision. The target is a new file, and gets its suffix where that is missing. Close
    the generator to stop; nothing is left then.

    Raises
    ------
    ModelError
        A model without adapters, one whose base weights are not at hand, or there is a file of that name.
    DeviceError
        Not enough memory for the base weights.
    PhaseguideError
        The file cannot be written.
    """
    card = read_card(source)
    if not has_adapters(card):
        reason = "they are merged already" if card.backbone.adapter else "it holds all of its weights itself"
        raise ModelError(
            f"{source}: has no adapters to merge: {reason}. To copy it: phaseguide models export {source.stem} FILE."
        )
    target = target if target.suffix == SUFFIX else target.with_name(target.name + SUFFIX)
    refuse_taken(target)
    yield Progress(_STEPS[0], 0, len(_STEPS))
    with suppress(ModelError):  # told by `load_model`, with the name of the model
        yield from _looking_for_base(card)
    model = load_model(source)
    yield Progress(_STEPS[1], 1, len(_STEPS))
    merged = _in_memory(lambda: merge_adapters(model.segmenter), card.name)
    yield Progress(_STEPS[2], 2, len(_STEPS))
    name = card.name if card.name.endswith(MERGED) else card.name + MERGED
    about = card.model_copy(update={"name": name})
    data, _ = _in_memory(lambda: model_bytes(merged, about), card.name)
    write_new(target, data)
    yield Progress(_STEPS[2], len(_STEPS), len(_STEPS))
    yield Finished(target)


def merge_adapters(segmenter: GuidedSegmenter) -> GuidedSegmenter:
    """Return a segmenter that holds its whole encoder, with B A added to the queries and values.

    Its logits equal those of the adapters on their base up to rounding (tested: 1e-5 relative to their size). Raises
    `ModelError` where there are no adapters to merge, or their base is not at hand.
    """
    import torch

    from phaseguide.models.backbones.sam import SamBackbone
    from phaseguide.models.sam.lora import ADAPTER, lora_layers
    from phaseguide.models.segmenter import GuidedSegmenter

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
    if new.refinement is not None and segmenter.refinement is not None:
        new.refinement.load_state_dict(segmenter.refinement.state_dict())
    new.eval()
    return new


def _looking_for_base(card: Card) -> Iterator[Progress]:
    """Take the checksum of the base, if that was not done before, while telling how far that is."""
    from phaseguide.models.sam.weights import finding

    for event in finding(card.backbone.adapter["base"]):
        if isinstance(event, Progress):
            yield event


def _in_memory(work: Callable[[], T], name: str) -> T:
    """Do something that takes about twice the base weights; say so where there is no room for them."""
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(
            f"Not enough memory to merge {name!r}: the base weights are held twice. Close other programs."
        ) from error
