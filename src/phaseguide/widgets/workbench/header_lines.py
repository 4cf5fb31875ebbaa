"""Writes into the state of the workbench what is worked on, as it is told by the parts that know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from phaseguide.widgets.qt.dock import listen
from phaseguide.widgets.qt.plain_text import one_line

if TYPE_CHECKING:
    from napari.layers import Image

    from phaseguide.segmentation.network.device import Device
    from phaseguide.widgets.project.open_project import OpenProject
    from phaseguide.widgets.segment.state import ModelChoice, SegmentState
    from phaseguide.widgets.workbench.state import WorkbenchState

SHORT = {"cpu": "CPU", "mps": "Apple GPU"}


class HeaderLines(QObject):
    """Hears of the chosen image, field, model and device.

    Parameters
    ----------
    owner : QObject
    state : WorkbenchState
    segment : SegmentState
    opened : OpenProject
        The project of the viewer, if any.
    """

    def __init__(
        self, owner: QObject, state: WorkbenchState, segment: SegmentState, opened: OpenProject
    ) -> None:
        super().__init__(owner)
        self._state, self._segment, self._opened = state, segment, opened
        segment.events.image.connect(self._on_image)
        segment.events.model.connect(self._on_model)
        segment.events.device.connect(self._on_device)
        self._on_image(segment.image)
        self._on_model(segment.model)
        self._on_device(segment.device)

    def look_at_project(self) -> None:
        """Name the field of the project that the chosen image is; none for another image."""
        project, image = self._opened.project, self._segment.image
        entry = None if project is None or image is None else self._opened.field_of(image)
        if project is None or entry is None:
            self._state.field = ""
            return
        order = [one.id for one in project.fields]
        self._state.field = f"Field {order.index(entry.id) + 1} of {len(order)}"

    def _on_image(self, image: Image | None) -> None:
        if image is not None:
            listen(self, image.events.name, self._on_name)
        self._on_name()

    def _on_name(self, event: Any = None) -> None:
        image = self._segment.image
        self._state.image = "" if image is None else one_line(image.name)
        self.look_at_project()

    def _on_model(self, model: ModelChoice | None) -> None:
        self._state.model = "no model" if model is None else one_line(model.card.name)

    def _on_device(self, device: Device | None) -> None:
        self._state.device = "" if device is None else SHORT.get(device.kind, one_line(device.name))
