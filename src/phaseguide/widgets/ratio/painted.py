"""Expected values from a Labels layer that is partly painted: shares, intervals, and what is missing."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QGridLayout,
    QPushButton,
    QRadioButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from phaseguide.errors import MicrographError, PhaseguideError
from phaseguide.events import run_to_end
from phaseguide.jobs.painted_share import (
    PaintedPlane,
    ScoredImage,
    counted_share,
    estimate_specimen,
    learnt_share,
)
from phaseguide.phases import EXCLUDED, PhaseScheme
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.hub import RatioOffer
from phaseguide.widgets.layers.identity import plain
from phaseguide.widgets.layers.layer_choice import LayerBox
from phaseguide.widgets.qt.dock import listen, quiet_timer, silence
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.qt.tasks import in_background

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from phaseguide.estimation.painted import PaintedEstimate
    from phaseguide.segmentation.session import Session

REST_MS = 250
"""How long the brush must rest before anything is computed."""

PAINTED_TIP = (
    "Counts what is painted. Right when the painted part is representative: a rectangle, or patches put down "
    "without looking, in which every pixel is labelled."
)
EXTRAPOLATED_TIP = (
    "Learns from the strokes how each phase looks, finds it in the whole image and corrects for what it "
    "confuses. How much of each phase is painted does not matter; paint each in five places or more."
)
SEGMENT_FIRST = "Segment once first: the model's scores are needed."
HEADINGS = ("Phase", "Share %", "95 % interval", "Painted px")
TITLES = {"painted": "Painted share", "extrapolated": "Extrapolated"}
SMALL = "font-size: 11px;"


class PaintedBox(QWidget):
    """A choice of layer and reading, a table of shares, and a button that offers them.

    It follows the brush: what is painted, undone or written by a program is estimated in a thread once it
    has rested; a newer state replaces an older one.

    Parameters
    ----------
    current_image : callable
        Returns the chosen image layer, or None.
    session_of : callable
        Returns the session of the plane on show, or None. Only its arrays are read.
    scheme_of : callable
        Returns the phases of the chosen model, or None.
    """

    offered = Signal(object)
    """An `RatioOffer` for the boxes."""
    estimated = Signal()
    """What is shown has changed."""

    def __init__(
        self,
        viewer: ViewerModel,
        current_image: Callable[[], Image | None],
        session_of: Callable[[], Session | None],
        scheme_of: Callable[[], PhaseScheme | None],
    ) -> None:
        super().__init__()
        self._viewer, self._image = viewer, current_image
        self._session, self._scheme = session_of, scheme_of
        self.estimate: PaintedEstimate | None = None
        self._watched: Labels | None = None
        self._picked: Callable[[], Any] = lambda: None  # a weak reference: a layer that is removed is freed
        self._busy = self._again = self._closed = False
        self._asleep = False
        self._features: tuple[Any, NDArray[np.float16]] | None = None
        self._rest = quiet_timer(self, REST_MS, self._begin)
        self._build()
        self._lay_out()
        for event in ("inserted", "removed", "reordered"):
            listen(self, getattr(viewer.layers.events, event), self.reset_choices)
        listen(self, viewer.dims.events.current_step, self._on_plane)
        self.reset_choices()

    # -- what others ask of it --------------------------------------------------------------------

    @property
    def layer(self) -> Labels | None:
        """The chosen Labels layer, or None."""
        return self.layer_box.layer

    @property
    def reading(self) -> str:
        """``painted`` or ``extrapolated``."""
        return "extrapolated" if self.extrapolated_button.isChecked() else "painted"

    @property
    def busy(self) -> bool:
        """Whether an estimate is under way or waits for the brush to rest."""
        return self._busy or self._rest.isActive()

    def reset_choices(self, event: Any = None) -> None:
        """Read the viewer's layers again; without a choice of the user it is the image's edits layer."""
        picked, image = self._picked(), self._image()
        chosen = picked if picked in self._viewer.layers else None
        if chosen is None and image is not None:
            chosen = roles.find_layer(self._viewer, image, "edits")
        self.layer_box.reset_choices()
        self.layer_box.setCurrentIndex(-1)
        if chosen is not None:
            self.layer_box.choose(chosen)
        self.refresh()

    def refresh(self, event: Any = None) -> None:
        """Look again: another image, model, session, layer or reading; what was painted may be the same."""
        self._watch(self.layer)
        ready = self._scored() is not None
        self.extrapolated_button.setEnabled(ready and not self.pool_check.isChecked())
        self.extrapolated_button.setToolTip(EXTRAPOLATED_TIP if ready else SEGMENT_FIRST)
        self.segment_hint.setVisible(not ready)
        if not self.extrapolated_button.isEnabled() and self.extrapolated_button.isChecked():
            self.painted_button.setChecked(True)
        image = self._image()
        self.pool_check.setVisible(image is not None and len(planes.data_shape(image)) > 2)
        self._later()

    def set_active(self, active: bool) -> None:
        """Stop following the brush while nobody looks, as in a folded section, and catch up afterwards."""
        self._asleep = not active
        if active:
            self.refresh()
        else:
            self._rest.stop()

    def shut_down(self) -> None:
        """Hear nothing more of layers and threads."""
        if self._closed:
            return
        self._closed = True
        self._rest.stop()
        self._watch(None)
        silence(self)
        self._features = None

    # -- following the brush ----------------------------------------------------------------------

    def _watch(self, layer: Labels | None) -> None:
        if self._watched is layer:
            return
        for one, act in ((self._watched, "disconnect"), (layer, "connect")):
            if one is not None:
                for name in ("paint", "set_data", "data"):
                    getattr(getattr(one.events, name), act)(self._later)
        self._watched = layer

    def _find_layers(self) -> list[Labels]:
        from napari.layers import Labels

        return [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Labels) and not layer.multiscale and not roles.is_result(layer)
        ]

    def _later(self, event: Any = None) -> None:
        if not self._closed and not self._asleep:
            self._rest.start()

    def _on_plane(self, event: Any = None) -> None:
        image = self._image()
        if image is not None and len(planes.data_shape(image)) > 2:
            self.refresh()

    def _begin(self) -> None:
        """Copy what is painted and estimate in a thread; one at a time, the newest last."""
        if self._busy:
            self._again = True
            return
        try:
            work = self._work()
        except PhaseguideError as error:
            self._show(None, str(error))
            return
        self._busy = True
        in_background(self, work, self._done, self._failed)

    def _work(self) -> Callable[[], Any]:
        """Bind everything that an estimate needs; nothing of napari is touched in the thread.

        Raises
        ------
        MicrographError
            No image, no layer, no phases, or a layer of another shape.
        """
        image, layer, scheme = self._image(), self.layer, self._scheme()
        if image is None:
            raise MicrographError("Open a micrograph first.")
        if layer is None:
            raise MicrographError("Choose a Labels layer that you painted on, or make one.")
        if scheme is None:
            raise MicrographError("Choose a model first: it names the phases.")
        shape, source = planes.data_shape(image), f"Layer {layer.name!r}"
        if (reason := roles.same_grid(layer, image)) is not None:
            raise MicrographError(reason)
        if self.pool_check.isChecked() and len(shape) > 2:
            data = np.array(layer.data)  # the brush goes on meanwhile
            every = [PaintedPlane(source, data[index]) for index in planes.all_indices(image)]
            return lambda: (run_to_end(estimate_specimen(every, scheme)), None)
        labels = np.array(layer.data[planes.current_index(image, self._viewer.dims.point)])
        if self.reading == "painted":
            return lambda: counted_share(labels, scheme, source)
        scored, session = self._scored(), self._session()
        if scored is None or session is None:
            raise MicrographError(SEGMENT_FIRST)
        excluded = None if session.edits is None else session.edits == EXCLUDED
        kept = self._features
        known = kept[1] if kept is not None and kept[0].is_same(scored) else None
        return lambda: learnt_share(labels, excluded, scored, known, scheme, source)

    def _scored(self) -> ScoredImage | None:
        session = self._session()
        if session is None or session.scores is None:
            return None
        return ScoredImage(session.metal, session.scores)

    def _done(self, outcome: Any) -> None:
        self._busy = False
        if self._closed:
            return
        estimate, kept = outcome
        if kept is not None:
            self._features = kept
        if self._again:  # the paint has changed meanwhile
            self._again = False
            self._later()
        else:
            self._show(estimate, "")

    def _failed(self, error: BaseException) -> None:
        self._busy = False
        if self._again and not self._closed:
            self._again = False
            self._later()
        elif not self._closed:
            self._show(None, str(error))

    # -- what is seen -----------------------------------------------------------------------------

    def _show(self, estimate: PaintedEstimate | None, message: str) -> None:
        """Show an estimate, or why there is none."""
        self.estimate = estimate
        scheme = self._scheme()
        self._clear_table()
        if estimate is not None and scheme is not None and len(scheme) == len(estimate.shares):
            for column, heading in enumerate(HEADINGS):
                self._put(0, column, heading, small=True)
            for k, phase in enumerate(scheme):
                known = not np.isnan(estimate.shares[k])
                low, high = estimate.low[k] * 100, estimate.high[k] * 100
                self._put(k + 1, 0, phase.name)
                self._put(k + 1, 1, f"{estimate.shares[k] * 100:.1f}" if known else "–")
                self._put(k + 1, 2, f"{low:.1f} – {high:.1f}" if known else "–")
                self._put(k + 1, 3, f"{estimate.pixels[k]:,}".replace(",", " "))
        self.notes.setText("\n".join([message] if message else estimate.warnings if estimate else ()))
        self.notes.setVisible(bool(self.notes.text()))
        self.use_button.setEnabled(estimate is not None)
        self.estimated.emit()

    def _put(self, row: int, column: int, text: str, *, small: bool = False) -> None:
        label = Label(text)
        side = Qt.AlignmentFlag.AlignLeft if column == 0 else Qt.AlignmentFlag.AlignRight
        label.setAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        label.setWordWrap(column == 0)
        if small:
            label.setStyleSheet(SMALL)
        self.table.addWidget(label, row, column)

    def _clear_table(self) -> None:
        while (item := self.table.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.setParent(None)
                widget.deleteLater()

    def _offer(self) -> None:
        if self.estimate is None or self.layer is None:
            return
        title = f"{TITLES[self.estimate.reading].lower()} of {self.layer.name!r}"
        self.offered.emit(RatioOffer(self.estimate.shares.copy(), self.estimate.uncertainty, title))

    def _on_layer(self, index: int) -> None:
        if self.layer is not None:
            self._picked = weakref.ref(plain(self.layer))
        self.refresh()

    def _build(self) -> None:
        tip = "A Labels layer that is partly painted: 1, 2 … a phase, 255 excluded."
        self.layer_box = LayerBox(self._viewer, self._find_layers, tip)
        self.layer_box.setPlaceholderText("no painted layer")
        self.layer_box.activated.connect(self._on_layer)
        self.painted_button = QRadioButton("Painted share")
        self.painted_button.setToolTip(PAINTED_TIP)
        self.painted_button.setChecked(True)
        self.extrapolated_button = QRadioButton("Extrapolated from strokes")
        self.painted_button.toggled.connect(self._later)
        self.segment_hint = Label(SEGMENT_FIRST)
        self.segment_hint.setStyleSheet(SMALL)
        self.pool_check = QCheckBox("All painted planes together (specimen)")
        self.pool_check.setToolTip(
            "The planes are the fields of one specimen; the interval is from their scatter."
        )
        self.pool_check.toggled.connect(self.refresh)
        self.notes = Label()
        self.notes.setWordWrap(True)
        self.notes.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
        self.use_button = QPushButton("Use as expected values")
        self.use_button.setToolTip(
            "Write these shares, and how sure they are, into the boxes of expected values."
        )
        self.use_button.setEnabled(False)
        self.use_button.clicked.connect(self._offer)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Layer", self.layer_box)
        self.table = QGridLayout()
        self.table.setHorizontalSpacing(10)
        self.table.setVerticalSpacing(2)
        self.table.setColumnStretch(0, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(form)
        column.addWidget(self.painted_button)
        column.addWidget(self.extrapolated_button)
        column.addWidget(self.segment_hint)
        column.addWidget(self.pool_check)
        column.addLayout(self.table)
        column.addWidget(self.notes)
        column.addWidget(self.use_button)
