"""One look inside a network as a generator of small events, for the dock's worker and the command line. Free of Qt."""

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
    from phaseguide.micrographs.margins import Margins
    from phaseguide.models.model_file import LoadedModel
    from phaseguide.models.segmenter import GuidedSegmenter
    from phaseguide.ratios import Ratio
    from phaseguide.segmentation.inside.views import InsideView

NO_BASE = "none"
"""Asked for as base: none."""


@dataclass(frozen=True)
class InspectionRequest:
    """What one press or one command asks for.

    Attributes
    ----------
    model_path : Path
    read : callable
        Reads the plane; called in the worker.
    name : str
        Of the plane, for messages.
    ratio : ndarray, shape (K,), or None
        Only of a guided model.
    centre : tuple of float, or None
        Row and column in the middle of the part that is looked at; None: the middle of the image.
    device : str
    invert : bool
    margins : Margins, or None
        Of the plane, where its file has told them; None: they are looked for in its pixels.
    base : str, or None
        Name or path of the model whose encoder to compare with, or `NO_BASE`; None: what the training began with.
    window : int, or None
        Largest side of that part, px; None: as of `phaseguide.segmentation.inside.views.look_inside`.
    """

    model_path: Path
    read: Callable[[], NDArray[Any]]
    name: str
    ratio: Ratio | None
    centre: tuple[float, float] | None
    device: str = "auto"
    invert: bool = False
    margins: Margins | None = None
    base: str | None = None
    window: int | None = None


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
    from phaseguide.segmentation.inside.views import WINDOW, look_inside

    with store.lock:
        model = store.model(request.model_path, request.device)
        if control.stopping:
            return
        base = _base_of(model, request.base)
        pixels = request.read()
        margins = find_margins(pixels) if request.margins is None else request.margins
        events = look_inside(
            model,
            pixels,
            ratio=request.ratio,
            base=None if base is None else base[1],
            device=request.device,
            window=WINDOW if request.window is None else request.window,
            centre=request.centre,
            invert=request.invert,
            name=request.name,
            labels=margins.exclude(None, pixels.shape[:2]),
        )
        with closing(events):  # type: ignore[type-var]
            for event in events:
                if control.stopping:
                    return
                if isinstance(event, Finished):
                    yield Finished(InsideFound(event.result, "" if base is None else base[0]))
                else:
                    yield event


def _base_of(model: LoadedModel, asked: str | None) -> tuple[str, GuidedSegmenter] | None:
    """The encoder to compare with, and its name."""
    from phaseguide.models.zoo import open_model
    from phaseguide.segmentation.inside.base_encoder import find_base

    if asked is None:
        return find_base(model)
    if asked == NO_BASE:
        return None
    other = open_model(asked)
    return other.card.name, other.segmenter
