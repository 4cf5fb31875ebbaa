"""Who keeps the results on a viewer's images, and who wants to know of each that is kept; neither knows the other."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phaseguide.widgets.segment.results import Results

Listener = Callable[["Results", Any], None]

_keepers: weakref.WeakKeyDictionary[Any, weakref.WeakSet[Results]] = weakref.WeakKeyDictionary()
_listeners: weakref.WeakKeyDictionary[Any, list[weakref.WeakMethod[Listener]]] = weakref.WeakKeyDictionary()


def join(viewer: Any, keeper: Results) -> None:
    """Make a keeper known; held weakly."""
    _keepers.setdefault(plain(viewer), weakref.WeakSet()).add(keeper)


def keepers(viewer: Any) -> list[Results]:
    """Everyone who keeps results in a viewer."""
    return list(_keepers.get(plain(viewer), ()))


def subscribe(viewer: Any, listener: Listener) -> None:
    """Call a bound method, held weakly, with keeper and image layer when a result is kept or shown again."""
    _listeners.setdefault(plain(viewer), []).append(weakref.WeakMethod(listener))


def publish(viewer: Any, keeper: Results, image: Any) -> None:
    """Tell that the kept result of an image is another one now."""
    for reference in list(_listeners.get(plain(viewer), ())):
        listener = reference()
        if listener is not None:
            listener(keeper, image)


def plain(one: Any) -> Any:
    """Return the viewer or layer behind napari's proxy, of which each widget gets one of its own."""
    return getattr(one, "__wrapped__", one)
