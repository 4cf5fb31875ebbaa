"""Live mode: the mask follows the numbers, and what it shows is on trial until it is accepted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from phaseguide.errors import PhaseguideError
from phaseguide.jobs.history import Run
from phaseguide.jobs.inputs import Inputs
from phaseguide.jobs.live import LiveEdits, LivePreview, LiveResult, Sensitivity, live_stages, measure_stages
from phaseguide.jobs.results import PlaneResult
from phaseguide.jobs.segment import Plane
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.widgets.layers.review_lock import check_not_frozen
from phaseguide.widgets.qt.latest_worker import LatestWorker
from phaseguide.widgets.qt.tasks import Failed

if TYPE_CHECKING:
    from napari.layers import Image

    from phaseguide.jobs.session_store import SessionStore
    from phaseguide.segmentation.session import Session
    from phaseguide.widgets.segment.plan import Planner
    from phaseguide.widgets.segment.results import Results
    from phaseguide.widgets.segment.state import Say, SegmentState

ON_TRIAL = "Not kept yet: Accept keeps it, Cancel goes back."
PRESS_SEGMENT = "Values changed. Press Segment to apply them."


ONE_FRAME_S = 0.05
"""An answer that takes less is awaited: the window is then drawn once, with box and mask, and not twice."""


LONGEST_ANSWER_S = 5.0
"""The window waits no longer for an answer that is to be saved."""

MOVING_S = 0.1
"""Changes that follow so closely are not awaited one by one: the window would stand still in between."""


class LiveMode(QObject):
    """Turns changed values into requests, and answers into what is on show.

    A *series* begins on an image with the first change and ends with Accept, Cancel, Back or Segment.
    Until then its results are provisional: shown, but not among the results that are kept.

    Parameters
    ----------
    owner : QObject
    state : SegmentState
    results : Results
    planner : Planner
    store : SessionStore
    say : callable
        Takes a sentence.
    refresh : callable
        Brings what is on show up to date with result, plane and edits.
    """

    measured = Signal(object)
    """A `Sensitivity` of the result on show."""

    def __init__(
        self,
        owner: QObject,
        state: SegmentState,
        results: Results,
        planner: Planner,
        store: SessionStore,
        say: Say,
        refresh: Callable[[], None],
    ) -> None:
        super().__init__(owner)
        self._state, self._results, self._planner, self._store = state, results, planner, store
        self._say, self._refresh = say, refresh
        self.worker = LatestWorker(self)
        self.worker.arrived.connect(self._on_arrived)
        self._before: dict[Any, Inputs] = {}  # by image: what was set when its series began
        self._settled = state.inputs  # what was set before the change that is being told
        self._awaited: Request | None = None  # the newest one, while nothing of it is on show
        self._accept_next = False
        self._impossible = False  # what is set cannot be meant; that stays on the status line
        self._live_edits = LiveEdits()
        self._work_s = self._last = 0.0  # seconds of work for the last answer; time of the last change
        self._plane: Plane | None = None  # of the last request, with its copy of the edits, while those stand

    # -- the user changes something ---------------------------------------------------------------

    @property
    def in_series(self) -> bool:
        """Whether the chosen image has a series that was neither accepted nor cancelled."""
        image = self._state.image
        return image is not None and image.unique_id in self._before

    @property
    def can_accept(self) -> bool:
        """Whether there is, or soon will be, something on show that was not kept."""
        # With values that cannot be meant, what is on show is the answer to others.
        if not self.in_series or self._impossible:
            return False
        return self._awaited is not None or self._results.is_provisional(self._state.image)

    def show_phase(self) -> None:
        """Tell the state whether values are changed, and whether something is on trial."""
        if self._state.phase != "running":
            changed = self.in_series
            self._state.phase = (
                "on trial" if changed and self.can_accept else "changed" if changed else "idle"
            )

    def changed(self) -> None:
        """Answer changed values."""
        image = self._state.image
        if self._state.phase == "running":
            return
        if image is None or self._results.shown(image) is None:
            self.baseline()
            return
        session = self._planner.session()
        if session is None or not self._planner.is_live():
            if not self.in_series:
                self.baseline()
            self._say(PRESS_SEGMENT)
            return
        if image.unique_id not in self._before:
            self._before[image.unique_id] = self._settled
            self._live_edits, self._plane = LiveEdits(), None
        try:
            self._ask(image, session)
        except PhaseguideError as error:
            self._impossible = True
            self._say(str(error), alarm=True)
            self.show_phase()

    def _ask(self, image: Image, session: Session) -> None:
        index = self._state.plane
        if self._plane is None or (self._plane.image, self._plane.index) != (image.unique_id, index):
            self._plane = self._planner.plane(image, index)
        request, live_request = self._planner.live(session, self._plane)
        self._awaited, self._accept_next, self._impossible = request, False, False
        live_edits, store = self._live_edits, self._store
        self.worker.submit(lambda: live_stages(live_request(), live_edits, store))
        self.show_phase()
        if self._work_s < ONE_FRAME_S and time.monotonic() - self._last > MOVING_S:
            self.worker.wait(ONE_FRAME_S)
        self._last = time.monotonic()

    def baseline(self) -> None:
        """Take what is set now as what the next series goes back to."""
        self._settled = self._state.inputs

    def leave(self) -> None:
        """Go on with another image or model."""
        self.pause()
        self.baseline()

    def pause(self) -> None:
        """Drop what is under way."""
        self.worker.drop()
        self._await_nothing()
        self._plane = None
        self.show_phase()

    def edits_changed(self, event: Any = None) -> None:
        """Look at the edits again with the next request."""
        self._plane = None

    def measure(self, segmentation: Segmentation) -> None:
        """Find the sensitivity of the areas on show, unless an answer is under way that brings its own."""
        if self.worker.idle:
            self.worker.submit(lambda: measure_stages(segmentation))

    # -- the user decides -------------------------------------------------------------------------

    def accept(self) -> bool:
        """Keep what is on show; what was just typed is awaited first. False if there was nothing to keep."""
        image = self._state.image
        if image is None or not self.can_accept:
            return False
        if self._awaited is not None:
            self._accept_next = True
            return True
        self.worker.drop()
        kept = self._results.accept(image)
        self._end_series(image)
        if kept:
            self._say(f"Kept as result {self._results.history(image).position + 1}.")
        self._refresh()
        return kept

    def accept_now(self) -> None:
        """Keep what is on show before it leaves the dock; what was just typed comes first."""
        while self._awaited is not None and self.worker.wait(LONGEST_ANSWER_S):
            pass
        self.accept()

    def cancel(self) -> None:
        """Go back to the result, the values and the layer before the series."""
        image = self._state.image
        if image is None or not self.in_series:
            return
        self.worker.drop()
        self._state.inputs = self._before[image.unique_id]
        self._results.discard(image)
        self._end_series(image)
        self._say("Back at the result and the values before your changes; nothing of them was kept.")
        self._refresh()

    def step(self, by: int) -> None:
        """Show the result before (-1) or after (1), with its values; what is on trial is kept first."""
        image = self._state.image
        if image is None:
            return
        try:
            check_not_frozen(image)
        except PhaseguideError as error:
            self._say(str(error), alarm=True)
            return
        self.worker.drop()
        self._results.accept(image)
        run = self._results.step(image, by)
        if run is None:
            return
        self._state.inputs = run.inputs
        self._end_series(image)
        history = self._results.history(image)
        self._say(f"Result {history.position + 1} of {len(history.runs)}, with its values.")
        self._refresh()

    def run_done(self, done: dict[Image, Run]) -> None:
        """Segment has made new results; what was changed meanwhile gets its answer now."""
        for image, run in done.items():
            self._before.pop(image.unique_id, None)
            self._settled = run.inputs
        self._awaited = None
        if done and self._state.inputs != self._settled:
            self.changed()
        self.show_phase()

    def forget(self, image: Image) -> None:
        """End the series of an image whose results are gone."""
        if self._before.pop(image.unique_id, None) is not None:
            self.worker.drop()
            self._awaited, self._live_edits = None, LiveEdits()
            self.show_phase()

    def _end_series(self, image: Image) -> None:
        self._before.pop(image.unique_id, None)
        self._await_nothing()
        self._live_edits = LiveEdits()
        self.baseline()
        self.show_phase()

    def _await_nothing(self) -> None:
        self._awaited, self._accept_next, self._impossible = None, False, False

    # -- answers ----------------------------------------------------------------------------------

    def _on_arrived(self, events: list[Any]) -> None:
        newest = max((n for n, event in enumerate(events) if isinstance(event, LiveResult)), default=-1)
        for number, event in enumerate(events):
            if isinstance(event, LiveResult) and number == newest:
                self._show(event)
            elif isinstance(event, LivePreview) and number > newest:
                self._results.preview(
                    self._state.image, event.live_request.plane.index, event.labels, event.window
                )
            elif isinstance(event, Sensitivity):
                self._take_sensitivity(event)
            elif isinstance(event, Failed):
                self._awaited, self._accept_next = None, False
                self._say(str(event.error), alarm=True)
                self.show_phase()

    def _show(self, answer: LiveResult) -> None:
        state, asked, done = self._state, answer.live_request, answer.segmentation
        result = PlaneResult(done, asked.made, answer.edits)
        self._results.propose(state.image, asked.plane.index, result, asked.inputs)
        if self._plane is None:  # painted meanwhile; the strokes lie on top
            self._refresh()
        elif asked.plane.index == state.plane:
            state.shown = done
        if self._awaited is asked.request:
            self._awaited, self._work_s = None, answer.work_s
            if not self._impossible:
                self._say(ON_TRIAL)
            self.show_phase()
            if self._accept_next:
                self.accept()

    def _take_sensitivity(self, measured: Sensitivity) -> None:
        shown = self._state.shown
        if shown is measured.segmentation:
            self.measured.emit(measured)
        elif shown is not None and self._awaited is None:
            self.worker.submit(lambda: measure_stages(shown))
