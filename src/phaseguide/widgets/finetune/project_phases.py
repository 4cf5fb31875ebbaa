"""The phases of the open project follow the phases editor: one change of the project for each step of the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from phaseguide.phase_edits import first_old
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.project.open_project import FLUSH_S

if TYPE_CHECKING:
    from phaseguide.projects.project import Project
    from phaseguide.widgets.project.open_project import OpenProject


@dataclass
class _Step:
    """A step of the user.

    Attributes
    ----------
    waiting : dict
        Label in the project -> label in the editor, before the step.
    before, after : PhaseScheme or None
        The project's phases before and after; no ``after`` where the editor's are none that a project can have.
    undo : str or None
        What takes it back; None until the project has followed.
    moves : mapping of int to int
        Old label of the project -> new label, once it has followed.
    """

    waiting: dict[int, int]
    before: PhaseScheme
    after: PhaseScheme | None = None
    undo: str | None = None
    moves: Mapping[int, int] = field(default_factory=dict)


class ProjectPhases:
    """Tells the project of steps. Phases that cannot be, such as two of one name, wait for the step that mends them.

    Parameters
    ----------
    opened : OpenProject
    refused : callable
        Gets the error if the project cannot follow; the editor then begins anew.
    """

    def __init__(self, opened: OpenProject, refused: Callable[[BaseException], None]) -> None:
        self._opened, self._refused = opened, refused
        self._scheme: PhaseScheme | None = None
        self._steps: list[_Step] = []
        self._waiting: dict[int, int] = {}
        self._queued = 0

    def settle(self) -> bool:
        """Block until the project has followed, for a moment; return whether it has."""
        return not self._queued or self._opened.worker.wait(FLUSH_S)

    def begin(self, scheme: PhaseScheme | None) -> None:
        """Begin with the phases of the project; None if no project is open."""
        self._scheme = scheme
        self._steps.clear()
        self._waiting = _unchanged(scheme)

    def follow(self, depth: int, relabel: Mapping[int, int], scheme: PhaseScheme | None) -> None:
        """Let the project follow a step, or the taking back of one.

        Parameters
        ----------
        depth : int
            Steps that the editor can take back now.
        relabel : mapping of int to int
            Old label -> new label; empty where no number changes.
        scheme : PhaseScheme or None
            The editor's phases now.
        """
        if self._scheme is None:
            return
        if depth < len(self._steps):
            self._take_back(self._steps.pop())
            return
        step = _Step(self._waiting, self._scheme)
        self._steps.append(step)
        moves = {old: relabel.get(new, new) for old, new in self._waiting.items()}
        if scheme is None:
            self._waiting = moves
            return
        step.after, self._scheme, self._waiting = scheme, scheme, _unchanged(scheme)

        def change(project: Project) -> Mapping[int, int]:
            step.undo = project.change_scheme(scheme, moves, known=step.before)
            step.moves = moves
            return moves

        self._queue(change)

    def _take_back(self, step: _Step) -> None:
        self._waiting, self._scheme = step.waiting, step.before
        if step.after is None:
            return

        def change(project: Project) -> Mapping[int, int]:
            if step.undo:
                project.undo_scheme(step.undo)
            elif step.undo is not None:
                project.change_scheme(step.before, _unchanged(step.before), known=step.after)
            return first_old(step.moves)

        self._queue(change)

    def _queue(self, change: Callable[[Project], Mapping[int, int]]) -> None:
        self._queued += 1
        self._opened.change_phases(change, self._done, self._failed)

    def _done(self) -> None:
        self._queued -= 1

    def _failed(self, error: BaseException) -> None:
        self._queued -= 1
        self._refused(error)


def _unchanged(scheme: PhaseScheme | None) -> dict[int, int]:
    return {phase.label: phase.label for phase in scheme or ()}
