"""The controls of the list of fields of a project and how they are laid out; what they do is in `dock`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from phaseguide.widgets.layers.brush_keys import describe_keys
from phaseguide.widgets.project.copies import RescueBar
from phaseguide.widgets.project.field_list import FLAG, FieldList, short
from phaseguide.widgets.project.import_labels import ImportBox
from phaseguide.widgets.qt.collapsible import Collapsible
from phaseguide.widgets.qt.notices.fold import WarningsFold
from phaseguide.widgets.qt.panel import ScrolledPanel, button, small_label
from phaseguide.widgets.qt.plain_text import Label, one_line
from phaseguide.widgets.qt.progress_bar import ProgressLine
from phaseguide.widgets.qt.shortcuts import key_tip
from phaseguide.widgets.qt.status_line import StatusLine

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.phases import PhaseScheme
    from phaseguide.projects.project import Project
    from phaseguide.projects.schema import FieldEntry
    from phaseguide.widgets.project.state import ProjectState

PREVIOUS, NEXT = "Ctrl+PgUp", "Ctrl+PgDown"
NO_PROJECT = (
    "No project is open. A project is a folder that keeps images, your edits, results and model versions together, "
    "and saves by itself. Everything works without one, too."
)


class ProjectPanel(ScrolledPanel):
    """Controls only.

    Parameters
    ----------
    find_scheme : callable
        Returns the phases for an image layer, or None.
    """

    def __init__(self, viewer: ViewerModel, find_scheme: Callable[[Image], PhaseScheme | None]) -> None:
        super().__init__()
        self.title = Label()
        self.title.setStyleSheet("font-weight: bold;")
        self.place = small_label()
        self.new_button = button("New…", "Make a project in an empty folder.")
        self.open_button = button("Open…", "Open a project folder.")
        self.close_button = button("Close", "Save everything and close the project.")
        self.model_box = QComboBox()
        self.model_box.setToolTip(
            "The model of the project. Fields that another one has segmented are flagged and can be run again."
        )
        self.model_box.setMinimumContentsLength(12)
        self.model_box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.files_button = button("Add files…", "Add micrographs as fields.")
        self.layers_button = button("Add open images", "Add the image layers that come from files.")
        self.rescue_bar = RescueBar()
        self.list = FieldList()
        self.previous_button = button("◀ Previous", key_tip("Show the field before.", PREVIOUS))
        self.next_button = button("Next ▶", key_tip("Show the next field.", NEXT))
        self.review_button = button(
            "Reviewed", "The field is right as it is: freeze its result and its edits."
        )
        self.reject_button = button("Reject…", "The field is not to be used; asks for the reason.")
        self.reopen_button = button("Reopen", "Make the field unreviewed again, so that it can change.")
        self.flag_line = small_label()
        self.flag_line.setStyleSheet(f"color: {FLAG};")
        self.rerun_button = button(
            "Segment",
            "Segment the unreviewed fields that have no result of the project's model. Reviewed ones stay as they are.",
        )
        self.stop_button = button("Stop", "Stop after the field under way; those that are done are kept.")
        self.progress = ProgressLine("Project")
        self.keys_line = small_label()
        self.import_box = ImportBox(viewer, find_scheme)
        self.import_fold = Collapsible("Take over labels corrected elsewhere", self.import_box)
        self.status = StatusLine()
        self.warnings = WarningsFold()
        self._listed = False
        self._lay_out()

    def show_project(self, project: Project | None, models: list[str]) -> None:
        """Show name, place and models of a project, or that there is none."""
        there = project is not None
        self.title.setText(one_line(project.file.name) if project is not None else "")
        self.title.setVisible(there)
        self.place.setText(str(project.folder) if project is not None else NO_PROJECT)
        blocked = self.model_box.blockSignals(True)
        self.model_box.clear()
        if project is not None:
            extra = [project.current] if project.current and project.current not in models else []
            for name in (*models, *extra):
                self.model_box.addItem(one_line(short(name)), name)
            self.model_box.setPlaceholderText("the first that segments a field")
            self.model_box.setCurrentIndex(self.model_box.findData(project.current))
            self.keys_line.setText(describe_keys(project.scheme))
        self.model_box.blockSignals(blocked)
        self._form.setRowVisible(self.model_box, there)
        for one in (self.list, self.keys_line):
            one.setVisible(there)

    def show_state(self, state: ProjectState, entry: FieldEntry | None, ready: int) -> None:
        """Enable what can be done now.

        Parameters
        ----------
        entry : FieldEntry or None
            The field on show.
        ready : int
            Fields that a run would segment.
        """
        project, busy = state.project, state.running
        there, flags = project is not None, "" if project is None else describe_versions(project)
        reviewed = "" if entry is None else entry.state
        self._make_room(bool(project and project.fields))
        for one in (self.close_button, self.files_button, self.layers_button):
            one.setEnabled(there)
        for one in (self.previous_button, self.next_button):
            one.setEnabled(there and bool(project and project.fields))
        self.review_button.setEnabled(reviewed in ("unreviewed", "rejected"))
        self.reject_button.setEnabled(reviewed in ("unreviewed", "reviewed"))
        self.reopen_button.setEnabled(reviewed in ("reviewed", "rejected"))
        self.flag_line.setText(flags)
        self.flag_line.setVisible(bool(flags))
        self.rerun_button.setText(f"Segment {ready} unreviewed" if ready else "Segment")
        self.rerun_button.setVisible(there and (ready > 0 or busy))
        self.rerun_button.setEnabled(not busy)
        self.stop_button.setVisible(busy)

    def _make_room(self, listed: bool) -> None:
        """Fold away what is needed now and then as soon as there are fields, which need the room."""
        if listed != self._listed:
            self._listed = listed
            self.fold.heading.setChecked(not listed)

    def _lay_out(self) -> None:
        self.fold = self._management()
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(5, 2, 5, 2)
        column.setSpacing(4)
        column.addWidget(self.title)
        column.addWidget(self.fold)
        column.addWidget(self.rescue_bar)
        # What comes and goes stands above the list, which gives way: no button below it moves.
        column.addWidget(self.flag_line)
        self._grid(column, (self.rerun_button, self.stop_button))
        column.addWidget(self.progress)
        column.addWidget(self.warnings)
        column.addWidget(self.list, 1)
        column.addStretch()
        self.show_content(content)
        row = QHBoxLayout()
        row.setSpacing(4)
        for one in (
            self.previous_button, self.next_button, self.review_button, self.reject_button, self.reopen_button,
        ):  # fmt: skip
            row.addWidget(one)
        self.pin(row)
        self.fit_width()

    def _management(self) -> Collapsible:
        """What is needed now and then: another project, its model, more images."""
        part = QWidget()
        column = QVBoxLayout(part)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.place)
        self._grid(column, (self.new_button, self.open_button, self.close_button))
        self._form = form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Model", self.model_box)
        column.addLayout(form)
        self._grid(column, (self.files_button, self.layers_button))
        column.addWidget(self.keys_line)
        column.addWidget(self.import_fold)
        fold = Collapsible("Folder, model, more images", part)
        fold.expand()
        return fold

    @staticmethod
    def _grid(column: QVBoxLayout, buttons: tuple[QPushButton, ...]) -> None:
        row = QGridLayout()
        for place, one in enumerate(buttons):
            row.addWidget(one, 0, place)
            row.setColumnStretch(place, 1)
        column.addLayout(row)


def describe_versions(project: Project) -> str:
    """What is to be known about the models that have segmented the fields; empty for nothing."""
    stale, versions = project.stale_fields(), project.mixed_versions()
    if stale:
        return (
            f"{len(stale)} unreviewed {'field was' if len(stale) == 1 else 'fields were'} segmented by another "
            f"model than {short(project.current)}."
        )
    if len(versions) > 1:
        return f"Fields were segmented by different models: {', '.join(sorted(map(short, versions)))}."
    return ""
