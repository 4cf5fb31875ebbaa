"""Fine-tuning of the score head alone: the preset *score head*, see `phaseguide.training.crossfit.score_refit`."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.control import Control
from phaseguide.errors import TrainingError
from phaseguide.events import Finished, Progress
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.crops import far_from_labels
from phaseguide.finetuning.events import Ending, FinetuneResult
from phaseguide.finetuning.judging.evidence import (
    add_counts,
    compare_places,
    count_places,
    is_better,
    scores_of,
)
from phaseguide.finetuning.judging.judge import untrained_phases
from phaseguide.finetuning.judging.places import without_fold
from phaseguide.finetuning.material import check_sources
from phaseguide.finetuning.new_card import begun_record, environment, finished_model
from phaseguide.finetuning.sources import Source
from phaseguide.labels import is_labelled
from phaseguide.models.model_file import LoadedModel
from phaseguide.segmentation.edits import excluded_only
from phaseguide.segmentation.network.device import choose_device
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.training.crossfit.score_refit import (
    HeadPixels,
    head_pixels,
    inputs_at,
    neutral_head,
    refitted_head,
    said,
)

if TYPE_CHECKING:
    from phaseguide.models.card import ScoreHeadCard

Floats = NDArray[np.float64]

REHEARSED = 600
"""Pixels drawn from a crop that is rehearsed."""

NO_LABELS = (
    "The score head learns from labels, and none of these sources has any that teach. Paint some phases, or choose "
    "the preset fast, which learns from a ratio alone too."
)


@dataclass(frozen=True)
class _Judged:
    """Inputs of a head (n, D) at pixels of an image that judge, with their labels and the numbers of their places."""

    inputs: Floats
    labels: NDArray[np.uint8]
    places: NDArray[np.int32]


def finetune_head(
    model: LoadedModel,
    sources: Sequence[Source],
    rehearsal: Sequence[Source],
    config: FinetuneConfig,
    name: str,
    control: Control,
) -> Iterator[Progress | Finished[FinetuneResult]]:
    """Refit the score head on what was painted, and let it decide where no ratio is given too.

    Nothing else changes; in ``rehearsal`` images it is held to what it says. `TrainingError` for sources that cannot
    work.
    """
    started = time.perf_counter()
    rows, split = check_sources(model, sources, config)
    card = model.card
    head = card.calibration.head or neutral_head(len(card.scheme))
    pixels: list[HeadPixels] = []
    folds: list[list[HeadPixels]] = [[] for _ in range(split.n_folds)]
    judged: list[_Judged] = []
    ended: Ending = "done"
    labelled = [i for i, labels in enumerate(split.teach) if labels is not None]
    for done, index in enumerate(labelled):
        if control.stopping:
            ended = "stopped"
            break
        yield Progress("Segmenting what was painted", done, len(labelled))
        source, teach, judge = sources[index], split.teach[index], split.judge[index]
        assert source.labels is not None and teach is not None and judge is not None
        session = _segmented(model, source, config)
        if is_labelled(teach).any():
            far = far_from_labels(source.labels) > 0
            pixels.append(head_pixels(session, teach, far, head, seed=config.seed))
        places = split.places[index]
        assert places is not None
        for number, others in enumerate(folds):
            left = without_fold(teach, places, np.array(split.folds) == number)
            if is_labelled(left).any():
                others.append(head_pixels(session, left, far, head, seed=config.seed))
        marks = judge[session.metal.window].reshape(-1)
        where = np.flatnonzero(is_labelled(marks))
        if where.size:
            here = places[session.metal.window].reshape(-1)[where]
            judged.append(_Judged(inputs_at(session, head, where), marks[where], here))
    if not pixels and ended == "done":
        raise TrainingError(NO_LABELS)
    rehearsed: list[HeadPixels] = []
    for done, source in enumerate(rehearsal if config.rehearsal else ()):
        yield Progress("Looking at what the model knows", done, len(rehearsal))
        session = _segmented(model, source, config)
        nothing = np.zeros(source.image.shape[:2], dtype=np.uint8)
        rehearsed.append(head_pixels(session, nothing, nothing == 0, head, seed=config.seed, most=REHEARSED))
    yield Progress("Fitting the score head", 0, 1)
    fitted = _refitted(head, pixels, rehearsed)
    k = len(card.scheme)
    old = head if head.alone else neutral_head(k, head.sigmas)
    was = _counts(old, judged)
    now = _counts(fitted, judged)
    if folds:
        # Each place is judged by the fit that did not learn from it; its number tells which.
        fits = [_counts(_refitted(head, others, rehearsed), judged) for others in folds]
        now = {place: fits[split.folds[place]][place] for place in was}
    names, untrained = card.scheme.names, untrained_phases(model)
    before = scores_of(was, names, split.sentence, untrained) if judged else None
    after = scores_of(now, names, split.sentence) if judged else None
    record: dict[str, Any] = {
        **begun_record(config, sources, rows, split, len(rehearsed), card),
        "epochs": 0,
        "ended": ended,
        "seconds": round(time.perf_counter() - started, 1),
        **environment(choose_device(config.device).torch_device),
    }
    segmenter = copy.deepcopy(model.segmenter)
    made = finished_model(segmenter, name, card, sources, record, after)
    calibration = made.card.calibration.model_copy(update={"head": fitted})
    made = replace(made, card=made.card.model_copy(update={"calibration": calibration}))
    better, changed = is_better(before, after), compare_places(was, now) if judged else None
    yield Finished(
        FinetuneResult(made, before, after, (), ended, better, record, record["data_sha256"], changed)
    )


def _segmented(model: LoadedModel, source: Source, config: FinetuneConfig) -> Session:
    edits = excluded_only(source.labels)
    session = Session(model, source.image, edits=edits, device=config.device, name=source.name)
    run_to_end(session.segment(Request()))
    return session


def _refitted(
    head: ScoreHeadCard, pixels: Sequence[HeadPixels], rehearsed: Sequence[HeadPixels]
) -> ScoreHeadCard:
    fitted = refitted_head(head, pixels, rehearsed) if pixels else head
    return fitted.model_copy(update={"alone": True})


def _counts(head: ScoreHeadCard, judged: Sequence[_Judged]) -> dict[int, NDArray[np.int64]]:
    """Count what a head says against the labels that judge, place by place."""
    k = len(head.bias)
    return add_counts(
        [
            count_places(one.labels, said(head, one.inputs).argmax(1).astype(np.uint8) + 1, one.places, k)
            for one in judged
        ]
    )
