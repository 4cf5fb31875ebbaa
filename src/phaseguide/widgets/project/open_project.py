"""The project that is open in a viewer: what is painted and found on its fields goes into its folder."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QApplication

from phaseguide.errors import PhaseguideError, ProjectError
from phaseguide.jobs import results
from phaseguide.jobs.project.project_results import Kept, freeze_as_shown, store
from phaseguide.labels import as_uint8, overlay
from phaseguide.projects.edit_saver import EditSaver, Known, Painted
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.edit_log import Edit
from phaseguide.widgets.layers.edit_tools import edit_tools
from phaseguide.widgets.layers.hub import hub_of
from phaseguide.widgets.layers.identity import file_of, image_of, plain
from phaseguide.widgets.project.autosave import Autosave
from phaseguide.widgets.project.copies import Copies
from phaseguide.widgets.project.field_layers import set_frozen
from phaseguide.widgets.project.field_viewer import FieldViewer
from phaseguide.widgets.qt.dock import listen
from phaseguide.widgets.qt.serial_worker import SerialWorker

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from phaseguide.jobs.history import Run
    from phaseguide.phases import PhaseScheme
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import FieldEntry

FLUSH_S = 2.0
"""So long the window waits at most for what is being written."""

LAST_S = 20.0
"""So long the thread goes on trying to write when napari ends; what it cannot write lies in rescue copies."""

_open: weakref.WeakKeyDictionary[Any, OpenProject] = weakref.WeakKeyDictionary()


class UnsavedError(ProjectError):
    """The project stays open, since edits of it are not on the disk."""


def open_project(viewer: ViewerModel) -> OpenProject:
    """Return what is open in a viewer, made when it is first wanted; it may be no project."""
    viewer = plain(viewer)
    if viewer not in _open:
        _open[viewer] = OpenProject(viewer)
    return _open[viewer]


class OpenProject(QObject):
    """At most one project.

    ``changed`` tells that project, fields or their state are different; ``shown`` the id of the field on show ("" for
    none); ``said`` a sentence; ``failed`` an error; ``rescued`` that there are other rescue copies to offer.
    Everything that writes into the project does so in one thread, in the order in which it was asked for.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Held weakly.
    """

    changed = Signal()
    shown = Signal(str)
    said = Signal(str)
    failed = Signal(object)
    rescued = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.worker = SerialWorker(self)
        self.autosave = Autosave(lambda field_id, painted: painted.save(field_id), self.worker, self)
        self.autosave.saved.connect(lambda _: self.changed.emit())
        self.autosave.failed.connect(self._not_saved)
        self.autosave.recovered.connect(lambda one: self.said.emit(f"The edits of {one} are saved now."))
        self.autosave.left_out.connect(self._left_out)
        tools = edit_tools(viewer)
        tools.listener = self._on_edit
        self.fields = FieldViewer(viewer, self.worker, self.autosave, tools, self)
        self.copies = Copies(self.fields, self.autosave, self)
        self.copies.changed.connect(self.rescued)
        self.fields.shown.connect(self.shown)
        self.fields.changed.connect(self.changed)
        for part in (self.fields, self.copies):
            part.said.connect(self.said)
            part.failed.connect(self.failed)
        listen(self, hub_of(viewer).result_kept, self._on_kept)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.leave)

    @property
    def saver(self) -> EditSaver | None:
        """What saves the edits of the project; None without one."""
        return self.fields.saver

    @property
    def project(self) -> Project | None:
        """The project, or None."""
        return None if self.saver is None else self.saver.project

    # -- a project --------------------------------------------------------------------------------

    def open(self, folder: str | Path) -> Project:
        """Open a project; the one that is open is closed.

        Raises
        ------
        ProjectError
            The folder is no project, or a damaged one.
        """
        from phaseguide.projects.project import Project

        return self._begin(Project.open(folder, wait_s=FLUSH_S))

    def create(self, folder: str | Path, scheme: PhaseScheme, *, name: str = "", model: str = "") -> Project:
        """Make a project and open it.

        Raises
        ------
        ProjectError
            The folder holds a project already, or cannot be written.
        """
        from phaseguide.projects.project import Project

        return self._begin(Project.create(folder, scheme, name=name, model=model))

    def close(self) -> None:
        """Save everything and take the layers of the fields out of the viewer.

        Raises
        ------
        ProjectError
            Edits cannot be saved; the project then stays open.
        """
        if self.project is None:
            return
        if not self.flush():
            raise UnsavedError(
                f"{self.project.folder}: some edits could not be saved, so the project stays open. Free some "
                "space, make the folder writable, or end the program that holds it; it is tried again by itself."
            )
        self._end()

    def leave(self) -> None:
        """Save what can be; the rest goes into rescue copies, and is tried on for a while when nobody waits for it."""
        if self.saver is not None and not self.flush():
            self.keep_copies()
            self.saver.finish_by(LAST_S)
            self.autosave.save_again()

    def drop(self) -> None:
        """Close the project whose edits were left to `leave`."""
        self._end()

    def keep_copies(self) -> dict[str, Painted]:
        """Keep rescue copies of all edits that are not on the disk; return the edits."""
        unsaved: dict[str, Painted] = self.autosave.unsaved()
        for field_id, painted in unsaved.items():
            painted.saver.keep(field_id, painted)
        return unsaved

    def flush(self) -> bool:
        """Block until everything is on the disk, at most two seconds; False if something is not."""
        QApplication.setOverrideCursor(Qt.CursorShape.WaitCursor)
        try:
            return self.saver is None or self.autosave.flush(FLUSH_S)
        finally:
            QApplication.restoreOverrideCursor()

    def do(
        self,
        function: Callable[[Project], Any],
        done: Callable[[Any], None] | None = None,
        refused: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Change the project in the thread that writes it, then tell of the change."""
        project = self.project
        if project is None:
            return

        def ended(outcome: Any) -> None:
            if done is not None:
                done(outcome)
            self.changed.emit()

        self.worker.do(lambda: function(project), ended, refused or self._fail)

    def change_phases(
        self,
        change: Callable[[Project], Mapping[int, int]],
        done: Callable[[], None],
        refused: Callable[[Any], None],
    ) -> None:
        """Call what gives the project other phases, in its thread; layers of its fields are read again with them.

        ``change`` returns old label -> new label. Strokes that end before the layers are read again follow it.
        """
        saver = self.saver
        if saver is None:
            return
        self.autosave.save()

        def call() -> None:
            saver.followed(change(saver.project))

        def ended(told: Callable[[], None]) -> None:
            self.fields.reload()
            told()
            self.changed.emit()

        self.worker.do(call, lambda _: ended(done), lambda error: ended(lambda: refused(error)))

    # -- its fields -------------------------------------------------------------------------------

    @property
    def current(self) -> str:
        """Id of the field on show; "" for none."""
        return self.fields.current

    @property
    def entry(self) -> FieldEntry | None:
        """The field on show."""
        return self.fields.entry

    def field_of(self, image: Image) -> FieldEntry | None:
        """Return the field that an image layer shows, or None."""
        field_id = self.fields.id_of(image)
        return self.project.field(field_id) if self.project is not None and field_id else None

    def image_of(self, field_id: str) -> Image | None:
        """Return the image layer of a field that is in the viewer, or None."""
        return self.fields.image_of(field_id)

    def show(self, field_id: str) -> None:
        """Bring a field into the viewer; the one that was there is saved and makes room."""
        self.fields.show(field_id)

    def step(self, by: int) -> None:
        """Show the next (1) or previous (-1) field of the list."""
        self.fields.step(by)

    def add_layers(self, images: Iterable[Image]) -> None:
        """Add image layers that come from files as fields; each stays where it is, with its edits.

        Raises
        ------
        ProjectError
            A layer that comes from no file.
        """
        found: list[tuple[Image, Path]] = []
        for image in images:
            if self.field_of(image) is None:
                if (path := file_of(image)) is None:
                    raise ProjectError(
                        f"{image.name!r} does not come from a file. Save it (File > Save Selected Layers), then add "
                        "the file."
                    )
                found.append((image, path))
        for image, path in found:
            self.do(partial(_add_field, path=path), partial(self.adopt, image))

    def adopt(self, image: Image, entry: FieldEntry) -> None:
        """Make a layer that is there the image of a field that was added, with what is painted and found on it."""
        viewer, saver = self._viewer(), self.saver
        if viewer is None or saver is None or image not in viewer.layers:
            return
        self.fields.adopt(image, entry, Known(np.zeros(entry.shape, np.uint8), saver.changes))
        edits = roles.find_layer(viewer, image, "edits")
        if edits is not None and edits.data.any():
            self._save_soon(entry.id, edits)
        for run in filter(None, [keeper.shown(image) for keeper in hub_of(viewer).keepers]):
            self._on_kept(image, run)

    def review(self) -> None:
        """Freeze the field on show, with the map that is on show.

        Raises
        ------
        ProjectError
            A result is on show that was not accepted.
        """
        viewer, field_id, saver = self._viewer(), self.current, self.saver
        image = self.image_of(field_id)
        if viewer is None or image is None or saver is None:
            return
        if any(keeper.is_provisional(image) for keeper in hub_of(viewer).keepers):
            raise ProjectError(
                f"{image.name!r}: the result on show is not kept yet. Press Accept or Cancel in the Segment "
                "dock, then review it."
            )
        phases, edits = (roles.find_layer(viewer, image, role) for role in ("phases", "edits"))
        painted = None if edits is None else as_uint8(edits.data)
        on_show = None if phases is None else overlay(as_uint8(phases.data), painted)

        def refused(error: BaseException) -> None:
            self.fields.follow_state()
            self._fail(ProjectError(f"{error} Field {field_id!r} is not reviewed."))

        set_frozen(viewer, image, True)  # a stroke that comes now could not be saved any more
        self.autosave.save()
        self.do(lambda _: freeze_as_shown(saver, field_id, on_show), self.fields.follow_state, refused)

    def reject(self, reason: str) -> None:
        """Reject the field on show."""
        field_id = self.current
        self.do(lambda project: project.reject(field_id, reason), self.fields.follow_state)

    def reopen(self) -> None:
        """Make the field on show unreviewed again."""
        field_id = self.current
        self.do(lambda project: project.reopen(field_id), self.fields.follow_state)

    # -- what is painted and found ----------------------------------------------------------------

    def _begin(self, project: Project) -> Project:
        self.close()
        self.fields.saver = EditSaver(project)
        self.copies.look()
        self.changed.emit()
        return project

    def _end(self) -> None:
        self.fields.clear()
        self.fields.saver = None
        self.autosave.forget()
        self.copies.look()
        self.shown.emit("")
        self.changed.emit()

    def _on_edit(self, layer: Labels, edit: Edit) -> bool:
        """Save an edit and log it; False if it was on no field of the project."""
        viewer = self._viewer()
        image = None if viewer is None else image_of(viewer, layer)
        entry, project = self.field_of(image), self.project
        if entry is None or project is None:
            return False
        self.fields.overlay(entry.id, layer, edit.region)
        told = edit.to_dict(project.scheme)
        self.worker.do(lambda: project.log("edit", field=entry.id, **told), None, self._not_logged)
        self._save_soon(entry.id, layer)
        return True

    def _save_soon(self, field_id: str, layer: Labels) -> None:
        saver, known = self.saver, self.fields.known_of(field_id)
        assert saver is not None
        self.autosave.changed(field_id, lambda: Painted(np.array(layer.data), known, saver))

    def _on_kept(self, image: Image, run: Run) -> None:
        """Write what the step Segment keeps on a field, with the edits as they are now on top."""
        entry, viewer, result = self.field_of(image), self._viewer(), run.planes.get(())
        if entry is None or result is None or result.segmentation.labels.shape != planes.data_shape(image):
            return
        edits = roles.find_layer(viewer, image, "edits")
        painted = None if edits is None or roles.same_grid(edits, image) else np.array(edits.data)
        kept = Kept(entry.id, results.with_edits(result, painted), result.made, run.inputs)
        self.autosave.save()
        self.do(lambda project: store(project, kept))

    def _not_saved(self, field_id: str, error: PhaseguideError) -> None:
        self.failed.emit(
            ProjectError(f"{error} The edits of {field_id} are kept in the viewer and tried again.")
        )

    def _left_out(self, field_id: str, told: str) -> None:
        if told:
            self.failed.emit(ProjectError(told))
        else:
            self.said.emit(f"All edits of {field_id} are saved.")

    def _not_logged(self, error: BaseException) -> None:
        if not self.autosave.failing:  # then the same was told already
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.failed.emit(error)


def _add_field(project: Project, path: Path) -> FieldEntry:
    return project.add_field(path)
