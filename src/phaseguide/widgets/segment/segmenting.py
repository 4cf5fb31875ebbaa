"""What a press of Segment does: a job in the background, its results into layers, and what is said of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from phaseguide.errors import PhaseguideError
from phaseguide.jobs.history import Run
from phaseguide.jobs.plane_index import plane_name
from phaseguide.jobs.segment import PlaneDone, PlaneSeen, Stopped, run_job
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.brush import select_edits
from phaseguide.widgets.layers.painted_phases import is_painted_for, painted_for_others
from phaseguide.widgets.layers.warm_up import with_colours

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from phaseguide.jobs.session_store import SessionStore
    from phaseguide.phases import PhaseScheme
    from phaseguide.widgets.qt.notices.fold import WarningsFold
    from phaseguide.widgets.qt.tasks import TaskRunner, Work
    from phaseguide.widgets.segment.live_mode import LiveMode
    from phaseguide.widgets.segment.plan import Planner
    from phaseguide.widgets.segment.results import Results
    from phaseguide.widgets.segment.state import Say, SegmentState


FIRST_LOOK = (
    "What the model sees at a first look is on show. A second look where it is unsure is under way; the result, with "
    "your values, follows."
)

KEPT = "The image was not encoded again."


class Segmenting(QObject):
    """Runs the jobs of the dock, one at a time.

    Parameters
    ----------
    runner : TaskRunner
    viewer : napari.viewer.Viewer
    state : SegmentState
    planner : Planner
    results : Results
    store : SessionStore
    live : LiveMode
    warnings : WarningsFold
        Lists what a run warns of, with the plane that it is about.
    say, fail : callable
        Take a sentence, and an error.
    """

    shown = Signal()
    """A plane of the chosen image, or all of a run, is on show."""
    made_edits = Signal(object)
    """An edits layer that lies on a new result."""

    def __init__(
        self,
        runner: TaskRunner,
        viewer: ViewerModel,
        state: SegmentState,
        planner: Planner,
        results: Results,
        store: SessionStore,
        live: LiveMode,
        warnings: WarningsFold,
        say: Say,
        fail: Callable[[BaseException], None],
    ) -> None:
        super().__init__(runner)
        self._runner, self._viewer, self._state, self._planner = runner, viewer, state, planner
        self._results, self._store, self._live = results, store, live
        self._warnings, self._say, self._fail = warnings, say, fail
        self._places: tuple[str, ...] = ()
        self._dropped, self._was_encoded = "", False
        self._begun = 0.0
        self._stopped_after: int | None = None  # so many planes
        runner.noticed.connect(warnings.add)
        runner.happened.connect(self._on_event)

    def segment(self) -> None:
        """Start segmenting, or say why not."""
        if self._runner.running:
            return
        try:
            job, images = self._planner.job()
        except PhaseguideError as error:
            self._fail(error)
            return
        self._live.pause()
        self._results.begin(images, self._state.inputs, self._state.scheme)
        self._dropped, self._was_encoded = "", False
        self._places = (*(plane.name for plane in job.planes), "")
        self._warnings.forget(self._places)
        self.run("Segmenting …", lambda control: with_colours(run_job)(job, self._store, control))

    def run(self, said: str, work: Work) -> None:
        """Start work in the background."""
        self._say(said)
        self._begun, self._stopped_after = time.monotonic(), None
        self._runner.start(work)
        self._state.phase = "running"

    def stop(self) -> None:
        """Stop after the step under way."""
        self._say("Stopping after this step …")
        self._runner.stop()

    def lose(self, layer: Layer) -> None:
        """End a run whose image was removed."""
        if self._results.works_on(layer):
            self._dropped = self._results.lost()
            self._runner.stop()

    def ended(self, error: BaseException | None, take_error: Callable[[BaseException], bool]) -> None:
        """Say what a run has led to; an error that ``take_error`` takes is told by that."""
        seconds = time.monotonic() - self._begun
        dropped = self._dropped or self._results.lost()
        stopped, done = self._stopped_after, self._results.end()
        if not self._runner.running:
            self._state.phase = "idle"
        if error is not None:
            self._store.forget()
            if not take_error(error):
                self._fail(error)
        elif dropped:
            self._say(dropped, alarm=True)
        elif stopped is not None:
            kept = f" {stopped} planes are done and kept." if stopped else " Nothing was changed."
            self._say(f"Stopped.{kept}")
        elif done:
            self._finish(done, seconds)
        self._live.run_done(done)

    def _on_event(self, event: Any) -> None:
        if isinstance(event, PlaneDone):
            self._on_plane(event)
        elif isinstance(event, PlaneSeen):
            self._results.look(event)
            self._say(FIRST_LOOK)
        elif isinstance(event, Stopped):
            self._stopped_after = event.done

    def _on_plane(self, event: PlaneDone) -> None:
        self._dropped = self._dropped or self._results.lost()
        if self._dropped:
            self._runner.stop()
            return
        self._results.add(event)
        self._was_encoded = self._was_encoded or event.was_encoded
        where = plane_name(self._results.image(event.image).name, event.index)
        self._warnings.show_result(where, event.result.segmentation.notices)
        image = self._state.image
        if image is not None and (event.image, event.index) == (image.unique_id, self._state.plane):
            self.shown.emit()

    def _finish(self, done: dict[Image, Run], seconds: float) -> None:
        image = self._state.image
        took = f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
        try:
            left_out = {
                one: reason for one, run in done.items() if (reason := self._left_out(one, run.scheme))
            }
            with roles.keeping_active(self._viewer):
                for one, run in done.items():
                    if one not in left_out:
                        self.made_edits.emit(roles.ensure_edits_layer(self._viewer, one, run.scheme))
            edits = None if image not in done else roles.find_layer(self._viewer, image, "edits")
            if edits is None:  # the user works on another image by now: the brush stays away from these
                names = ", ".join(one.name for one in done)
                said = [f"Segmented {names} in {took}. Choose the image to see the result."]
            elif image in left_out:
                said = [f"Segmented in {took}."]
            else:
                select_edits(self._viewer, edits, done[image].scheme)
                said = [f"Segmented in {took}. To correct, click a phase in the table and paint."]
        except PhaseguideError as error:
            self._fail(error)
            return
        text = " ".join([*said, *dict.fromkeys(left_out.values())]) + self._warnings.hint(self._places)
        self._say(f"{text} {KEPT}" if self._was_encoded else text)
        self.shown.emit()

    def _left_out(self, image: Image, scheme: PhaseScheme) -> str:
        """Why the edits on an image do not count; empty where they do, or there are none."""
        edits = roles.find_layer(self._viewer, image, "edits")
        return "" if edits is None or is_painted_for(edits, scheme) else painted_for_others(edits, scheme)
