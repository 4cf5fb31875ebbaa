"""One press of Segment as a generator of small events. Free of Qt and of layers; it runs in a worker thread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Hashable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.control import Control
from phaseguide.errors import PhaseguideError
from phaseguide.events import Notice, Progress
from phaseguide.jobs.plane_index import Index
from phaseguide.jobs.results import Labels, PlaneResult, Provenance
from phaseguide.jobs.session_store import Options, SessionStore
from phaseguide.micrographs.margins import NO_MARGINS, Margins
from phaseguide.models.sam.prompts import Prompts
from phaseguide.segmentation.constraints.regions import Region
from phaseguide.segmentation.edits import painted_px
from phaseguide.segmentation.network.device import Device
from phaseguide.segmentation.request import ENCODING, READING, FirstLook, Request
from phaseguide.segmentation.saving import run_settings

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.phases import PhaseScheme
    from phaseguide.segmentation.session import Session
    from phaseguide.segmentation.specimen import FieldDone


@dataclass(frozen=True)
class Plane:
    """One plane to segment: how to read it, what the user painted on it, its information bars and rim.

    ``image`` tells planes of several images apart; an image layer's id. ``regions`` have ratios of their own;
    ``prompts`` are boxes and points that the network is shown. ``exclude_margins`` is False where the user wants
    bars and rims kept.
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
    exclude_margins: bool = True


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
class DeviceFound:
    """The device that the work runs on."""

    device: Device


@dataclass(frozen=True)
class PlaneDone:
    """One plane is finished; ``was_encoded`` tells that what the network saw in it was kept from before."""

    index: Index
    result: PlaneResult
    image: Hashable = None
    was_encoded: bool = False


@dataclass(frozen=True)
class PlaneSeen:
    """What the model sees in a plane at its first look, without a ratio; its result follows as `PlaneDone`.

    Attributes
    ----------
    index : Index
    labels : ndarray of uint8, shape (H, W)
        1..K, and 255 where excluded.
    image : Hashable
        See `Plane`.
    """

    index: Index
    labels: Labels
    image: Hashable = None


@dataclass(frozen=True)
class Stopped:
    """The user stopped the job after ``done`` planes."""

    done: int


JobEvent = Progress | DeviceFound | Notice | PlaneSeen | PlaneDone | Stopped


