"""One press of Segment as a generator of small events. Free of Qt and of layers; it runs in a worker thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.control import Control
from phaseguide.events import Finished, Notice, Progress
from phaseguide.jobs.plane_index import Index
from phaseguide.jobs.results import Made, PlaneResult
from phaseguide.jobs.session_store import Options, SessionStore
from phaseguide.micrographs.margins import NO_MARGINS, Margins
from phaseguide.models.sam.prompts import Prompts
from phaseguide.segmentation.constraints.regions import Region
from phaseguide.segmentation.network.device import Device
from phaseguide.segmentation.network.stages import ENCODING, READING
from phaseguide.segmentation.request import Request, Segmentation

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.phases import PhaseScheme
    from phaseguide.segmentation.session import Session

KEPT = "What the network saw in this image was kept, so it was not encoded again."


@dataclass(frozen=True)
class Plane:
    """One plane to segment: how to read it, what the user painted on it, its information bars and rim.

    ``image`` tells planes of several images apart; an image layer's id. ``regions`` have ratios of their own;
    ``prompts`` are boxes and points that the network is shown.
    ``pixel_size_um`` is the edge of a pixel where that is known.
    """

    index: Index
    name: str
    read: Callable[[], NDArray[Any]]
    edits: NDArray[Any] | None = None
    edits_name: str = "edits"
    margins: Margins = NO_MARGINS
    image: Hashable = None
    regions: tuple[Region, ...] = ()
    prompts: Prompts | None = None
    pixel_size_um: float | None = None


@dataclass(frozen=True)
class Job:
    """Everything that one press of Segment asks for.

    With ``specimen`` the ratio is about the mean of all planes, else about each of them.
    """

    model_path: Path
    planes: tuple[Plane, ...]
    request: Request
    options: Options = field(default_factory=Options)
    source: str | None = None
    specimen: bool = False


@dataclass(frozen=True)
class Step:
    """Where a job stands: in words, as a fraction if known, and the seconds left if known."""

    text: str
    fraction: float | None = None
    seconds_left: float | None = None


@dataclass(frozen=True)
class DeviceFound:
    """The device that the work runs on."""

    device: Device


@dataclass(frozen=True)
class PlaneDone:
    """One plane is finished."""

    index: Index
    result: PlaneResult
    image: Hashable = None


@dataclass(frozen=True)
class Stopped:
    """The user stopped the job after ``done`` planes."""

    done: int


JobEvent = Step | DeviceFound | Notice | PlaneDone | Stopped


def run_job(job: Job, store: SessionStore, control: Control) -> Iterator[JobEvent]:
    """Segment every plane of a job.

    Parameters
    ----------
    job : Job
    store : SessionStore
        Used by one job at a time.
    control : Control
        When it says stop, the job ends with `Stopped` at the next event; planes that were done stay done.

    Raises
    ------
    PhaseguideError
        Input that cannot be segmented; its message is for the user.
    """
    from phaseguide.jobs.warm_up import import_torch

    yield Step("Loading the model")
    import_torch()
    if job.specimen:
        from phaseguide.jobs.segment_specimen import run_specimen

        yield from run_specimen(job, store, control)
        return
    model = store.model(job.model_path, job.options.device)
    started = time.monotonic()
    count = len(job.planes)
    for number, plane in enumerate(job.planes):
        prefix = f"Plane {number + 1} of {count}: " if count > 1 else ""
        yield Step(f"{prefix}Reading the image", number / count if count > 1 else None)
        if control.stopping:
            yield Stopped(number)
            return
        with store.lock:
            session, edits = open_plane(plane, job, model, store)
            yield DeviceFound(session.device)
            kind = session.device.kind
            height, width = session.pixels.shape[:2]
            events = session.segment(replace(job.request, regions=plane.regions, prompts=plane.prompts))
            begun, stage_begun, stage, segmentation = time.monotonic(), time.monotonic(), "", None
            encoded = kept = False
            for event in events:
                if control.stopping:
                    events.close()
                    yield Stopped(number)
                    return
                if isinstance(event, Progress):
                    if event.stage != stage:
                        stage, stage_begun = event.stage, time.monotonic()
                    encoded = encoded or event.stage == ENCODING
                    kept = kept or event.stage == READING
                    pace = store.pace(session, job.options)
                    expected = None if pace is None or not encoded else pace * height * width
                    yield _step(prefix, event, number, count, started, stage_begun, expected)
                elif isinstance(event, Notice):
                    yield event
                elif isinstance(event, Finished):
                    segmentation = event.result
            assert isinstance(segmentation, Segmentation)
            if encoded:
                store.remember_pace(session, job.options, time.monotonic() - begun)
            elif kept:
                yield Notice(KEPT)
            store.place((plane.image, plane.index), session)
            if session.device.kind != kind:  # it fell back, and took the shared network along
                yield DeviceFound(session.device)
                store.forget()
        for notice in segmentation.notices:
            yield Notice(notice)
        settings = run_settings(job.request, job.options, session)
        made = Made(model.used, job.source, settings)
        yield PlaneDone(plane.index, PlaneResult(segmentation, made, edits), plane.image)
        if count == 1 and (encoded or kept):
            yield Step("Getting ready to follow your values")
            with store.lock:
                session.prepare(job.request)


def open_plane(
    plane: Plane, job: Job, model: LoadedModel, store: SessionStore
) -> tuple[Session, NDArray[np.uint8] | None]:
    """Return the session of a plane with its edits laid on, and the edits.

    Raises
    ------
    MicrographError, ModelError, SchemeError
        An image or edits that cannot be used.
    """
    pixels = plane.read()
    shape = (pixels.shape[0], pixels.shape[1])
    edits = checked_edits(plane, shape, model.card.scheme)
    known = plane.margins.exclude(edits, shape)
    session = store.session(model, pixels, job.options, plane.name, plane.pixel_size_um, known)
    return session, edits


def run_settings(request: Request, options: Options, session: Session) -> dict[str, object]:
    """What the record tells about a run beyond the ratio."""
    return {
        **asdict(options),
        "tile": session.tile,
        "smoothing_px": request.smoothing_px,
        "min_island_px": request.min_island_px,
        "device": session.device.kind,
        "device_name": session.device.name,
    }


def _step(
    prefix: str,
    event: Progress,
    number: int,
    count: int,
    started: float,
    stage_begun: float,
    expected: float | None,
) -> Step:
    now = time.monotonic()
    within = event.done / event.total if event.total else None
    if count > 1:
        fraction = (number + (within or 0.0)) / count
        left = (now - started) * (1 - fraction) / fraction if fraction > 0 else None
        return Step(prefix + event.stage, fraction, left)
    if within:
        return Step(event.stage, within, (now - stage_begun) * (1 - within) / within)
    # Nothing of the only plane is done yet: the last image of this kind tells how long it takes.
    return Step(event.stage, None if not event.total or event.total == 1 else 0.0, expected)


def checked_edits(plane: Plane, shape: tuple[int, int], scheme: PhaseScheme) -> NDArray[np.uint8] | None:
    """Return a plane's edits as uint8, or None if nothing is painted.

    Raises
    ------
    MicrographError
        Another shape than the image.
    SchemeError
        A value that is no phase of the model.
    """
    from phaseguide.errors import MicrographError, SchemeError
    from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED

    if plane.edits is None:
        return None
    edits = np.asarray(plane.edits)
    if edits.shape != shape:
        raise MicrographError(
            f"Layer {plane.edits_name!r} is {' x '.join(map(str, edits.shape))} px, but {plane.name!r} is "
            f"{' x '.join(map(str, shape))} px (height x width). Rename or remove that layer; a fitting one is "
            "then made."
        )
    if not edits.any():
        return None
    try:
        scheme.check_labels(np.unique(edits).tolist(), source=f"Layer {plane.edits_name!r}")
    except SchemeError as error:
        known = [NOT_CLASSIFIED, EXCLUDED, *(phase.label for phase in scheme)]
        row, column = np.argwhere(~np.isin(edits, known))[0].tolist()
        raise SchemeError(f"{error} The first such pixel is at row {row}, column {column}.") from error
    return edits.astype(np.uint8, copy=False)
