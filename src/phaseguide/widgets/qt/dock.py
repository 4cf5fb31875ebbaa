"""The base of every dock; who hears of what happens in a viewer, and how a closed dock goes silent.

A layer, a viewer or a timer may outlive a widget. With PyQt6 a call into a widget that is gone is lost, with
PySide6 it ends in "Internal C++ object already deleted"; and a closed dock that still hears would go on working.
So every subscription to an event of napari, and everything that is to happen later, belongs to a Qt object.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, QTimer, Signal
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from phaseguide.widgets.qt.garbage import collect_anywhere, collect_here
from phaseguide.widgets.qt.plain_text import as_plain
from phaseguide.widgets.qt.style import ALARM

_ears: weakref.WeakKeyDictionary[Any, _Ears] = weakref.WeakKeyDictionary()


def listen(owner: QObject, emitter: Any, call: Callable[..., Any]) -> None:
    """Call a bound method, once, with every event of an emitter, while its owner is there and not silenced.

    Parameters
    ----------
    emitter : EventEmitter or SignalInstance
        Of napari or of psygnal.
    """
    if owner not in _ears:
        ears = _ears[owner] = _Ears()
        # Bound to the ears and not to the owner, which is half gone when it is destroyed.
        owner.destroyed.connect(ears.end)
    _ears[owner].hear(emitter, call)


def later(owner: QObject, call: Callable[[], Any], ms: int = 0) -> None:
    """Call a function in a later turn of the event loop, unless its owner is gone or silenced by then."""
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.timeout.connect(call)
    timer.timeout.connect(timer.deleteLater)
    timer.start(ms)


def quiet_timer(owner: QObject, ms: int, call: Callable[[], Any]) -> QTimer:
    """Return a timer that calls a function once it was not started again for so long."""
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.setInterval(ms)
    timer.timeout.connect(call)
    return timer


def while_heard(owner: QObject, call: Callable[..., Any]) -> Callable[..., None]:
    """Return a function that takes the answer of a thread, or does nothing once its owner is gone or silenced."""

    def pass_on(*args: Any) -> None:
        alive: bool = isalive(owner)  # type: ignore[no-untyped-call]
        if alive and not owner.signalsBlocked():
            call(*args)

    return pass_on


def silence(root: QObject) -> None:
    """Let an object and everything in it hear nothing more, and tell nothing more."""
    for one in (root, *root.findChildren(QObject)):
        ears = _ears.get(one)
        if ears is not None:
            ears.end()
        if isinstance(one, QTimer):
            one.stop()
        one.blockSignals(True)


class Dock(QWidget):
    """A widget of a dock, which is silent once that is closed.

    What else is to end then stands in ``shut_down``, which is called once.
    """

    spoke = Signal()
    """The status line has another text."""

    quiet_ms = 200
    """`refresh_soon` waits until it was not called for so long."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.viewer = viewer
        self.closed = self._docked = False
        self._heard: list[tuple[Any, Callable[..., Any]]] = []
        self.status: QLabel | None = None
        self._settle = quiet_timer(self, self.quiet_ms, self.refresh)
        collect_here(self)
        for name in (
            "inserted",
            "removed",
            "reordered",
            "renamed",
        ):  # napari does the same, and never ends it
            listen(self, getattr(viewer.layers.events, name), self.reset_choices)

    def hear(self, signal: Any, slot: Callable[..., Any]) -> None:
        """Call a slot with a signal of a Qt object that lives on when the dock is closed."""
        signal.connect(slot)
        self._heard.append((signal, slot))

    def fill(self, panel: Any) -> None:
        """Let a panel fill the dock; the dock writes on its ``status``, which whoever shows the dock gives a place."""
        # Else napari adds a stretch below, and the panel gets half of the height.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(panel)
        self.status = panel.status

    def say(self, text: str, *, alarm: bool = False) -> None:
        """Put a sentence on the status line."""
        if self.status is not None:
            self.status.setText(text)
            self.status.setStyleSheet(ALARM if alarm else "")
            self.spoke.emit()

    def fail(self, error: BaseException) -> None:
        """Tell of an error: on the status line, where it stays, and as a notification."""
        from napari.utils.notifications import show_error

        self.say(str(error), alarm=True)
        show_error(as_plain(str(error)))

    def refresh(self) -> None:
        """Bring what is shown up to date."""

    def refresh_soon(self, event: Any = None) -> None:
        """Refresh when all is quiet."""
        self._settle.start()

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again, for a dock that lists them."""

    def event(self, event: QEvent | None) -> bool:
        """Notice when the dock widget is closed: napari then takes this widget out of it."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self.close_down()
        return bool(super().event(event))

    def close_down(self) -> None:
        """End everything; layers stay as they are."""
        if not self.closed:
            self.closed = True
            for signal, slot in self._heard:
                signal.disconnect(slot)
            self.shut_down()
            silence(self)
            collect_anywhere(self)

    def shut_down(self) -> None:
        """End what is under way, and give back what was borrowed of the viewer."""


class _Ears:
    """The subscriptions of one object, which they outlive for a moment."""

    def __init__(self) -> None:
        self._heard: dict[Any, tuple[Any, Any]] = {}
        self._ended = False

    def hear(self, emitter: Any, call: Callable[..., Any]) -> None:
        if self._ended:
            return
        emitter = getattr(emitter, "__wrapped__", emitter)  # napari's proxies last for one call
        self._heard = {key: pair for key, pair in self._heard.items() if pair[0]() is not None}
        emitter.disconnect(call)
        emitter.connect(call)
        method: Any = call
        key = (id(emitter), method.__func__, id(method.__self__))
        self._heard[key] = _reference(emitter), weakref.WeakMethod(call)

    def end(self, _: Any = None) -> None:
        self._ended = True
        for emitter, method in self._heard.values():
            source, call = emitter(), method()
            if source is not None and call is not None:
                source.disconnect(call)
        self._heard.clear()


def _reference(emitter: Any) -> Callable[[], Any]:
    """Return what gives an emitter back as long as it is there; psygnal's cannot be held weakly."""
    try:
        return weakref.ref(emitter)
    except TypeError:
        return lambda: emitter
