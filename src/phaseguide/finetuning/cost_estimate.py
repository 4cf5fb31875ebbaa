"""What a run will do, take and need, told before it starts."""

from __future__ import annotations

import copy
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from phaseguide.finetuning.config import FinetuneConfig, find_departures
from phaseguide.finetuning.feature_cache import BUDGET
from phaseguide.finetuning.learner import Learner, Material, knows_its_phases
from phaseguide.finetuning.material import check_sources, prepare, steps_an_epoch
from phaseguide.finetuning.memory import SAVING, held_bytes, step_bytes, will_need_checkpointing
from phaseguide.finetuning.new_guidance import check_ratios, with_asked_guidance
from phaseguide.finetuning.rehearsal import shipped_rehearsal
from phaseguide.finetuning.sources import Source, SourceRow
from phaseguide.segmentation.network.device import choose_device
from phaseguide.training.adapters import sam_backbone, use_checkpointing
from phaseguide.training.departures import tell_departures
from phaseguide.training.dropout import own_threads

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel

_TRIED = 256

MOST_KEPT = 32
"""Settings whose measurement is remembered."""


@dataclass(frozen=True)
class _Measured:
    """What steps that were tried took: seconds of a step, and of a variant of a crop that is computed once; bytes of a
    step, beside models and features, and of a variant in each cache.
    """

    step: float
    encoding: float
    memory_bytes: int
    variant_bytes: tuple[int, ...]


_measured: dict[tuple[Hashable, ...], _Measured] = {}
"""Of this process: another stroke changes neither a step's time nor its memory, and a large encoder takes long."""


@dataclass(frozen=True)
class Plan:
    """What a run will do, if it does not stop early.

    Seconds are estimated from steps that were tried, bytes beyond what the program holds already. ``crops`` lie around
    labels; ``tiles`` are those of fields with a ratio. ``notes`` is what the user should know before the start.
    """

    rows: list[SourceRow]
    validation: str
    crops: int
    rehearsed: int
    tiles: int
    steps: int
    seconds: float
    memory_bytes: int
    notes: list[str]


def plan(
    model: LoadedModel,
    sources: Sequence[Source],
    config: FinetuneConfig,
    *,
    rehearsal: Sequence[Source] | None = None,
) -> Plan:
    """Prepare a run, try steps on a copy of the model, and tell what the whole will take.

    Steps are tried once for a kind of model, settings and device; later plans only count crops anew. `TrainingError`
    as `phaseguide.finetuning.material.check_sources`, for what cannot work.
    """
    ordered = sorted(sources, key=lambda source: source.name)
    with own_threads(config.used_threads()):
        if config.parts == "score head":
            return _plan_head(model, ordered, config)
        return _plan(model, ordered, config, rehearsal)


def _plan_head(model: LoadedModel, sources: Sequence[Source], config: FinetuneConfig) -> Plan:
    """The images are segmented once, which a small crop foretells; the fit takes a second."""
    rows, split = check_sources(model, sources, config)
    painted = [source for source in sources if source.labels is not None]
    looks = sum(view.zoom**2 for view in model.card.inference.views)
    pixels = [source.image.shape[0] * source.image.shape[1] for source in painted]
    blank = torch.zeros((1, model.segmenter.in_channels, _TRIED, _TRIED))
    segmenter = copy.deepcopy(model.segmenter).eval()
    with torch.no_grad():
        segmenter.decode(segmenter.encode(blank))  # the first one pays for what is set up once
        began = time.perf_counter()
        segmenter.decode(segmenter.encode(blank))
        each = (time.perf_counter() - began) / _TRIED**2
    held = 4 * 3 * len(model.card.scheme) * max(pixels, default=0)
    notes = [] if split.blocks else [f"Validates on {split.sentence}."]
    seconds = each * looks * sum(pixels) + 1
    return Plan(rows, split.sentence, len(painted), 0, 0, 0, seconds, held, notes)


