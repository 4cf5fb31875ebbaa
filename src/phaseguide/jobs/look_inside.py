"""One look inside a network as a generator of small events. Free of Qt and of layers; it runs in a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from phaseguide.control import Control
from phaseguide.events import Finished, Notice, Progress

if TYPE_CHECKING:
    from phaseguide.jobs.session_store import SessionStore
    from phaseguide.ratios import Ratio
    from phaseguide.segmentation.inside.views import InsideView


@dataclass(frozen=True)
class InspectionRequest:
    """What one press asks for.

    Attributes
    ----------
    model_path : Path
    read : callable
        Reads the plane; called in the worker.
    name : str
        Of the plane, for messages.
    ratio : ndarray, shape (K,), or None
    centre : tuple of float
        Row and column in the middle of what is on show.
    device : str
    invert : bool
    """

    model_path: Path
    read: Callable[[], NDArray[Any]]
    name: str
    ratio: Ratio | None
    centre: tuple[float, float]
    device: str = "auto"
    invert: bool = False


@dataclass(frozen=True)
class InsideFound:
    """The pictures, and the name of the base where it has one."""

    views: list[InsideView]
    base_name: str


def run_look(
    request: InspectionRequest, store: SessionStore, control: Control
) -> Iterator[Progress | Notice | Finished[InsideFound]]:
    """Look inside; ends without a result when ``control`` says stop, between two blocks.

    Parameters
    ----------
    request : InspectionRequest
    store : SessionStore
        Lends its model, which nobody else can use meanwhile.
    control : Control

    Raises
    ------
    PhaseguideError
        Its message is for the user.
    """
    from phaseguide.jobs.warm_up import import_torch

    yield Progress("Loading the model", 0, 0)
    import_torch()
    from phaseguide.micrographs.margins import find_margins
    from phaseguide.segmentation.inside.base_encoder import find_base
    from phaseguide.segmentation.inside.views import look_inside

    with store.lock:
        model = store.model(request.model_path, request.device)
        if control.stopping:
            return
        base = find_base(model)
        guided = model.card.guidance.kind != "none"
        pixels = request.read()
        events = look_inside(
            model,
            pixels,
            ratio=request.ratio if guided else None,
            base=None if base is None else base[1],
            device=request.device,
            centre=request.centre,
            invert=request.invert,
            name=request.name,
            labels=find_margins(pixels).exclude(None, pixels.shape[:2]),
        )
        with closing(events):  # type: ignore[type-var]
            for event in events:
                if control.stopping:
                    return
                if isinstance(event, Finished):
                    yield Finished(InsideFound(event.result, "" if base is None else base[0]))
                else:
                    yield event
