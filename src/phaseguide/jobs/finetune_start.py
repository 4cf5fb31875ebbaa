"""What one press of Fine-tune asks for, free of Qt and of layers: where to start, what to learn from, how."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import MicrographError, ModelError
from phaseguide.finetuning.config import FinetuneConfig
from phaseguide.finetuning.sources import Source
from phaseguide.phases import PhaseScheme

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel


@dataclass(frozen=True)
class Start:
    """The model to start from, and the phases that it is to tell apart.

    Attributes
    ----------
    path : Path or None
        None starts from ImageNet weights, or from those of Segment Anything.
    fresh : bool
        A new model: takes over what ``path`` knows of phases of the same name. Else ``path`` is improved.
    scheme : PhaseScheme
        Phases of the new model.
    origin : tuple of tuple of int
        For each phase of ``scheme`` the phases of the old model that it comes from; unused with ``fresh``.
    sam : str
        Size of Segment Anything to start from; empty: another start.
    """

    path: Path | None
    fresh: bool
    scheme: PhaseScheme
    origin: tuple[tuple[int, ...], ...] = ()
    sam: str = ""

    def load(self, channels: int, name: str) -> LoadedModel:
        """Load the model and give it the phases; to be called in a worker.

        Parameters
        ----------
        channels : int
            Of a model that starts from ImageNet.
        name : str
            Of a new model.

        Raises
        ------
        ModelError
            A file that cannot be used, phases that do not come from it, or weights that are not at hand.
        """
        from phaseguide.models.zoo import open_model

        old = None if self.path is None else open_model(self.path)
        if self.fresh:
            from phaseguide.finetuning.new_model import new_model

            count = channels if old is None else old.segmenter.in_channels
            return new_model(self.scheme, start=old, channels=count, name=name, sam=self.sam)
        if old is None:
            raise ModelError("No model is chosen. Choose one to improve, or make a new one.")
        if old.card.scheme == self.scheme and self.origin in ((), _unchanged(self.scheme)):
            return old
        from phaseguide.models.rephase import rephase

        return rephase(old, self.scheme, dict(enumerate(self.origin, start=1)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "path": None if self.path is None else str(self.path),
            "fresh": self.fresh,
            "scheme": self.scheme.to_dict(),
            "origin": [list(labels) for labels in self.origin],
            "sam": self.sam,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Start:
        """Read what `to_dict` wrote."""
        path = data["path"]
        origin = tuple(tuple(int(label) for label in labels) for labels in data["origin"])
        return cls(
            None if path is None else Path(path),
            bool(data["fresh"]),
            PhaseScheme.from_dict(data["scheme"]),
            origin,
            str(data.get("sam", "")),
        )


@dataclass(frozen=True)
class SourceSpec:
    """A row of the table of sources: one image, or all of a folder.

    Attributes
    ----------
    key : hashable
        Of the row.
    title : str
    read : callable
        Returns the sources; called in a worker, so it touches no layer.
    validates : bool
        Whether it is held out as a whole.
    """

    key: Hashable
    title: str
    read: Callable[[], Iterable[Source]]
    validates: bool = False


@dataclass(frozen=True)
class FinetuneJob:
    """Everything that one press of Fine-tune asks for.

    Attributes
    ----------
    start : Start
    specs : tuple of SourceSpec
    config : FinetuneConfig
        Without the fields that validate, which the specs tell.
    name : str
        Of the new model.
    project : Project or None
        The open project: only one run at a time learns in it.
    folder : Path
        Where what it takes to go on after a crash is kept.
    """

    start: Start
    specs: tuple[SourceSpec, ...]
    config: FinetuneConfig
    name: str
    project: Any
    folder: Path


def as_labels(values: Any, name: str) -> NDArray[np.uint8]:
    """Return label values as uint8.

    Raises
    ------
    MicrographError
        A value that no label map has.
    """
    labels = np.asarray(values)
    if labels.dtype == np.uint8:
        return labels
    if labels.dtype.kind not in "uib" or (labels.size and (labels.min() < 0 or labels.max() > 255)):
        raise MicrographError(
            f"{name}: holds values outside 0..255, which no phase has. Relabel it: 0 not known, 1, 2, 3 ... the phases."
        )
    return labels.astype(np.uint8)


def _unchanged(scheme: PhaseScheme) -> tuple[tuple[int, ...], ...]:
    return tuple((phase.label,) for phase in scheme)
