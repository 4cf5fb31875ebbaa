"""What each edit does to the areas: area % before and after every stroke, undo and redo on an edits layer."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.labels import count_labels
from phaseguide.phases import NOT_CLASSIFIED, PhaseScheme
from phaseguide.widgets.layers.identity import KEY, mark_of
from phaseguide.widgets.layers.review_lock import is_frozen

if TYPE_CHECKING:
    from napari.layers import Labels

Region = tuple[slice, ...]

DRAWN_S = 1.0
"""So long after a stroke, the result layer shows it at the latest."""

LONGEST_LOG = 10_000
"""Records that a layer's metadata hold; the oldest go first."""


_schemes: weakref.WeakKeyDictionary[Any, tuple[Any, PhaseScheme]] = weakref.WeakKeyDictionary()
"""Of each layer: what its metadata said, and the phases that were read from it."""


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
    region : tuple of slice
        Box around the change.
    """

    painted: int
    withdrawn: int
    confirmed: int
    before: tuple[float, ...] | None
    after: tuple[float, ...] | None
    time: str
    region: Region

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
        layer: Labels,
        find_phases: Callable[[], Any],
        told: Callable[[Labels, Edit], None],
        refused: Callable[[Labels], None],
    ) -> None:
        self.layer = layer
        self._find_phases, self._told, self._refused = find_phases, told, refused
        self._before = np.array(layer.data)
        self._under: NDArray[Any] | None = None
        self._last: Region | None = None
        self._last_time = 0.0
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
        region = changed_region(now, self._before)
        if region is None:  # a mere redraw
            return
        if is_frozen(self.layer):
            now[region] = self._before[region]
            self.layer.refresh()
            self._refused(self.layer)
            return
        edit = self._measure(now, region)
        self._before[region] = now[region]
        self._told(self.layer, edit)

    def _measure(self, now: NDArray[Any], region: Region) -> Edit:
        new, old = now[region], self._before[region]
        changed = new != old
        phases, scheme = self._find_phases(), scheme_of(self.layer)
        before = after = None
        confirmed = 0
        if phases is not None and scheme is not None and phases.data.shape == now.shape:
            below = self._prediction(phases.data, region)
            confirmed = int(np.count_nonzero(changed & (new != NOT_CLASSIFIED) & (new == below[region])))
            part, k = self._not_drawn_yet(region), len(scheme)
            elsewhere = count_labels(phases.data, k) - count_labels(phases.data[part], k)
            shown = np.where(self._before[part] == NOT_CLASSIFIED, below[part], self._before[part])
            shown_now = np.where(now[part] == NOT_CLASSIFIED, below[part], now[part])
            before = _shares(elsewhere + count_labels(shown, k))
            after = _shares(elsewhere + count_labels(shown_now, k))
        said = np.count_nonzero(changed & (new != NOT_CLASSIFIED))
        return Edit(
            int(said),
            int(np.count_nonzero(changed) - said),
            confirmed,
            before,
            after,
            datetime.now(UTC).isoformat(timespec="seconds"),
            region,
        )

    def _prediction(self, shown: NDArray[Any], region: Region) -> NDArray[Any]:
        """Return the map without edits, as far as it was ever seen.

        The result layer shows edits on top; below a stroke stands what was there before it.
        """
        if self._under is None or self._under.shape != shown.shape:
            self._under = np.array(shown)
        else:
            unsaid = self._before[region] == NOT_CLASSIFIED
            np.copyto(self._under[region], shown[region], where=unsaid)
        return self._under

    def _not_drawn_yet(self, region: Region) -> Region:
        """Return where the result layer may not show the edits yet: here, and where strokes were made just now."""
        now = time.monotonic()
        if self._last is None or now - self._last_time > DRAWN_S:
            self._last = region
        else:
            self._last = tuple(
                slice(min(a.start, b.start), max(a.stop, b.stop))
                for a, b in zip(self._last, region, strict=True)
            )
        self._last_time = now
        return self._last


def changed_region(now: NDArray[Any], before: NDArray[Any]) -> Region | None:
    """Return the smallest box that holds every difference of two arrays; None if they are equal.

    Everything else looks at this box only, so that a stroke costs little on a large image.
    """
    differs = now != before
    box: list[slice] = []
    for axis in range(differs.ndim):
        others = tuple(other for other in range(differs.ndim) if other != axis)
        found = np.flatnonzero(differs.any(axis=others))
        if not found.size:
            return None
        box.append(slice(int(found[0]), int(found[-1]) + 1))
        differs = differs[(slice(None),) * axis + (box[-1],)]
    return tuple(box)


def keep_in_metadata(layer: Labels, edit: Edit) -> None:
    """Append a record to the layer's metadata, where it goes wherever the layer goes."""
    scheme = scheme_of(layer)
    if scheme is None:
        return
    mark = mark_of(layer)
    records = [*mark.get("edit_log", []), edit.to_dict(scheme)][-LONGEST_LOG:]
    layer.metadata = {**layer.metadata, KEY: {**mark, "edit_log": records}}


def scheme_of(layer: Labels) -> PhaseScheme | None:
    """Phases that a layer was made for; None for a layer that the program does not know."""
    told = mark_of(layer).get("scheme")
    if told is None:
        return None
    read = _schemes.get(layer)
    if read is None or read[0] != told:
        read = _schemes[layer] = told, PhaseScheme.from_dict(told, source=f"Layer {layer.name!r}")
    return read[1]


def _shares(counts: NDArray[Any]) -> tuple[float, ...]:
    return tuple(float(n) for n in counts / max(int(counts.sum()), 1))
