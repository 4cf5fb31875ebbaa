"""A window or a project that is to be closed while edits are not on the disk: the user is asked, and nothing waits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from phaseguide.errors import PhaseguideError
from phaseguide.projects.edit_saver import save_elsewhere
from phaseguide.projects.rescue import rescue_folder
from phaseguide.widgets.qt import save_places

if TYPE_CHECKING:
    from phaseguide.widgets.project.open_project import OpenProject


class UnsavedQuestion(QMessageBox):
    """Asks what is to become of edits that are not on the disk, and rescues them before it does.

    It does not block: what is tried meanwhile may succeed, and then it answers itself.

    Parameters
    ----------
    go_on : callable
        Called when nothing holds the user back any more.
    """

    def __init__(self, opened: OpenProject, parent: QWidget, go_on: Callable[[], None]) -> None:
        super().__init__(parent)
        self._opened, self._go_on = opened, go_on
        self._unsaved = opened.keep_copies()
        self.setIcon(QMessageBox.Icon.Warning)
        self.setWindowTitle("Edits are not saved")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(f"Edits of {_listed(list(self._unsaved))} could not be saved in the project yet.")
        reasons = "\n".join(dict.fromkeys(opened.autosave.reasons().values()))
        place = "" if reasons else f" in {rescue_folder()}"
        self.setInformativeText(
            f"{reasons}\n\nRescue copies are kept{place}, and offered when the project is opened again. Saving is "
            "tried on meanwhile: once everything is saved, this closes by itself.".strip()
        )
        self.elsewhere = self.addButton("Save elsewhere…", QMessageBox.ButtonRole.ActionRole)
        self.anyway = self.addButton("Close anyway", QMessageBox.ButtonRole.DestructiveRole)
        self.back = self.addButton("Go on editing", QMessageBox.ButtonRole.RejectRole)
        self.setDefaultButton(self.back)
        self.setEscapeButton(self.back)
        self.buttonClicked.connect(self._on_clicked)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        opened.autosave.saved.connect(self._on_saved)

    def _on_clicked(self, button: QWidget) -> None:
        if button is self.back or (button is self.elsewhere and not self._save_elsewhere()):
            return
        self._opened.leave()
        self._go_on()

    def _save_elsewhere(self) -> bool:
        start = save_places.offered("", None)
        folder = QFileDialog.getExistingDirectory(self.parentWidget(), "Save the edits in", start)
        if not folder:
            return False
        save_places.note_choice(folder, start)
        try:
            paths = save_elsewhere(Path(folder), self._opened.autosave.unsaved())
        except PhaseguideError as error:
            self._opened.failed.emit(error)
            return False
        self._opened.said.emit(f"Saved {_listed([path.name for path in paths])} in {folder}.")
        return True

    def _on_saved(self, _: str) -> None:
        if not self._opened.autosave.unsaved() and self.isVisible():
            self.close()
            self._go_on()


class ClosingWindow(QObject):
    """Saves before a window closes, and lets it stay for the question where that fails.

    Parameters
    ----------
    window : QWidget
        The main window of a viewer.
    """

    def __init__(self, opened: OpenProject, window: QWidget) -> None:
        super().__init__(window)
        self._opened, self._window = opened, window
        self._question: UnsavedQuestion | None = None
        self._decided = False

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep a window open whose edits are not saved yet."""
        if event is None or event.type() != QEvent.Type.Close or watched is not self._window or self._decided:
            return bool(super().eventFilter(watched, event))
        if not self._can_stay():
            self._opened.leave()
        elif not self._opened.flush():
            self._ask()
            event.ignore()
            return True
        return bool(super().eventFilter(watched, event))

    def _can_stay(self) -> bool:
        """Whether a user closes the window; ``viewer.close()`` of a script has taken it apart by now."""
        viewer = getattr(self._window, "_qt_viewer", None)
        return self._window.isVisible() and viewer is not None and not viewer.isHidden()

    def _ask(self) -> None:
        if self._question is None:
            self._question = UnsavedQuestion(self._opened, self._window, self._go)
            self._question.finished.connect(self._answered)
            self._question.open()
        self._question.raise_()

    def _answered(self) -> None:
        self._question = None

    def _go(self) -> None:
        self._decided = True
        # Not napari's own `close`, which would forget whether the whole application is to end.
        QWidget.close(self._window)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