def _plan(
    model: LoadedModel,
    sources: Sequence[Source],
    config: FinetuneConfig,
    rehearsal: Sequence[Source] | None,
) -> Plan:
    known = shipped_rehearsal(model.card) if rehearsal is None else rehearsal
    prepared = prepare(model, sources, known, config, config.crop)
    model, config, exchanged = with_asked_guidance(model, config)
    if exchanged:
        check_ratios(prepared, model.segmenter)
    material = prepared.material
    steps = steps_an_epoch(material, config) * config.epochs
    device = choose_device(config.device).torch_device
    checkpointing = will_need_checkpointing(
        model.segmenter, config.parts, device, config.batch, prepared.crop
    )
    found = _measure(model, material, config, device, prepared.crop, checkpointing=checkpointing)
    variants = min(steps * config.batch, 8 * len(material.crops)) if found.variant_bytes else 0
    kept = sum(min(size * variants, BUDGET) for size in found.variant_bytes)
    fits = 1 + len(prepared.folds)
    memory = fits * held_bytes(model.segmenter) + found.memory_bytes + kept
    seconds = fits * steps * found.step + found.encoding * variants
    departures = find_departures(config)
    told = tell_departures(departures) if departures else ""
    notes = [text for text in (exchanged, told, SAVING if checkpointing else "") if text]
    if not prepared.judged:
        notes.append(f"Validates on {prepared.split.sentence}.")
    if config.minutes and seconds > config.minutes * 60:
        notes.append(f"Will be stopped after {config.minutes:g} minutes, before all epochs are done.")
    if material.rehearsed:
        notes.append(f"{material.rehearsed} crops that the model was trained on are rehearsed.")
    elif config.rehearsal and model.card.training:
        notes.append(
            "The model's training images are not at hand, so it may forget some of what they taught."
        )
    limit = config.minutes * 60 or seconds
    return Plan(
        prepared.rows,
        prepared.split.sentence,
        material.taught,
        material.rehearsed,
        len(material.crops) - material.taught - material.rehearsed,
        steps,
        min(seconds, limit),
        int(memory),
        notes,
    )


def _measure(
    model: LoadedModel,
    material: Material,
    config: FinetuneConfig,
    device: torch.device,
    crop: int,
    *,
    checkpointing: bool,
) -> _Measured:
    """Try steps, or remember what they took: it hangs on the shape of the network, and not on its weights."""
    anchored = knows_its_phases(model.card)
    key = (
        repr(model.segmenter.backbone.options),
        repr(model.segmenter.guidance_options),
        len(model.segmenter.scheme),
        *(config.parts, crop, config.batch, str(device), torch.get_num_threads(), checkpointing),
        # which terms the loss has
        anchored and bool(config.anchor_weight),
        bool(material.taught or material.rehearsed),
        bool(material.fields and config.ratio_weight),
    )
    if key in _measured:
        return _measured[key]
    learner = Learner(model.segmenter, material, config, device, anchored=anchored)
    if checkpointing:
        use_checkpointing(learner.model)
    step, encoding = _timed(learner, config)
    caches = [cache for cache in (learner.cache, learner.anchor_cache) if cache is not None]
    memory = step_bytes(learner.model, config.parts, crop, config.batch)
    found = _Measured(step, encoding, memory, tuple(cache.bytes_each() for cache in caches))
    while len(_measured) >= MOST_KEPT:
        _measured.pop(next(iter(_measured)), None)
    _measured[key] = found
    return found


def _timed(learner: Learner, config: FinetuneConfig) -> tuple[float, float]:
    """Seconds of a step, and of a variant of a crop that is computed once, from steps that are tried.

    A large encoder, which has no batch norm and takes as long for each crop of a batch, is tried on one.
    """
    tried = 1 if sam_backbone(learner.model) is not None else config.batch
    learner.step(0, tried, 0.5)  # the first one pays for what is set up once
    learner.forget_features()
    encoded = time.perf_counter()
    learner.step(1, tried, 0.5)
    first = time.perf_counter()
    learner.step(1, tried, 0.5)
    step = time.perf_counter() - first
    return step * config.batch / tried, max(0.0, first - encoded - step) / tried
