"""Where one dock tells of a model that is to be used from now on, and the Segment widget, if open, takes it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

if TYPE_CHECKING:
    from phaseguide.widgets.segment_widget import SegmentWidget

_listeners: weakref.WeakKeyDictionary[Any, list[weakref.WeakMethod[Callable[[Path], None]]]] = (
    weakref.WeakKeyDictionary()
)


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
