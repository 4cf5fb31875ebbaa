"""A first model from a folder of images and the strokes on them, for the command line and scripts."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phaseguide.events import Finished, Progress
from phaseguide.finetuning.sources import sources_from_dataset
from phaseguide.jobs.strokes.save import save_strokes

if TYPE_CHECKING:
    from phaseguide.datasets.folder import Dataset
    from phaseguide.phases import PhaseScheme


@dataclass(frozen=True)
class SavedStrokes:
    """A first model that was saved.

    Attributes
    ----------
    path : Path
    painted : tuple of int
        Painted pixels of each phase.
    images : int
        Images with strokes.
    held_out : tuple of int, or None
        Painted pixels that fits without their stroke told right, and all of them; None where a phase has one stroke.
    """

    path: Path
    painted: tuple[int, ...]
    images: int
    held_out: tuple[int, int] | None


def fit_folder(
    dataset: Dataset, scheme: PhaseScheme, name: str, *, start: str, device: str = "auto"
) -> Iterator[Progress | Finished[SavedStrokes]]:
    """Fit a pixel classifier to the strokes of a folder and save it among the user's models.

    Parameters
    ----------
    dataset : Dataset
        Images and label maps: 0 nothing said, 1..K painted, 255 excluded.
    scheme : PhaseScheme
    name : str
        A number is added where it is taken.
    start : str
        Model whose encoder is used, by name or path.
    device : str

    Yields
    ------
    Progress
        While images are encoded.
    Finished of SavedStrokes
        Last.

    Raises
    ------
    PhaseguideError
        Nothing is painted, or a file, a name or the start cannot be used.
    """
    from phaseguide.finetuning.strokes.classifier import StrokeClassifier
    from phaseguide.finetuning.strokes.fit import judge_strokes
    from phaseguide.finetuning.strokes.model import blank_model
    from phaseguide.models.zoo import check_name, open_model

    check_name(name)
    classifier = StrokeClassifier(blank_model(open_model(start), scheme, name), device=device)
    sources = list(sources_from_dataset(dataset, scheme))
    painted = yield from _gathered(classifier.gather(sources))
    fitted = classifier.fit(painted, sources)
    path = save_strokes(fitted, name, None)
    images = len(fitted.model.card.training["sources"])
    yield Finished(SavedStrokes(path, fitted.painted, images, judge_strokes(painted)))


def _gathered(events: Iterator[Any]) -> Generator[Progress, None, Any]:
    for event in events:
        if isinstance(event, Finished):
            return event.result
        if isinstance(event, Progress):
            yield event
    return None
