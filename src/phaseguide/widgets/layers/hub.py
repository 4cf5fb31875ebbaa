"""What the docks of a viewer tell each other; none of them knows another.

A dock hears by ``listen(self, hub_of(viewer).ratio_offered, self.take_offer)`` (`phaseguide.widgets.qt.dock`) until it
is closed, and speaks by ``tell``.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from psygnal import EmitLoopError, Signal, SignalInstance

from phaseguide.ratios import Ratio
from phaseguide.widgets.layers.identity import plain

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.jobs.history import Run

_hubs: weakref.WeakKeyDictionary[Any, Hub] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class RatioOffer:
    """Area shares to be written into the boxes of the phase table, and how sure they are.

    Attributes
    ----------
    shares : ndarray of float64, shape (K,)
        In [0, 1], NaN leaves a phase open.
    uncertainty : float or tuple of float or None
        Log-ratio standard deviation, for all phases or one each; None leaves the chosen source as it is.
    title : str
        Where it comes from, in words for the status line and the record ("painted share of 'uhcs0220 edits'").
    source : str or None
        Key of the source that is to be chosen with it, for this field; None leaves the chosen one. See
        `phaseguide.ratios.sources`.
    """

    shares: Ratio
    uncertainty: float | tuple[float, ...] | None
    title: str
    source: str | None = None


class KeepsResults(Protocol):
    """Whoever keeps the results on a viewer's images."""

    def shown(self, image: Image) -> Run | None:
        """Run on show, provisional or kept."""

    def is_provisional(self, image: Image) -> bool:
        """Whether what is on show was not accepted yet."""

    def forget(self, image: Image) -> None:
        """Drop the results of an image, which another one has replaced."""


class Hub:
    """One for each viewer. Bound methods that listen are held weakly.

    Attributes
    ----------
    ratio_offered : Signal
        A `RatioOffer` for the boxes.
    model_chosen : Signal
        File of a model that is to be used.
    model_set : Signal
        ``model`` has changed.
    pixel_size_set : Signal
        An image layer, the edge of its pixel in µm as the user told it, and where that comes from.
    result_kept : Signal
        An image layer, and the run that is its kept result now.
    keepers : WeakSet of KeepsResults
    model : Path or None
        What the step Segment was last set to; None if none was open.
    """

    ratio_offered: ClassVar = Signal(object)
    model_chosen: ClassVar = Signal(object)
    model_set: ClassVar = Signal()
    pixel_size_set: ClassVar = Signal(object, object, str)
    result_kept: ClassVar = Signal(object, object)

    def __init__(self) -> None:
        self.keepers: weakref.WeakSet[KeepsResults] = weakref.WeakSet()
        self._model: Path | None = None

    @property
    def model(self) -> Path | None:
        """See the class."""
        return self._model

    @model.setter
    def model(self, path: Path | None) -> None:
        if path != self._model:
            self._model = path
            tell(self.model_set)


def hub_of(viewer: ViewerModel) -> Hub:
    """Return the hub of a viewer, made when it is first wanted."""
    return _hubs.setdefault(plain(viewer), Hub())


def tell(signal: SignalInstance, *told: Any) -> bool:
    """Emit a signal of a hub; False if nobody listens. An error of a listener is raised as it is."""
    try:
        signal.emit(*told)
    except EmitLoopError as error:
        if error.__cause__ is None:
            raise
        raise error.__cause__ from None
    return len(signal) > 0  # counted afterwards: an emission forgets the listeners that are gone
