"""What the result buttons do: ask for a place, then write in the background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication, QFileDialog, QWidget

from phaseguide.jobs.export import (
    ExportedImage,
    ExportedPlane,
    files_there,
    save_overlay,
    save_results,
    save_table,
)
from phaseguide.jobs.plane_index import plane_reader
from phaseguide.jobs.tables import table_text
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.identity import file_of
from phaseguide.widgets.qt import save_places
from phaseguide.widgets.qt.plain_text import asks
from phaseguide.widgets.qt.tasks import in_background

if TYPE_CHECKING:
    from phaseguide.widgets.segment.results import Results
    from phaseguide.widgets.segment.state import Say, SegmentState


class Exporter(QObject):
    """Copies and saves what the step Segment shows, edits on top included.

    What leaves the dock is kept: a number that is being typed is finished, and a result on trial accepted, first.

    Parameters
    ----------
    window : QWidget
        Questions are asked above it.
    state : SegmentState
    results : Results
    ready : callable
        Finishes what is being typed and keeps what is on trial; returns why what is on show must not leave the dock,
        empty if it may.
    say, fail : callable
        Take a sentence, and an error.
    """

    def __init__(
        self,
        window: QWidget,
        state: SegmentState,
        results: Results,
        ready: Callable[[], str],
        say: Say,
        fail: Callable[[BaseException], None],
    ) -> None:
        super().__init__(window)
        self._window, self._state, self._results = window, state, results
        self._ready, self._say, self._fail = ready, say, fail

    def exported(self) -> ExportedImage | None:
        """Everything on show of the chosen image; None if there is no result, or it is not that of the values set."""
        if reason := self._ready():
            self._say(reason, alarm=True)
            return None
        image = self._state.image
        if image is None or (run := self._results.shown(image)) is None:
            return None
        data = planes.full_data(image)
        exported = tuple(
            ExportedPlane(index, current, run.planes[index].made, plane_reader(data, index, rgb=image.rgb))
            for index in sorted(run.planes)
            if (current := self._results.current(image, index)) is not None
        )
        pixel_size, told = roles.pixel_size_um(image), roles.scale_source(image)
        return ExportedImage(image.name, file_of(image), roles.file_sha256(image), pixel_size, exported, told)

    def copy_table(self) -> None:
        """Put the table on the clipboard, tab separated."""
        exported = self.exported()
        if exported is not None:
            clipboard = QApplication.clipboard()
            if clipboard is not None:
                clipboard.setText(table_text(exported.rows(), "\t"))
            self._say("Table copied.")

    def save_table(self) -> None:
        """Ask for a name and write the table as CSV."""
        exported = self.exported()
        if exported is None:
            return
        name = f"{exported.stem(())}_phases.csv"
        path = self._ask_file("Save the table", name, "CSV (*.csv)", exported.image_path)
        if path is not None:
            rows = exported.rows()
            self._write(lambda: save_table(path, rows))

    def save_overlay(self) -> None:
        """Ask for a name and write the overlay of the plane on show as PNG."""
        exported, index = self.exported(), self._state.plane
        if exported is None:
            return
        plane = next((p for p in exported.planes if p.index == index), None)
        if plane is None:
            return
        name = f"{exported.stem(index)}_overlay.png"
        path = self._ask_file("Save the overlay", name, "PNG (*.png)", exported.image_path)
        if path is not None:
            self._write(lambda: save_overlay(path, exported, plane))

    def save_result(self) -> None:
        """Ask for a folder and write label map and record of each plane."""
        exported = self.exported()
        if exported is None:
            return
        start = save_places.offered("", exported.image_path)
        chosen = QFileDialog.getExistingDirectory(self._window, "Folder for label map and record", start)
        if not chosen:
            return
        save_places.note_choice(chosen, start)
        folder = Path(chosen)
        there = files_there(folder, exported)
        if there and not self._replace(there):
            return
        self._write(lambda: save_results(folder, exported))

    def _ask_file(self, title: str, name: str, kind: str, beside: Path | None) -> Path | None:
        start = save_places.offered(name, beside)
        chosen, _ = QFileDialog.getSaveFileName(self._window, title, start, kind)
        suffix = Path(name).suffix
        if not chosen:
            return None
        save_places.note_choice(chosen, start)
        return Path(chosen) if chosen.lower().endswith(suffix) else Path(chosen + suffix)

    def _replace(self, there: list[Path]) -> bool:
        names = ", ".join(path.name for path in there[:4]) + (" …" if len(there) > 4 else "")
        return asks(self._window, "Replace files?", f"{there[0].parent} has {names}. Replace?")

    def _write(self, job: Callable[[], Any]) -> None:
        self._say("Saving …")
        in_background(self, job, self._written, self._fail)

    def _written(self, path: Path) -> None:
        self._say(f"Saved: {path}")
