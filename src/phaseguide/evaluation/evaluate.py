"""Ratio studies: segment the images of a data set with ratios of one source and compare with the labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import phaseguide
from phaseguide.datasets.folder import Dataset, Item
from phaseguide.datasets.label_gaps import describe_gaps, describe_partial
from phaseguide.errors import DatasetError, PhaseguideError
from phaseguide.evaluation.boundary import boundary_f1
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.evaluation.ratio_source import (
    DEFAULT_UNCERTAINTY,
    RatioSource,
    draw_generator,
    parse_source,
)
from phaseguide.evaluation.tables import (
    Floats,
    Numbers,
    mean_known,
    named,
    over_repeats,
    plain,
    spread,
    tenth_percentile,
)
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.card import Card
from phaseguide.models.model_file import LoadedModel
from phaseguide.phases import PhaseScheme, normalise_name
from phaseguide.ratios import Ratio, ratio_from_labels, total_variation
from phaseguide.segmentation.request import AUTO, Mode, Request, Segmentation
from phaseguide.segmentation.review.advice import describe_no_feedback
from phaseguide.segmentation.session import Session


@dataclass(frozen=True)
class Predicted:
    """One prediction of a study, as it was judged; ``scores`` are those without a ratio, shape (K, H, W)."""

    stem: str
    repeat: int
    segmentation: Segmentation
    scores: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class StudyResult:
    """Numbers of a study; shares and scores in [0, 1], ``_pp`` in percentage points.

    ``pooled`` (with ``_std`` and ``_p10``): scores, and hits, false alarms and misses in pixels (``tp``, ``fp``,
    ``fn``), over the pixels of all images together, as mean, standard deviation
    and tenth percentile over the repeats; None for a phase that is in no image. ``boundary_f1`` are means over images
    instead, since boundaries cannot be pooled. ``per_image``: the same for each image, with its shares, as means over
    the repeats, and each repeat by itself under ``repeats``. True shares are those of the labelled pixels;
    ``own_labelled`` are the model's own on the same pixels.

    ``fraction_mae_pp`` is the mean magnitude of (achieved - true) over images, repeats and phases, on the labelled
    pixels; ``own_...`` the same without a ratio. ``total_variation`` is the share of the labelled area that would have
    to change its phase to make the achieved composition the true one. ``..._achieved_mae_pp`` are for all pixels; None
    where nothing was imposed or asked.
    """

    source: RatioSource
    uncertainty: float | None
    mode: Mode | None
    model: str
    scheme: PhaseScheme
    repeats: int
    seed: int
    pooled: Numbers
    pooled_std: Numbers
    pooled_p10: Numbers
    per_image: tuple[Numbers, ...]
    fraction_mae_pp: float
    own_fraction_mae_pp: float
    total_variation: float
    imposed_achieved_mae_pp: float | None
    asked_achieved_mae_pp: float | None

    def over_iou(self, limit: float) -> dict[str, float | None]:
        """Share of the images in which a phase has at least this IoU (mean over the repeats), by its name.

        Images that neither hold the phase nor were said to are left out; None where all are.
        """
        scores = np.array([list(row["iou"].values()) for row in self.per_image], dtype=np.float64)
        reached = np.where(np.isnan(scores), np.nan, scores >= limit)
        return named(mean_known(reached, axis=0), self.scheme)

    def to_dict(self) -> Numbers:
        """Return what ``phaseguide evaluate --json`` writes of the study itself."""
        return {
            "model": self.model,
            "ratio": str(self.source),
            "uncertainty": self.uncertainty,
            "mode": self.mode,
            "n_images": len(self.per_image),
            "repeats": self.repeats,
            "seed": self.seed,
            "phases": list(self.scheme.names),
            "pooled": self.pooled,
            "pooled_std": self.pooled_std,
            "pooled_p10": self.pooled_p10,
            "fraction_mae_pp": self.fraction_mae_pp,
            "own_fraction_mae_pp": self.own_fraction_mae_pp,
            "total_variation": self.total_variation,
            "imposed_achieved_mae_pp": self.imposed_achieved_mae_pp,
            "asked_achieved_mae_pp": self.asked_achieved_mae_pp,
            "per_image": list(self.per_image),
            "version": phaseguide.__version__,
        }


StudyEvent = Progress | Notice | Predicted | Finished[StudyResult]


def evaluate(
    dataset: Dataset,
    model: LoadedModel,
    source: RatioSource | str = "none",
    *,
    uncertainty: float | None = None,
    mode: Mode | None = None,
    repeats: int = 20,
    seed: int = 0,
    device: str = "auto",
    flips: bool | None = None,
    sessions: dict[str, Session] | None = None,
) -> Iterator[StudyEvent]:
    """Segment every labelled image of a data set and compare with its labels.

    The labels are used to judge, and to make the ratio of ``oracle``, ``expert`` and ``guess``; a prediction sees the
    image and the ratio and nothing else (`predict`). None as ``uncertainty`` is `DEFAULT_UNCERTAINTY`, as log-ratio
    standard deviation (0: exact), as ``mode`` what the model's card says. Only ``expert`` differs from repeat to
    repeat. ``sessions`` are those of earlier studies with this model, by stem; new ones are added. `DatasetError`
    without a labelled image or with another scheme, `RatioError` for an unknown source, and for an image or label map
    that cannot be used what names the file.
    """
    source = parse_source(source) if isinstance(source, str) else source
    if repeats < 1:
        raise PhaseguideError(f"A study needs at least one repeat, not {repeats}.")
    scheme = model.card.scheme
    items = _judged_items(dataset, model.card)
    request = Request(
        auto=source.estimator is not None,
        estimator=source.estimator or AUTO,
        uncertainty=DEFAULT_UNCERTAINTY if uncertainty is None else uncertainty,
        # Published numbers compare estimates by what they are worth where a ratio acts otherwise.
        mode=model.card.inference.mode if mode is None and source.estimator is not None else mode,
    )
    drawn = repeats if source.is_drawn else 1
    train_mean = np.asarray(model.card.training_ratio_mean, dtype=np.float64)
    images: list[_Image] = []
    counts = {item.stem: _count(item, scheme) for item in items}
    said = set(describe_gaps(np.sum(list(counts.values()), axis=0), scheme))
    if source.from_labels and (
        partial := describe_partial({k: 1 - n[0] / n.sum() for k, n in counts.items()})
    ):
        said.add(partial)
    if source.estimator == "autoregressive" and not model.card.guidance.acts_inside:
        said.add(describe_no_feedback(model.card))
    yield from map(Notice, sorted(said))
    for index, item in enumerate(items):
        session = None if sessions is None else sessions.get(item.stem)
        if session is None:
            session = open_session(item, model, device=device, flips=flips)
        if sessions is not None:
            sessions[item.stem] = session
        labels = item.read_labels(scheme, (session.pixels.shape[0], session.pixels.shape[1]))
        true = ratio_from_labels(labels, len(scheme))
        assert true is not None  # counted before
        image = _Image(item.stem, true)
        for repeat in range(drawn):
            yield Progress(f"Evaluating {item.stem}", index * drawn + repeat, len(items) * drawn)
            asked = source.asked(true, train_mean, draw_generator(seed, repeat, item.stem))
            for event in predict(session, request, asked):
                if isinstance(event, Finished):
                    image.add(labels, event.result)
                    yield Predicted(item.stem, repeat, event.result, session.scores)
                elif isinstance(event, Notice) and event.message not in said:
                    said.add(event.message)
                    yield event
        images.append(image)
    yield Progress("Evaluating", len(items) * drawn, len(items) * drawn)
    yield Finished(_summarise(images, model, source, request, repeats if source.is_repeated else 1, seed))


def open_session(
    item: Item, model: LoadedModel, *, device: str = "auto", flips: bool | None = None
) -> Session:
    """Open a session on the image of a field; detected bars and rims are excluded, as everywhere."""
    micrograph = item.read_image()
    edits = None if micrograph.is_stack else micrograph.excluding(None)
    return Session(model, micrograph.data, edits=edits, device=device, flips=flips, name=str(item.image_path))


def predict(session: Session, request: Request, asked: Ratio | None) -> Iterator[Any]:
    """Segment for an asked ratio; knows no labels. Yields the events of `Session.segment`."""
    yield from session.segment(replace(request, asked=asked))


def _judged_items(dataset: Dataset, card: Card) -> tuple[Item, ...]:
    if dataset.scheme is not None:
        check_same_scheme(dataset.scheme, card, f"{dataset.folder / 'scheme.json'}")
    items = dataset.labelled().items
    if not items:
        raise DatasetError(
            f"{dataset.folder}: no image has a label map, so there is nothing to compare with. "
            f"Put label maps of the same names into {dataset.folder / 'labels'}."
        )
    return items


def _count(item: Item, scheme: PhaseScheme) -> NDArray[np.int64]:
    """Count the labels of a field that is to be judged, before anything is segmented."""
    counts = item.count_labels(scheme)
    if not counts[1 : len(scheme) + 1].any():
        raise DatasetError(f"{item.label_path}: no pixel carries a phase. Label it, or take the image out.")
    return counts


def check_same_scheme(scheme: PhaseScheme, card: Card, source: str) -> None:
    """Raise `DatasetError` unless data have the phases of a model, in the same order."""
    expected = card.scheme
    names = [normalise_name(n) for n in scheme.names]
    wanted = [normalise_name(n) for n in expected.names]
    if names == wanted:
        return
    if sorted(names) == sorted(wanted):
        raise DatasetError(
            f"{source}: has the phases of model {card.name!r} in another order ({scheme.describe()}; the "
            f"model: {expected.describe()}). Relabel the label maps to the model's order."
        )
    raise DatasetError(
        f"{source}: its phases are {scheme.describe()}, but model {card.name!r} was made for "
        f"{expected.describe()}. Choose a model made for these phases."
    )


@dataclass
class _Image:
    """What a study keeps of one image: a confusion matrix and a row of numbers for each repeat."""

    stem: str
    true: Ratio
    confusions: list[NDArray[np.int64]] = field(default_factory=list)
    boundaries: list[Floats] = field(default_factory=list)
    own_error: float = np.nan
    own_labelled: Ratio | None = None
    modes: list[Mode | None] = field(default_factory=list)
    shares: dict[str, list[Ratio]] = field(
        default_factory=lambda: {"asked": [], "imposed": [], "achieved": [], "own": []}
    )

    def add(self, labels: NDArray[np.uint8], segmentation: Segmentation) -> None:
        k = self.true.size
        nothing = np.full(k, np.nan)
        if not self.confusions:  # what the model sees by itself is the same in every repeat
            own = confusion_matrix(labels, segmentation.own_labels, k)
            self.own_error = scores_from_confusion(own).fraction_mae
            self.own_labelled = own.sum(0)[:k] / own.sum()
        self.confusions.append(confusion_matrix(labels, segmentation.labels, k))
        self.boundaries.append(boundary_f1(labels, segmentation.labels, k))
        self.modes.append(segmentation.mode)
        for name, values in self.shares.items():
            value = getattr(segmentation, name)
            values.append(nothing if value is None else np.asarray(value, dtype=np.float64))

    def gap(self, first: str, second: str) -> Floats:
        """Magnitude of the difference of two kinds of share, shape (repeats, K), NaN where one is open."""
        return np.abs(np.array(self.shares[first]) - np.array(self.shares[second]))

    def fraction_errors(self) -> Floats:
        """Magnitude of (achieved - true) on the labelled pixels, shape (repeats, K)."""
        return np.abs([scores_from_confusion(c).fraction_error for c in self.confusions])

    def to_dict(self, scheme: PhaseScheme) -> Numbers:
        tables = [_table(c, scheme) for c in self.confusions]
        return {
            "stem": self.stem,
            **over_repeats(tables, np.mean),
            "boundary_f1": named(mean_known(self.boundaries, axis=0), scheme),
            "fraction_mae_pp": float(100 * self.fraction_errors().mean()),
            "true": named(self.true, scheme),
            "own_labelled": named(self.own_labelled, scheme),
            **{name: named(mean_known(values, axis=0), scheme) for name, values in self.shares.items()},
            "repeats": [self._repeat(i, table, scheme) for i, table in enumerate(tables)],
        }

    def _repeat(self, index: int, table: Numbers, scheme: PhaseScheme) -> Numbers:
        shares = {n: v[index] for n, v in self.shares.items() if n != "own"}
        asked = np.where(np.isnan(shares["asked"]), self.true, shares["asked"])
        said = not np.isnan(shares["asked"]).all()
        return {
            **{n: table[n] for n in ("dice_mean", "miou", "accuracy")},
            **{n: named(v, scheme) for n, v in shares.items()},
            # An open phase says nothing, so it counts as no error.
            "asked_true_total_variation": total_variation(asked, self.true) if said else None,
        }


def _summarise(
    images: list[_Image], model: LoadedModel, source: RatioSource, request: Request, repeats: int, seed: int
) -> StudyResult:
    scheme = model.card.scheme
    drawn = len(images[0].confusions)
    pooled = [_pooled_table(images, r, scheme) for r in range(drawn)]
    variations = [scores_from_confusion(c).total_variation for i in images for c in i.confusions]
    return StudyResult(
        source=source,
        uncertainty=float(request.uncertainty) if source.gives_ratio else None,  # type: ignore[arg-type]
        mode=next((m for i in images for m in i.modes if m is not None), None),
        model=model.card.name,
        scheme=scheme,
        repeats=repeats,
        seed=seed,
        pooled=over_repeats(pooled, np.mean),
        pooled_std=over_repeats(pooled, spread),
        pooled_p10=over_repeats(pooled, tenth_percentile),
        per_image=tuple(i.to_dict(scheme) for i in images),
        fraction_mae_pp=float(100 * np.mean([i.fraction_errors() for i in images])),
        own_fraction_mae_pp=float(100 * np.mean([i.own_error for i in images])),
        total_variation=float(np.mean(variations)),
        imposed_achieved_mae_pp=_mean_gap_pp([i.gap("imposed", "achieved") for i in images]),
        asked_achieved_mae_pp=_mean_gap_pp([i.gap("asked", "achieved") for i in images]),
    )


def _pooled_table(images: list[_Image], repeat: int, scheme: PhaseScheme) -> Numbers:
    boundaries = np.array([i.boundaries[repeat] for i in images])
    return {
        **_table(np.sum([i.confusions[repeat] for i in images], axis=0), scheme),
        "boundary_f1": named(mean_known(boundaries, axis=0), scheme),
        "boundary_f1_mean": plain(mean_known(boundaries)),
    }


def _table(confusion: NDArray[np.int64], scheme: PhaseScheme) -> Numbers:
    scores = scores_from_confusion(confusion)
    return {**scores.agreement(scheme), **scores.counts(scheme)}


def _mean_gap_pp(gaps: list[Floats]) -> float | None:
    return plain(100 * mean_known(np.concatenate(gaps)))
