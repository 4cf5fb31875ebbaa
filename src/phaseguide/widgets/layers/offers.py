"""Where one dock offers a ratio and another, in the same viewer, takes it; neither knows the other."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from phaseguide.widgets.layers.offered import OfferedRatio

Listener = Callable[[OfferedRatio], None]

_listeners: weakref.WeakKeyDictionary[Any, list[weakref.WeakMethod[Listener]]] = weakref.WeakKeyDictionary()


def subscribe(viewer: Any, listener: Listener) -> Callable[[], None]:
    """Call a method with every ratio that is offered in a viewer, until its object is gone.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Or napari's proxy of it.
    listener : bound method
        Held weakly.

    Returns
    -------
    callable
        Ends it earlier, for a widget that closes.
    """
    reference = weakref.WeakMethod(listener)
    _listeners.setdefault(_plain(viewer), []).append(reference)

    def end() -> None:
        known = _listeners.get(_plain(viewer), [])
        if reference in known:
            known.remove(reference)

    return end


def publish(viewer: Any, offered: OfferedRatio) -> bool:
    """Hand a ratio to all who listen in a viewer; False if nobody does."""
    known = _listeners.get(_plain(viewer), [])
    heard = False
    for reference in list(known):
        listener = reference()
        if listener is None:
            known.remove(reference)
        else:
            listener(offered)
            heard = True
    return heard


def _plain(viewer: Any) -> Any:
    """Return the viewer behind napari's proxy, of which each widget gets one of its own."""
    return getattr(viewer, "__wrapped__", viewer)
