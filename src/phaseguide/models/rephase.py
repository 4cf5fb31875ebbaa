"""Phases of a model added, merged, renamed, recoloured or reordered: the head grows, old phases keep their weights.

Which axes of which tensors belong to phases is not written down anywhere: two segmenters of the same
architecture with other numbers of phases are compared, so that every backbone and guidance is covered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phaseguide.errors import ModelError
from phaseguide.models.architectures import ONE_LOGIT
from phaseguide.models.card import DEFAULT_OWN_ERROR, CalibrationCard, Card
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import Phase, PhaseScheme
from phaseguide.ratios import FLOOR

if TYPE_CHECKING:
    from torch import Tensor

    from phaseguide.models.segmenter import GuidedSegmenter

GROWN = "grown"
"""Key of a card's training record: phases that were added or merged after that training."""

FRESH = "fresh"
"""Key of a card's training record: phases that were added after that training, so that nobody has learnt them yet."""

Origin = Mapping[int, tuple[int, ...]]
"""For each new label the old labels it comes from: none for a new phase, several for merged ones."""


def rephase(model: LoadedModel, scheme: PhaseScheme, origin: Origin, *, seed: int = 0) -> LoadedModel:
    """Give a model other phases.

    A phase that comes from one old phase keeps its weights bit for bit. A merged one gets the mean of
    its parents' weights, a new one fresh weights. Where the phases stay what they are, under other
    names, colours or in another order, the predictions stay the same too.

    Parameters
    ----------
    model : LoadedModel
    scheme : PhaseScheme
        The new phases.
    origin : mapping of int to tuple of int
        See `Origin`; a label of ``scheme`` that is missing counts as new.
    seed : int
        For fresh weights.

    Returns
    -------
    LoadedModel
        Not saved yet: its path is empty. What was calibrated on the old phases is kept only where
        every phase comes from exactly one old one.

    Raises
    ------
    ModelError
        An origin that the model does not have, or one that two new phases claim.
    """
    rows = _rows(model.card.scheme, scheme, origin)
    segmenter = _regrown(model.segmenter, scheme, rows, seed)
    return LoadedModel(segmenter, _new_card(model.card, scheme, rows), Path())


def origin_by_name(old: PhaseScheme, new: PhaseScheme) -> dict[int, tuple[int, ...]]:
    """Return the origin that takes phases of the same name for the same phase."""
    from phaseguide.phases import normalise_name

    labels = {normalise_name(p.name): p.label for p in old}
    return {p.label: (labels[key],) for p in new if (key := normalise_name(p.name)) in labels}


def _rows(old: PhaseScheme, new: PhaseScheme, origin: Origin) -> list[tuple[int, ...]]:
    """Old indices of each new index, checked."""
    claimed: dict[int, Phase] = {}
    rows = []
    for phase in new:
        parents = tuple(origin.get(phase.label, ()))
        for label in parents:
            if not 1 <= label <= len(old):
                raise ModelError(
                    f"Phase {phase.name!r} is to come from label {label}, but the model's phases are {old.describe()}."
                )
            if label in claimed:
                raise ModelError(
                    f"Phases {claimed[label].name!r} and {phase.name!r} both claim label {label} of the model."
                )
            claimed[label] = phase
        rows.append(tuple(label - 1 for label in parents))
    return rows


def _regrown(
    old: GuidedSegmenter, scheme: PhaseScheme, rows: Sequence[tuple[int, ...]], seed: int
) -> GuidedSegmenter:
    import torch

    from phaseguide.models.on_meta import on_meta
    from phaseguide.models.segmenter import GuidedSegmenter

    if old.backbone.options.decoder.get(ONE_LOGIT):
        return _renamed_of_one_logit(old, scheme, rows)

    def build(n_phases: int) -> dict[str, Tensor]:
        phases = PhaseScheme.from_names(f"phase {i}" for i in range(1, n_phases + 1))
        with on_meta():  # shapes are all that is wanted
            return GuidedSegmenter(old.backbone.options, old.guidance_options, phases).state_dict()

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        new = GuidedSegmenter(old.backbone.options, old.guidance_options, scheme)
        two, three = build(2), build(3)
    # Lists with a module a phase, such as guidance.0.spatial_awareness.
    lists = {name.rpartition(".2.")[0] for name in three if name not in two}
    source, target = old.state_dict(), new.state_dict()
    for name, fresh in target.items():
        place = next((p for p in lists if name.startswith(f"{p}.")), None)
        if place is None:
            runs = [b - a for a, b in zip(two[name].shape, three[name].shape, strict=True)]
            target[name] = _carried(source[name], fresh, runs, rows)
            continue
        number, _, rest = name.removeprefix(f"{place}.").partition(".")
        if parents := rows[int(number)]:
            target[name] = torch.stack([source[f"{place}.{p}.{rest}"] for p in parents]).mean(0)
    new.load_state_dict(target)
    new.eval()
    return new


