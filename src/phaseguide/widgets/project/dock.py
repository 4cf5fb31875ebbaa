"""The fields of a project: one on show, their state, and which model segmented them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFileDialog, QInputDialog

from phaseguide.errors import PhaseguideError
from phaseguide.jobs.project.add_images import AddedImages, add_images
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.canvas import canvas_of
from phaseguide.widgets.layers.edit_log import scheme_of
from phaseguide.widgets.layers.hub import hub_of, tell
from phaseguide.widgets.project.closing import ClosingWindow, UnsavedQuestion
from phaseguide.widgets.project.field_pictures import FieldPictures
from phaseguide.widgets.project.new_project import ProjectDialog
from phaseguide.widgets.project.open_project import UnsavedError, open_project
from phaseguide.widgets.project.panel import NEXT, PREVIOUS, ProjectPanel
from phaseguide.widgets.project.rerun import Rerun
from phaseguide.widgets.project.state import ProjectState
from phaseguide.widgets.qt.dock import Dock, later, listen, while_heard
from phaseguide.widgets.qt.shortcuts import Keys, main_window
from phaseguide.widgets.segment.known_models import known_models

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.jobs.project.thumbnails import Picture

IMAGES = "Micrographs (*.tif *.tiff *.png *.jpg *.jpeg *.bmp);;All files (*)"


class ProjectWidget(Dock):
    """Dock widget."""

    quiet_ms = 150

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.opened = open_project(napari_viewer)
        self.panel = ProjectPanel(napari_viewer, self.scheme_for)
        self.fill(self.panel)
        self.state = ProjectState()
        self.rerun = Rerun(self.opened, self.state, self)
        self.pictures = FieldPictures(self.state, self.panel.list.fields, self)
        self._watched = False
        panel = self.panel
        self._keys = Keys({PREVIOUS: panel.previous_button, NEXT: panel.next_button})
        self.state.take(self.opened.project)
        self._connect()
        canvas_of(self.viewer).hold(self)
        listen(self, canvas_of(self.viewer).chosen, self.refresh_soon)
        self._on_project()
        self._on_rescued()

    # -- what the user does -----------------------------------------------------------------------

    def open(self, folder: str | Path) -> None:
        """Open a project and show its first field that is not reviewed."""
        try:
            project = self.opened.open(folder)
        except UnsavedError as error:
            self._ask_unsaved(error, lambda: self.open(folder))
            return
        except PhaseguideError as error:
            self.fail(error)
            return
        self.say("")
        self._use_model()
        todo = [entry.id for entry in project.fields if entry.state == "unreviewed"]
        first = todo or [entry.id for entry in project.fields]
        if first:
            self.opened.show(first[0])

    def create_project(
        self, folder: str | Path, scheme: PhaseScheme, name: str = "", model: str = ""
    ) -> None:
        """Make a project and open it."""
        try:
            self.opened.create(folder, scheme, name=name, model=model)
        except UnsavedError as error:
            self._ask_unsaved(error, lambda: self.open(folder))  # it was made, and only waits to be opened
            return
        except PhaseguideError as error:
            self.fail(error)
            return
        self.say("Add micrographs: files, or the images that are open.")
        self._use_model()

    def close_project(self) -> None:
        """Save everything and close the project."""
        self.rerun.runner.stop()
        try:
            self.opened.close()
        except UnsavedError as error:
            self._ask_unsaved(error, lambda: self.say("The project is closed."))
        else:
            self.say("The project is closed; everything is saved.")

    def add_images(self, paths: list[Path]) -> None:
        """Add the micrographs among files and folders, and say what was left out."""
        self.say("Looking for micrographs …")
        self.opened.do(
            lambda project: add_images(project, paths),
            while_heard(self, self._on_added),
            while_heard(self, self.fail),
        )

    def add_layers(self) -> None:
        """Add the image layers that come from files."""
        new = [one for one in roles.micrographs(self.viewer) if self.opened.field_of(one) is None]
        if not new:
            self.say("Every open image is in the project already.")
            return
        try:
            self.opened.add_layers(new)
        except PhaseguideError as error:
            self.fail(error)

    def review(self) -> None:
        """Freeze the field on show."""
        try:
            self.opened.review()
        except PhaseguideError as error:
            self.fail(error)

    def reject(self, reason: str) -> None:
        """Reject the field on show."""
        if not reason.strip():
            self.say("A rejected field needs a reason.", alarm=True)
            return
        self.opened.reject(reason.strip())

    def scheme_for(self, image: Image) -> PhaseScheme | None:
        """Phases of the project, or those that the image was segmented with."""
        project = self.opened.project
        if project is not None:
            return project.scheme
        for role in ("edits", "phases"):
            layer = roles.find_layer(self.viewer, image, role)
            scheme = None if layer is None else scheme_of(layer)
            if scheme is not None:
                return scheme
        return None

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again; napari calls this when they change."""
        self.panel.import_box.reset_choices()

    # -- keeping up -------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the fields as they are now."""
        self.state.take(self.opened.project)
        self.panel.list.fields.show(self.state.project)
        on_canvas = self.opened.fields.on_canvas
        self.panel.list.mark(on_canvas)
        entry = self.opened.entry if on_canvas else None
        self.panel.show_state(self.state, entry, len(self.rerun.due()))
        self._keys.update()
        self.pictures.make()

    def _connect(self) -> None:
        panel, opened = self.panel, self.opened
        panel.new_button.clicked.connect(self._ask_new)
        panel.open_button.clicked.connect(self._ask_open)
        panel.close_button.clicked.connect(self.close_project)
        panel.files_button.clicked.connect(self._ask_files)
        panel.layers_button.clicked.connect(self.add_layers)
        panel.model_box.currentIndexChanged.connect(self._choose_model)
        panel.list.chosen.connect(opened.show)
        panel.list.dropped.connect(self.add_images)
        panel.previous_button.clicked.connect(lambda: opened.step(-1))
        panel.next_button.clicked.connect(lambda: opened.step(1))
        panel.review_button.clicked.connect(self.review)
        panel.reject_button.clicked.connect(self._ask_reason)
        panel.reopen_button.clicked.connect(lambda: opened.reopen())
        panel.rerun_button.clicked.connect(self.rerun.start)
        panel.stop_button.clicked.connect(self._stop)
        panel.rescue_bar.restored.connect(opened.copies.restore)
        panel.rescue_bar.discarded.connect(opened.copies.discard)
        panel.import_box.said.connect(self.say)
        panel.import_box.failed.connect(self.fail)
        self.hear(opened.autosave.saved, self.pictures.painted)
        self.hear(opened.changed, self._on_changed)
        self.hear(opened.shown, self._on_shown)
        self.hear(opened.said, self.say)
        self.hear(opened.failed, self.fail)
        self.hear(opened.rescued, self._on_rescued)
        listen(self, hub_of(self.viewer).pixel_size_set, self._on_pixel_size)
        rerun = self.rerun
        rerun.runner.progressed.connect(panel.progress.show_step)
        rerun.went_on.connect(self._on_changed)
        rerun.begun.connect(panel.warnings.forget)
        rerun.runner.noticed.connect(panel.warnings.add)
        rerun.said.connect(self.say)
        rerun.warned.connect(lambda text: self.say(text + panel.warnings.hint(), alarm=True))
        panel.warnings.changed.connect(self._on_warnings)
        self.pictures.arrived.connect(self._on_picture)
        rerun.failed.connect(self.fail)
        self.pictures.due.connect(self.refresh_soon)
        self.pictures.failed.connect(self.fail)
        events = self.state.events
        events.shown.connect(self._on_project)
        events.models.connect(self.show_models)
        events.running.connect(self._on_running)

    def _on_changed(self) -> None:
        self.state.take(self.opened.project)
        self.refresh_soon()

    def _on_added(self, added: AddedImages) -> None:
        for entry in added.entries:
            self.opened.fields.added(entry)
        self.say(added.told)

    def _on_pixel_size(self, image: Image, size_um: float, source: str) -> None:
        """Keep what the user told of a field."""
        entry = self.opened.field_of(image)
        if entry is not None:
            self.opened.do(lambda project: project.set_pixel_size(entry.id, size_um, source))

    def _stop(self) -> None:
        self.panel.stop_button.setEnabled(False)
        self.rerun.stop()

    def _on_picture(self, picture: Picture) -> None:
        """List what the record of a field's result tells."""
        self.panel.warnings.show_result(picture.field_id, picture.notices)

    def _on_warnings(self) -> None:
        self.panel.list.fields.show_warnings(self.panel.warnings.log.of)

    def _on_running(self, running: bool) -> None:
        if running:
            self.panel.progress.begin()
        else:
            self.panel.progress.end()
            self.panel.stop_button.setEnabled(True)
        self.refresh()

    def _on_rescued(self) -> None:
        self.panel.rescue_bar.show_copies(self.opened.copies.found)

    def _on_project(self) -> None:
        """Show another project, or the same with other phases."""
        self.panel.warnings.forget(self.panel.warnings.log.places)
        self.show_models()
        self.refresh()
        later(self, self.panel.fit_width)

    def show_models(self) -> None:
        """List the models that the project can use."""
        project = self.state.project
        models = [] if project is None else [v.id for v in project.file.versions if not v.deleted]
        models += [entry.name for entry in known_models() if entry.card is not None]
        self.panel.show_project(project, models)

    def _on_shown(self, field_id: str) -> None:
        self.panel.list.mark(field_id)
        image = self.opened.image_of(field_id)
        if image is not None:
            self.panel.import_box.image_box.choose(image)

    # -- questions --------------------------------------------------------------------------------

    def _ask_unsaved(self, error: PhaseguideError, go_on: Callable[[], None]) -> None:
        """Ask what is to become of edits that are not saved, before the project makes room."""

        def close() -> None:
            self.opened.drop()
            go_on()

        self.say(str(error), alarm=True)
        UnsavedQuestion(self.opened, self, close).open()

    def _ask_new(self) -> None:
        dialog = ProjectDialog(self)
        if dialog.exec() and dialog.wanted is not None:
            wanted = dialog.wanted
            self.create_project(wanted.folder, wanted.scheme, wanted.name, wanted.model)

    def _ask_open(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Open a project folder")
        if chosen:
            self.open(chosen)

    def _ask_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Add micrographs", "", IMAGES)
        if paths:
            self.add_images([Path(path) for path in paths])

    def _ask_reason(self) -> None:
        reason, given = QInputDialog.getText(self, "Reject the field", "Why is it not to be used?")
        if given:
            self.reject(reason)

    def _choose_model(self, index: int) -> None:
        project, name = self.opened.project, self.panel.model_box.itemData(index)
        if project is not None and name and name != project.current:
            self.opened.do(lambda project: project.use(name), while_heard(self, lambda _: self._use_model()))
            self.say("")

    def _use_model(self) -> None:
        """Let the step Segment, if it is open, use the model of the project."""
        project = self.opened.project
        if project is None or not project.current:
            return
        try:
            path = project.model_path()
        except PhaseguideError as error:
            self.fail(error)
            return
        tell(hub_of(self.viewer).model_chosen, path)

    # -- the end ----------------------------------------------------------------------------------

    def showEvent(self, event: QShowEvent | None) -> None:
        """Listen for keys and for the end of the window: now this widget stands in one."""
        super().showEvent(event)
        self._keys.join(self)
        window = main_window(self)
        if window is not None and not self._watched:
            self._watched = True
            window.installEventFilter(ClosingWindow(self.opened, window))
        self.refresh()

    def shut_down(self) -> None:
        """End a run under way and save; the project stays open in the viewer."""
        self.rerun.runner.abandon()
        self.panel.progress.end()
        self.pictures.end()
        self._keys.remove()
        canvas_of(self.viewer).let_go(self)
        self.opened.flush()
