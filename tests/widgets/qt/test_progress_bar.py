"""Long work is told in its panel and in napari's activity dock, and the line there goes with every end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("napari")
from napari.utils.progress import progress

from phaseguide.events import Progress
from phaseguide.widgets.qt.progress_bar import ProgressLine


@pytest.fixture
def line(qapp: Any) -> Iterator[ProgressLine]:
    line = ProgressLine("Segment")
    line._timer.setInterval(10)
    yield line
    line.end()
    line.deleteLater()


def lines() -> list[Any]:
    return list(progress._all_instances)


def test_it_says_how_much_is_done_and_the_time_left(line: ProgressLine) -> None:
    line.begin()
    line.show_step(Progress("Reading", 8, 46, seconds_left=120.0))
    assert line.format() == "Reading, 8 of 46, about 2 min left" and line.value() == round(1000 * 8 / 46)
    line.show_step(Progress("Plane 2 of 3: reading", 1, 3, seconds_left=5.0))
    assert line.format() == "Plane 2 of 3: reading, about 5 s left", "a count that is said is not said again"
    line.show_step(Progress("Reading", 10_000, 500_000))
    assert line.format() == "Reading", "bytes are no steps"


def test_the_time_left_follows_from_the_steps_where_it_is_not_told(
    line: ProgressLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("phaseguide.widgets.qt.progress_bar.time.monotonic", lambda: now)
    line.begin()
    line.show_step(Progress("Segmenting a", 0, 46))
    assert "left" not in line.format()
    now = 116.0
    line.show_step(Progress("Segmenting b", 8, 46))
    assert line.format() == "Segmenting b, 8 of 46, about 76 s left"
    line.show_step(Progress("Segmenting", 0, 46))
    assert "left" not in line.format(), "work that begins anew has a pace of its own"


def test_the_activity_dock_tells_the_same_until_the_end(line: ProgressLine, qtbot: Any) -> None:
    states: list[str] = []
    line.begin()
    assert not lines(), "work that is over at once does not flicker there"
    line.show_step(Progress("Reading", 8, 46, seconds_left=120.0))
    qtbot.waitUntil(lambda: len(lines()) == 1)
    (shown,) = lines()
    shown.events.eta.connect(lambda event: states.append(event.value))
    assert "Segment: Reading" in shown.desc and shown.n == round(1000 * 8 / 46) and shown.total == 1000
    line.show_step(Progress("Reading", 23, 46, seconds_left=60.0))
    qtbot.waitUntil(lambda: "23 of 46, about 60 s left" in states)
    line.show_step(Progress("Waiting", 0, 0))
    qtbot.waitUntil(lambda: shown.total == 0)
    line.end()
    assert not lines()
    line.end()
    line.begin()
    qtbot.waitUntil(lambda: len(lines()) == 1)
    line.end()
    assert not lines()


def test_the_line_goes_with_the_widget(qapp: Any, qtbot: Any) -> None:
    line = ProgressLine("Segment")
    line._timer.setInterval(10)
    line.begin()
    qtbot.waitUntil(lambda: len(lines()) == 1)
    line.deleteLater()
    qtbot.waitUntil(lambda: not lines())


def test_an_end_in_the_midst_of_drawing_leaves_nothing(line: ProgressLine, qtbot: Any) -> None:
    """napari draws by a turn of the event loop, in which the work may end."""

    def end(event: Any) -> None:
        line.end()

    progress._all_instances.events.changed.connect(end)
    try:
        line.begin()
        line._tick()
        assert not lines() and not line.activity.is_open
    finally:
        progress._all_instances.events.changed.disconnect(end)
    assert not line.activity.is_open