def run_job(job: Job, store: SessionStore, control: Control) -> Iterator[JobEvent]:
    """Segment every plane of a job.

    Planes by themselves: the first that cannot be segmented ends the job. A specimen: nothing is done before every
    field was looked at once, and a field that cannot be segmented is left out with a notice.

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

    yield Progress("Loading the model", 0, 0)
    import_torch()
    from phaseguide.segmentation.specimen import FieldDone, FieldFailed

    run = _Run(job, store, store.model(job.model_path, job.options.device))
    done, failures = 0, list[PhaseguideError]()
    events = run.together() if job.specimen else run.each()
    for event in events:
        if control.stopping:
            events.close()
            yield Stopped(done)
            return
        if device := run.new_device():
            yield DeviceFound(device)
        if isinstance(event, Progress | Notice | PlaneSeen):
            yield event
        elif isinstance(event, FieldFailed):
            failures.append(event.error)
            yield Notice(f"Left out: {event.error}")
        elif isinstance(event, FieldDone):
            done += 1
            yield from run.finish(event)
    if failures and not done:
        raise failures[0]


class _Run:
    """What a job knows while it is at work: the session in use, and how long things take."""

    def __init__(self, job: Job, store: SessionStore, model: LoadedModel) -> None:
        from phaseguide.segmentation.specimen import Field

        self.job, self.store, self.model = job, store, model
        self.fields = [
            Field(plane.name, partial(self._open, number)) for number, plane in enumerate(job.planes)
        ]
        self.edits: dict[int, Labels | None] = {}
        self.session: Session | None = None
        self.device: Device | None = None
        self.kind, self.stage = "", ""
        self.encoded = self.kept = False
        self.started = self.begun = self.stage_begun = time.monotonic()

    def each(self) -> Generator[Any, None, None]:
        """Segment every plane by itself."""
        from phaseguide.segmentation.specimen import segment_field

        for number, plane in enumerate(self.job.planes):
            request = replace(self.job.request, regions=plane.regions, prompts=plane.prompts)
            with self.store.lock:
                events = segment_field(number, self.fields[number], request, self.tell)
                done = yield from _with_looks(events, plane)
                yield done
        if len(self.fields) == 1 and (self.encoded or self.kept):
            yield Progress("Getting ready to follow your values", 0, 0)
            with self.store.lock:
                done.session.prepare(self.job.request)

    def together(self) -> Generator[Any, None, None]:
        """Segment the planes so that their area-weighted mean meets the ratio."""
        from phaseguide.segmentation.specimen import segment_specimen

        with self.store.lock:
            yield from segment_specimen(self.fields, self.job.request, keep_px=0)  # the store keeps them

    def new_device(self) -> Device | None:
        """Return the device of the session in use, where it is another than was told."""
        if self.session is None or self.session.device == self.device:
            return None
        self.device = self.session.device
        return self.device

    def tell(self, number: int, event: Progress | Notice) -> Progress | Notice:
        """Say how far the job is, and how long it will take."""
        if isinstance(event, Notice):
            return replace(event, where=self.job.planes[number].name)
        now, count = time.monotonic(), len(self.fields)
        if event.stage != self.stage:
            self.stage, self.stage_begun = event.stage, now
        self.encoded = self.encoded or event.stage == ENCODING
        self.kept = self.kept or event.stage == READING
        if count > 1:
            steps = max(1, event.total)
            done, total = number * steps + event.done, count * steps
            left = (now - self.started) * (total - done) / done if done else None
            return Progress(f"Plane {number + 1} of {count}: {event.stage}", done, total, left)
        if event.done and event.total:
            left = (now - self.stage_begun) * (event.total - event.done) / event.done
            return replace(event, seconds_left=left)
        # Nothing of the only plane is done yet: the last image of this kind tells how long it takes.
        return Progress(event.stage, 0, event.total if event.total > 1 else 0, self._expected())

    def finish(self, done: FieldDone) -> Iterator[Notice | PlaneDone]:
        """Keep the session of a plane, and hand out its result."""
        plane, session = self.job.planes[done.index], done.session
        if self.encoded:
            self.store.remember_pace(session, self.job.options, time.monotonic() - self.begun)
        self.store.place((plane.image, plane.index), session)
        if session.device.kind != self.kind and not self.job.specimen:
            self.store.forget()  # it fell back, and took the shared network along
        if not self.job.specimen:
            for message in done.segmentation.notices:
                yield Notice(message, plane.name)
        request = replace(self.job.request, scope="specimen" if self.job.specimen else "field")
        made = provenance(plane, session, request, self.job.options, self.job.source)
        edits = self.edits[done.index]
        segmentation = replace(done.segmentation, edited_px=painted_px(edits))
        yield PlaneDone(
            plane.index,
            PlaneResult(segmentation, made, edits),
            plane.image,
            was_encoded=self.kept and not self.encoded,
        )

    def _open(self, number: int) -> Session:
        self.session, self.edits[number] = open_plane(
            self.job.planes[number], self.job, self.model, self.store
        )
        self.kind, self.stage, self.encoded, self.kept = self.session.device.kind, "", False, False
        self.begun = time.monotonic()
        return self.session

    def _expected(self) -> float | None:
        """Seconds that the only plane will take."""
        pace = self.store.pace(self.session, self.job.options) if self.session and self.encoded else None
        return (
            None if pace is None or self.session is None else pace * math.prod(self.session.pixels.shape[:2])
        )


def _with_looks(events: Generator[Any, None, FieldDone], plane: Plane) -> Generator[Any, None, FieldDone]:
    """Say of which plane a first look is; returns what the events return."""
    try:
        while True:
            event = next(events)
            if isinstance(event, FirstLook):
                event = PlaneSeen(plane.index, event.labels, plane.image)
            yield event
    except StopIteration as end:
        done: FieldDone = end.value
        return done
    finally:
        events.close()


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


def provenance(
    plane: Plane, session: Session, request: Request, options: Options, source: str | None
) -> Provenance:
    """Return how the result of a plane was made, for its record."""
    settings = run_settings(
        session,
        request,
        margins=plane.margins if plane.exclude_margins else None,
        manual_edits=plane.edits is not None and bool(plane.edits.any()),
        flips=options.flips,
        invert=options.invert,
    )
    # What may be kept, which nobody but a dock is asked.
    settings |= {"memory_mb": options.memory_mb, "embeddings_gb": options.embeddings_gb}
    return Provenance(session.model.used, source, settings, plane.margins.notices())


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
