"""A dock that is closed is dead: nothing in the viewer calls it any more, and nothing of it goes on."""

from __future__ import annotations

import errno
import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QEvent, QObject, QTimer

from phaseguide.widgets.qt.dock import later, listen, silence, while_heard
from phaseguide.widgets.qt.tasks import in_background
from widget_helpers import micrograph
from workbench_helpers import NAMES, close_workbench, open_part

OF_THE_VIEWER = {"Canvas", "EditTools", "LayerKeeper", "EditLog", "FieldViewer"}
"""What looks after the layers of a viewer as long as that lives, with or without docks."""


def add_layers(viewer: Any) -> None:
    viewer.add_image(np.stack([micrograph(seed=n) for n in range(2)]), name="steel")
    viewer.add_labels(np.ones((96, 128), np.uint8), name="painted")
    viewer.add_points([[5, 5]], name="points")
    viewer.add_shapes([[[0, 0], [0, 9], [9, 9]]], shape_type="polygon", name="outlines")


def use(viewer: Any) -> None:
    """Do with a viewer what its users do."""
    for layer in list(viewer.layers):
        viewer.layers.selection.active = layer
        layer.visible = not layer.visible
        layer.name = f"{layer.name} again"
        layer.scale = [2.0] * layer.ndim
    viewer.layers[0].data = np.zeros((2, 96, 128), np.uint8)
    viewer.layers[1].data[:20] = 2
    viewer.layers[1].events.paint(value=[])
    viewer.layers[1].refresh()
    viewer.layers[2].add([7, 7])
    viewer.layers[3].data = [[[0, 0], [0, 5], [5, 5]]]
    viewer.dims.set_current_step(0, 1)
    viewer.dims.ndisplay = 3
    viewer.dims.ndisplay = 2
    viewer.scene.camera.zoom *= 1.1
    viewer.theme = "light" if viewer.theme == "dark" else "dark"
    viewer.layers.move(0, 3)
    add_layers(viewer)
    viewer.layers.pop()
    viewer.layers.clear()


def hearers(viewer: Any) -> set[str]:
    """Names of our classes that an event of the viewer or of a layer calls."""
    places = [viewer, viewer.dims, viewer.layers, viewer.layers.selection, viewer.scene.camera, viewer.cursor]
    found = set()
    for place in [*places, *viewer.layers]:
        for emitter in (place.events, *place.events.emitters.values()):
            for callback in emitter.callbacks:
                owner = callback[0]() if isinstance(callback, tuple) else callback
                if type(owner).__module__.startswith("phaseguide"):
                    found.add(type(owner).__name__)
    return found


def forget_deleted() -> None:
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_dock_is_dead(name: str, model_viewer: Any, qtbot: Any, told: list[str]) -> None:
    check_closed([name], model_viewer, qtbot, told)


@pytest.mark.parametrize("names", [NAMES, *(pytest.param([name], marks=pytest.mark.slow) for name in NAMES)])
def test_docks_that_are_closed_in_a_window_are_dead(
    names: list[str], viewer: Any, qtbot: Any, told: list[str]
) -> None:
    """In napari's own window, which lays docks out and deletes them in its own way."""
    check_closed(names, viewer, qtbot, told)


def check_closed(names: list[str], viewer: Any, qtbot: Any, told: list[str]) -> None:
    add_layers(viewer)
    opened = [open_part(viewer, name) for name in names]
    workbench = opened[0][0].widget()
    viewer.layers.selection.active = viewer.layers[0]
    qtbot.wait(150)
    assert hearers(viewer) - OF_THE_VIEWER
    close_workbench(viewer)
    assert hearers(viewer) <= OF_THE_VIEWER
    widgets, began = [workbench, *(widget for _, widget in opened)], []
    timers = workbench.findChildren(QTimer)
    assert not any(timer.isActive() for timer in timers)
    for timer in timers:
        timer.blockSignals(False)
        timer.timeout.connect(lambda: began.append(1))
    with qtbot.captureExceptions() as raised:
        use(viewer)
        qtbot.wait(300)
        del timers
        workbench.deleteLater()
        forget_deleted()
        assert not any(isalive(widget) for widget in widgets)
        for name in names:
            open_part(viewer, name)
        add_layers(viewer)
        use(viewer)
        qtbot.wait(300)
        close_workbench(viewer)
    assert not raised and not began and not told


