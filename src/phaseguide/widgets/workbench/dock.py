"""The workbench: one dock with five steps as tabs, a line above that says what is worked on, the phase table below."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QSizePolicy, QStackedWidget, QTabWidget, QVBoxLayout, QWidget

from phaseguide.widgets.finetune.dock import FinetuneWidget
from phaseguide.widgets.models.dock import ModelsWidget
from phaseguide.widgets.point_count.dock import PointCountWidget
from phaseguide.widgets.project.dock import ProjectWidget
from phaseguide.widgets.project.open_project import open_project
from phaseguide.widgets.qt.dock import Dock
from phaseguide.widgets.qt.panel import button
from phaseguide.widgets.segment.dock import SegmentWidget
from phaseguide.widgets.strokes.dock import NewMaterialWidget
from phaseguide.widgets.workbench.footer import Footer
from phaseguide.widgets.workbench.header import Header
from phaseguide.widgets.workbench.header_lines import HeaderLines
from phaseguide.widgets.workbench.help_window import HelpWindow
from phaseguide.widgets.workbench.own_window import OwnWindow
from phaseguide.widgets.workbench.part_page import PartPage
from phaseguide.widgets.workbench.state import PARTS, STEPS, Part, Step, WorkbenchState

if TYPE_CHECKING:
    from napari.components import ViewerModel

OPENERS: tuple[tuple[Part, str, str], ...] = (
    ("project", "Project…", "A folder that keeps many images, your edits, results and models together."),
    ("models", "Manage models…", "List, copy, share, import and delete models."),
    (
        "point_count",
        "Count points…",
        "Check the areas with your own eyes, on points that the program chooses.",
    ),
)
"""The buttons that open parts, in the page of their step."""

MAKERS: dict[Part, Callable[[Any], Dock]] = {
    "project": ProjectWidget,
    "models": ModelsWidget,
    "new_material": NewMaterialWidget,
    "point_count": PointCountWidget,
}


class WorkbenchWidget(Dock):
    """Dock widget, one a viewer. What a step needs is made when the step is first shown.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.state = state = WorkbenchState()
        self.segment = SegmentWidget(napari_viewer)
        self.opened = open_project(napari_viewer)
        self._teach: FinetuneWidget | None = None
        self._parts: dict[Part, Dock] = {}
        self._pages: dict[Part, PartPage] = {}
        self._windows: dict[Part, OwnWindow] = {}
        self.header = Header(state)
        self.footer = Footer(self.segment, state)
        self.footer.follow(self.segment)
        self.status = self.segment.status
        self.tabs = QTabWidget()
        self.help_button = button("Help", "What to do in this step, and what the words mean.")
        self.help_button.setStyleSheet("padding: 1px 10px;")
        self.help: HelpWindow | None = None
        self._stacks: dict[Step, QStackedWidget] = {}
        self._lay_out()
        self._lines = HeaderLines(self, state, self.segment.state, self.opened)
        self._connect()
        if self.opened.project is not None:
            state.show_part("project")

    # -- its parts --------------------------------------------------------------------------------

    @property
    def teach(self) -> FinetuneWidget:
        """What teaches the model; made when it is first wanted."""
        if self._teach is None:
            self._teach = FinetuneWidget(self.viewer)
            self._stacks["teach"].addWidget(self._teach)
            self.footer.follow(self._teach)
        return self._teach

    @property
    def project(self) -> ProjectWidget:
        """The fields of a project."""
        made = self._part("project")
        assert isinstance(made, ProjectWidget)
        return made

    @property
    def models(self) -> ModelsWidget:
        """The list of models."""
        made = self._part("models")
        assert isinstance(made, ModelsWidget)
        return made

    @property
    def new_material(self) -> NewMaterialWidget:
        """A first model from strokes."""
        made = self._part("new_material")
        assert isinstance(made, NewMaterialWidget)
        return made

    @property
    def point_count(self) -> PointCountWidget:
        """The point count."""
        made = self._part("point_count")
        assert isinstance(made, PointCountWidget)
        return made

    def _part(self, part: Part) -> Dock:
        if part not in self._parts:
            dock = self._parts[part] = MAKERS[part](self.viewer)
            page = self._pages[part] = PartPage(part, dock)
            page.closed.connect(lambda: self.state.close_part(part))
            self._stacks[PARTS[part][0]].addWidget(page)
            page.torn_off.connect(lambda: self.state.tear_off(part))
            if isinstance(dock, NewMaterialWidget):
                dock.teach_wanted.connect(self._teach_anew)
                dock.saved.connect(self._segment_with_first_model)
            elif isinstance(dock, ModelsWidget):
                dock.used.connect(lambda: self.show_step("segment"))
            self.footer.follow(dock)
        return self._parts[part]

    # -- what the user does -----------------------------------------------------------------------

    def show_step(self, step: Step) -> None:
        """Show the page of a step."""
        part = self.state.within.get(step)
        if part is not None:
            self.state.close_part(part)
        self.state.show_step(step)

    def show_part(self, part: Part) -> None:
        """Show a part in its step, or in its own window where it has one."""
        if part in self._windows:
            self._windows[part].bring_up()
        else:
            self.state.show_part(part)

    def show_help(self) -> None:
        """Show the help of the step on show, in a window that stays open."""
        if self.help is None:
            self.help = HelpWindow(self)
        self.help.show_step(self.state.step)
        self.help.show()
        self.help.raise_()

    # -- keeping up -------------------------------------------------------------------------------

    def _lay_out(self) -> None:
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self.tabs.setDocumentMode(True)
        self.tabs.setUsesScrollButtons(False)
        self.tabs.setCornerWidget(self.help_button)
        bar = self.tabs.tabBar()
        if bar is not None:
            bar.setDrawBase(False)
        pages = self.segment.panel.pages
        for number, (step, (title, tip)) in enumerate(STEPS.items()):
            stack = self._stacks[step] = QStackedWidget()
            if step in pages:
                stack.addWidget(pages[step])
            self.tabs.addTab(stack, title)
            self.tabs.setTabToolTip(number, tip)
        slots = {"image": self.segment.panel.image_slot, "report": self.segment.panel.report_slot}
        for part, title, tip in OPENERS:
            opener = button(title, tip)
            opener.clicked.connect(lambda _=False, part=part: self.show_part(part))
            slots[PARTS[part][0]].addWidget(opener)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.header)
        column.addWidget(self.tabs, 1)
        column.addWidget(self.footer)

    def _connect(self) -> None:
        events = self.state.events
        events.step.connect(self._show)
        events.within.connect(self._show)
        events.torn_off.connect(self._tear_off)
        self.tabs.currentChanged.connect(self._on_tab)
        self.help_button.clicked.connect(self.show_help)
        self.header.clicked.connect(lambda: self.show_step("image"))
        self.tabs.tabBarClicked.connect(self._on_tab_clicked)
        self.segment.panel.page_wanted.connect(self.show_step)
        self.segment.panel.new_material.button.clicked.connect(lambda: self.show_part("new_material"))
        self.hear(self.opened.changed, self._lines.look_at_project)
        self.hear(self.opened.shown, self._on_field)

    def _on_tab(self, index: int) -> None:
        self.state.show_step(list(STEPS)[index])

    def _on_tab_clicked(self, index: int) -> None:
        """A click on the step on show leads back to its page."""
        if index == self.tabs.currentIndex() and self.state.part is not None:
            self.state.close_part(self.state.part)

    def _segment_with_first_model(self) -> None:
        """Show Segment, where ratios and matching act on the model that was made from strokes, with its mask."""
        self.show_step("segment")
        if not self.segment.runner.running:
            self.segment.segment()

    def _teach_anew(self, start: Path) -> None:
        """Show Teach, set to make a model with phases of its own from a start."""
        self.show_step("teach")
        self.teach.begin_new(start)

    def _on_field(self, field_id: str) -> None:
        self._lines.look_at_project()

    def _show(self) -> None:
        """Bring the step on show to the front, and the part that is open within it."""
        state = self.state
        stack, part = self._stacks[state.step], state.part
        if state.step == "teach":
            shown: QWidget | None = self.teach
        elif part is None:
            shown = stack.widget(0)
        else:
            self._part(part)
            shown = self._pages[part]
        stack.setCurrentWidget(shown)
        if self.help is not None and self.help.isVisible():
            self.help.show_step(state.step)
        self.tabs.setCurrentIndex(list(STEPS).index(state.step))

    def _tear_off(self, torn: frozenset[Part]) -> None:
        """Give the parts windows that are to have one, and the others their place in their step."""
        for part in torn - self._windows.keys():
            window = self._windows[part] = OwnWindow(self.viewer, PARTS[part][1], self._part(part), self)
            window.closed.connect(lambda part=part: self.state.take_back(part))
        for part in self._windows.keys() - torn:
            del self._windows[part]
            self._pages[part].take(self._parts[part])
            self.footer.take_status(self._parts[part])

    # -- the end ----------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """End what every part has under way."""
        for window in list(self._windows.values()):
            window.end()
        self.state.events.disconnect()
        for dock in (self.segment, self._teach, *self._parts.values()):
            if dock is not None:
                dock.close_down()