def _renamed_of_one_logit(
    old: GuidedSegmenter, scheme: PhaseScheme, rows: Sequence[tuple[int, ...]]
) -> GuidedSegmenter:
    """Two phases that are made of one channel can be called otherwise, and nothing else."""
    from phaseguide.models.segmenter import GuidedSegmenter

    if list(rows) != [(0,), (1,)]:
        raise ModelError(
            f"The model makes its phases ({old.scheme.describe()}) of one channel, so they can be renamed, but not "
            f"added to, merged or reordered. Train a model without {ONE_LOGIT} for that."
        )
    new = GuidedSegmenter(old.backbone.options, old.guidance_options, scheme)
    new.load_state_dict(old.state_dict())
    new.eval()
    return new


def _carried(source: Tensor, fresh: Tensor, runs: Sequence[int], rows: Sequence[tuple[int, ...]]) -> Tensor:
    """Carry a tensor over along its phase axes.

    An axis may hold several runs of phases one after the other, and something else (coordinates)
    behind them.
    """
    import torch

    result = source
    for axis, count in enumerate(runs):
        old = (source.shape[axis] - fresh.shape[axis] + count * len(rows)) // count if count else 0
        parts = []
        for run in range(count):
            for k, parents in enumerate(rows):
                if parents:
                    picked = result.index_select(axis, torch.tensor([run * old + p for p in parents]))
                    parts.append(picked.mean(axis, keepdim=True) if len(parents) > 1 else picked)
                    continue
                part = fresh.narrow(axis, run * len(rows) + k, 1)
                for other in range(axis + 1, len(runs)):
                    # Axes that come later still have their old size.
                    place = torch.arange(result.shape[other]) % part.shape[other]
                    part = part.index_select(other, place)
                parts.append(part)
        if count:
            parts.append(result.narrow(axis, count * old, result.shape[axis] - count * old))
            result = torch.cat(parts, axis)
    return result.contiguous()


def _new_card(card: Card, scheme: PhaseScheme, rows: Sequence[tuple[int, ...]]) -> Card:
    """The card with everything a phase has carried over; what cannot be is left to defaults."""
    mean = [sum(card.training_ratio_mean[p] for p in parents) for parents in rows]
    mean = [max(share, FLOOR) for share in mean]
    spread = [
        float(np.mean([card.training_ratio_spread[p] for p in parents])) if parents else 1.0
        for parents in rows
    ]
    total = sum(mean)
    calibration = CalibrationCard(
        own_error=[
            float(np.mean([card.calibration.own_error[p] for p in parents])) if parents else DEFAULT_OWN_ERROR
            for parents in rows
        ],
        source=f"{card.calibration.source}, before phases were changed",
    )
    same_phases = len(rows) == len(card.scheme) and all(len(parents) == 1 for parents in rows)
    if same_phases:
        calibration = _permuted(card.calibration, [parents[0] for parents in rows])
    grown = [p.name for p, parents in zip(scheme, rows, strict=True) if len(parents) != 1]
    fresh = [p.name for p, parents in zip(scheme, rows, strict=True) if not parents]
    told = {**({GROWN: grown} if grown else {}), **({FRESH: fresh} if fresh else {})}
    return card.model_copy(
        update={
            "training": {**card.training, **told} if card.training else card.training,
            "phases": scheme.to_dict()["phases"],
            "training_ratio_mean": mean if same_phases else [share / total for share in mean],
            "training_ratio_spread": spread,
            "calibration": calibration,
            "scores": card.scores if same_phases and scheme.names == card.scheme.names else {},
        }
    )


def _permuted(calibration: CalibrationCard, order: Sequence[int]) -> CalibrationCard:
    head = calibration.head
    if head is not None:
        k = len(order)
        weights = np.asarray(head.weights)[list(order)]
        weights[:, :k] = weights[:, list(order)]
        head = head.model_copy(update={"weights": weights.tolist(), "bias": [head.bias[p] for p in order]})
    return calibration.model_copy(
        update={"own_error": [calibration.own_error[p] for p in order], "head": head}
    )


def renamed(model: LoadedModel, scheme: PhaseScheme) -> LoadedModel:
    """Give a model other names and colours for the same phases, in the same order."""
    origin = {p.label: (p.label,) for p in scheme}
    return replace(rephase(model, scheme, origin), path=model.path)
