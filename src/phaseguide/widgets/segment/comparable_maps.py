"""The label maps of the plane on show by the names that a user reads, for whoever compares maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from phaseguide.errors import PhaseguideError
from phaseguide.jobs.results import Labels, PlaneResult
from phaseguide.segmentation.request import Request

if TYPE_CHECKING:
    from phaseguide.jobs.session_store import SessionStore
    from phaseguide.segmentation.session import Session
    from phaseguide.widgets.segment.plan import Planner
    from phaseguide.widgets.segment.results import Results
    from phaseguide.widgets.segment.state import SegmentState


def named_maps(
    state: SegmentState, results: Results, planner: Planner, store: SessionStore
) -> dict[str, Callable[[], Labels | None]]:
    """Return functions that give label maps, uint8 (H, W); to be called in a worker thread.

    *Automatic estimate* has the areas that the model finds itself, *Expected values* exactly those of the
    boxes, whatever their uncertainty; both are matched on the same scores, so that they differ by their
    areas alone. The others are there already. The first two are those that are compared unless the user chooses.
    """
    current = None if state.image is None else results.current(state.image, state.plane)
    if current is None:
        return {}
    maps: dict[str, Callable[[], Labels | None]] = {"Without guidance": lambda: current.own_labels}
    session = planner.session()
    if session is not None:
        try:
            request = planner.request(session.scheme)
        except PhaseguideError:  # the status line tells it when the user wants the values applied
            request = Request()
        if request.asked is not None:
            exactly = replace(request, uncertainty=0.0, mode="matched")
            maps["Expected values"] = lambda: _matched(session, exactly, store)
    maps["Result on show"] = lambda: current.labels
    if session is not None:
        estimate = replace(request, asked=None, auto=True)
        maps["Automatic estimate"] = lambda: _matched(session, estimate, store)
    for number, run in enumerate(results.history(state.image).runs, start=1):
        result = run.planes.get(state.plane)
        if result is not None and run.scheme == current.scheme:
            maps[f"Result {number}"] = _labels_of(result)
    return maps


def _labels_of(result: PlaneResult) -> Callable[[], Labels]:
    return lambda: result.segmentation.labels


def _matched(session: Session, request: Request, store: SessionStore) -> Labels | None:
    from phaseguide.events import run_to_end

    with store.lock:
        result = run_to_end(session.segment(request))
    return None if result is None else result.labels
