"""Phases being edited: which there are, which old phases each comes from, and how painted labels follow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import SchemeError
from phaseguide.labels import relabelled
from phaseguide.phases import DEFAULT_COLOURS, NOT_CLASSIFIED, Phase, PhaseScheme


@dataclass(frozen=True)
class EditedPhase:
    """A phase as it is to become; ``origin`` are those labels of the model's phases that it comes from."""

    name: str
    colour: str
    origin: tuple[int, ...] = ()


@dataclass(frozen=True)
class EditedPhases:
    """The phases in order; every change returns a new object, and how the labels before map to those after."""

    phases: tuple[EditedPhase, ...] = ()

    @classmethod
    def of(cls, scheme: PhaseScheme, origin: Mapping[int, tuple[int, ...]]) -> EditedPhases:
        """Begin with a scheme; ``origin`` tells for its labels the model's phases that they come from."""
        return cls(tuple(EditedPhase(p.name, p.colour, tuple(origin.get(p.label, ()))) for p in scheme))

    def scheme(self) -> PhaseScheme:
        """Return the scheme; raises `SchemeError` for a missing or doubled name, or too few phases."""
        if len(self.phases) < 2:
            raise SchemeError("A model tells two phases or more apart. Add a phase.")
        return PhaseScheme(tuple(Phase(i, p.name, p.colour) for i, p in enumerate(self.phases, start=1)))

    def origin(self) -> tuple[tuple[int, ...], ...]:
        """Labels of the model's phases that each phase comes from."""
        return tuple(p.origin for p in self.phases)

    def added(self, name: str = "") -> EditedPhases:
        """Append a phase, in a colour that no other has."""
        used = {p.colour for p in self.phases}
        count = len(self.phases)
        free = next(
            (c for c in DEFAULT_COLOURS if c not in used), DEFAULT_COLOURS[count % len(DEFAULT_COLOURS)]
        )
        return EditedPhases((*self.phases, EditedPhase(name or self._free_name(), free)))

    def renamed(self, index: int, name: str) -> EditedPhases:
        """Give a phase another name."""
        return self._with(index, replace(self.phases[index], name=name.strip()))

    def recoloured(self, index: int, colour: str) -> EditedPhases:
        """Give a phase another colour."""
        return self._with(index, replace(self.phases[index], colour=colour))

    def merged(self, index: int, into: int) -> tuple[EditedPhases, dict[int, int]]:
        """Let a phase become part of another; also return old label -> new label."""
        joined = tuple(sorted({*self.phases[into].origin, *self.phases[index].origin}))
        phases = self._with(into, replace(self.phases[into], origin=joined))
        return phases._without(index, follow=into)

    def removed(self, index: int) -> tuple[EditedPhases, dict[int, int]]:
        """Take a phase away; also return old label -> new label, 0 for the phase that went."""
        return self._without(index, follow=None)

    def _free_name(self) -> str:
        names, number = {p.name.casefold() for p in self.phases}, len(self.phases) + 1
        while f"phase {number}" in names:
            number += 1
        return f"phase {number}"

    def _with(self, index: int, phase: EditedPhase) -> EditedPhases:
        return EditedPhases((*self.phases[:index], phase, *self.phases[index + 1 :]))

    def _without(self, index: int, *, follow: int | None) -> tuple[EditedPhases, dict[int, int]]:
        def place(old: int) -> int:
            return old + 1 - (old > index)

        relabel = {old + 1: place(old) for old in range(len(self.phases))}
        relabel[index + 1] = 0 if follow is None else place(follow)
        return EditedPhases((*self.phases[:index], *self.phases[index + 1 :])), relabel


def taken_back(
    now: NDArray[np.uint8], after: NDArray[np.uint8], before: NDArray[np.uint8], relabel: dict[int, int]
) -> NDArray[np.uint8]:
    """Undo a change of phases on labels, which were ``after`` right after it, that may have been painted on since.

    What was painted since goes to the first old label of its phase.
    """
    back = relabelled(now, first_old(relabel))
    untouched: NDArray[np.uint8] = np.where(now == after, before, back).astype(np.uint8)
    return untouched


def first_old(relabel: Mapping[int, int]) -> dict[int, int]:
    """Turn old label -> new label round; a phase that several became goes back to the first of them."""
    back = {relabel[old]: old for old in sorted(relabel, reverse=True)}
    back.pop(NOT_CLASSIFIED, None)
    return back
