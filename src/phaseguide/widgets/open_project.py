"""The project that is open in a viewer: what is painted and found on its fields goes into its folder."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QApplication

from phaseguide.errors import PhaseguideError, ProjectError
from phaseguide.widgets import kept_results, layers, planes
from phaseguide.widgets.autosave import Autosave
from phaseguide.widgets.edit_log import Edit
from phaseguide.widgets.edit_tools import edit_tools, image_of
from phaseguide.widgets.field_layers import as_uint8, file_of, with_edits
from phaseguide.widgets.field_show import FieldShow
from phaseguide.widgets.project_results import Kept, freeze_as_shown, store
from phaseguide.widgets.serial_worker import SerialWorker

if TYPE_CHECKING:
    from phaseguide.phases import PhaseScheme
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import FieldEntry

_open: weakref.WeakKeyDictionary[Any, OpenProject] = weakref.WeakKeyDictionary()


def open_project(viewer: Any) -> OpenProject:
    """Return what is open in a viewer, made when it is first wanted; it may be no project."""
    viewer = kept_results.plain(viewer)
    if viewer not in _open:
        _open[viewer] = OpenProject(viewer)
    return _open[viewer]


class OpenProject(QObject):
    """At most one project.

    ``changed`` tells that project, fields or their state are different; ``shown`` the id of the field
    on show ("" for none); ``said`` a sentence; ``failed`` an error. Everything that writes into the
    project does so in one thread, in the order in which it was asked for.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Held weakly.
    """

    changed = Signal()
    shown = Signal(str)
    said = Signal(str)
    failed = Signal(object)

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = weakref.ref(viewer)
        self.project: Project | None = None
        self.worker = SerialWorker(self)
        self.autosave = Autosave(self._write_edits, self.worker, self)
        self.autosave.saved.connect(lambda _: self.changed.emit())
        self.autosave.failed.connect(self._not_saved)
        self.tools = edit_tools(viewer)
        self.tools.listener = self._on_edit
        self.fields = FieldShow(self, viewer)
        kept_results.subscribe(viewer, self._on_kept)
        application = QApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.flush)

    # -- a project --------------------------------------------------------------------------------

    def open(self, folder: str | Path) -> Project:
        """Open a project; the one that is open is closed.

        Raises
        ------
        ProjectError
            The folder is no project, or a damaged one.
        """
        from phaseguide.projects.project import Project

        return self._begin(Project.open(folder))

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
            raise ProjectError(
                f"{self.project.folder}: some edits could not be saved, so the project stays open. Free some "
                "space, or make the folder writable; it is tried again by itself."
            )
        self.fields.clear()
        self.project = None
        self.autosave.forget()
        self.shown.emit("")
        self.changed.emit()

    def flush(self) -> bool:
        """Block until everything is on the disk; False if something could not be written."""
        return self.project is None or self.autosave.flush()

    def do(self, function: Callable[[Project], Any], done: Callable[[Any], None] | None = None) -> None:
        """Change the project in the thread that writes it, then tell of the change."""
        project = self.project
        if project is None:
            return

        def ended(outcome: Any) -> None:
            if done is not None:
                done(outcome)
            self.changed.emit()

        self.worker.do(lambda: function(project), ended, self._fail)

    def change_phases(
        self, change: Callable[[Project], None], done: Callable[[], None], refused: Callable[[Any], None]
    ) -> None:
        """Call what gives the project other phases, in its thread; layers of its fields are read again with them."""
        project = self.project
        if project is None:
            return
        self.autosave.flush()

        def ended(told: Callable[[], None]) -> None:
            self.fields.reload()
            told()
            self.changed.emit()

        self.worker.do(
            lambda: change(project), lambda _: ended(done), lambda error: ended(lambda: refused(error))
        )

    def watch(self, window: QObject) -> None:
        """Save when a window is closed."""
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Save before the window goes; whether it may go is not decided here."""
        if event.type() == QEvent.Type.Close:
            self.flush()
        return bool(super().eventFilter(watched, event))

    # -- its fields -------------------------------------------------------------------------------

    @property
    def current(self) -> str:
        """Id of the field on show; "" for none."""
        return self.fields.current

    @property
    def entry(self) -> FieldEntry | None:
        """The field on show."""
        return self.project.field(self.current) if self.project is not None and self.current else None

    def field_of(self, image: Any) -> FieldEntry | None:
        """Return the field that an image layer shows, or None."""
        field_id = self.fields.id_of(image)
        return self.project.field(field_id) if self.project is not None and field_id else None

    def image_of(self, field_id: str) -> Any:
        """Return the image layer of a field that is in the viewer, or None."""
        return self.fields.image_of(field_id)

    def show(self, field_id: str) -> None:
        """Bring a field into the viewer; the one that was there is saved and makes room."""
        self.fields.show(field_id)

    def step(self, by: int) -> None:
        """Show the next (1) or previous (-1) field of the list."""
        self.fields.step(by)

    def add_files(self, paths: Iterable[str | Path]) -> None:
        """Add image files as fields; the first of them is shown if nothing is."""
        for path in map(Path, paths):
            self.do(lambda project, path=path: project.add_field(path), self.fields.added)

    def add_layers(self, images: Iterable[Any]) -> None:
        """Add image layers that come from files as fields; each stays where it is, with its edits.

        Raises
        ------
        ProjectError
            A layer that comes from no file.
        """
        chosen = [image for image in images if self.field_of(image) is None]
        for image in chosen:
            if file_of(image) is None:
                raise ProjectError(
                    f"{image.name!r} does not come from a file. Save it (File > Save Selected Layers), then add "
                    "the file."
                )
        for image in chosen:
            path = file_of(image)
            self.do(
                lambda project, path=path: project.add_field(path),
                lambda entry, image=image: self.adopt(image, entry),
            )

    def adopt(self, image: Any, entry: FieldEntry) -> None:
        """Make a layer that is there the image of a field that was added, with what is painted and found on it."""
        viewer = self._viewer()
        if viewer is None or image not in viewer.layers:
            return
        self.fields.adopt(image, entry)
        edits = layers.find_layer(viewer, image, "edits")
        if edits is not None and edits.data.any():
            self.autosave.changed(entry.id, lambda: as_uint8(edits.data))
        for keeper in kept_results.keepers(viewer):
            if keeper.shown(image) is not None:
                self._on_kept(keeper, image)

    def review(self) -> None:
        """Freeze the field on show, with the map that is on show.

        Raises
        ------
        ProjectError
            A result is on show that was not accepted.
        """
        viewer, field_id = self._viewer(), self.current
        image = self.image_of(field_id)
        if viewer is None or image is None:
            return
        if any(keeper.is_provisional(image) for keeper in kept_results.keepers(viewer)):
            raise ProjectError(
                f"{image.name!r}: the result on show is not kept yet. Press Accept or Cancel in the Segment "
                "dock, then review it."
            )
        phases, edits = (layers.find_layer(viewer, image, role) for role in ("phases", "edits"))
        painted = None if edits is None else as_uint8(edits.data)
        on_show = None if phases is None else with_edits(as_uint8(phases.data), painted)

        def frozen(_: Any) -> None:
            self.autosave.drop(field_id)  # they are written, and could not be any more
            self.fields.follow_state()

        self.do(lambda project: freeze_as_shown(project, field_id, on_show, painted), frozen)

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
        self.project = project
        self.changed.emit()
        return project

    def _on_edit(self, layer: Any, edit: Edit) -> bool:
        """Save an edit and log it; False if it was on no field of the project."""
        viewer = self._viewer()
        image = None if viewer is None else image_of(viewer, layer)
        entry, project = self.field_of(image), self.project
        if entry is None or project is None:
            return False
        self.fields.overlay(entry.id, layer, edit.region)
        told = edit.to_dict(project.scheme)
        self.worker.do(lambda: project.log("edit", field=entry.id, **told), None, self._fail)
        self.autosave.changed(entry.id, lambda: as_uint8(layer.data))
        return True

    def _on_kept(self, keeper: Any, image: Any) -> None:
        """Write what the Segment widget keeps on a field."""
        entry, run = self.field_of(image), keeper.shown(image)
        standing = None if entry is None or run is None else keeper.standing(image, ())
        if entry is None or standing is None or len(planes.data_shape(image)) > 2:
            return
        kept = Kept(entry.id, standing, run.planes[()].made, run.inputs)
        self.autosave.save()
        self.do(lambda project: store(project, kept))

    def _write_edits(self, field_id: str, edits: Any) -> None:
        project = self.project
        if project is not None:
            project.write_edits(field_id, edits)

    def _not_saved(self, field_id: str, error: PhaseguideError) -> None:
        self.failed.emit(
            ProjectError(f"{error} The edits of {field_id} are kept in the viewer and tried again.")
        )

    def _fail(self, error: BaseException) -> None:
        self.failed.emit(error)
