"""One press of Segment as a generator of small events. Free of Qt and of layers; it runs in a worker thread."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.events import Finished, Notice, Progress
from phaseguide.segmentation.device import Device
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.tiling import DEFAULT_TILE
from phaseguide.widgets.composition import Made, PlaneResult, exclude_bar
from phaseguide.widgets.planes import Index

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.phases import PhaseScheme
    from phaseguide.segmentation.session import Session


@dataclass(frozen=True)
class Options:
    """What a session is made with; see `phaseguide.segmentation.session.Session`."""

    device: str = "auto"
    tile: int = DEFAULT_TILE
    flips: bool | None = None
    invert: bool = False
    memory_mb: int = 4096


@dataclass(frozen=True)
class Plane:
    """One plane to segment: how to read it, what the user painted on it, its information bar."""

    index: Index
    name: str
    read: Callable[[], NDArray[Any]]
    edits: NDArray[Any] | None = None
    edits_name: str = "edits"
    bar_rows: int = 0


@dataclass(frozen=True)
class Job:
    """Everything that one press of Segment asks for."""

    model_path: Path
    planes: tuple[Plane, ...]
    request: Request
    options: Options = Options()
    source: str | None = None


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


@dataclass(frozen=True)
class Stopped:
    """The user stopped the job after ``done`` planes."""

    done: int


JobEvent = Step | DeviceFound | Notice | PlaneDone | Stopped


class SessionStore:
    """Sessions and models that are kept, so that another ratio on the same image costs only the matching.

    Sessions are found again by the content of the plane, so an image that was changed in place is
    encoded anew. The least recently used ones go when their estimated memory exceeds the budget.
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[tuple[Any, ...], tuple[Session, int]] = OrderedDict()
        self._models: dict[tuple[Any, ...], LoadedModel] = {}
        self._pace: dict[tuple[Any, ...], float] = {}

    def model(self, path: Path, device: str) -> LoadedModel:
        """Load a model, or return the one that was loaded from this very file before."""
        from phaseguide.errors import ModelError
        from phaseguide.models.zoo import open_model

        try:
            stat = path.stat()
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read ({error.strerror or error}). Choose another model."
            ) from error
        # A network lives on one device at a time, so another device gets its own copy.
        key = (str(path), stat.st_mtime_ns, stat.st_size, device)
        if key not in self._models:
            model = open_model(path)
            self._models.clear()
            self._models[key] = model
        return self._models[key]

    def session(self, model: LoadedModel, image: NDArray[Any], options: Options, name: str) -> Session:
        """Return the session of a plane, made now or earlier."""
        from phaseguide.segmentation.session import Session

        key = (id(model), options, image.shape, image.dtype.str, _fingerprint(image))
        if key in self._sessions:
            self._sessions.move_to_end(key)
            session = self._sessions[key][0]
            session.name = name
            return session
        session = Session(
            model,
            image,
            device=options.device,
            tile=options.tile,
            flips=options.flips,
            invert=options.invert,
            memory_mb=options.memory_mb,
            name=name,
        )
        pixels = image.shape[0] * image.shape[1]
        flips = sum(view.zoom**2 for view in session.views)
        # Scores, and features as a U-Net on a light encoder has them; a session keeps to its own budget.
        size = min(pixels * (8 * len(session.scheme) + 50 * flips), options.memory_mb * 1_000_000)
        self._sessions[key] = (session, size)
        while (
            len(self._sessions) > 1 and sum(s for _, s in self._sessions.values()) > options.memory_mb * 1e6
        ):
            self._sessions.popitem(last=False)
        return session

    def forget(self) -> None:
        """Drop all sessions and models, after a failure or a change of device under them."""
        self._sessions.clear()
        self._models.clear()

    def pace(self, session: Session, options: Options) -> float | None:
        """Seconds per pixel of the last unguided pass of this kind; None if there was none."""
        return self._pace.get((session.model.path, session.device.kind, options))

    def remember_pace(self, session: Session, options: Options, seconds: float) -> None:
        """Note how long an image took."""
        height, width = session.pixels.shape[:2]
        self._pace[session.model.path, session.device.kind, options] = seconds / (height * width)


def _fingerprint(image: NDArray[Any]) -> bytes:
    import hashlib

    return hashlib.blake2b(
        np.ascontiguousarray(image).reshape(-1).view(np.uint8).data, digest_size=16
    ).digest()


def run_job(job: Job, store: SessionStore, stop: threading.Event) -> Iterator[JobEvent]:
    """Segment every plane of a job.

    Parameters
    ----------
    job : Job
    store : SessionStore
        Used by one job at a time.
    stop : threading.Event
        When set, the job ends with `Stopped` at the next event; planes that were done stay done.

    Raises
    ------
    PhaseguideError
        Input that cannot be segmented; its message is for the user.
    """
    from phaseguide.widgets.warm_up import warm_up

    yield Step("Loading the model")
    warm_up()
    model = store.model(job.model_path, job.options.device)
    started = time.monotonic()
    count = len(job.planes)
    for number, plane in enumerate(job.planes):
        prefix = f"Plane {number + 1} of {count}: " if count > 1 else ""
        yield Step(f"{prefix}Reading the image", number / count if count > 1 else None)
        if stop.is_set():
            yield Stopped(number)
            return
        session = store.session(model, plane.read(), job.options, plane.name)
        yield DeviceFound(session.device)
        kind = session.device.kind
        height, width = session.pixels.shape[:2]
        edits = checked_edits(plane, (height, width), session.scheme)
        session.set_edits(exclude_bar(edits, (height, width), plane.bar_rows))
        events = session.segment(job.request)
        begun, stage_begun, stage, segmentation = time.monotonic(), time.monotonic(), "", None
        encoded = False
        for event in events:
            if stop.is_set():
                events.close()  # type: ignore[attr-defined]
                yield Stopped(number)
                return
            if isinstance(event, Progress):
                if event.stage != stage:
                    stage, stage_begun = event.stage, time.monotonic()
                encoded = encoded or event.stage.startswith("Encoding")
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
        if session.device.kind != kind:  # it fell back, and took the shared network along
            yield DeviceFound(session.device)
            store.forget()
        for notice in segmentation.notices:
            yield Notice(notice)
        made = Made(job.model_path, model.card.name, job.source, _settings(job, session))
        yield PlaneDone(plane.index, PlaneResult(segmentation, made, edits, plane.bar_rows))


def _settings(job: Job, session: Session) -> dict[str, object]:
    """What the record tells about a run beyond the ratio."""
    request = {"smoothing_px": job.request.smoothing_px, "min_island_px": job.request.min_island_px}
    return {
        **asdict(job.options),
        **request,
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
    from phaseguide.errors import MicrographError

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
    scheme.check_labels(np.unique(edits).tolist(), source=f"Layer {plane.edits_name!r}")
    return edits.astype(np.uint8, copy=False)
