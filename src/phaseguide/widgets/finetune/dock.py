"""The step Teach: a model learns from what the user just painted, while the user goes on working."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent

from phaseguide.errors import PhaseguideError
from phaseguide.events import Notice, Progress
from phaseguide.jobs.finetune import Started, run_finetune
from phaseguide.jobs.finetune_start import FinetuneJob
from phaseguide.jobs.interrupted import Unfinished, discard_run, find_unfinished, read_run
from phaseguide.jobs.keep_model import Outcome
from phaseguide.widgets.finetune.clock import Clock, is_warning
from phaseguide.widgets.finetune.next_places import NextPlaces, places_finder
from phaseguide.widgets.finetune.outcome import FinetuneOutcome
from phaseguide.widgets.finetune.panel import NEW, FinetunePanel
from phaseguide.widgets.finetune.preview import FieldOnShow
from phaseguide.widgets.finetune.setup import FinetuneSetup
from phaseguide.widgets.finetune.state import FinetuneState, Messages, Shared, image_in_work
from phaseguide.widgets.layers import maps, planes
from phaseguide.widgets.layers.identity import role_of
from phaseguide.widgets.layers.warm_up import with_colours
from phaseguide.widgets.project.open_project import open_project
from phaseguide.widgets.qt.dock import Dock, later, listen
from phaseguide.widgets.qt.tasks import TaskRunner, in_background

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.models.model_file import LoadedModel
    from phaseguide.projects.project import Project

VIEW_MS = 500
"""How often the field on show is handed to the run."""


class FinetuneWidget(Dock):
    """Dock widget.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.opened = open_project(napari_viewer)
        self.panel = FinetunePanel(napari_viewer, lambda: self.opened)
        self.fill(self.panel)
        self.runner = TaskRunner(self)
        self.state = FinetuneState()
        messages = Messages(self.say, self.fail)
        shared = Shared(napari_viewer, self.opened, self.panel, self.state, messages)
        self.setup = FinetuneSetup(self, shared)
        self.results = FinetuneOutcome(self, shared)
        self.places = NextPlaces(napari_viewer, lambda: places_finder(napari_viewer, self.panel, self.state))
        self.panel.next_slot.addWidget(self.places)
        self._field, self._clock = FieldOnShow(), Clock()
        self._job: FinetuneJob | None = None
        self._start: LoadedModel | None = None
        self._used: dict[Any, Image] = {}
        self._view = QTimer(self)
        self._view.setInterval(VIEW_MS)
        self._view.timeout.connect(self._hand_view)
        self._connect()
        self.setup.begin()

    # -- what the user does -----------------------------------------------------------------------

    @property
    def project(self) -> Project | None:
        """The open project, or None."""
        return self.opened.project

    def start(self) -> None:
        """Start learning, or say why not."""
        if self.state.running:
            return
        try:
            self._begin(self.setup.new_job())
        except PhaseguideError as error:
            self.fail(error)

    def begin_new(self, start: Path) -> None:
        """Set the goal to a model with phases of its own, which begins as the network of a file."""
        self.panel.goal.setCurrentIndex(max(0, self.panel.goal.findData(NEW)))
        self.panel.model_box.open_file(start)

    def resume(self) -> None:
        """Go on with the interrupted run that is offered."""
        if self.state.running or not self.state.unfinished:
            return
        try:
            self._begin(read_run(self.state.unfinished[0].folder, self.project))
        except PhaseguideError as error:
            self.fail(error)

    def discard(self) -> None:
        """Forget the interrupted run that is offered."""
        if self.state.unfinished and not self.state.running:
            folder = self.state.unfinished[0].folder
            in_background(self, lambda: discard_run(folder), lambda _: self.find_unfinished(), self.fail)

    def pause(self) -> None:
        """Pause the run, or let it go on."""
        control = self.runner.control
        if control.paused:
            control.resume()
            self._clock.go_on()
            self.say("Goes on.")
        else:
            control.pause()
            self._clock.pause()
            self.say("Paused; the state is safe. Go on when you like, also after a restart of napari.")
        self.show_state()

    def stop(self) -> None:
        """End the run with the best model so far."""
        self.say("Stopping after this step; the best so far is what counts …")
        self.runner.stop()
        self.show_state()

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again; napari calls this when they change."""
        self.panel.sources.reset_choices()

    # -- while it runs ----------------------------------------------------------------------------

    def _begin(self, job: FinetuneJob) -> None:
        self.results.forget()
        self.setup.drop()
        self._job, self._start = job, None
        self.panel.warnings.forget(self.panel.warnings.log.places)
        self.panel.resume_part.hide()
        self._clock.begin(job.config.minutes * 60)
        self.panel.curves.begin()
        self.panel.curves_fold.expand()
        self.panel.progress.begin()
        self.say("Learning. Go on working; new strokes count in the next run.")
        self._watch_images()
        self._hand_view()
        self._view.start()
        self.panel.reveal(self.panel.curves_fold)
        models, ask = self.setup.models, self._field.ask
        self.state.running = True
        self.runner.start(lambda control: with_colours(run_finetune)(job, models, control, ask))

    def _hand_view(self) -> None:
        wanted = self.panel.preview_check.isChecked() and not self.runner.control.paused
        self._field.point_at(self.viewer, image_in_work(self.viewer) if wanted else None)

    def _on_progress(self, event: Progress) -> None:
        self.panel.progress.show_step(self._clock.step(event))

    def _on_notice(self, notice: Notice) -> None:
        if is_warning(notice):
            self.panel.warnings.add(notice)
        else:
            self.say(notice.text)

    def _on_event(self, event: Any) -> None:
        from phaseguide.finetuning.events import Preview
        from phaseguide.training.events import EpochDone

        if isinstance(event, Started):
            self._start = event.model
            self._field.channels = event.model.segmenter.in_channels
        elif isinstance(event, EpochDone):
            self._clock.epoch(event)
            self.panel.curves.add(event)
        elif isinstance(event, Preview):
            self._show_preview(event)

    def _show_preview(self, event: Any) -> None:
        spot = self._field.spot(event.key)
        if spot is None or self._start is None or not self.panel.preview_check.isChecked():
            return
        image = spot.image
        if not maps.is_there(self.viewer, image) or planes.full_data(image) is not spot.data:
            return
        scheme, role = self._start.card.scheme, maps.PREVIEW
        maps.show_map(self.viewer, image, role, scheme, spot.index, spot.window, event.labels)

    def _on_preview_check(self, wanted: bool) -> None:
        if not wanted:
            self._remove_previews()

    def _remove_previews(self) -> None:
        for layer in list(self.viewer.layers):
            if role_of(layer) == maps.PREVIEW:
                self.viewer.layers.remove(layer)

    def _on_ended(self, result: Any, error: BaseException | None) -> None:
        self.state.running = False
        self._view.stop()
        self.panel.progress.end()
        self._remove_previews()
        if error is not None:
            self.fail(error)
        elif result is not None and self._job is not None and self._start is not None:
            self.results.show(Outcome(result, self._job, self._start))
            before = None if result.before is None else result.before.dice_mean
            self.panel.curves.show_history(result.history, before)
            self.say(f"Compare, then keep the new model or go back.{self.panel.warnings.hint()}")
        self.find_unfinished()
        self.setup.refresh_soon()
        later(self, self.panel.fit_width)

    # -- what happens to the images meanwhile -----------------------------------------------------

    def _watch_images(self) -> None:
        self._forget_images()
        for key, image in self.panel.sources.images().items():
            if self.panel.sources.lines[key].use.isChecked():
                listen(self, image.events.data, self._on_data)
                self._used[image.unique_id] = image

    def _forget_images(self) -> None:
        for image in self._used.values():
            image.events.data.disconnect(self._on_data)
        self._used.clear()

    def _on_data(self, event: Any) -> None:
        if self.state.running:
            self.say(
                f"The pixels of {event.source.name!r} were replaced. This run goes on with those it began with.",
                alarm=True,
            )
        self.setup.refresh_soon()

    def _on_removed(self, event: Any) -> None:
        if self.state.running and event.value.unique_id in self._used:
            self.say(
                f"{event.value.name!r} was removed. This run goes on with what it has read of it.", alarm=True
            )
        self.results.image_removed(event.value)
        self.setup.refresh_soon()

    # -- keeping up -------------------------------------------------------------------------------

    def _connect(self) -> None:
        panel, runner = self.panel, self.runner
        panel.sources.paint_wanted.connect(self.setup.paint)
        panel.resume_button.clicked.connect(self.resume)
        panel.discard_button.clicked.connect(self.discard)
        panel.start_button.clicked.connect(self.start)
        panel.pause_button.clicked.connect(self.pause)
        panel.stop_button.clicked.connect(self.stop)
        self.places.jumped.connect(lambda _: panel.reveal(self.places))
        panel.preview_check.toggled.connect(self._on_preview_check)
        runner.progressed.connect(self._on_progress)
        runner.noticed.connect(self._on_notice)
        runner.happened.connect(self._on_event)
        runner.ended.connect(self._on_ended)
        self.setup.looked.connect(self.show_state)
        self.setup.project_changed.connect(self.find_unfinished)
        self.results.decided.connect(self.find_unfinished)
        self.state.events.connect(self.show_state)
        listen(self, self.viewer.layers.events.removed, self._on_removed)
        for fold in (panel.phases_fold, panel.form.advanced, panel.curves_fold):
            fold.toggled.connect(lambda _: later(self, panel.fit_width))

    def find_unfinished(self) -> None:
        """Look for interrupted runs, in the background."""
        project = self.project
        in_background(self, lambda: find_unfinished(project), self._on_unfinished, self.fail)

    def _on_unfinished(self, found: list[Unfinished]) -> None:
        outcome = self.state.outcome
        now = None if outcome is None else outcome.job.folder
        self.state.unfinished = tuple(run for run in found if run.folder != now)
        if self.state.unfinished:
            self.panel.resume_line.setText(self.state.unfinished[0].describe())
        self.panel.resume_part.setVisible(bool(self.state.unfinished) and not self.state.running)

    def show_state(self) -> None:
        """Enable what can be done now."""
        state, control = self.state, self.runner.control
        self.panel.show_state(
            running=state.running,
            paused=control.paused,
            startable=self.setup.startable and not state.deciding,
            stopping=control.stopping,
        )
        self.results.show_state()

    # -- the end ----------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take the theme's colours, listen for the key, look at the sources: now this stands in a window."""
        super().showEvent(event)
        self._on_theme()
        self.places.keys.join(self)
        listen(self, self.viewer.events.theme, self._on_theme)
        self.setup.refresh_soon()

    def _on_theme(self, event: Any = None) -> None:
        self.panel.curves.colour(*_theme(self.viewer))

    def shut_down(self) -> None:
        """End a run under way; its checkpoint stays, and it is offered next time."""
        self._view.stop()
        self.panel.progress.end()
        self.runner.abandon()
        self.setup.shut_down()
        self.results.slider.end()
        self._remove_previews()
        self._used.clear()
        self.places.shut_down()


def _theme(viewer: ViewerModel) -> tuple[str, str]:
    """Text and background of napari's theme."""
    from napari.utils.theme import get_theme

    theme = get_theme(viewer.theme)
    return theme.text.as_hex(), theme.background.as_hex()
