"""A press of Segment for a whole specimen: its fields together, so that their mean meets the ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from phaseguide.control import Control
from phaseguide.errors import PhaseguideError
from phaseguide.events import Notice, Progress
from phaseguide.jobs.results import Labels, Made, PlaneResult
from phaseguide.jobs.segment import (
    DeviceFound,
    Job,
    JobEvent,
    Plane,
    PlaneDone,
    Step,
    Stopped,
    open_plane,
    run_settings,
)
from phaseguide.jobs.session_store import SessionStore

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.segmentation.session import Session


def run_specimen(job: Job, store: SessionStore, control: Control) -> Iterator[JobEvent]:
    """Segment every plane of a job so that their area-weighted mean meets the ratio.

    Nothing is done before every field was looked at once; a field that cannot be segmented is left out with a notice.

    Parameters
    ----------
    job, store, control
        See `phaseguide.jobs.segment.run_job`.

    Raises
    ------
    PhaseguideError
        No field can be segmented; what stood in the way of the first.
    """
    from phaseguide.segmentation.specimen import Field, FieldDone, FieldFailed, segment_specimen

    model = store.model(job.model_path, job.options.device)
    edits: dict[int, Labels | None] = {}
    fields = [
        Field(plane.name, _opener(number, plane, job, model, store, edits))
        for number, plane in enumerate(job.planes)
    ]
    failures: list[PhaseguideError] = []
    done, device = 0, None
    with store.lock:
        events = segment_specimen(fields, job.request, keep_px=0)  # the store keeps them
        for event in events:
            if control.stopping:
                events.close()  # type: ignore[attr-defined]
                yield Stopped(done)
                return
            if isinstance(event, Progress):
                yield Step(event.stage, event.done / event.total if event.total else None)
            elif isinstance(event, Notice):
                yield event
            elif isinstance(event, FieldFailed):
                failures.append(event.error)
                yield Notice(f"Left out: {event.error}")
            elif isinstance(event, FieldDone):
                done += 1
                plane, session = job.planes[event.index], event.session
                if session.device != device:
                    device = session.device
                    yield DeviceFound(device)
                store.place((plane.image, plane.index), session)
                settings = {**run_settings(job.request, job.options, session), "scope": "specimen"}
                made = Made(model.used, job.source, settings)
                result = PlaneResult(event.segmentation, made, edits[event.index])
                yield PlaneDone(plane.index, result, plane.image)
    if failures and not done:
        raise failures[0]


def _opener(
    number: int,
    plane: Plane,
    job: Job,
    model: LoadedModel,
    store: SessionStore,
    edits: dict[int, Any],
) -> Callable[[], Session]:
    def open_field() -> Session:
        session, edits[number] = open_plane(plane, job, model, store)
        return session

    return open_field
