"""Where docks tell of models: the Segment widget of the one it is set to, others of one that it is to take."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

if TYPE_CHECKING:
    from phaseguide.widgets.segment.results import Results
    from phaseguide.widgets.segment.state import SegmentState

_listeners: weakref.WeakKeyDictionary[Any, list[weakref.WeakMethod[Callable[[Path], None]]]] = (
    weakref.WeakKeyDictionary()
)

_chosen: weakref.WeakKeyDictionary[Any, Path] = weakref.WeakKeyDictionary()


def chosen(viewer: Any) -> Path | None:
    """Return the model that the Segment widget was last set to; None if none was open."""
    return _chosen.get(_plain(viewer))


def subscribe(viewer: Any, listener: Callable[[Path], None]) -> Callable[[], None]:
    """Call a bound method, held weakly, with every model that is to be used; return what ends it earlier."""
    reference = weakref.WeakMethod(listener)
    _listeners.setdefault(_plain(viewer), []).append(reference)

    def end() -> None:
        known = _listeners.get(_plain(viewer), [])
        if reference in known:
            known.remove(reference)

    return end


def publish(viewer: Any, path: Path) -> bool:
    """Tell of a model file; False if nobody listens."""
    heard = False
    for reference in list(_listeners.get(_plain(viewer), [])):
        listener = reference()
        if listener is not None:
            listener(path)
            heard = True
    return heard


class ModelFollower(QObject):
    """Lets the Segment dock use each model that is told of, and segment again what it has segmented.

    Parameters
    ----------
    owner : QObject
    viewer : napari.viewer.Viewer
    state : SegmentState
    results : Results
    open_file : callable
        Chooses a model by its file.
    segment : callable
        Segments the chosen image.
    """

    def __init__(
        self,
        owner: QObject,
        viewer: Any,
        state: SegmentState,
        results: Results,
        open_file: Callable[[Path], None],
        segment: Callable[[], None],
    ) -> None:
        super().__init__(owner)
        self._viewer, self._state, self._results = viewer, state, results
        self._open_file, self._segment = open_file, segment
        self.end = subscribe(viewer, self.take)
        state.events.model.connect(self._note)
        self._note()

    def _note(self) -> None:
        if self._state.model is not None:
            _chosen[_plain(self._viewer)] = self._state.model.path

    def take(self, path: Path) -> None:
        """Choose the model; an image that has a result gets a new one."""
        state = self._state
        segmented = state.image is not None and self._results.current(state.image, state.plane) is not None
        self._open_file(path)
        if segmented:
            self._segment()


def _plain(viewer: Any) -> Any:
    """Return the viewer behind napari's proxy, of which each widget gets one of its own."""
    return getattr(viewer, "__wrapped__", viewer)
