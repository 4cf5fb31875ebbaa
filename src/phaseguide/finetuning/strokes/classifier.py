"""Strokes on images in, a model out: gathers what was painted, fits, and writes the card."""

from __future__ import annotations

import platform
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import phaseguide
from phaseguide.errors import TrainingError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.finetuning.sources import Source, data_sha256
from phaseguide.finetuning.strokes.fit import MOST_PIXELS, Painted, fit_pixels
from phaseguide.finetuning.strokes.islands import deal_islands, number_islands
from phaseguide.finetuning.strokes.model import with_fit
from phaseguide.labels import count_labels
from phaseguide.models.card import Card
from phaseguide.models.model_file import LoadedModel
from phaseguide.segmentation.edits import excluded_only
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session

Labels = NDArray[np.uint8]

EVERYWHERE = 4000
"""Pixels of an image that show what it looks like, about."""


@dataclass(frozen=True)
class StrokeModel:
    """What was fitted.

    Attributes
    ----------
    model : LoadedModel
        Ready to run; in no file yet.
    painted : tuple of int
        Painted pixels of each phase.
    data_sha256 : str
        Checksum of images and strokes.
    """

    model: LoadedModel
    painted: tuple[int, ...]
    data_sha256: str


class StrokeClassifier:
    """Fits a pixel classifier to strokes again and again; images are encoded once, by the blank model.

    Parameters
    ----------
    blank : LoadedModel
        From `phaseguide.finetuning.strokes.model.blank_model`.
    device : str
        As that of `Session`.
    seed : int
        Of what is drawn of the painted pixels.
    """

    def __init__(self, blank: LoadedModel, *, device: str = "auto", seed: int = 0) -> None:
        self.blank, self._device, self._seed = blank, device, seed
        self._sessions: dict[str, tuple[Any, Session]] = {}
        self._everywhere: dict[str, NDArray[np.float32]] = {}

    def prepare(self, source: Source) -> Iterator[Progress | Notice]:
        """Encode an image before anything is painted on it, so that the first stroke need not wait.

        Raises
        ------
        MicrographError
            An image that cannot be segmented.
        """
        yield from self._session(source)

    def gather(self, sources: Sequence[Source]) -> Iterator[Progress | Notice | Finished[Painted]]:
        """Encode images that are new, and collect the features of what is painted; sources have names of their own.

        Raises
        ------
        TrainingError
            Nothing is painted.
        MicrographError
            An image that cannot be segmented.
        """
        n = len(self.blank.card.scheme)
        rng = np.random.default_rng(self._seed)
        found: list[tuple[Any, Any, Any]] = []
        everywhere: list[NDArray[np.float32]] = []
        islands_before = 0
        for source in sources:
            if source.labels is None or not _counted(source, n).any():
                continue
            session = yield from self._session(source)
            islands = number_islands(source.labels, n)
            rows, columns = _drawn(source.labels, n, rng)
            features = session.features_at(rows, columns)
            known = np.isfinite(features).all(1)
            phases = source.labels[rows, columns].astype(np.intp)
            found.append((features[known], phases[known], islands[rows, columns][known] + islands_before))
            islands_before += int(islands.max())
            everywhere.append(self._everywhere[source.name])
        if not found:
            raise TrainingError("Nothing is painted yet. Paint a stroke of each phase.")
        features, phases, numbers = (np.concatenate(parts) for parts in zip(*found, strict=True))
        folds = deal_islands(phases, numbers, self._seed)
        yield Finished(Painted(features, phases, folds, np.concatenate(everywhere)))

    def fit(self, painted: Painted, sources: Sequence[Source]) -> StrokeModel:
        """Fit what `gather` returned; its card tells what was painted.

        Raises
        ------
        TrainingError
            Fewer than two phases are painted.
        """
        n = len(self.blank.card.scheme)
        model = with_fit(self.blank, fit_pixels(painted, n))
        taught = [(s, counts) for s in sources if (counts := _counted(s, n)).any()]
        counts = np.sum([found for _, found in taught], axis=0)
        checksum = data_sha256([source for source, _ in taught])
        card = _card(self.blank.card, taught, counts, checksum)
        return StrokeModel(replace(model, card=card), tuple(int(c) for c in counts), checksum)

    def segment(self, fitted: StrokeModel, source: Source, request: Request | None = None) -> Iterator[Any]:
        """Segment an image that is encoded already, as `Session.segment`; nothing is encoded again."""
        session = self._made(fitted.model, source)
        yield from session.segment(request or Request())

    def forget(self, names: Sequence[str]) -> None:
        """Drop the images of other names."""
        for name in set(self._sessions) - set(names):
            del self._sessions[name], self._everywhere[name]

    def _session(self, source: Source) -> Generator[Any, None, Session]:
        """The session of an image with the blank model, encoded."""
        kept = self._sessions.get(source.name)
        excluded = excluded_only(source.labels)
        if kept is not None and kept[0] is source.image:
            session = kept[1]
            session.set_edits(excluded)
        else:
            session = self._made(self.blank, source)
        if session.own is None:
            for event in session.segment(Request()):
                if not isinstance(event, Finished):
                    yield event
            height, width = session.pixels.shape[:2]
            step = max(1, int(np.sqrt(height * width / EVERYWHERE)))
            rows, columns = (at.reshape(-1) for at in np.mgrid[0:height:step, 0:width:step])
            features = session.features_at(rows, columns)
            self._everywhere[source.name] = features[np.isfinite(features).all(1)]
        self._sessions[source.name] = (source.image, session)
        return session

    def _made(self, model: LoadedModel, source: Source) -> Session:
        excluded = excluded_only(source.labels)
        return Session(
            model, source.image, edits=excluded, device=self._device, name=source.name, embeddings="off"
        )


def _counted(source: Source, n_phases: int) -> NDArray[np.int64]:
    """Painted pixels of each phase."""
    return np.zeros(n_phases, np.int64) if source.labels is None else count_labels(source.labels, n_phases)


def _drawn(
    labels: Labels, n_phases: int, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of painted pixels, at most `MOST_PIXELS` of each phase."""
    flat = labels.reshape(-1)
    parts = []
    for phase in range(1, n_phases + 1):
        its = np.flatnonzero(flat == phase)
        parts.append(its if its.size <= MOST_PIXELS else np.sort(rng.choice(its, MOST_PIXELS, replace=False)))
    rows, columns = np.divmod(np.concatenate(parts), labels.shape[1])
    return rows, columns


def _card(
    blank: Card, taught: Sequence[tuple[Source, NDArray[Any]]], counts: NDArray[Any], checksum: str
) -> Card:
    """The card of a fit: from which strokes, on whose encoder."""
    total = int(counts.sum())
    images = f"{len(taught)} image{'' if len(taught) == 1 else 's'}"
    return blank.model_copy(
        update={
            "description": f"Pixel classifier, fitted to {total:,} painted pixels on {images}; encoder of "
            f"{blank.training['parent']}.",
            "training": {
                **blank.training,
                "method": "strokes",
                "data_sha256": checksum,
                "sources": [{"name": source.name, "labelled": int(found.sum())} for source, found in taught],
                "painted_px": [int(c) for c in counts],
                "python": platform.python_version(),
                "phaseguide": phaseguide.__version__,
            },
        }
    )
