"""Drawing long work: a bar with the time left, from the events that the core yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from phaseguide.events import Finished, Notice, Progress
from phaseguide.plain_text import visible

if TYPE_CHECKING:
    from rich.console import Console


def draw(events: Iterator[Any], on_event: Callable[[Any, Console], None] | None = None) -> Any:
    """Run a generator of events to its end, draw its progress, and return its result.

    Everything is drawn on standard error, so that standard output stays free for results. Without a terminal no bar is
    drawn; notices and what ``on_event`` prints still appear. ``on_event`` gets the events of other kinds and the
    console to print on. Events are closed in any case.
    """
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    from phaseguide.cli.shared.console import PlainConsole

    console = PlainConsole(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )  # fmt: skip
    result = None
    try:
        with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
            task = bars.add_task("Starting", total=None)
            for event in events:
                if isinstance(event, Progress):
                    task = _show(bars, task, event)
                elif isinstance(event, Notice):
                    console.print(event.text, style="yellow", soft_wrap=True)
                elif isinstance(event, Finished):
                    result = event.result
                elif on_event is not None:
                    on_event(event, console)
    finally:
        close = getattr(events, "close", None)
        if close is not None:
            close()
    return result


def _show(bars: Any, task: Any, event: Progress) -> Any:
    """Move the bar; work of another size gets a new one, since its speed says nothing of the next."""
    old = next(t for t in bars.tasks if t.id == task)
    total, stage = event.total or None, visible(event.stage)
    if old.total != total or event.done < old.completed:
        bars.remove_task(task)
        task = bars.add_task(stage, total=total)
    bars.update(task, description=stage, completed=event.done)
    return task


def time_text(seconds: float) -> str:
    """Write a time as people say it: ``45 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
