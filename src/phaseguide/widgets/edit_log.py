"""What each edit does to the areas: area % before and after every stroke, undo and redo on an edits layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.phases import NOT_CLASSIFIED, PhaseScheme
from phaseguide.widgets.frozen import is_frozen
from phaseguide.widgets.layers import KEY

LONGEST_LOG = 10_000
"""Records that a layer's metadata hold; the oldest go first."""


@dataclass(frozen=True)
class Edit:
    """One change of an edits layer.

    Attributes
    ----------
    painted, withdrawn : int
        Pixels that say something new, and pixels that say nothing any more.
    confirmed : int
        Painted pixels that say what the result has there already.
    before, after : tuple of float, or None
        Area shares of the shown map in [0, 1], of each phase; None where there is no result.
    time : str
        ISO, UTC.
    """

    painted: int
    withdrawn: int
    confirmed: int
    before: tuple[float, ...] | None
    after: tuple[float, ...] | None
    time: str

    def to_dict(self, scheme: PhaseScheme) -> dict[str, Any]:
        """Return the record with shares in per cent by name of the phase."""

        def percent(shares: tuple[float, ...] | None) -> dict[str, float] | None:
            if shares is None:
                return None
            return {phase.name: round(share * 100, 4) for phase, share in zip(scheme, shares, strict=True)}

        return {
            "time": self.time,
            "painted_px": self.painted,
            "confirmed_px": self.confirmed,
            "withdrawn_px": self.withdrawn,
            "area_percent_before": percent(self.before),
            "area_percent_after": percent(self.after),
        }


class EditLog:
    """Follows one edits layer.

    Parameters
    ----------
    layer : Labels
        The edits.
    find_phases : callable
        Returns the layer with the result below, or None.
    told : callable
        Gets the layer and each `Edit`.
    refused : callable
        Gets the layer when a change of frozen edits was taken back.
    """

    def __init__(
        self,
        layer: Any,
        find_phases: Callable[[], Any],
        told: Callable[[Any, Edit], None],
        refused: Callable[[Any], None],
    ) -> None:
        self.layer = layer
        self._find_phases, self._told, self._refused = find_phases, told, refused
        self._before = np.array(layer.data)
        self._under: NDArray[Any] | None = None
        # An undo emits set_data and no paint; a stroke emits paint once, when the mouse is released.
        self._heard = (
            (layer.events.paint, self.look),
            (layer.events.set_data, self._redrawn),
            (layer.events.data, self.look),
        )
        for event, call in self._heard:
            event.connect(call)

    def end(self) -> None:
        """Hear nothing more of the layer."""
        for event, call in self._heard:
            event.disconnect(call)

    def reset(self) -> None:
        """Take the layer as it is now as known: the program has read it from a file."""
        self._before, self._under = np.array(self.layer.data), None

    def _redrawn(self, event: Any = None) -> None:
        # A stroke redraws with each move and is told when the mouse is released; that one is under way has no
        # public sign in napari 0.9.
        if not getattr(self.layer, "_block_history", False):
            self.look()

    def look(self, event: Any = None) -> None:
        """Compare the layer with what is known of it, and tell of what changed."""
        now = self.layer.data
        if now.shape != self._before.shape:
            self.reset()
            return
        if np.array_equal(now, self._before):  # the cheapest answer to a mere redraw
            return
        if is_frozen(self.layer):
            np.copyto(now, self._before)
            self.layer.refresh()
            self._refused(self.layer)
            return
        edit = self._measure(now)
        self._before = np.array(now)
        self._told(self.layer, edit)

    def _measure(self, now: NDArray[Any]) -> Edit:
        changed = np.nonzero(now != self._before)
        new, old = now[changed], self._before[changed]
        under, scheme = self._prediction(), scheme_of(self.layer)
        before = after = None
        confirmed = 0
        if under is not None and scheme is not None:
            below = under[changed]
            confirmed = int(np.count_nonzero((new != NOT_CLASSIFIED) & (new == below)))
            phases = len(scheme)
            shown = np.where(self._before == NOT_CLASSIFIED, under, self._before)
            counts = np.bincount(shown.reshape(-1).astype(np.intp), minlength=256)[1 : phases + 1]
            gone = np.where(old == NOT_CLASSIFIED, below, old)
            come = np.where(new == NOT_CLASSIFIED, below, new)
            moved = [np.bincount(v.astype(np.intp), minlength=256)[1 : phases + 1] for v in (gone, come)]
            before, after = _shares(counts), _shares(counts - moved[0] + moved[1])
        return Edit(
            int(np.count_nonzero(new)),
            int(np.count_nonzero(new == NOT_CLASSIFIED)),
            confirmed,
            before,
            after,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _prediction(self) -> NDArray[Any] | None:
        """Return what the result says below the edits, as far as that was ever seen.

        The result layer shows edits on top; below a stroke stands what was there before it.
        """
        phases = self._find_phases()
        if phases is None or phases.data.shape != self._before.shape:
            return None
        if self._under is None or self._under.shape != self._before.shape:
            self._under = np.array(phases.data)
        else:
            np.copyto(self._under, phases.data, where=self._before == NOT_CLASSIFIED)
        return self._under


def keep_in_metadata(layer: Any, edit: Edit) -> None:
    """Append a record to the layer's metadata, where it goes wherever the layer goes."""
    scheme = scheme_of(layer)
    if scheme is None:
        return
    mark = layer.metadata.get(KEY, {})
    records = [*mark.get("edit_log", []), edit.to_dict(scheme)][-LONGEST_LOG:]
    layer.metadata = {**layer.metadata, KEY: {**mark, "edit_log": records}}


def scheme_of(layer: Any) -> PhaseScheme | None:
    """Phases that a layer was made for; None for a layer that the program does not know."""
    told = layer.metadata.get(KEY, {}).get("scheme")
    return None if told is None else PhaseScheme.from_dict(told, source=f"Layer {layer.name!r}")


def _shares(counts: NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(n) for n in counts / max(int(counts.sum()), 1))
