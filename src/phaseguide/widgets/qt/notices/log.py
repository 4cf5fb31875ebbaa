"""What was warned of, and of which field or plane: each sentence once, with how often it was said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from phaseguide.events import Notice

NAMED = 3
"""So many places are named in a line; a copy names all."""


@dataclass(frozen=True)
class Warned:
    """A sentence, and how often it was said of each place ("" for all)."""

    message: str
    places: tuple[tuple[str, int], ...]

    def line(self, most: int | None = None) -> str:
        """Say it in a line, with so many of its places before it."""
        named = [name if n == 1 else f"{name} ({n} times)" for name, n in self.places if name]
        nowhere = sum(n for name, n in self.places if not name)
        more = "" if most is None or len(named) <= most else f" and {len(named) - most} more"
        lead = f"{', '.join(named[:most])}{more}: " if named else ""
        return f"{lead}{self.message}{f' ({nowhere} times)' if nowhere > 1 else ''}"


class NoticeLog:
    """Warnings of runs, and those that belong to the result which a place has now."""

    def __init__(self) -> None:
        self._runs: dict[str, Counter[str]] = {}
        self._results: dict[str, tuple[str, ...]] = {}
        self._read: set[tuple[str, str]] = set()

    def add(self, notice: Notice) -> None:
        """Take what a run warns of."""
        self._read.discard((notice.where, notice.message))
        self._runs.setdefault(notice.where, Counter())[notice.message] += 1

    def show_result(self, where: str, messages: Iterable[str]) -> None:
        """Take what is to be known of the result of a place, in place of what was to be known of the last one."""
        new = tuple(dict.fromkeys(messages))
        for message in new:
            self._runs.get(where, Counter()).pop(message, None)
        self._results[where] = new

    def forget(self, places: Iterable[str]) -> None:
        """Drop what was said of some places, which are about to be worked on again."""
        for where in places:
            self._runs.pop(where, None)
            self._results.pop(where, None)
            self._read = {key for key in self._read if key[0] != where}

    def clear(self) -> None:
        """Take everything as read; it comes back only if it is said again."""
        self._read |= {(where, message) for where in self.places for message in self._said(where)}
        self._runs.clear()

    def of(self, where: str) -> tuple[str, ...]:
        """Return what is said of a place."""
        return tuple(self._said(where))

    @property
    def entries(self) -> tuple[Warned, ...]:
        """Everything, in the order in which it was first said."""
        found: dict[str, list[tuple[str, int]]] = {}
        for where in self.places:
            for message, times in self._said(where).items():
                found.setdefault(message, []).append((where, times))
        return tuple(Warned(message, tuple(places)) for message, places in found.items())

    @property
    def places(self) -> tuple[str, ...]:
        """Every place of which something was said."""
        return tuple(dict.fromkeys((*self._runs, *self._results)))

    def _said(self, where: str) -> dict[str, int]:
        said = dict(self._runs.get(where, {})) | dict.fromkeys(self._results.get(where, ()), 1)
        return {message: n for message, n in said.items() if (where, message) not in self._read}
