"""While a dock is open, no worker frees what belongs to the window: garbage is collected in the GUI thread alone."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import QCoreApplication, QEvent, QObject

from phaseguide.widgets.qt import garbage
from workbench_helpers import close_workbench, open_part


class Knot:
    """Garbage that only the collector frees, and that tells in which thread it does."""

    freed: list[threading.Thread]

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        Knot.freed.append(threading.current_thread())


@pytest.fixture(autouse=True)
def _collector(monkeypatch: pytest.MonkeyPatch, qapp: Any) -> Iterator[None]:
    """One of its own, since docks of other tests may still wait to be deleted; the state is put back."""
    Knot.freed = []
    was_on, limits = gc.isenabled(), gc.get_threshold()
    monkeypatch.setattr(garbage, "_collectors", [])
    gc.enable()
    yield
    gc.set_threshold(*limits)
    for collector in garbage._collectors:
        collector._timer.stop()
    (gc.enable if was_on else gc.disable)()


def work() -> list[Any]:
    """Need a lot of memory in another thread, as a network does that is looked at.

    It is returned, since what is freed at once leaves nothing that would make the collector look.
    """
    made: list[Any] = []
    thread = threading.Thread(target=lambda: made.extend([] for _ in range(100_000)))
    thread.start()
    thread.join()
    return made


def test_a_worker_frees_nothing_while_a_dock_is_open(model_viewer: Any, qtbot: Any) -> None:
    open_part(model_viewer, "Models")
    Knot()
    held = work()
    assert not Knot.freed
    qtbot.waitUntil(lambda: bool(Knot.freed), timeout=20_000)
    assert Knot.freed == [threading.main_thread()]
    assert len(held) == 100_000
    close_workbench(model_viewer)
    assert gc.isenabled(), "the closed dock still lives, but it needs nothing any more"


def test_it_ends_with_the_last_dock(qtbot: Any) -> None:
    docks = [QObject(), QObject()]
    for dock in docks:
        garbage.collect_here(dock)
    assert not gc.isenabled()
    for dock, on in zip(docks, (False, True), strict=True):
        dock.deleteLater()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        assert gc.isenabled() is on


def test_whoever_had_switched_it_off_keeps_it_off() -> None:
    gc.disable()
    dock = QObject()
    garbage.collect_here(dock)
    garbage.collect_anywhere(dock)
    assert not gc.isenabled()


def test_all_objects_are_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    ages: list[int] = []
    monkeypatch.setattr(garbage.gc, "get_count", lambda: (900, 11, 11))
    monkeypatch.setattr(garbage.gc, "get_threshold", lambda: (700, 10, 10))
    monkeypatch.setattr(garbage.gc, "collect", ages.append)
    now = [100.0]
    monkeypatch.setattr(garbage.time, "monotonic", lambda: now[0])
    collector, dock = garbage.Collector(), QObject()
    collector.join(dock)
    for seconds in (1.0, garbage.ALL_EVERY_S, 1.0):
        now[0] += seconds
        collector.collect()
    assert ages == [1, 2, 1]
    monkeypatch.setattr(garbage.gc, "get_threshold", lambda: (0, 0, 0))
    collector.collect()
    assert len(ages) == 3, "a threshold of 0 means never"
    collector.end()
