"""A line of napari's activity dock, for work that is shown in a panel too."""

from __future__ import annotations

from typing import Any

STEPS = 1000


class Activity:
    """Open from the first `show` to `end`; made, changed and closed in the GUI thread.

    napari draws each change at once, by a turn of the event loop, in which everything may happen, the end of the work
    too. So this is to be called from a timer, with nothing half done.

    Parameters
    ----------
    title : str
        What is being done, before each of its stages.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._line: Any = None
        self._told: tuple[str, str, int] | None = None
        self._drawing = False

    @property
    def is_open(self) -> bool:
        """Whether there is a line."""
        return self._line is not None

    def show(self, stage: str, state: str, fraction: float | None) -> None:
        """Show where the work stands.

        Parameters
        ----------
        stage, state : str
            Before and behind the bar: what is being done; how much of it is done, and how long it will take.
        fraction : float or None
            In [0, 1]; None where that is not known.
        """
        told = (stage, state, -1 if fraction is None else round(STEPS * fraction))
        if self._drawing or told == self._told:
            return
        self._told, self._drawing = told, True
        try:
            self._draw(*told)
        finally:
            self._drawing = False

    def end(self, _: Any = None) -> None:
        """Take the line away; nothing if there is none."""
        line, self._line, self._told = self._line, None, None
        if line is not None:
            line.close()

    def _draw(self, stage: str, state: str, value: int) -> None:
        from napari.utils.progress import progress

        if self._line is None:
            # The format keeps tqdm from reckoning a time by itself; without a window it would write on the terminal.
            line = progress(total=0, desc=self._title or stage, bar_format="{desc}|", file=_Nowhere())
            if self._told is None:  # the work ended while the line was drawn
                line.close()
                return
            self._line = line
        line = self._line
        if line.total != (total := 0 if value < 0 else STEPS):
            line.total = total
        line.n = max(value, 0)
        if value >= 0:
            line.events.value(value=value)
        if self._line is line:
            line.set_description(f"{self._title}: {stage}" if self._title else stage)
            line.events.eta(value=state)


class _Nowhere:
    """A terminal that nobody reads."""

    def write(self, text: str) -> None:
        """Take a text."""

    def flush(self) -> None:
        """Write nothing."""
