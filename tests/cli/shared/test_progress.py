"""Drawing events: what is shown, what comes back, and that a generator is always closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from phaseguide.cli.shared.progress import draw, time_text
from phaseguide.events import Finished, Notice, Progress


def work(closed: list[bool], *, fail: bool = False) -> Iterator[Any]:
    try:
        yield Progress("Reading", 1, 2)
        yield Notice("a doubt about [this]")
        yield "something else"
        yield Progress("Thinking", 0, 0)
        if fail:
            raise KeyboardInterrupt
        yield Progress("Reading", 2, 2)
        yield Finished(42)
    finally:
        closed.append(True)


def test_result_comes_back_and_notices_are_shown_on_standard_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    closed: list[bool] = []
    others: list[Any] = []
    assert draw(work(closed), lambda event, _: others.append(event)) == 42
    captured = capsys.readouterr()
    assert captured.out == "" and "a doubt about [this]" in captured.err
    assert others == ["something else"] and closed == [True]


def test_a_bar_is_drawn_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("TERM", "xterm")
    draw(work([]))
    captured = capsys.readouterr()
    assert captured.out == "" and "Reading" in captured.err and "100%" in captured.err


def test_an_interrupt_closes_the_generator() -> None:
    closed: list[bool] = []
    with pytest.raises(KeyboardInterrupt):
        draw(work(closed, fail=True))
    assert closed == [True]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_times_are_written_as_said(seconds: float, text: str) -> None:
    assert time_text(seconds) == text
