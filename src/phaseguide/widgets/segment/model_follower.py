"""Lets the Segment widget use the models that other docks tell of, and tells which one it is set to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from phaseguide.widgets.layers.hub import hub_of
from phaseguide.widgets.qt.dock import listen

if TYPE_CHECKING:
    from phaseguide.widgets.segment.dock import SegmentWidget


class ModelFollower(QObject):
    """Lets a Segment widget use each model that is told of, and segment again what it has segmented.

    Parameters
    ----------
    widget : SegmentWidget
    """

    def __init__(self, widget: SegmentWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        listen(self, hub_of(widget.viewer).model_chosen, self.take)
        widget.panel.model_box.changed.connect(self._note)
        self._note()

    def _note(self) -> None:
        path = self._widget.panel.model_box.path
        if path is not None:
            hub_of(self._widget.viewer).model = path

    def take(self, path: Path) -> None:
        """Choose the model; an image that has a result gets a new one."""
        widget = self._widget
        segmented = widget.image is not None and widget.standing(widget.current_plane()) is not None
        widget.panel.model_box.open_file(path)
        if segmented:
            widget.segment()
