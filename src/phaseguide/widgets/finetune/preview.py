"""The field on show, handed from the window to the thread that learns. Reading pixels happens in that thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from phaseguide.jobs.plane_index import Index
from phaseguide.widgets.layers import planes
from phaseguide.widgets.layers.maps import Window, is_there, visible_window

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.finetuning.events import PreviewField

REMEMBERED = 16


@dataclass(frozen=True)
class Spot:
    """A window of a plane of an image layer; the layer itself is only for the GUI thread."""

    image: Image
    data: Any
    rgb: bool
    index: Index
    window: Window

    @property
    def key(self) -> Hashable:
        """Changes with the pixels."""
        rows, columns = self.window
        return (id(self.data), self.index, rows.start, rows.stop, columns.start, columns.stop)


class FieldOnShow:
    """What the user looks at; `point_at` belongs to the GUI thread, `ask` to the worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spot: Spot | None = None
        self._known: OrderedDict[Hashable, Spot] = OrderedDict()
        self._limits: tuple[Hashable, tuple[float, float]] | None = None
        self.channels = 1

    def point_at(self, viewer: ViewerModel, image: Image | None) -> Spot | None:
        """Look at an image, where the viewer shows it; None looks away."""
        spot = None
        if image is not None and is_there(viewer, image):
            index = planes.current_index(image, viewer.dims.point)
            spot = Spot(image, planes.full_data(image), image.rgb, index, visible_window(image))
        with self._lock:
            self._spot = spot
            if spot is not None:
                self._known[spot.key] = spot
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        return spot

    def spot(self, key: Hashable) -> Spot | None:
        """The spot that a preview belongs to."""
        with self._lock:
            return self._known.get(key)

    def ask(self) -> PreviewField | None:
        """Read the pixels on show, with as many channels as the model has."""
        with self._lock:
            spot = self._spot
        return None if spot is None else self.read(spot)

    def read(self, spot: Spot) -> PreviewField:
        """Read the pixels of a spot."""
        from phaseguide.finetuning.events import PreviewField
        from phaseguide.micrographs.margins import find_margins
        from phaseguide.models.metal import find_metal
        from phaseguide.segmentation.network.channels import fit_channels

        plane = spot.data[spot.index] if spot.index else spot.data
        place = (id(spot.data), spot.index, self.channels)
        if self._limits is None or self._limits[0] != place:
            step = [max(1, n // 1024) for n in plane.shape[:2]]
            sample = _opaque(np.asarray(plane[:: step[0], :: step[1]]), spot.rgb)
            excluded = find_margins(sample).exclude(None, sample.shape[:2])
            metal = find_metal(fit_channels(sample, self.channels, "The image on show"), excluded)
            self._limits = (place, metal.limits)
        pixels = _opaque(np.asarray(plane[spot.window]), spot.rgb)
        fitted = fit_channels(pixels, self.channels, "The image on show")
        return PreviewField(fitted, self._limits[1], spot.key)


def _opaque(pixels: Any, rgb: bool) -> Any:
    pixels = pixels[..., :3] if rgb else pixels
    return pixels.astype(np.uint8) if pixels.dtype == bool else pixels
