"""The Point count widget: a person names random pixels, and the areas of a map become a measurement."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QApplication, QFileDialog

from phaseguide.errors import PhaseguideError
from phaseguide.estimation.point_count import PointCountEstimate
from phaseguide.estimation.point_grid import EXAMPLES, grid_errors, propose_grid
from phaseguide.estimation.point_plan import PointCountError, stratum_pixels
from phaseguide.jobs.plane_index import Index, plane_reader
from phaseguide.jobs.point_count import RunningCount, open_count, open_grid_count
from phaseguide.jobs.tables import clipboard_text, expected_table, result_table
from phaseguide.micrographs.margins import Margins
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import planes
from phaseguide.widgets.layers.hub import RatioOffer, hub_of, tell
from phaseguide.widgets.layers.identity import file_of
from phaseguide.widgets.layers.info_bars import InfoBars
from phaseguide.widgets.point_count.map import PointMap, find_map
from phaseguide.widgets.point_count.marker import PointMarker, is_marked
from phaseguide.widgets.point_count.panel import ASSUMPTION, PointCountPanel
from phaseguide.widgets.qt import save_places
from phaseguide.widgets.qt.dock import Dock, later, listen
from phaseguide.widgets.qt.shortcuts import HeldKeys

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image


class PointCountWidget(Dock):
    """Dock widget.

    ``offered`` carries the areas of a finished count as an `RatioOffer`.
    """

    offered = Signal(object)
    quiet_ms = 300

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.panel = PointCountPanel(napari_viewer)
        self.fill(self.panel)
        self.count: RunningCount | None = None
        self.estimate: PointCountEstimate | None = None
        self._keys = HeldKeys(self)
        self._marker: PointMarker | None = None
        self._image: Image | None = None
        self._index: Index = ()
        self.bars = InfoBars(self)
        self._looked: weakref.WeakSet[Image] = weakref.WeakSet()
        self._connect()
        self._look_at_image()
        self.refresh()

    @property
    def counting(self) -> bool:
        """Whether points are being shown."""
        return self._marker is not None

    # -- what the user does -----------------------------------------------------------------------

    def start(self) -> None:
        """Plan a count on the plane on show, or go on with one that was left unfinished."""
        if self.counting:
            return
        try:
            found = self._find_map()
            self.count = self._open(found)
        except PhaseguideError as error:
            self.say(str(error), alarm=True)
            return
        self.estimate, self._image, self._index = None, found.image, found.index
        self.panel.counting.set_scheme(self.count.plan.scheme)
        self.go_on()
        if self.counting and self.count.position:
            self.say(
                f"Goes on with an unfinished count: {self.count.position} of {len(self.count.plan)} points "
                "are answered. To begin a new one, pause and discard it."
            )

    def go_on(self) -> None:
        """Show the next point of the count."""
        if self.count is None or self.counting:
            return
        if self._image not in self.viewer.layers:
            self.say("The image is no longer in the viewer. Open it again and press Start.", alarm=True)
            self._forget()
            return
        if is_marked(self.viewer):
            self.say("Another count is under way in this viewer. Pause it first.", alarm=True)
            self._show_state()
            return
        self.say("")
        self._marker = PointMarker(self.viewer, self._image, self._index)
        self._marker.begin()
        self._keys.hold(self.panel.counting.key_actions())
        self._show_state()
        self.panel.counting.setFocus()
        self._show_point()

    def answer(self, value: int) -> None:
        """Take the answer to the point on show (1..K, 0 unclear) and show the next."""
        if self.counting and self.count is not None:
            self._keep(lambda count: count.answer(value))

    def back(self) -> None:
        """Take back the last answer."""
        if self.counting and self.count is not None:
            self._keep(lambda count: count.back())

    def pause(self) -> None:
        """Give viewer and keys back; the answers stay."""
        if self.counting and self.count is not None:
            self._leave()
            self.say(f"Paused. {self.count.position} of {len(self.count.plan)} points are answered and kept.")

    def evaluate(self) -> None:
        """Make areas of the answers so far."""
        if self.count is None:
            return
        try:
            self.estimate = self.count.evaluate()
        except PointCountError as error:
            self.say(str(error), alarm=True)
            return
        self._show_result(self.count.plan.scheme, self.estimate)
        self._show_state()

    def discard(self) -> None:
        """Forget a paused count."""
        if self.count is not None and not self.counting:
            self.count.discard()
            self._forget()
            self.say("The count was discarded.")

    def offer(self) -> None:
        """Hand the areas to the phase table."""
        if self.estimate is None or self._image is None:
            return
        grid = "" if self.estimate.has_map else " on a grid"
        offered = RatioOffer(
            self.estimate.shares.copy(),
            self.estimate.uncertainty,
            f"point count of {self._image.name!r} ({self.estimate.named} points{grid})",
            source="field",
        )
        self.offered.emit(offered)
        tell(hub_of(self.viewer).ratio_offered, offered)
        self.say(
            "The areas are the expected values in the phase table now, each with its interval; their source is a point "
            "count of this field."
        )

    def copy_table(self) -> None:
        """Put the table and its notes on the clipboard, tab separated."""
        if self.estimate is not None and self.count is not None:
            clipboard = QApplication.clipboard()
            assert clipboard is not None
            clipboard.setText(clipboard_text(self.count.plan.scheme, self.estimate))
            self.say("Table copied.")

    def save(self) -> None:
        """Ask for a name and write points and answers."""
        if self.count is None:
            return
        name = f"{self.count.path.stem}.json"
        start = save_places.offered(name, None if self._image is None else file_of(self._image))
        chosen, _ = QFileDialog.getSaveFileName(self, "Save the count", start, "Point count (*.json)")
        if not chosen:
            return
        save_places.note_choice(chosen, start)
        path = Path(chosen if chosen.lower().endswith(".json") else f"{chosen}.json")
        try:
            self.count.save(path)
        except PhaseguideError as error:
            self.say(str(error), alarm=True)
        else:
            self.say(f"Saved: {path}")

    # -- while it runs ----------------------------------------------------------------------------

    def _keep(self, change: Any) -> None:
        """Change the count; if it cannot be written, say so and go on, since it is still in memory."""
        try:
            change(self.count)
        except PhaseguideError as error:
            self.say(f"{error} The answers are kept as long as this window is open.", alarm=True)
        else:
            self.say("")
        self._show_point()

    def _show_point(self) -> None:
        count, marker = self.count, self._marker
        if count is None or marker is None:
            return
        if planes.data_shape(self._image)[-2:] != count.plan.shape:
            self._leave()
            self.say(
                "The data of the image were replaced meanwhile, so that the points no longer fit.", alarm=True
            )
            return
        if count.finished:
            self._leave()
            self.evaluate()
            return
        at = count.position
        self.panel.counting.show_position(at, len(count.plan))
        marker.show(int(count.plan.rows[at]), int(count.plan.columns[at]))

    def _leave(self) -> None:
        """Give viewer and keys back."""
        marker, self._marker = self._marker, None
        self._keys.release()
        if marker is not None:
            marker.end()
        self._show_state()
        self.refresh_soon()

    def _forget(self) -> None:
        self.count, self.estimate, self._image = None, None, None
        self._show_state()
        self.refresh_soon()

    def _on_removed(self, event: Any) -> None:
        image = self._image
        if self.counting and image is not None and event.value.unique_id == image.unique_id:
            later(self, self._image_is_gone)  # the viewer is still busy with removing it
        self.refresh_soon()

    def _image_is_gone(self) -> None:
        if self.counting:
            self._leave()
            self._forget()
            self.say(
                "The image was removed, so that the count ended. Its answers are kept in a file.", alarm=True
            )

    # -- what is shown ----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Say what map there is and how sharp a count on it would be."""
        if self.counting:
            return
        try:
            found = self._find_map()
            self._show_expected(found, self.panel.count_box.value())
        except PhaseguideError as error:
            self.panel.map_line.setText(str(error))
            self.panel.expected.set_rows(None, (), ())
            self.panel.assumption.setText("")
        ready = bool(self.panel.assumption.text())
        self.panel.assumption.setVisible(ready)
        self.panel.start_button.setEnabled(ready)
        self._show_state()
        later(self, self.panel.fit_width)  # new rows have no style before the next turn

    def _find_map(self) -> PointMap:
        image = self.panel.image_box.layer
        index = () if image is None else planes.current_index(image, self.viewer.dims.point)
        return find_map(self.viewer, image, Margins() if image is None else self.bars.margins(image, index))

    def _open(self, found: PointMap) -> RunningCount:
        """Go on with an unfinished count, or plan one: on the map, or on a grid where there is none."""
        name, count = found.image.name, self.panel.count_box.value()
        if found.layer is not None:
            return open_count(name, found.labels, found.scheme, count, found.note)
        pixels = plane_reader(planes.full_data(found.image), found.index, rgb=found.image.rgb)()
        return open_grid_count(name, found.labels, pixels, found.scheme, count)

    def _show_expected(self, found: PointMap, count: int) -> None:
        """Say what the points lie on, and how sharp a count will be."""
        panel = self.panel
        if found.layer is None:
            panel.map_line.setText(
                f"{found.name!r} has no map: the points lie on a plain grid. With a map there are more points on rare "
                "phases, and a smaller error."
            )
            panel.expected.set_rows(None, (), ())
            told = zip(
                EXAMPLES, grid_errors(len(propose_grid(found.labels, found.scheme, count, 0))), strict=True
            )
            errors = ", ".join(
                f"± {100 * error:.1f} for a phase of {100 * share:.0f} %" for share, error in told
            )
            panel.assumption.setText(f"Standard error to expect, in percentage points: {errors}.")
            return
        table = expected_table(stratum_pixels(found.labels, found.scheme), count)
        note = f" The map is {found.note}" if found.note else ""
        panel.map_line.setText(f"Points on {found.name!r}.{note}")
        panel.expected.set_rows(found.scheme, *table)
        panel.assumption.setText(ASSUMPTION)
        for event in (found.layer.events.data, found.layer.events.set_data):
            listen(self, event, self.refresh_soon)

    def _look_at_image(self) -> None:
        """Find bars and a rim of the chosen image in the background."""
        image = self.panel.image_box.layer
        if image is not None and image not in self._looked:
            self._looked.add(image)
            self.bars.look(image)
        self.refresh_soon()

    def _show_result(self, scheme: PhaseScheme, estimate: PointCountEstimate) -> None:
        self.panel.result.set_rows(scheme, *result_table(scheme, estimate))
        self.panel.notes.setText("\n".join(estimate.notes))
        self.panel.notes.setVisible(bool(estimate.notes))
        self.say("")
        later(self, self.panel.fit_width)

    def _show_state(self) -> None:
        count = self.count
        paused = count is not None and not self.counting and not count.finished
        chosen = self.panel.image_box.layer
        elsewhere = (
            paused
            and chosen is not None
            and (
                chosen is not self._image
                or self._index != planes.current_index(chosen, self.viewer.dims.point)
            )
        )
        self.panel.show_state(
            counting=self.counting,
            startable=not paused or elsewhere,
            paused=paused,
            done=self.estimate is not None,
        )
        if paused and count is not None:
            self.panel.continue_button.setText(f"Continue ({count.position} of {len(count.plan)})")
            self.panel.evaluate_button.setEnabled(bool((count.answers > 0).any()))

    # -- keeping up -------------------------------------------------------------------------------

    def _connect(self) -> None:
        panel = self.panel
        panel.image_box.changed.connect(self._look_at_image)
        self.bars.found.connect(self.refresh_soon)
        listen(self, hub_of(self.viewer).model_set, self.refresh_soon)
        panel.count_box.valueChanged.connect(self.refresh_soon)
        panel.start_button.clicked.connect(self.start)
        panel.continue_button.clicked.connect(self.go_on)
        panel.evaluate_button.clicked.connect(self.evaluate)
        panel.discard_button.clicked.connect(self.discard)
        panel.counting.answered.connect(self.answer)
        panel.counting.back_button.clicked.connect(self.back)
        panel.counting.pause_button.clicked.connect(self.pause)
        panel.offer_button.clicked.connect(self.offer)
        panel.copy_button.clicked.connect(self.copy_table)
        panel.save_button.clicked.connect(self.save)
        listen(self, self.viewer.dims.events.current_step, self.refresh_soon)
        listen(self, self.viewer.layers.events.inserted, self.refresh_soon)
        listen(self, self.viewer.layers.events.removed, self._on_removed)
        self._show_state()

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again; napari calls this when they change."""
        self.panel.image_box.reset_choices()

    # -- the end ----------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look at the map again."""
        super().showEvent(event)
        self.refresh_soon()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Pause: without its buttons nobody would know why the keys name points."""
        super().hideEvent(event)
        if event is not None and not event.spontaneous():
            self.pause()

    def shut_down(self) -> None:
        """Give viewer and keys back; the answers are on the disk."""
        if self.counting:
            self._leave()
