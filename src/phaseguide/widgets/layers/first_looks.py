"""First looks at images: on show until their results are there, and gone where these never come."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from phaseguide.jobs.plane_index import Index
from phaseguide.jobs.results import Labels
from phaseguide.jobs.segment import PlaneSeen
from phaseguide.widgets.layers import planes, roles

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.phases import PhaseScheme

NO_RESULT_YET: dict[str, Any] = {"note": "first look, no result yet", "planes": {}}
"""Mark of a layer that shows nothing else."""


class FirstLooks:
    """Writes first looks into phases layers, and takes them out again.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    kept : callable
        Returns the label map on show of a plane, or None.
    """

    def __init__(self, viewer: ViewerModel, kept: Callable[[Image, Index], Labels | None]) -> None:
        self._viewer, self._kept = viewer, kept
        self._shown: dict[tuple[Any, Index], Image] = {}
        self._made: set[Any] = set()  # images that had no phases layer

    def show(self, image: Image, event: PlaneSeen, scheme: PhaseScheme) -> None:
        """Show one; what lies in the layer is written over for now."""
        layer = roles.find_layer(self._viewer, image, "phases")
        self._shown[image.unique_id, event.index] = image
        if layer is not None and layer.data.shape == planes.data_shape(image):
            roles.write_plane(layer, event.index, event.labels)
            return
        if layer is None:
            self._made.add(image.unique_id)
        with roles.keeping_active(self._viewer):
            roles.show_result(self._viewer, image, scheme, {event.index: event.labels}, NO_RESULT_YET)

    def shows(self, image: Image, index: Index) -> bool:
        """Whether a plane shows a first look now."""
        return (image.unique_id, index) in self._shown

    def done(self, image: Image, index: Index) -> None:
        """Forget a look: its plane has a result."""
        self._shown.pop((image.unique_id, index), None)
        self._made.discard(image.unique_id)

    def undo(self) -> None:
        """Put back what was on show before the looks that got no result."""
        for (key, index), image in self._shown.items():
            layer = roles.find_layer(self._viewer, image, "phases")
            if layer is None:
                continue
            if key in self._made:
                self._viewer.layers.remove(layer)
                continue
            labels = self._kept(image, index)
            roles.write_plane(layer, index, 0 if labels is None else labels)
        self._shown, self._made = {}, set()
