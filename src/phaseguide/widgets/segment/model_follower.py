"""Where docks tell of models: the Segment widget of the one it is set to, others of one that it is to take."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

if TYPE_CHECKING:
    from phaseguide.widgets.segment.dock import SegmentWidget

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
    """Lets a Segment widget use each model that is told of, and segment again what it has segmented.

    Parameters
    ----------
    widget : SegmentWidget
    """

    def __init__(self, widget: SegmentWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self.end = subscribe(widget.viewer, self.take)
        widget.panel.model_box.changed.connect(self._note)
        self._note()

    def _note(self) -> None:
        path = self._widget.panel.model_box.path
        if path is not None:
            _chosen[_plain(self._widget.viewer)] = path

    def take(self, path: Path) -> None:
        """Choose the model; an image that has a result gets a new one."""
        widget = self._widget
        segmented = widget.image is not None and widget.standing(widget.current_plane()) is not None
        widget.panel.model_box.open_file(path)
        if segmented:
            widget.segment()


def _plain(viewer: Any) -> Any:
    """Return the viewer behind napari's proxy, of which each widget gets one of its own."""
    return getattr(viewer, "__wrapped__", viewer)
