"""The list of models: which models there are; copied, exported, imported, shared, deleted and restored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QPoint, Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QInputDialog,
    QScrollArea,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from phaseguide.events import Finished
from phaseguide.jobs.plane_index import plane_reader
from phaseguide.models.merging import has_adapters
from phaseguide.models.recycle import has_recycled
from phaseguide.models.zoo import SUFFIX, ZooEntry, free_name
from phaseguide.widgets.layers import planes
from phaseguide.widgets.layers.hub import hub_of, tell
from phaseguide.widgets.layers.identity import file_of
from phaseguide.widgets.layers.roles import micrographs
from phaseguide.widgets.models.list import ModelRow, ModelsList, model_rows
from phaseguide.widgets.models.menu import ModelMenu
from phaseguide.widgets.models.share_dialog import ShareDialog
from phaseguide.widgets.project.open_project import open_project
from phaseguide.widgets.qt import save_places
from phaseguide.widgets.qt.dock import Dock, while_heard
from phaseguide.widgets.qt.panel import button, small_label
from phaseguide.widgets.qt.plain_text import as_plain, asks
from phaseguide.widgets.qt.status_line import StatusLine
from phaseguide.widgets.qt.tasks import in_background

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.models.recycle import RecycledModel
    from phaseguide.projects.project import Project

MODELS = f"Models (*{SUFFIX});;All files (*)"
DETAILS_PX = 100
"""Height of what is said of the chosen model; longer texts scroll."""


class ModelsWidget(Dock):
    """Dock widget. Nothing that it writes replaces a file, and what is deleted can be restored."""

    used = Signal()
    """A model was chosen to segment with."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.opened = open_project(napari_viewer)
        self.list = ModelsList()
        self.details, self.status = small_label(), StatusLine()
        self._busy = self._deleted = False
        self.menu = ModelMenu(self, lambda key: getattr(self, key)())
        self.commands = self.menu.commands
        self.use_button = button("Use in Segment", self.commands["use"].toolTip())
        self.more_button = button("More", "Copy, export, share, import, delete or restore models.")
        self.more_button.setMenu(self.menu)
        row = QHBoxLayout()
        row.addWidget(self.use_button, 2)
        row.addWidget(self.more_button, 1)
        column = QVBoxLayout(self)
        column.addWidget(self.list, 1)
        column.addWidget(_scrolled(self.details))
        column.addLayout(row)
        self.setMinimumWidth(320)
        self.use_button.clicked.connect(self.use)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._show_menu)
        self.list.itemDoubleClicked.connect(self._on_double_click)
        self.list.itemSelectionChanged.connect(self._on_choice)
        self.hear(self.opened.changed, self.refresh)
        self.refresh()

    # -- what the user does -----------------------------------------------------------------------

    def use(self) -> None:
        """Segment with the model from now on, and show the step that does."""
        row = self.list.row
        if row is None:
            return
        tell(hub_of(self.viewer).model_chosen, row.path)
        self.used.emit()
        self.say(f"{row.name} is in use.")

    def save_as(self) -> None:
        """Ask for a name and copy the model."""
        from phaseguide.models import sharing

        row = self.list.row
        if row is None:
            return
        path, question = row.path, f"Name of the copy of {row.name}:"
        name = self._ask_name("Save as", question, free_name(row.name))
        if name:
            self._work(f"Saving {name} …", lambda: sharing.save_as(path, name), self._added("Saved as"))

    def export(self) -> None:
        """Ask for a file and write a copy."""
        from phaseguide.models.sharing import export_model

        row = self.list.row
        path = row and self._ask_file("Export the model", f"{row.name}{SUFFIX}", MODELS)
        if row is not None and path:
            start = row.path
            self._work("Exporting …", lambda: export_model(start, path), self._written)

    def merge(self) -> None:
        """Ask for a file and write the model with its adapters merged into the base weights."""
        row = self.list.row
        path = row and self._ask_file("Merge the model", f"{row.name}-merged{SUFFIX}", MODELS)
        if row is None or not path:
            return
        start = row.path

        def write() -> Path:
            from phaseguide.jobs.warm_up import import_torch
            from phaseguide.models.merging import merging_model

            import_torch()
            *_, end = merging_model(start, path)
            assert isinstance(end, Finished)
            return end.result

        self._work(f"Merging {row.name} …", write, self._written)

    def share(self) -> None:
        """Ask what the model says about itself, then for a file, and write it."""
        row = self.list.row
        if row is None or row.card is None:
            return
        images = {image.name: image for image in self._plain_images()}
        dialog = ShareDialog(
            row.card, row.card.name if row.origin == "project" else row.name, list(images), self
        )
        if not dialog.exec():
            return
        wanted = dialog.settings
        if wanted.form == "file":
            self._share_file(row, dialog)
        else:
            self._share_package(row, dialog, images.get(wanted.image))

    def import_(self) -> None:
        """Ask for a model file and add it; where its name is taken, ask for another one."""
        from phaseguide.models.zoo import add_model

        chosen, _ = QFileDialog.getOpenFileName(self, "Import a model", "", MODELS)
        if not chosen:
            return
        name: str | None = Path(chosen).stem
        free = free_name(Path(chosen).stem)
        if free != name:
            name = self._ask_name("Import", f"There is a model {name} already. Import as:", free)
        if name:
            self._work(f"Checking {name} …", lambda: add_model(chosen, name), self._added("Imported"))

    def delete(self) -> None:
        """Ask, then move the model to the recycle folder."""
        from phaseguide.models.recycle import recycle_model

        row = self.list.row
        if row is None:
            return
        project = self.opened.project
        question = f"Delete the model {row.name}? It goes to the recycle folder; Restore brings it back."
        if project is not None and project.current in (row.name, str(row.path)):
            question += f" The open project {project.file.name} uses it and will need another one."
        if not asks(self, "Delete?", question):
            return
        what = f"Deleting {row.name} …"
        done = self._ended(f"{row.name} waits in the recycle folder; Restore brings it back.")
        if row.origin == "project":
            self._in_project(what, lambda project: project.delete_version(row.name), done)
        else:
            self._work(what, lambda: recycle_model(row.name), done)

    def restore(self) -> None:
        """Ask which deleted model comes back."""
        from phaseguide.models.recycle import list_recycled

        project = self.opened.project
        recycled = {
            f"{number}. {model.name}, deleted {model.deleted:%d %B %Y, %H:%M}": model
            for number, model in enumerate(list_recycled(), 1)
        }
        versions = {}
        if project is not None:
            deleted = (version.id for version in project.versions if version.deleted)
            versions = {f"{name} of project {project.file.name}": name for name in deleted}
        if not recycled and not versions:
            self.say("No model was deleted.")
            return
        title, chosen = QInputDialog.getItem(self, "Restore", "Bring back:", [*recycled, *versions], 0, False)
        if chosen and title in versions:
            name = versions[title]
            done = self._ended(f"Restored {name}.")
            self._in_project(f"Restoring {name} …", lambda project: project.restore_version(name), done)
        elif chosen:
            self._restore_mine(recycled[title])

    # -- what it shows ----------------------------------------------------------------------------

    def refresh(self, chosen: Path | None = None) -> None:
        """Read the models again."""
        project = self.opened.project
        versions = () if project is None else project.versions
        self._deleted = has_recycled() or any(version.deleted for version in versions)
        row = self.list.row
        kept = row.path if row is not None else None
        self.list.show_rows(model_rows(project), chosen or kept)

    def fail(self, error: BaseException) -> None:
        """Tell of an error, which ends what was under way."""
        self._end()
        super().fail(error)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look what has changed while the widget was hidden."""
        super().showEvent(event)
        if not self._busy:
            self.refresh()

    def changeEvent(self, event: QEvent | None) -> None:
        """Look again when the window is active again: other programs add models too."""
        super().changeEvent(event)
        activated = event is not None and event.type() == QEvent.Type.ActivationChange
        if activated and self.isActiveWindow() and not self._busy:
            self.refresh()

    def _on_choice(self) -> None:
        row = self.list.row
        self.details.setText(
            row.details() if row is not None else "There are no models yet. Import one, or train."
        )
        card = None if row is None else row.card
        ready = card is not None and not self._busy
        for key in ("use", "save_as", "export", "share"):
            self.commands[key].setEnabled(ready)
        self.use_button.setEnabled(ready)
        self.commands["merge"].setEnabled(card is not None and ready and has_adapters(card))
        ships = row is None or row.origin == "built-in"
        self.commands["delete"].setEnabled(not ships and not self._busy)
        self.commands["delete"].setToolTip(
            "Models that ship stay." if ships else "Move this model to the recycle folder."
        )
        self.commands["import_"].setEnabled(not self._busy)
        self.commands["restore"].setEnabled(self._deleted and not self._busy)
        self.commands["restore"].setToolTip(
            "Bring back a model that was deleted." if self._deleted else "No model was deleted."
        )

    def _show_menu(self, place: QPoint) -> None:
        if self.list.itemAt(place) is not None:
            view = self.list.viewport()
            assert view is not None
            self.menu.popup(view.mapToGlobal(place))

    def _on_double_click(self, item: QTreeWidgetItem) -> None:
        if item in self.list.items() and self.commands["use"].isEnabled():
            self.use()

    # -- doing it ---------------------------------------------------------------------------------

    def _restore_mine(self, model: RecycledModel) -> None:
        """Bring back one of the user's; where its name is taken, ask for another one."""
        from phaseguide.models.recycle import restore_model

        name: str | None = model.name
        if free_name(model.name) != model.name:
            question = f"There is a model {model.name} already. Restore as:"
            name = self._ask_name("Restore", question, free_name(model.name))
        if name:
            self._work(f"Restoring {name} …", lambda: restore_model(model, name), self._added("Restored"))

    def _share_file(self, row: ModelRow, dialog: ShareDialog) -> None:
        from phaseguide.models.sharing import share_model

        text = dialog.text
        path = self._ask_file("Share the model", f"{row.name}{SUFFIX}", MODELS)
        if path:
            self._work("Writing the model …", lambda: share_model(row.path, path, text), self._written)

    def _share_package(self, row: ModelRow, dialog: ShareDialog, image: Image) -> None:
        text, card_text = dialog.package_text, asdict(dialog.text)
        path = self._ask_file("Share for bioimage.io", f"{row.name}.zip", "Packages (*.zip)")
        if not path:
            return
        read = None if image is None else plane_reader(planes.full_data(image), (), rgb=image.rgb)
        name = "" if image is None else image.name

        def write() -> Path:
            from dataclasses import replace

            from phaseguide.models.bioimageio.export import example_image, export_bioimageio
            from phaseguide.models.model_file import load_model
            from phaseguide.segmentation.network.channels import fit_channels

            model = load_model(row.path)
            model = replace(model, card=model.card.model_copy(update=card_text))
            channels = model.segmenter.in_channels
            if read is None:
                return export_bioimageio(model, path, text, *example_image(model.card))
            return export_bioimageio(model, path, text, fit_channels(read(), channels, name), name)

        self._work("Writing the package …", write, self._written)

    def _plain_images(self) -> list[Image]:
        return [one for one in micrographs(self.viewer) if len(planes.data_shape(one)) == 2]

    def _ask_name(self, title: str, question: str, name: str) -> str | None:
        text, given = QInputDialog.getText(self, title, as_plain(question), text=name)
        return text.strip() if given and text.strip() else None

    def _ask_file(self, title: str, name: str, kind: str) -> Path | None:
        # The dialog does not ask whether to replace: a file that is there stays, and we say so.
        option = QFileDialog.Option.DontConfirmOverwrite
        images = micrographs(self.viewer)
        start = save_places.offered(name, file_of(images[-1]) if images else None)
        chosen, _ = QFileDialog.getSaveFileName(self, title, start, kind, options=option)
        if not chosen:
            return None
        save_places.note_choice(chosen, start)
        return Path(chosen)

    def _work(self, what: str, function: Callable[[], Any], done: Callable[[Any], None]) -> None:
        self._begin(what)
        in_background(self, function, done, self.fail)

    def _added(self, word: str) -> Callable[[ZooEntry], None]:
        def tell(entry: ZooEntry) -> None:
            self._end(entry.path)
            self.say(f"{word} {entry.name}.")

        return tell

    def _written(self, path: Path) -> None:
        self._end()
        self.say(f"Wrote {path}")

    def _ended(self, sentence: str) -> Callable[[Any], None]:
        def tell(_: Any) -> None:
            self._end()
            self.say(sentence)

        return tell

    def _in_project(self, what: str, change: Callable[[Project], Any], done: Callable[[Any], None]) -> None:
        """Change the project in the thread that writes it."""
        self._begin(what)
        self.opened.do(change, while_heard(self, done), while_heard(self, self.fail))

    def _begin(self, what: str) -> None:
        self._busy = True
        self._on_choice()
        self.say(what)

    def _end(self, chosen: Path | None = None) -> None:
        self._busy = False
        self.refresh(chosen)


def _scrolled(content: QWidget) -> QScrollArea:
    """Let a long text scroll, so that it is never cut where docks share the height of a window."""
    area = QScrollArea()
    area.setWidget(content)
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFixedHeight(DETAILS_PX)
    return area
