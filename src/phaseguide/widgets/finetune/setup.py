"""What comes before a run: the model and its phases, the look at the sources, the estimate, the job."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from phaseguide.errors import ModelError, PhaseguideError, TrainingError
from phaseguide.events import Settle, Stages
from phaseguide.finetuning.config import preset_for
from phaseguide.jobs.finetune import SourceReport, StartCache, inspect_sources
from phaseguide.jobs.finetune_start import FinetuneJob, Start
from phaseguide.jobs.interrupted import new_run_folder
from phaseguide.models.zoo import plain_name
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.finetune.clock import describe_plan
from phaseguide.widgets.finetune.edits_follower import EditsFollower
from phaseguide.widgets.finetune.panel import IMAGENET, IMPROVE, SAM, SAM_SIZE
from phaseguide.widgets.finetune.project_phases import ProjectPhases
from phaseguide.widgets.finetune.start_weights import FIRST, ask_for_weights
from phaseguide.widgets.finetune.state import DockPart, Shared, image_in_work
from phaseguide.widgets.layers import roles
from phaseguide.widgets.layers.brush import select_edits, take_brush
from phaseguide.widgets.layers.edit_log import scheme_of
from phaseguide.widgets.layers.hub import hub_of
from phaseguide.widgets.qt.dock import later, while_heard
from phaseguide.widgets.qt.latest_worker import LatestWorker
from phaseguide.widgets.qt.style import ALARM
from phaseguide.widgets.qt.tasks import Failed

if TYPE_CHECKING:
    from napari.layers import Labels

    from phaseguide.projects.project import Project

SETTLE_MS = 600
"""Strokes and settings are looked at when they have been quiet for so long ..."""

ESTIMATE_S = 1.5
"""... and the run is estimated, which takes a step of the network, when they have been for so much longer."""


_TUNED = re.compile(r"-tuned(-\d+)?$")
"""The end of a name that a fine-tuned model was given; it is not given twice, the number counts."""


class FinetuneSetup(DockPart):
    """Follows the upper part of the panel; ``looked`` when something new is known about it, ``project_changed``
    when another project was opened or closed.
    """

    looked = Signal()
    project_changed = Signal()

    def __init__(self, owner: QObject, shared: Shared) -> None:
        super().__init__(owner, shared)
        panel = shared.panel
        self.models = StartCache()
        self._worker = LatestWorker(self)
        self._follower = EditsFollower(self._loose_edits)
        self._project: Project | None = None
        self._in_project = ProjectPhases(shared.opened, while_heard(self, self._on_refused))
        self._moves: dict[int, int] = {}
        self._lacks_weights = False
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._refresh)
        panel.goal.currentIndexChanged.connect(self._on_goal)
        panel.model_box.changed.connect(self._on_model)
        panel.model_box.failed.connect(lambda message: shared.messages.fail(ModelError(message)))
        panel.phases.relabelled.connect(self._on_relabelled)
        panel.phases.taken_back.connect(self._on_taken_back)
        panel.phases.changed.connect(self._on_phases)
        panel.sources.changed.connect(self.refresh_soon)
        panel.form.changed.connect(self.refresh_soon)
        self._worker.arrived.connect(self._on_looked)
        panel.weights.arrived.connect(self.refresh_soon)
        shared.opened.changed.connect(self._on_project)

    @property
    def startable(self) -> bool:
        """Whether everything that is known speaks for a start."""
        found = self._state.found
        if found is None or found.problem or not found.rows or self._lacks_weights:
            return False
        return self.start_of() is not None and not any(row.problem for row in found.rows.values())

    def begin(self) -> None:
        """Take the open project's model, or the one the user segments with, or the first that ships.

        Where the project's cannot be used, say so.
        """
        self._project = self._opened.project
        if self._project is not None and self._project.current:
            try:
                self._panel.model_box.open_file(self._project.model_path())
            except PhaseguideError as error:
                self._messages.fail(error)
        elif (path := hub_of(self._viewer).model) is not None:
            self._panel.model_box.open_file(path)
        self._on_model()
        self.project_changed.emit()

    def start_of(self) -> Start | None:
        """The model to start from with its phases, or None where one of the two is missing."""
        scheme, goal = self._panel.scheme(), self._panel.goal.currentData()
        path = None if goal in (IMAGENET, SAM) else self._panel.model_box.path
        if scheme is None or (path is None and goal not in (IMAGENET, SAM)):
            return None
        origin = self._panel.phases.phases.origin() if goal == IMPROVE else ()
        return Start(path, goal != IMPROVE, scheme, origin, SAM_SIZE if goal == SAM else "")

    def look(self) -> None:
        """Describe the sources and estimate the run, in the background."""
        self._settle.stop()
        if self._state.running:
            return
        self._panel.sources.propose()
        self._lacks_weights = ask_for_weights(self._panel)
        start, specs, config = self.start_of(), self._panel.sources.specs(), self._panel.form.value()
        name, models = self.name(), self.models
        self._worker.submit(lambda: _unhurried(inspect_sources(start, specs, config, name, models)))

    def new_job(self) -> FinetuneJob:
        """What is set, as a job; `PhaseguideError` where something is missing."""
        start, specs, project = self.start_of(), self._panel.sources.specs(), self._opened.project
        if start is None:
            raise ModelError(
                "Choose a model, or name two phases or more of the new one, before you fine-tune."
            )
        if not specs:
            raise TrainingError(
                "There is nothing to learn from. Paint on the edits layer of an image, or tick a source."
            )
        config = self._panel.form.value()
        return FinetuneJob(start, specs, config, self.name(), project, new_run_folder(project))

    def name(self) -> str:
        """Name of the new model, as a file name can be."""
        return plain_name(self._panel.name.text()) or self._panel.name.placeholderText() or "model"

    def paint(self) -> None:
        """Put the brush on the edits of the image that the user works on."""
        viewer, say = self._viewer, self._messages.say
        image, scheme = image_in_work(viewer), self._panel.scheme()
        if image is None or scheme is None:
            self._panel.phases_fold.expand()
            words = "Open an image first." if image is None else "Name two phases or more first."
            say(words, alarm=True)
            return
        edits = roles.find_layer(viewer, image, "edits")
        if edits is None or not edits.data.any():
            edits = roles.ensure_edits_layer(viewer, image, scheme)
        select_edits(viewer, edits, scheme)
        try:
            take_brush(viewer, edits, int(edits.selected_label))
        except PhaseguideError as error:
            say(str(error), alarm=True)
            return
        say(f"Paint on {edits.name!r}: a few strokes a phase, in several places.")

    def refresh_soon(self) -> None:
        """Look at the sources when all is quiet."""
        self._settle.start()

    def drop(self) -> None:
        """Forget the look under way."""
        self._settle.stop()
        self._worker.drop()

    def shut_down(self) -> None:
        """Look no more."""
        self._settle.stop()
        self._panel.weights.abandon()
        self._worker.end()
        self._opened.changed.disconnect(self._on_project)

    def _refresh(self) -> None:
        if self._panel.isVisibleTo(self._panel.window()):  # else it is looked at when it comes to the front
            self.look()

    def _on_looked(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Failed):
                self._panel.estimate.setText(str(event.error))
            elif isinstance(event, SourceReport):
                self._state.found = event
                self._panel.sources.show_look(event)
                plan = event.plan
                text = event.problem if plan is None else describe_plan(plan, self._panel.form.value())
                text = FIRST if self._lacks_weights else text
                self._panel.estimate.setText(text or self._missing(event))
                self._panel.estimate.setStyleSheet(ALARM if event.problem and not self._lacks_weights else "")
        self._show()

    def _missing(self, found: SourceReport) -> str:
        if self.start_of() is None:
            return "Choose a model, or name the phases of the new one."
        if not found.rows:
            return "Nothing to learn from yet: paint on an image, or add a folder."
        wrong = any(row.problem for row in found.rows.values())
        return "Untick what cannot work, or mend it." if wrong else "Estimating …"

    # -- phases -----------------------------------------------------------------------------------

    def _on_goal(self) -> None:
        """Look at the model, for which another way of learning may suit the goal."""
        self._on_model()

    def _on_model(self, *_: Any) -> None:
        """Begin with the project's phases; without a project with the model's, or for a new one the painted ones."""
        panel, project = self._panel, self._opened.project
        goal, card = panel.goal.currentData(), panel.model_box.card
        improve = goal == IMPROVE
        old = card.scheme if improve and card is not None else None
        panel.form.propose(self._preset())
        panel.model_box.setEnabled(goal not in (IMAGENET, SAM))
        self._lacks_weights = ask_for_weights(panel)
        if not self._in_project.settle():
            self._messages.say("The project has not followed the phases yet: another program is changing it.")
        scheme = old if improve and project is None else self._painted_scheme()
        origin = {} if scheme is None or old is None else self._origin(old, scheme)
        if improve:
            panel.name.setPlaceholderText("" if card is None else f"{_TUNED.sub('', card.name)}-tuned")
        else:
            panel.name.setPlaceholderText("my-steel")
        if not improve or (old is not None and origin != {p.label: (p.label,) for p in old}):
            panel.phases_fold.expand()  # what comes from what is worth a look
        panel.phases.begin(scheme, origin, old)
        self._in_project.begin(None if project is None else scheme)
        self._follower.begin(scheme)
        self._after_phases()

    def _preset(self) -> str:
        """The way of learning that suits goal and model."""
        goal, card = self._panel.goal.currentData(), self._panel.model_box.card
        if goal == SAM:
            return "adapters"
        known = {} if goal == IMAGENET or card is None else card.backbone.adapter
        suits = preset_for(known)
        return suits if goal == IMPROVE or suits == "adapters" else "new steel"

    def _origin(self, old: PhaseScheme, scheme: PhaseScheme) -> dict[int, tuple[int, ...]]:
        """What the phases to begin with come from, among the model's."""
        from phaseguide.models.rephase import origin_by_name
        from phaseguide.projects.lineage import origin_for

        try:
            if self._opened.project is not None:
                project = self._opened.project
                return origin_for(project.scheme, project.read_log(), old)
        except PhaseguideError as error:
            self._messages.fail(error)
        return origin_by_name(old, scheme)

    def _painted_scheme(self) -> PhaseScheme | None:
        """Phases that the project has, or that the strokes in the viewer were painted for."""
        if self._opened.project is not None:
            return PhaseScheme.from_dict({"phases": self._opened.project.file.phases})
        told = (scheme_of(layer) for layer in self._panel.sources.edits() if layer.data.any())
        return next((scheme for scheme in told if scheme is not None), None)

    def _loose_edits(self) -> list[Labels]:
        """Edits layers that belong to no field of the project."""
        sources = self._panel.sources
        return [edits for edits in sources.edits() if not sources.is_field(edits)]

    def _on_relabelled(self, relabel: dict[int, int]) -> None:
        self._moves = relabel
        self._follower.relabel(relabel)

    def _on_taken_back(self, relabel: dict[int, int]) -> None:
        self._follower.take_back(relabel)

    def _on_phases(self) -> None:
        scheme, moves = self._panel.phases.scheme, self._moves
        self._moves = {}
        self._in_project.follow(self._panel.phases.undo_depth, moves, scheme)
        self._follower.apply_scheme(scheme)
        self._after_phases()

    def _on_refused(self, error: BaseException) -> None:
        """Begin again with the phases that the project has: it could not follow the editor."""
        self._on_model()
        self._messages.fail(error)

    def _after_phases(self) -> None:
        self._panel.sources.propose()
        self.refresh_soon()
        self._show()

    def _on_project(self) -> None:
        """Read the fields again; another project also brings its model."""
        self._panel.sources.reset_choices()
        if self._opened.project is not self._project:
            self.begin()

    def _show(self) -> None:
        self.looked.emit()
        later(self, self._panel.fit_width)


def _unhurried(looks: Iterator[SourceReport]) -> Stages:
    """Rest between the first look and the second."""
    for found in looks:
        yield found
        if found.plan is None and not found.problem:
            yield Settle(ESTIMATE_S)