@pytest.mark.parametrize("names", [NAMES, *(pytest.param([name], marks=pytest.mark.slow) for name in NAMES)])
def test_docks_whose_window_was_closed(names: list[str], make_napari_viewer: Any, qtbot: Any) -> None:
    """Layers of a closed window may live on in a script."""
    viewer = make_napari_viewer()
    add_layers(viewer)
    docks = {name: open_part(viewer, name)[1] for name in names}
    kept = list(viewer.layers)
    with qtbot.captureExceptions() as raised:
        viewer.close()
        forget_deleted()
        assert {name for name, dock in docks.items() if isalive(dock)} == set()
        for layer in kept:
            layer.name = f"{layer.name} again"
            layer.scale = [2.0] * layer.ndim
            layer.visible = False
        kept[0].data = np.zeros((2, 96, 128), np.uint8)
        kept[1].events.paint(value=[])
        qtbot.wait(300)
    assert not raised


class Emitter:
    """As an emitter of napari: it holds methods weakly, each once."""

    def __init__(self) -> None:
        from napari.utils.events import EventEmitter

        self.emit = self.events = EventEmitter(type_name="said")


class Hearer(QObject):
    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.heard = 0

    def hear(self, *_: Any) -> None:
        self.heard += 1


@pytest.fixture
def root(qapp: Any) -> Iterator[QObject]:
    root = QObject()
    yield root
    if isalive(root):
        root.deleteLater()
        forget_deleted()


def test_what_listens_is_called_once_an_event_until_it_is_silenced(root: QObject) -> None:
    emitter, hearer = Emitter(), Hearer(Hearer(root))
    for _ in range(2):
        listen(hearer, emitter.events, hearer.hear)
    emitter.emit()
    assert hearer.heard == 1
    silence(root)
    emitter.emit()
    listen(hearer, emitter.events, hearer.hear)
    emitter.emit()
    assert hearer.heard == 1


def test_listening_again_after_hearing_no_more(root: QObject) -> None:
    emitter, hearer = Emitter(), Hearer(root)
    listen(hearer, emitter.events, hearer.hear)
    emitter.events.disconnect(hearer.hear)
    emitter.emit()
    listen(hearer, emitter.events, hearer.hear)
    emitter.emit()
    assert hearer.heard == 1


def test_listening_holds_neither_of_the_two(qapp: Any) -> None:
    emitter, hearer = Emitter(), Hearer()
    listen(hearer, emitter.events, hearer.hear)
    known = weakref.ref(hearer)
    del hearer
    gc.collect()
    assert known() is None
    emitter.emit()
    hearer = Hearer()
    listen(hearer, emitter.events, hearer.hear)
    known = weakref.ref(emitter.events)
    del emitter
    gc.collect()
    assert known() is None


def test_what_is_destroyed_is_not_called(root: QObject, qtbot: Any) -> None:
    emitter, hearer, called = Emitter(), Hearer(root), []
    listen(hearer, emitter.events, hearer.hear)
    later(hearer, hearer.hear)
    answer = while_heard(hearer, called.append)
    in_background(hearer, lambda: 1, called.append, called.append)
    answer(0)
    root.deleteLater()
    forget_deleted()
    with qtbot.captureExceptions() as raised:
        emitter.emit()
        answer(2)
        qtbot.wait(200)
    assert hearer.heard == 0 and called == [0] and not raised


def test_what_is_silenced_gets_no_answers(root: QObject, qtbot: Any) -> None:
    hearer, called = Hearer(root), []
    later(hearer, hearer.hear, 10)
    in_background(hearer, lambda: 1, called.append, called.append)
    silence(root)
    while_heard(hearer, called.append)(2)
    qtbot.wait(200)
    assert hearer.heard == 0 and not called
    other = Hearer()
    later(other, other.hear, 10)
    in_background(other, lambda: 1, called.append, called.append)
    qtbot.waitUntil(lambda: other.heard == 1 and called == [1], timeout=20_000)


def test_what_failed_after_its_dock_was_closed_is_told(root: QObject, qtbot: Any, told: list[str]) -> None:
    hearer, called, closed = Hearer(root), [], threading.Event()

    def write() -> None:
        closed.wait(60)
        raise OSError(errno.ENOSPC, "No space left on device", "kept.safetensors")

    in_background(hearer, write, called.append, called.append)
    silence(root)
    closed.set()
    qtbot.waitUntil(lambda: len(told) == 1)
    assert "kept.safetensors: No space left on device" in told[0] and not called
