"""A first model from strokes: fitted again after each of them, and judged when the hand rests.

Free of Qt and of layers; the stages run in the thread of `phaseguide.widgets.qt.latest_worker`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import TrainingError
from phaseguide.events import Finished, Progress, Settle, Stages
from phaseguide.jobs.segment import Plane, checked_edits
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED, PhaseScheme

if TYPE_CHECKING:
    from phaseguide.finetuning.sources import Source
    from phaseguide.finetuning.strokes.classifier import StrokeClassifier, StrokeModel
    from phaseguide.models.model_file import LoadedModel

Labels = NDArray[np.uint8]

JUDGE_REST_S = 0.8
"""Held-out strokes are judged when the hand has rested so long."""


@dataclass(frozen=True)
class StrokesRequest:
    """What a stroke asks for.

    Attributes
    ----------
    start : Path
        Model whose encoder is used.
    scheme : PhaseScheme
        Phases of the new model.
    planes : tuple of Plane
        All that are painted, each with its edits as they are now.
    shown : Plane
        The one whose map is wanted.
    device : str
    """

    start: Path
    scheme: PhaseScheme
    planes: tuple[Plane, ...]
    shown: Plane
    device: str = "auto"


@dataclass(frozen=True)
class StrokesMap:
    """An answer: the model, and what it makes of the plane on show, with the strokes on top.

    Attributes
    ----------
    request : StrokesRequest
    fitted : StrokeModel
    labels : ndarray of uint8, shape (H, W)
    shares : tuple of float
        Area of each phase in the map, in [0, 1].
    """

    request: StrokesRequest
    fitted: StrokeModel
    labels: Labels
    shares: tuple[float, ...]


@dataclass(frozen=True)
class StrokesJudged:
    """Painted pixels that fits without their stroke told right, of how many; None: a phase has one stroke only."""

    fitted: StrokeModel
    held_out: tuple[int, int] | None


@dataclass(frozen=True)
class Prepared:
    """The image on show is encoded."""


class StrokesWork:
    """What is kept from stroke to stroke: the encoder, and what it made of the images. For one thread at a time."""

    def __init__(self) -> None:
        self._start: LoadedModel | None = None
        self._key: tuple[Any, ...] = ()
        self._classifier: StrokeClassifier | None = None
        self._images: dict[str, NDArray[Any]] = {}

    def stages(self, request: StrokesRequest) -> Stages:
        """Fit to all strokes; yields `Progress` while images are encoded, `StrokesMap`, `Settle`, `StrokesJudged`.

        Raises
        ------
        PhaseguideError
            What cannot be learnt; its message is for the user.
        """
        from phaseguide.finetuning.strokes.fit import judge_strokes
        from phaseguide.labels import overlay
        from phaseguide.ratios import ratio_from_labels

        if not request.planes:
            raise TrainingError("Nothing is painted yet. Paint a stroke of each phase.")
        yield from self._import()
        classifier = self._ready(request)
        sources = [self._source(plane, request.scheme) for plane in request.planes]
        classifier.forget([source.name for source in sources])
        painted = yield from _result(classifier.gather(sources))
        fitted = classifier.fit(painted, sources)
        shown = next((s for s in sources if s.name == _name(request.shown)), None)
        if shown is None:
            shown = self._source(request.shown, request.scheme)
        segmentation = yield from _result(classifier.segment(fitted, shown))
        labels = overlay(segmentation.labels, shown.labels)
        shares = ratio_from_labels(labels, len(request.scheme))
        told = () if shares is None else tuple(float(share) for share in shares)
        yield StrokesMap(request, fitted, labels, told)
        yield Settle(JUDGE_REST_S)
        yield StrokesJudged(fitted, judge_strokes(painted))

    def prepare(self, request: StrokesRequest) -> Stages:
        """Load the encoder and encode the plane on show, so that the first stroke need not wait; yields `Progress`.

        Raises
        ------
        PhaseguideError
            A model or an image that cannot be used.
        """
        yield from self._import()
        classifier = self._ready(request)
        yield from classifier.prepare(self._source(request.shown, request.scheme))
        yield Prepared()

    def _import(self) -> Stages:
        """Import what the first fit needs."""
        from phaseguide.jobs.warm_up import import_torch

        if self._classifier is None:
            yield Progress("Getting ready", 0, 0)
            import_torch()
            import sklearn.linear_model  # noqa: F401

    def _ready(self, request: StrokesRequest) -> StrokeClassifier:
        """The classifier of these phases on this encoder; another one begins with the features that are there."""
        from phaseguide.finetuning.strokes.classifier import StrokeClassifier
        from phaseguide.finetuning.strokes.model import blank_model
        from phaseguide.models.zoo import open_model

        if self._start is None or self._start.path != request.start:
            self._start, self._classifier = open_model(request.start), None
        key = (request.scheme.to_dict(), request.device)
        if self._classifier is None or self._key != key:
            blank = blank_model(self._start, request.scheme, "new material")
            self._classifier, self._key = StrokeClassifier(blank, device=request.device), key
        return self._classifier

    def _source(self, plane: Plane, scheme: PhaseScheme) -> Source:
        """A plane as what is learnt from; its margins count as excluded."""
        from phaseguide.finetuning.sources import Source

        name = _name(plane)
        read = plane.read()
        before = self._images.get(name)
        # A plain array is read as itself; any other is told to be the same by its pixels.
        image = before if before is not None and (before is read or np.array_equal(before, read)) else read
        self._images[name] = image
        shape = (image.shape[0], image.shape[1])
        labels = plane.margins.exclude(checked_edits(plane, shape, scheme), shape)
        return Source(name, image, labels, "edits")


def paints(edits: NDArray[Any] | None) -> bool:
    """Whether edits say which phase some pixel is."""
    return edits is not None and bool(((edits != NOT_CLASSIFIED) & (edits != EXCLUDED)).any())


def describe_painted(answer: StrokesMap) -> str:
    """Say from how much it has learnt."""
    places = len(answer.request.planes)
    on = "" if places == 1 else f" on {places} images"
    return f"Learnt from {sum(answer.fitted.painted):,} painted px{on}. Where the mask is wrong, paint the right phase."


def describe_evidence(held_out: tuple[int, int] | None) -> str:
    """Say how much was told right of strokes that were not learnt from, or what is missing to know it."""
    if held_out is None:
        return "Paint each phase in two places or more, and it is checked on strokes that it has not learnt from."
    right, of = held_out
    return f"Of strokes that it had not learnt from, {100 * right / of:.0f} % ({right:,} of {of:,} px) were right."


def missing_phases(scheme: PhaseScheme, painted: Sequence[int]) -> list[str]:
    """Names of phases of which nothing is painted."""
    return [phase.name for phase, pixels in zip(scheme, painted, strict=True) if not pixels]


def _name(plane: Plane) -> str:
    return f"{plane.name} [{plane.image}]" if plane.image is not None else plane.name


def _result(events: Iterator[Any]) -> Generator[Any, None, Any]:
    """Pass events on but for the last, and return its result."""
    for event in events:
        if isinstance(event, Finished):
            return event.result
        yield event
    return None
