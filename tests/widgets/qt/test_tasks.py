"""One generator at a time runs in a thread, tells the window what it yields, and stops by its control."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from qtpy.QtCore import QObject

from phaseguide.control import Control
from phaseguide.errors import PhaseguideError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.widgets.qt.tasks import TaskRunner

STEP = Progress("Counting", 1, 2, seconds_left=3.0)


@pytest.fixture
def told() -> list[Any]:
    return []


@pytest.fixture
def runner(qapp: Any, told: list[Any]) -> Iterator[TaskRunner]:
    owner = QObject()
    runner = TaskRunner(owner)
    for name in ("progressed", "noticed", "happened"):
        getattr(runner, name).connect(lambda event, name=name: told.append((name, event)))
    runner.ended.connect(lambda result, error: told.append(("ended", result, error)))
    yield runner
    runner.abandon()
    owner.deleteLater()


def test_each_kind_of_event_has_its_signal(runner: TaskRunner, told: list[Any], qtbot: Any) -> None:
    def work(control: Control) -> Iterator[Any]:
        assert threading.current_thread() is not threading.main_thread()
        yield from (STEP, Notice("a word"), "anything else", Finished(7))

    with qtbot.waitSignal(runner.ended):
        runner.start(work)
        assert runner.running
    assert told == [
        ("progressed", STEP), ("noticed", Notice("a word")), ("happened", "anything else"), ("ended", 7, None),
    ]  # fmt: skip
    assert not runner.running


def test_an_error_arrives_as_one_that_is_meant_for_the_user(
    runner: TaskRunner, told: list[Any], qtbot: Any
) -> None:
    def work(control: Control) -> Iterator[Any]:
        yield STEP
        raise RuntimeError("as torch raises for most things")

    with qtbot.waitSignal(runner.ended):
        runner.start(work)
    _, result, error = told[-1]
    assert result is None and isinstance(error, PhaseguideError) and "as torch raises" in str(error)


def test_a_run_that_was_stopped_stops_no_other(runner: TaskRunner, told: list[Any], qtbot: Any) -> None:
    def work(control: Control) -> Iterator[Any]:
        while not control.stopping:
            yield STEP
            control.wait(0.01)

    with qtbot.waitSignal(runner.ended):
        runner.start(work)
        runner.stop()
    assert told[-1] == ("ended", None, None) and runner.control.stopping
    with qtbot.waitSignal(runner.ended):
        runner.start(lambda control: iter([Finished(control.stopping)]))
    assert told[-1] == ("ended", False, None)


def test_what_is_abandoned_tells_nothing(runner: TaskRunner, told: list[Any], qtbot: Any) -> None:
    ended = threading.Event()

    def work(control: Control) -> Iterator[Any]:
        while not control.stopping:
            yield STEP
        yield Finished(7)
        ended.set()

    with qtbot.waitSignal(runner.progressed):
        runner.start(work)
    runner.abandon()
    known = len(told)
    assert not runner.running and ended.wait(20)
    qtbot.wait(100)
    assert len(told) == known
