"""One live answer as stages: match at once, decode when the hand rests, then the sensitivity of the areas.

Free of Qt and of layers; the stages run in the thread of `phaseguide.widgets.qt.latest_worker`.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from phaseguide.errors import MicrographError
from phaseguide.events import Finished, Settle, Stages
from phaseguide.jobs.inputs import Inputs
from phaseguide.jobs.results import Labels, Provenance
from phaseguide.jobs.segment import Plane, checked_edits
from phaseguide.ratios import Ratio
from phaseguide.segmentation.edits import painted_px
from phaseguide.segmentation.request import Preview, Request, Segmentation

if TYPE_CHECKING:
    from phaseguide.jobs.session_store import SessionStore
    from phaseguide.segmentation.session import Session

DECODE_REST_S = 0.18
"""The network looks again when the hand has rested so long."""

MEASURE_REST_S = 0.5
"""The sensitivity of the areas is measured when nothing has changed for so long."""

Window = tuple[slice, slice]


@dataclass(frozen=True)
class LiveRequest:
    """What a change asks for.

    Attributes
    ----------
    session : Session
    plane : Plane
        With the edits as they are painted now, or as they were when they have not changed since.
    request : Request
    made : Provenance
        For the record.
    inputs : Inputs
        For the boxes, when the result is shown again.
    focus : tuple of slice, or None
        Rows and columns on show, where the plane is larger than what fits into the network at once.
    """

    session: Session
    plane: Plane
    request: Request
    made: Provenance
    inputs: Inputs
    focus: Window | None = None


@dataclass(frozen=True)
class LiveResult:
    """An answer; ``edits`` are the checked ones that it holds, ``work_s`` the seconds that a processor worked."""

    live_request: LiveRequest
    segmentation: Segmentation
    edits: Labels | None
    work_s: float


@dataclass(frozen=True)
class LivePreview:
    """A part of an answer that is under way: the field on show."""

    live_request: LiveRequest
    labels: Labels
    window: Window


@dataclass(frozen=True)
class Sensitivity:
    """Shares with all phase boundaries moved by one pixel, of the map on show and of the unguided one."""

    segmentation: Segmentation
    achieved: tuple[Ratio, Ratio]
    own: tuple[Ratio, Ratio]


def live_stages(live_request: LiveRequest, live_edits: LiveEdits, store: SessionStore) -> Stages:
    """Answer changed values; yields `LiveResult`, `LivePreview`, `Sensitivity`, and `Settle` to be dropped at.

    Parameters
    ----------
    live_request : LiveRequest
    live_edits : LiveEdits
        The same for all requests of one series.
    store : SessionStore

    Raises
    ------
    PhaseguideError
        Input that cannot be segmented; its message is for the user.
    """
    session, request = live_request.session, live_request.request
    guided = _acts_in_network(session, request)
    with store.lock:
        painted = live_edits.hold(session, live_request.plane, store)
        first = replace(request, mode="matched") if guided else request
        segmentation = yield from _answers(live_request, painted, first, None)
    if guided:
        yield Settle(DECODE_REST_S)
        with store.lock:
            segmentation = yield from _answers(live_request, painted, request, live_request.focus)
    yield from measure_stages(segmentation)


def measure_stages(segmentation: Segmentation) -> Stages:
    """Measure what a shift of all boundaries by one pixel does to the areas, once nothing moves."""
    from phaseguide.segmentation.review.sensitivity import boundary_sensitivity

    yield Settle(MEASURE_REST_S)
    phases = len(segmentation.scheme)
    achieved = boundary_sensitivity(segmentation.labels, phases)
    yield Settle(0)
    own = achieved if segmentation.own_labels is segmentation.labels else None
    yield Sensitivity(segmentation, achieved, own or boundary_sensitivity(segmentation.own_labels, phases))


def _acts_in_network(session: Session, request: Request) -> bool:
    card = session.model.card
    mode = request.mode or card.inference.mode
    return request.asked is not None and mode != "matched" and card.guidance.takes_ratio


def _answers(
    live_request: LiveRequest, painted: Labels | None, request: Request, focus: Window | None
) -> Generator[Any, None, Segmentation]:
    begun = time.thread_time()  # not the time of day: the window that is being drawn meanwhile must not count
    session = live_request.session
    events = session.segment(request) if focus is None else session.segment(request, focus=focus)
    with closing(events):  # type: ignore[type-var]
        for event in events:
            if isinstance(event, Finished):
                result: Segmentation = replace(event.result, edited_px=painted_px(painted))
                yield LiveResult(live_request, result, painted, time.thread_time() - begun)
            elif isinstance(event, Preview):
                yield LivePreview(live_request, event.labels, event.window)
            else:
                yield Settle(0)
    return result


class LiveEdits:
    """What stays the same from request to request: looked at once, and the edits again when they have changed."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._given: NDArray[Any] | None = None
        self._painted: Labels | None = None
        self._fixed: Labels | None = None

    def hold(self, session: Session, plane: Plane, store: SessionStore) -> Labels | None:
        """Give a session the edits of a plane, and return them checked, without information bars and rims.

        Raises
        ------
        MicrographError
            The image was changed in place since the session was made.
        MicrographError, SchemeError
            See `phaseguide.jobs.segment.checked_edits`.
        """
        if session is not self._session and not store.made_for(session, plane.read()):
            raise MicrographError(f"{plane.name} has changed since it was segmented. Press Segment.")
        if session is self._session and plane.edits is self._given and session.edits is self._fixed:
            return self._painted
        shape = (session.pixels.shape[0], session.pixels.shape[1])
        painted = checked_edits(plane, shape, session.scheme)
        session.set_edits(plane.margins.exclude(painted, shape))
        self._session, self._given, self._painted, self._fixed = session, plane.edits, painted, session.edits
        return painted
