"""Live mode: the mask follows the numbers, and what it shows is on trial until it is accepted."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from phaseguide.errors import PhaseguideError
from phaseguide.jobs.history import Run
from phaseguide.jobs.inputs import FIELD, Inputs
from phaseguide.jobs.live import (
    LiveEdits,
    LivePreview,
    LiveRequest,
    LiveResult,
    Sensitivity,
    live_stages,
    measure_stages,
)
from phaseguide.jobs.results import PlaneResult
from phaseguide.jobs.segment import Plane, provenance
from phaseguide.segmentation.request import Segmentation
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.review_lock import check_not_frozen
from phaseguide.widgets.qt.latest_worker import LatestWorker
from phaseguide.widgets.qt.tasks import Failed
from phaseguide.widgets.segment.plan import make_plane, make_request, source_of

if TYPE_CHECKING:
    from phaseguide.segmentation.session import Session
    from phaseguide.widgets.segment.dock import SegmentWidget

ON_TRIAL = "Not kept yet: Accept keeps it, Cancel goes back."
PRESS_SEGMENT = "Values changed. Press Segment to apply them."


ONE_FRAME_S = 0.05
"""An answer that takes less is awaited: the window is then drawn once, with box and mask, and not twice."""


LONGEST_ANSWER_S = 5.0
"""The window waits no longer for an answer that is to be saved."""

MOVING_S = 0.1
"""Changes that follow so closely are not awaited one by one: the window would stand still in between."""


class LiveMode(QObject):
    """Turns changed values into wishes, and answers into what is on show.

    A *series* begins on an image with the first change and ends with Accept, Cancel, Back or Segment.
    Until then its results are provisional: shown, but not among the results that are kept.

    Parameters
    ----------
    widget : SegmentWidget
    """

    def __init__(self, widget: SegmentWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self.worker = LatestWorker(self)
        self.worker.arrived.connect(self._on_arrived)
        self._before: dict[Any, Inputs] = {}  # by image: what was set when its series began
        self._settled = Inputs()  # what was set before the change that is being told
        self._awaited: LiveRequest | None = None  # the newest wish, while nothing of it is on show
        self._accept_next = False
        self._impossible = False  # what is set cannot be meant; that stays on the status line
        self._hand = LiveEdits()
        self._work_s = self._last = 0.0  # seconds of work for the last answer; time of the last change
        self._plane: Plane | None = None  # of the last wish, with its copy of the edits, while those stand

    # -- the user changes something ---------------------------------------------------------------

    @property
    def in_series(self) -> bool:
        """Whether the chosen image has a series that was neither accepted nor cancelled."""
        image = self._widget.image
        return image is not None and image.unique_id in self._before

    @property
    def can_accept(self) -> bool:
        """Whether there is, or soon will be, something on show that was not kept."""
        image = self._widget.image
        # With values that cannot be meant, what is on show is the answer to others.
        if not self.in_series or self._impossible:
            return False
        return self._awaited is not None or self._widget.results.is_provisional(image)

    def changed(self) -> None:
        """Answer changed values."""
        widget = self._widget
        if widget.runner.running:
            return
        history, session = widget.history(), widget.current_session()
        if history is None or history.shown is None:
            self.settle()
            return
        if session is None or not self._wanted():
            if not self.in_series:
                self.settle()
            widget.say(PRESS_SEGMENT)
            return
        image = widget.image
        if not self.in_series:
            self._before[image.unique_id] = self._settled
            self._hand, self._plane = LiveEdits(), None
        try:
            wish = self._wish(session)
        except PhaseguideError as error:
            self._impossible = True
            widget.say(str(error), alarm=True)
        else:
            self._awaited, self._accept_next, self._impossible = wish, False, False
            hand, store = self._hand, widget.store
            self.worker.submit(lambda: live_stages(wish, hand, store))
            if self._work_s < ONE_FRAME_S and time.monotonic() - self._last > MOVING_S:
                self.worker.wait(ONE_FRAME_S)
            self._last = time.monotonic()
        widget.show_state()

    def settle(self) -> None:
        """Take what is set now as what the next series goes back to."""
        self._settled = self._widget.panel.inputs()

    def leave(self) -> None:
        """Go on with another image or model."""
        self.pause()
        self.settle()

    def pause(self) -> None:
        """Drop what is under way."""
        self.worker.drop()
        self._awaited, self._accept_next, self._impossible = None, False, False
        self._plane = None

    def edits_changed(self, event: Any = None) -> None:
        """Look at the edits again with the next wish."""
        self._plane = None

    def measure(self, segmentation: Segmentation) -> None:
        """Find the sensitivity of the areas on show, unless an answer is under way that brings its own."""
        if self.worker.idle:
            self.worker.submit(lambda: measure_stages(segmentation))

    # -- the user decides -------------------------------------------------------------------------

    def accept(self) -> bool:
        """Keep what is on show; what was just typed is awaited first. False if there was nothing to keep."""
        widget = self._widget
        if not self.can_accept:
            return False
        if self._awaited is not None:
            self._accept_next = True
            return True
        self.worker.drop()
        kept = widget.results.accept(widget.image)
        self._end_series()
        if kept:
            widget.say(f"Kept as result {widget.history().position + 1}.")
        widget.refresh()
        return kept

    def accept_now(self) -> None:
        """Keep what is on show before it leaves the widget; what was just typed comes first."""
        while self._awaited is not None and self.worker.wait(LONGEST_ANSWER_S):
            pass
        self.accept()

    def cancel(self) -> None:
        """Go back to the result, the values and the layer before the series."""
        widget = self._widget
        if not self.in_series:
            return
        self.worker.drop()
        widget.panel.write(self._before[widget.image.unique_id])
        widget.results.discard(widget.image)
        self._end_series()
        widget.say("Back at the result and the values before your changes; nothing of them was kept.")
        widget.refresh()

    def step(self, by: int) -> None:
        """Show the result before (-1) or after (1), with its values; what is on trial is kept first."""
        widget = self._widget
        if widget.image is None:
            return
        try:
            check_not_frozen(widget.image)
        except PhaseguideError as error:
            widget.say(str(error), alarm=True)
            return
        self.worker.drop()
        widget.results.accept(widget.image)
        run = widget.results.step(widget.image, by)
        if run is None:
            return
        widget.panel.write(run.inputs)
        self._end_series()
        history = widget.history()
        widget.say(f"Result {history.position + 1} of {len(history.runs)}, with its values.")
        widget.refresh()

    def run_done(self, done: dict[Any, Run]) -> None:
        """Segment has made new results; what was changed meanwhile gets its answer now."""
        for image, run in done.items():
            self._before.pop(image.unique_id, None)
            self._settled = run.inputs
        self._awaited = None
        if done and self._widget.panel.inputs() != self._settled:
            self.changed()

    def forget(self, image: Any) -> None:
        """End the series of an image whose results are gone."""
        if self._before.pop(image.unique_id, None) is not None:
            self.worker.drop()
            self._awaited, self._hand = None, LiveEdits()

    def _end_series(self) -> None:
        self._before.pop(self._widget.image.unique_id, None)
        self._awaited, self._accept_next, self._impossible = None, False, False
        self._hand = LiveEdits()
        self.settle()

    # -- wishes and answers -----------------------------------------------------------------------

    def _wanted(self) -> bool:
        panel = self._widget.panel
        return bool(panel.live_check.isChecked()) and panel.scope == FIELD

    def _wish(self, session: Session) -> LiveRequest:
        widget = self._widget
        image, index = widget.image, widget.current_plane()
        request = replace(
            make_request(widget.panel, session.scheme),
            regions=widget.panel.regions_of(image, index, session.scheme),
            prompts=widget.panel.prompts_of(image, index, session.scheme),
        )
        if self._plane is None or (self._plane.image, self._plane.index) != (image.unique_id, index):
            self._plane = make_plane(widget.viewer, image, index, widget.bars)
        options = widget.panel.advanced.value().options()
        return LiveRequest(
            session,
            self._plane,
            request,
            provenance(self._plane, session, request, options, source_of(widget.panel, request)),
            widget.panel.inputs(),
            roles.view_of(widget.viewer, image, larger_than=session.tile),
        )

    def _on_arrived(self, events: list[Any]) -> None:
        newest = max((n for n, event in enumerate(events) if isinstance(event, LiveResult)), default=-1)
        for number, event in enumerate(events):
            if isinstance(event, LiveResult) and number == newest:
                self._show(event)
            elif isinstance(event, LivePreview) and number > newest:
                image = self._widget.image
                self._widget.results.preview(image, event.wish.plane.index, event.labels, event.window)
            elif isinstance(event, Sensitivity):
                self._show_sensitivity(event)
            elif isinstance(event, Failed):
                self._awaited, self._accept_next = None, False
                self._widget.say(str(event.error), alarm=True)

    def _show(self, answer: LiveResult) -> None:
        widget, wish, done = self._widget, answer.wish, answer.segmentation
        result = PlaneResult(done, wish.made, answer.edits)
        widget.results.propose(widget.image, wish.plane.index, result, wish.inputs)
        if self._plane is None:  # painted meanwhile; the strokes lie on top
            widget.refresh()
        elif wish.plane.index == widget.current_plane():
            widget.panel.table.show_result(done)
        if self._awaited is wish:
            self._awaited, self._work_s = None, answer.work_s
            if not self._impossible:
                widget.say(" ".join([ON_TRIAL, *done.notices]))
            widget.tools.answered(done)
            widget.show_state()
            if self._accept_next:
                self.accept()

    def _show_sensitivity(self, measured: Sensitivity) -> None:
        table = self._widget.panel.table
        if table.result is measured.segmentation:
            table.show_sensitivity(measured.achieved, measured.own)
        elif table.result is not None and self._awaited is None:
            result = table.result
            self.worker.submit(lambda: measure_stages(result))
