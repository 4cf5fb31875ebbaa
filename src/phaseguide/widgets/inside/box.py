"""Look inside the network with one press: a button, where the work stands, and what the block on show is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from phaseguide.errors import PhaseguideError
from phaseguide.events import Progress
from phaseguide.jobs.look_inside import InsideFound, InspectionRequest, run_look
from phaseguide.jobs.plane_index import Index
from phaseguide.jobs.session_store import SessionStore
from phaseguide.widgets.inside.layers import (
    find_inside,
    remove_inside,
    set_beside,
    show_inside,
    view_on_show,
)
from phaseguide.widgets.layers import planes
from phaseguide.widgets.layers.identity import KEY
from phaseguide.widgets.qt.dock import later, listen
from phaseguide.widgets.qt.panel import AnswerLabel, button
from phaseguide.widgets.qt.progress_bar import ProgressLine
from phaseguide.widgets.qt.tasks import TaskRunner

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

TIP = (
    "Show what every block of the encoder, and the guidance, make of the image, as colours: the first three "
    "principal components of its tokens are red, green and blue. The encoder as it was before training is shown "
    "too, in the same colours. At most 1024 px around the middle of what is on show."
)


class InsideBox(QWidget):
    """The layers are `<image> inside: ...`.

    Parameters
    ----------
    make_request : callable
        Returns what is to be looked at now; raises `PhaseguideError`.
    current_image : callable
        Returns the chosen image layer, or None.
    """

    ended = Signal()
    """All layers of a look are there, or it came to nothing."""

    def __init__(
        self,
        viewer: ViewerModel,
        make_request: Callable[[], InspectionRequest],
        current_image: Callable[[], Image | None],
        store: SessionStore,
    ) -> None:
        super().__init__()
        self._viewer, self._make_request, self._image, self._store = (
            viewer,
            make_request,
            current_image,
            store,
        )
        self._asked: tuple[Image, Any, Index] | None = None
        self._steps: Iterator[Image | None] | None = None
        self.runner = TaskRunner(self)
        self.button, self.stop_button = QPushButton("Look inside"), QPushButton("Stop")
        self.button.setToolTip(TIP)
        self.stop_button.setToolTip("Stop after the block under way; layers stay as they are.")
        self.stop_button.setEnabled(False)
        self.remove_button = button("Remove", "Take all layers of the look inside this image away at once.")
        self.progress = ProgressLine("Look inside")
        self.answer = AnswerLabel()
        self.beside = QCheckBox("Base encoder beside the image")
        self.beside.setToolTip(
            "Lay the encoder as it was before training to the right of the image, so that both are seen at once. "
            "Else its layers lie over the image, hidden at first."
        )
        row = QHBoxLayout()
        row.addWidget(self.button, 2)
        row.addWidget(self.stop_button, 1)
        row.addWidget(self.remove_button, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.beside)
        column.addWidget(self.progress)
        column.addWidget(self.answer)
        self.button.clicked.connect(self.look)
        self.stop_button.clicked.connect(self.stop)
        self.remove_button.clicked.connect(self.remove)
        self.beside.toggled.connect(self._on_beside)
        self.runner.progressed.connect(self._on_progress)
        self.runner.noticed.connect(lambda notice: self.answer.say(notice.text))
        self.runner.ended.connect(self._on_ended)
        listen(self, viewer.dims.events.current_step, self.describe)
        listen(self, viewer.layers.selection.events.active, self.describe)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            listen(self, event, self._show_state)
        self._show_state()

    @property
    def busy(self) -> bool:
        """Whether a look is under way, or layers come or go."""
        return self.runner.running or self._asked is not None or self._steps is not None

    def look(self) -> None:
        """Start looking at the plane on show, or say why not."""
        if self.busy:
            return
        try:
            request = self._make_request()
        except PhaseguideError as error:
            self.answer.say(str(error), alarm=True)
            return
        image = self._image()
        index = planes.current_index(image, self._viewer.dims.point)
        self._asked = (image, planes.full_data(image), index)
        self.answer.say("")
        self.progress.begin()
        self.runner.start(lambda control: run_look(request, self._store, control))
        self._show_state()

    def stop(self) -> None:
        """Stop after the block under way."""
        self.stop_button.setEnabled(False)
        self.runner.stop()

    def remove(self) -> None:
        """Take the layers of the chosen image away."""
        image = self._image()
        if image is not None and not self.busy:
            self.answer.say("")
            self._begin(remove_inside(self._viewer, image))

    def shut_down(self) -> None:
        """End a look under way."""
        self.progress.end()
        self._steps = None
        self.runner.abandon()

    def describe(self, event: Any = None) -> None:
        """Say which blocks are on show, and how much of the variance their colours hold."""
        self._show_state()
        image = self._image()
        layers = [] if image is None or self.busy else find_inside(self._viewer, image)
        shown = [(layer, view_on_show(layer, self._viewer)) for layer in layers if layer.visible]
        lines = [f"{_who(layer)}, {view['text']}" for layer, view in shown if view is not None]
        if lines:
            self.answer.say("\n".join(lines))

    def _on_progress(self, event: Progress) -> None:
        text = f"{event.stage}: block {event.done} of {event.total}" if event.total > 1 else event.stage
        self.progress.show_step(replace(event, stage=text))

    def _on_ended(self, found: InsideFound | None, error: BaseException | None) -> None:
        assert self._asked is not None
        image, data, index = self._asked
        there = any(layer is image for layer in self._viewer.layers)
        if error is not None:
            self.answer.say(str(error), alarm=True)
        elif found is None:
            self.answer.say("Stopped. No layer was changed.")
        elif not there or planes.full_data(image) is not data:
            self.answer.say(f"{image.name!r} was changed or removed meanwhile. Look again.", alarm=True)
        else:
            self.progress.show_step(Progress("Showing the layers", 0, 0))
            self._begin(show_inside(self._viewer, image, index, found.views, found.base_name))
            return
        self._rest()

    def _begin(self, steps: Iterator[Image | None]) -> None:
        """Do the first of some steps, and each other one in a later turn: all at once, the window would stand still."""
        self._steps = steps
        self._show_state()
        self._step()

    def _step(self) -> None:
        if self._steps is None:
            return
        asked = self._asked
        gone = asked is not None and not any(layer is asked[0] for layer in self._viewer.layers)
        try:
            layer = None if gone else next(self._steps)
        except StopIteration:
            gone = True
        if gone:
            self._finish()
            return
        if layer is not None:
            listen(self, layer.events.visible, self._on_visible)
        later(self, self._step)

    def _finish(self) -> None:
        self._steps = None
        if self._asked is not None and self.beside.isChecked():
            self._on_beside(True)
        self._rest()
        self.describe()

    def _rest(self) -> None:
        self._asked = None
        self.progress.end()
        self._show_state()
        self.ended.emit()

    def _on_beside(self, beside: bool) -> None:
        image = self._image()
        if image is None or not find_inside(self._viewer, image):
            return
        set_beside(self._viewer, image, beside)
        if beside:
            self._viewer.reset_view()  # or what was just asked for would lie outside the canvas

    def _on_visible(self, event: Any) -> None:
        """Show the counterpart of a stage that is shown, where the base lies beside the image."""
        image, mark = self._image(), event.source.metadata[KEY]
        if image is not None and self.beside.isChecked() and mark["encoder"] == "adapted":
            set_beside(self._viewer, image, True)
        self.describe()

    def _show_state(self, event: Any = None) -> None:
        image = self._image()
        self.button.setEnabled(not self.busy)
        self.stop_button.setEnabled(self.runner.running)
        there = image is not None and bool(find_inside(self._viewer, image))
        self.remove_button.setEnabled(there and not self.busy)


def _who(layer: Image) -> str:
    """Whose block a layer shows: ``adapted``, or ``base (ImageNet)``."""
    mark = layer.metadata[KEY]
    named = mark["encoder"] == "base" and mark["base"]
    return f"base ({mark['base']})" if named else str(mark["encoder"])
