"""The New material dock: a first model from a few strokes, fitted anew after each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QHideEvent, QShowEvent

from phaseguide.errors import MicrographError, ModelError, PhaseguideError, SchemeError
from phaseguide.events import Progress
from phaseguide.jobs.strokes.save import save_strokes
from phaseguide.jobs.strokes.stages import (
    Prepared,
    StrokesJudged,
    StrokesMap,
    StrokesRequest,
    StrokesWork,
    describe_evidence,
    describe_painted,
    missing_phases,
)
from phaseguide.models.zoo import USUAL, find_model, plain_name
from phaseguide.phases import PhaseScheme
from phaseguide.widgets.finetune.edits_follower import EditsFollower
from phaseguide.widgets.layers import maps, planes, roles
from phaseguide.widgets.layers.brush import select_edits, take_brush
from phaseguide.widgets.layers.canvas import canvas_of
from phaseguide.widgets.layers.edit_log import scheme_of
from phaseguide.widgets.layers.edit_tools import edit_tools
from phaseguide.widgets.layers.hub import hub_of, tell
from phaseguide.widgets.layers.info_bars import InfoBars
from phaseguide.widgets.project.open_project import open_project
from phaseguide.widgets.qt.dock import Dock, later, listen, quiet_timer, while_heard
from phaseguide.widgets.qt.latest_worker import LatestWorker
from phaseguide.widgets.qt.plain_text import one_line
from phaseguide.widgets.qt.tasks import Failed, in_background
from phaseguide.widgets.segment.preferences import read_preferences
from phaseguide.widgets.strokes.painted_planes import (
    foreign_edits,
    painted_for,
    painted_planes,
    painted_scheme,
    plane_of,
)
from phaseguide.widgets.strokes.panel import NAME, NewMaterialPanel

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from phaseguide.jobs.segment import Plane

FIRST = PhaseScheme.from_names(["phase 1", "phase 2"])
"""Phases to begin with where nothing is painted yet."""

REST_MS = 60
"""An undo and a stroke may come as several events."""


class NewMaterialWidget(Dock):
    """The part of the workbench that begins with a material that no model knows."""

    saved = Signal()
    """What was fitted is a model now, and chosen."""
    teach_wanted = Signal(object)
    """A deep network is to learn from the same strokes; the file of the model that it begins as."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.opened = open_project(napari_viewer)
        self.panel = NewMaterialPanel(napari_viewer)
        self.fill(self.panel)
        edit_tools(napari_viewer)  # brush keys and a log of edits
        self.bars = InfoBars(self)
        self.worker = LatestWorker(self)
        self.answer: StrokesMap | None = None
        self._work = StrokesWork()
        self._follower = EditsFollower(self._own_edits)
        self._scheme: PhaseScheme | None = None
        self._project_shown = ""
        self._hidden: set[Any] = set()  # results that a mask is shown in the place of
        self._stroke = quiet_timer(self, REST_MS, self.fit)
        self._connect()
        self.begin()

    # -- what the user does -----------------------------------------------------------------------

    @property
    def image(self) -> Image | None:
        """The chosen image layer, or None."""
        image: Image | None = self.panel.image_box.layer
        return image

    @property
    def on_show(self) -> bool:
        """Whether the user has New material before them; no stroke is followed while another step is on show."""
        return self.parent() is None or self.isVisibleTo(self.window())

    def begin(self) -> None:
        """Take the phases of the open project, or those that are painted on the image, or two to be named."""
        project = self.opened.project
        if project is not None:
            scheme = PhaseScheme.from_dict({"phases": project.file.phases})
        else:
            scheme = painted_scheme(self.viewer, self.image) or FIRST
        self.panel.show_project("" if project is None else project.file.name)
        self.panel.phases.begin(scheme, {})
        self._follower.begin(scheme)
        self._on_phases()
        self._on_image()

    def paint(self, wanted: bool) -> None:
        """Put the brush on the edits of the image, or put it away."""
        image, scheme = self.image, self._scheme
        if not wanted:
            edits = None if image is None else roles.find_layer(self.viewer, image, "edits")
            if edits is not None:
                edits.mode = "pan_zoom"
            return
        try:
            if image is None:
                raise MicrographError("There is no image to paint on. Open a micrograph (File > Open).")
            if scheme is None:
                raise ModelError("Name two phases or more first.")
            self._check_strokes(image, scheme)
            edits = roles.ensure_edits_layer(self.viewer, image, scheme)
        except PhaseguideError as error:
            self._brush_is(False)
            self.fail(error)
            return
        self._watch(edits)
        edits.brush_size = min(edits.brush_size, 8)
        select_edits(self.viewer, edits, scheme)
        take_brush(self.viewer, edits, int(edits.selected_label))
        self.panel.brush_box.setCurrentIndex(self.panel.brush_box.findData(edits.selected_label))
        self._brush_is(True)
        if self.answer is None:
            self.say("Paint a short stroke of each phase; the mask follows when you let go.")
            self.prepare()

    def fit(self) -> None:
        """Fit to everything that is painted, and show the map of the plane on show."""
        self._stroke.stop()
        image, scheme = self.image, self._scheme
        if image is None or scheme is None or not self.on_show:
            return
        try:
            painted = painted_planes(self.viewer, scheme, self.bars)
            if not painted:
                if self.answer is not None:  # else the image may be under way to be encoded
                    self._forget()
                self._check_strokes(image, scheme)
                return
            shown = plane_of(
                self.viewer, image, planes.current_index(image, self.viewer.dims.point), self.bars
            )
            request = StrokesRequest(find_model(USUAL), scheme, painted, shown, read_preferences()[0].device)
        except PhaseguideError as error:
            self.say(str(error), alarm=True)
            return
        work = self._work
        if self.answer is None:
            self.panel.progress.begin()
        self.worker.submit(lambda: work.stages(request))

    def prepare(self) -> None:
        """Encode the image on show while the user takes the brush."""
        image, scheme = self.image, self._scheme
        if image is None or scheme is None or self.answer is not None or not self.worker.idle:
            return
        request, work = self._request(image, scheme, ()), self._work
        self.panel.progress.begin()
        self.worker.submit(lambda: work.prepare(request))

    def save(self) -> None:
        """Save what was fitted last, and let Segment take it."""
        answer, project = self.answer, self.opened.project
        if answer is None:
            return
        name = plain_name(self.panel.name.text()) or NAME
        fitted = answer.fitted
        self.panel.save_button.setEnabled(False)
        self.say("Saving …")
        if project is None:
            in_background(self, lambda: save_strokes(fitted, name, None), self._on_saved, self._on_not_saved)
        else:  # whose thread alone writes there
            done, failed = while_heard(self, self._on_saved), while_heard(self, self._on_not_saved)
            self.opened.worker.do(lambda: save_strokes(fitted, name, project), done, failed)

    def teach(self) -> None:
        """Ask for the step where a deep network learns from the same strokes."""
        self.teach_wanted.emit(find_model(USUAL))

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again; napari calls this when they change."""
        self.panel.image_box.reset_choices()
        self._watch_all()

    def _check_strokes(self, image: Image, scheme: PhaseScheme) -> None:
        """Raise `SchemeError` where the strokes on an image are of other phases."""
        foreign = foreign_edits(self.viewer, image, scheme)
        if foreign is not None:
            known = scheme_of(foreign)
            assert known is not None
            raise SchemeError(
                f"{foreign.name!r} holds strokes of other phases ({known.describe()}). Save that layer and take it out "
                "of the viewer, or name the phases as they are there."
            )

    def _request(self, image: Image, scheme: PhaseScheme, painted: tuple[Plane, ...]) -> StrokesRequest:
        shown = plane_of(self.viewer, image, planes.current_index(image, self.viewer.dims.point), self.bars)
        return StrokesRequest(find_model(USUAL), scheme, painted, shown, read_preferences()[0].device)

    # -- keeping up -------------------------------------------------------------------------------

    def _connect(self) -> None:
        panel = self.panel
        panel.image_box.changed.connect(self._on_image)
        panel.phases.relabelled.connect(self._follower.relabel)
        panel.phases.taken_back.connect(self._follower.take_back)
        panel.phases.changed.connect(self._on_phases_changed)
        panel.brush_box.currentIndexChanged.connect(self._on_brush)
        panel.paint_button.clicked.connect(self.paint)
        panel.save_button.clicked.connect(self.save)
        panel.teach_button.clicked.connect(self.teach)
        self.worker.arrived.connect(self._on_arrived)
        self.hear(self.opened.changed, self._on_project)
        listen(self, self.viewer.dims.events.current_step, self._on_painted)

    def _own_edits(self) -> list[Labels]:
        """Edits layers that were painted for the phases as they were before a change."""
        own = self._scheme if self.opened.project is None else None
        return [] if own is None else [edits for _, edits in painted_for(self.viewer, own)]

    def _on_project(self) -> None:
        project = self.opened.project
        shown = "" if project is None else project.file.name
        if shown != self._project_shown:
            self.begin()

    def _on_phases_changed(self) -> None:
        self._follower.apply_scheme(self.panel.phases.scheme)
        self._on_phases()
        self._on_painted()

    def _on_phases(self) -> None:
        project = self.opened.project
        self._project_shown = "" if project is None else project.file.name
        self._scheme = self.panel.phases.scheme
        self.panel.show_brushes(self._scheme)
        self._watch_all()
        self._forget()
        later(self, self.panel.fit_width)

    def _on_image(self) -> None:
        image = self.image
        if image is not None:
            canvas_of(self.viewer).show(image)
            self.bars.look(image)
        self._forget()
        self._on_painted()

    def _watch_all(self) -> None:
        if self._scheme is not None:
            for _, edits in painted_for(self.viewer, self._scheme):
                self._watch(edits)

    def _watch(self, edits: Labels) -> None:
        """Hear of strokes, of what is taken back, and of the brush."""
        for event in (edits.events.paint, edits.events.data, edits.events.set_data):
            listen(self, event, self._on_painted)
        listen(self, edits.events.mode, self._on_mode)
        listen(self, edits.events.selected_label, self._on_selected)

    def _on_painted(self, event: Any = None) -> None:
        self._stroke.start()

    def _on_mode(self, event: Any) -> None:
        self._brush_is(event.source.mode in ("paint", "fill", "polygon"))

    def _on_selected(self, event: Any) -> None:
        index = self.panel.brush_box.findData(int(event.source.selected_label))
        if index >= 0:
            self.panel.brush_box.setCurrentIndex(index)

    def _on_brush(self) -> None:
        image, label = self.image, self.panel.brush_box.currentData()
        edits = None if image is None else roles.find_layer(self.viewer, image, "edits")
        if edits is not None and label is not None and edits.selected_label != label:
            edits.selected_label = label

    def _brush_is(self, in_hand: bool) -> None:
        self.panel.paint_button.setChecked(in_hand)

    def _forget(self) -> None:
        """Nothing is fitted; what was on show goes."""
        self.worker.drop()
        self.panel.progress.end()
        shown, self.answer = self.answer, None
        if shown is not None:
            self._clear_maps()
        self.panel.areas.setText("")
        self.panel.evidence.setText("")
        self.panel.save_button.setEnabled(False)
        self.panel.teach_button.setEnabled(False)

    def _clear_maps(self) -> None:
        """Take the masks away; results that they have covered are on show again."""
        for image in roles.micrographs(self.viewer):
            maps.remove_map(self.viewer, image, maps.FIRST_MODEL)
            result = roles.find_layer(self.viewer, image, "phases")
            if result is not None and result.unique_id in self._hidden:
                result.visible = True
        self._hidden.clear()

    def _hide_result(self, image: Image) -> None:
        """Two maps over one another show the colours of neither."""
        result = roles.find_layer(self.viewer, image, "phases")
        if result is not None and result.visible:
            result.visible = False
            self._hidden.add(result.unique_id)

    # -- answers ----------------------------------------------------------------------------------

    def _on_arrived(self, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Progress):
                self.panel.progress.show_step(event)
            elif isinstance(event, StrokesMap):
                self._show(event)
            elif isinstance(event, StrokesJudged):
                self._judge(event)
            elif isinstance(event, Prepared):
                self.panel.progress.end()
            elif isinstance(event, Failed):
                self.panel.progress.end()
                self.say(str(event.error), alarm=True)

    def _show(self, answer: StrokesMap) -> None:
        request, image = answer.request, self.image
        self.panel.progress.end()
        if image is None or request.shown.image != image.unique_id or request.scheme != self._scheme:
            return
        if self.answer is None:
            self._hide_result(image)
        self.answer = answer
        index, window = request.shown.index, maps.whole_plane(image)
        maps.show_map(self.viewer, image, maps.FIRST_MODEL, request.scheme, index, window, answer.labels)
        self.panel.areas.setText(
            " · ".join(
                f"{one_line(phase.name)} {100 * share:.1f} %"
                for phase, share in zip(request.scheme, answer.shares, strict=True)
            )
        )
        unpainted = missing_phases(request.scheme, answer.fitted.painted)
        if unpainted:
            self.say(f"Not painted yet, so not in the mask: {', '.join(map(one_line, unpainted))}.")
        else:
            self.say(describe_painted(answer))
        self.panel.save_button.setEnabled(True)
        self.panel.teach_button.setEnabled(True)

    def _judge(self, judged: StrokesJudged) -> None:
        if self.answer is not None and self.answer.fitted is judged.fitted:
            self.panel.evidence.setText(describe_evidence(judged.held_out))

    def _on_saved(self, path: Path) -> None:
        self.panel.save_button.setEnabled(self.answer is not None)
        self._clear_maps()
        heard = tell(hub_of(self.viewer).model_chosen, path)
        self.say(f"Saved as {path.stem!r}; it is {'in use now' if heard else 'among the models'}.")
        self.saved.emit()

    def _on_not_saved(self, error: BaseException) -> None:
        self.panel.save_button.setEnabled(self.answer is not None)
        self.fail(error)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Follow the strokes again, and what was painted meanwhile."""
        super().showEvent(event)
        self._stroke.start()

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Take the mask away when another step is shown; results are seen again."""
        super().hideEvent(event)
        if event is not None and not event.spontaneous() and not self.closed:
            self._clear_maps()

    # -- the end ----------------------------------------------------------------------------------

    def shut_down(self) -> None:
        """Fit no more, and take the preview away; strokes stay."""
        self._stroke.stop()
        self.worker.end()
        self._clear_maps()
