"""Follows the chosen image and the edits on it: what is known of an image, and when its result is another."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.canvas import canvas_of
from phaseguide.widgets.layers.identity import mark_of
from phaseguide.widgets.qt.dock import listen

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from phaseguide.widgets.layers.info_bars import InfoBars
    from phaseguide.widgets.segment.live_mode import LiveMode
    from phaseguide.widgets.segment.panel import SegmentPanel
    from phaseguide.widgets.segment.results import Results
    from phaseguide.widgets.segment.state import SegmentState


class ImageFollower(QObject):
    """Shows what is known of the chosen image, and hears of changes.

    Parameters
    ----------
    panel : SegmentPanel
    viewer : napari.viewer.Viewer
    state : SegmentState
    bars : InfoBars
    results : Results
    live : LiveMode
    """

    changed = Signal()
    """Another image is chosen, or other data are in it."""
    edited = Signal()
    """The edits on an image are others."""
    said = Signal(str)
    """What was done for an image."""

    def __init__(
        self,
        panel: SegmentPanel,
        viewer: ViewerModel,
        state: SegmentState,
        bars: InfoBars,
        results: Results,
        live: LiveMode,
    ) -> None:
        super().__init__(panel)
        self._panel, self._viewer, self._state = panel, viewer, state
        self._bars, self._results, self._live = bars, results, live
        self._watched: weakref.WeakSet[Image] = weakref.WeakSet()
        canvas = canvas_of(viewer)
        canvas.hold(panel)
        canvas.show(state.image)
        state.events.image.connect(canvas.show)
        state.events.image.connect(self.look)
        panel.bar_check.toggled.connect(self._on_wanted)
        bars.found.connect(self._on_bar)

    def look(self) -> None:
        """Look at the chosen image, or at none."""
        image = self._state.image
        self._live.leave()
        self._panel.offer_planes(0 if image is None else planes.plane_count(image))
        self._panel.offer_margins(*self._bars.proposal(image))
        if image is None:
            self._panel.image_info.setText("Open a micrograph, or a sample from File > Open Sample.")
        else:
            self._panel.image_info.setText(roles.describe_image(image))
            if image not in self._watched:
                self._watched.add(image)
                listen(self, image.events.data, self._on_data)
                listen(self, image.events.scale, self._on_scale)
                self._bars.look(image)
            edits = roles.find_layer(self._viewer, image, "edits")
            if edits is not None:
                self.watch_edits(edits)
            self._choose_model(image)
        self.changed.emit()

    def shut_down(self) -> None:
        """Show again what was hidden for the chosen image."""
        canvas_of(self._viewer).let_go(self._panel)

    def watch_edits(self, edits: Labels) -> None:
        """Hear of strokes on an edits layer."""
        for event in (edits.events.paint, edits.events.data, edits.events.set_data):
            listen(self, event, self._on_edits)

    def _choose_model(self, image: Image) -> None:
        """Where the chosen model knows none of the phases that a sample is of, choose one that knows them all."""
        phases, box = tuple(mark_of(image).get("phases", ())), self._panel.model_box
        known = () if self._state.scheme is None else self._state.scheme.names
        if phases and not set(phases) & set(known) and box.choose_one_for(phases):
            self.said.emit(
                f"Model {box.combo.currentText()} was chosen for {image.name}: it knows the phases of this sample."
            )

    def _on_edits(self, event: Any = None) -> None:
        self._live.edits_changed()
        self.edited.emit()

    def _on_scale(self, event: Any = None) -> None:
        if self._state.image is not None:
            self._panel.image_info.setText(roles.describe_image(self._state.image))

    def _on_data(self, event: Any) -> None:
        """Look at an image again whose data were replaced; the results on it belong to the old ones."""
        image = event.source
        self._results.forget(image)
        self._live.forget(image)
        self._bars.forget(image)
        self._bars.look(image)
        if self._is_chosen(image.unique_id):
            self.look()

    def _on_wanted(self, wanted: bool) -> None:
        self._bars.want(self._state.image, wanted)

    def _on_bar(self, key: Any) -> None:
        if self._is_chosen(key):
            self._panel.offer_margins(*self._bars.proposal(self._state.image))

    def _is_chosen(self, key: Any) -> bool:
        return self._state.image is not None and self._state.image.unique_id == key
