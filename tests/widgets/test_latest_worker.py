"""The thread that works on the newest wish only. No viewer needed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from phaseguide.errors import RatioError
from phaseguide.events import Settle
from phaseguide.widgets.qt.latest_worker import LatestWorker
from phaseguide.widgets.qt.tasks import Failed


@pytest.fixture
def worker(qtbot: Any) -> Iterator[LatestWorker]:
    worker = LatestWorker()
    yield worker
    worker.end()


@pytest.fixture
def seen(worker: LatestWorker) -> list[Any]:
    seen: list[Any] = []
    worker.arrived.connect(seen.extend)
    return seen


def test_events_arrive_in_order(worker: LatestWorker, seen: list[Any], qtbot: Any) -> None:
    worker.submit(lambda: (n for n in range(5)))
    qtbot.waitUntil(lambda: seen == [0, 1, 2, 3, 4])
    assert worker.idle


def test_only_the_newest_waits(worker: LatestWorker, seen: list[Any], qtbot: Any) -> None:
    begun, go, made = threading.Event(), threading.Event(), []

    def first() -> Any:
        begun.set()
        go.wait(5)
        yield "first"
        yield "never reached"

    def wish(number: int) -> Any:
        made.append(number)
        yield number

    worker.submit(first)
    begun.wait(5)
    for number in range(10):
        worker.submit(lambda number=number: wish(number))
    go.set()
    qtbot.waitUntil(lambda: 9 in seen)
    assert made == [9], "the others were never begun"
    assert seen == ["first", 9], "what was under way arrives, and ends there"


def test_a_newer_wish_ends_a_rest(worker: LatestWorker, seen: list[Any], qtbot: Any) -> None:
    closed = threading.Event()

    def patient() -> Any:
        try:
            yield "at once"
            yield Settle(60)
            yield "after a rest"
        finally:
            closed.set()

    worker.submit(patient)
    qtbot.waitUntil(lambda: seen == ["at once"])
    assert not worker.idle
    worker.submit(lambda: iter_of("newer"))
    qtbot.waitUntil(lambda: seen == ["at once", "newer"], timeout=5000)
    assert closed.is_set()


def iter_of(*events: Any) -> Any:
    yield from events


def test_a_rest_that_nobody_disturbs_goes_on(worker: LatestWorker, seen: list[Any], qtbot: Any) -> None:
    worker.submit(lambda: iter_of(1, Settle(0.05), 2))
    qtbot.waitUntil(lambda: seen == [1, 2])


def test_errors_are_events(worker: LatestWorker, seen: list[Any], qtbot: Any) -> None:
    def fail() -> Any:
        yield 1
        raise RatioError("not meant")

    worker.submit(fail)
    qtbot.waitUntil(lambda: len(seen) == 2)
    assert isinstance(seen[1], Failed) and "not meant" in str(seen[1].error)
    worker.submit(lambda: iter_of("goes on"))
    qtbot.waitUntil(lambda: seen[-1] == "goes on")


def test_what_was_dropped_does_not_arrive(worker: LatestWorker, seen: list[Any], qtbot: Any) -> None:
    go, left = threading.Event(), threading.Event()

    def late() -> Any:
        go.wait(5)
        try:
            yield "late"
        finally:
            left.set()

    worker.submit(late)
    worker.drop()
    go.set()
    qtbot.wait(50)
    assert seen == []
    worker.submit(lambda: iter_of("new"))
    qtbot.waitUntil(lambda: seen == ["new"])


def test_a_quick_answer_can_be_awaited(worker: LatestWorker, seen: list[Any]) -> None:
    worker.submit(lambda: iter_of("quick"))
    assert worker.wait(5) and seen == ["quick"], "without the event loop"
    assert not worker.wait(0.01)


def test_a_worker_that_is_gone(qtbot: Any) -> None:
    worker, go = LatestWorker(), threading.Event()

    def late() -> Any:
        go.wait(5)
        yield "late"

    worker.submit(late)
    thread = worker._thread
    worker.deleteLater()
    del worker
    qtbot.wait(50)
    go.set()
    thread.join(5)
    assert not thread.is_alive()
