"""What became of the phases that a model was made for: the project's log tells how today's phases come from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from phaseguide.models.rephase import origin_by_name
from phaseguide.phases import PhaseScheme, normalise_name
from phaseguide.projects.journal import CHANGED, CREATED, TAKEN_BACK


@dataclass(frozen=True)
class _State:
    """Phases that a project had: their names, the state before, and old label -> new label of the step between."""

    names: tuple[str, ...]
    parent: _State | None = None
    relabel: Mapping[int, int] | None = None


def origin_for(
    scheme: PhaseScheme, lines: Iterable[Mapping[str, Any]], known: PhaseScheme
) -> dict[int, tuple[int, ...]]:
    """Say which phases of a model each phase of a project comes from.

    The project had the model's phases once, last or longest ago: what was renamed, merged and reordered since is
    followed. A phase that is not reached so, or every one where the project never had those phases, comes from the
    phase of the same name. Lines are the project's log, oldest first; a phase that the model (``known``) does not know
    is missing.
    """
    if _key(known.names) == _key(scheme.names):
        return {phase.label: (phase.label,) for phase in scheme}
    now = _replay(lines)
    by_name = origin_by_name(known, scheme)
    if now is None or _key(now.names) != _key(scheme.names):
        return by_name  # a step is missing in the log
    origin: dict[int, tuple[int, ...]] = {}
    for old, new in _since(now, _key(known.names)).items():
        if new:
            origin[new] = (*origin.get(new, ()), old)
    claimed = {label for labels in origin.values() for label in labels}
    for label, (parent,) in ((a, b) for a, b in by_name.items() if len(b) == 1):
        if label not in origin and parent not in claimed:
            origin[label] = (parent,)
    return {label: tuple(sorted(labels)) for label, labels in sorted(origin.items())}


def _since(now: _State, names: tuple[str, ...]) -> dict[int, int]:
    """Label of each phase today, by its label when the phases last had these names; empty if they never had."""
    onwards = {label: label for label in range(1, len(now.names) + 1)}
    state: _State | None = now
    while state is not None and _key(state.names) != names:
        onwards = {old: onwards.get(new, 0) for old, new in (state.relabel or {}).items()}
        state = state.parent
    return {} if state is None else onwards


def _replay(lines: Iterable[Mapping[str, Any]]) -> _State | None:
    now: _State | None = None
    for line in lines:
        event = line.get("event")
        try:
            if event == CREATED:
                now = _State(tuple(map(str, line["phases"])))
            elif event == CHANGED:
                names = tuple(str(phase["name"]) for phase in line["phases"])
                relabel = {int(old): int(new) for old, new in line["relabel"].items()}
                before = None if now is None else list(now.names)
                # A process may have died between a change and its line: then nothing is known of what was before.
                whole = line.get("before", before) == before
                now = _State(names, now if whole else None, relabel)
            elif event == TAKEN_BACK:
                names = tuple(str(phase["name"]) for phase in line["phases"])
                back = None if now is None else now.parent
                while back is not None and back.names != names:
                    back = back.parent
                now = back or _State(names)
        except (KeyError, TypeError, ValueError, AttributeError):
            now = None
    return now


def _key(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(normalise_name(name) for name in names)
