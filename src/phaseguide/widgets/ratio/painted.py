"""Expected values from a Labels layer that is partly painted: shares, intervals, and what is missing."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QPushButton,
    QRadioButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from phaseguide.errors import MicrographError, PhaseguideError
from phaseguide.estimation.painted import UNKNOWN
from phaseguide.events import run_to_end
from phaseguide.jobs.painted_share import (
    PaintedPlane,
    ScoredImage,
    counted_share,
    estimate_specimen,
    learnt_share,
)
from phaseguide.phases import EXCLUDED, PhaseScheme, normalise_name
from phaseguide.ratios import Ratio
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.edit_log import scheme_of
from phaseguide.widgets.layers.hub import RatioOffer
from phaseguide.widgets.layers.identity import plain
from phaseguide.widgets.layers.layer_choice import LayerBox
from phaseguide.widgets.layers.painted_phases import is_painted_for
from phaseguide.widgets.qt.dock import listen, quiet_timer, silence
from phaseguide.widgets.qt.plain_text import Label
from phaseguide.widgets.qt.tasks import in_background
from phaseguide.widgets.ratio.painted_table import PaintedTable

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from phaseguide.estimation.painted import PaintedEstimate
    from phaseguide.segmentation.session import Session

REST_MS = 250
"""How long the brush must rest before anything is computed."""

PAINTED_TIP = (
    "Counts what is painted. Right only for a rectangle, or patches put down without looking, in which every pixel is "
    "labelled; then there is a 95 % interval."
)
EXTRAPOLATED_TIP = (
    "Learns from the strokes how each phase looks, finds it in the whole image and corrects for what it "
    "confuses. How much of each phase is painted does not matter; paint each in five places or more, all over the "
    "image. Strokes are where you chose to paint, so there is no interval."
)
SEGMENT_FIRST = "Segment once first: the model's scores are needed."
TITLES = {"painted": "Painted share", "extrapolated": "Extrapolated"}


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
        Returns the phases of the chosen model, or None. What was painted for other phases is counted under these.
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
        self._counted: PhaseScheme | None = None  # phases of the estimate on show, or under way
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
        self.extrapolated_button.setEnabled(not self.pool_check.isChecked())
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
        image, layer = self._image(), self.layer
        if image is None:
            raise MicrographError("Open a micrograph first.")
        if layer is None:
            raise MicrographError("Choose a Labels layer that you painted on, or make one.")
        scheme = self._counted = self._phases_of(layer)
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

    def _phases_of(self, layer: Labels) -> PhaseScheme:
        """Phases that a layer's numbers mean: those of the model, unless it was painted for others.

        Raises
        ------
        MicrographError
            Neither says.
        """
        model, painted = self._scheme(), scheme_of(layer)
        if model is not None and is_painted_for(layer, model):
            return model
        if painted is None:
            raise MicrographError("Choose a model first: it names the phases.")
        return painted

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
        notes = [message] if message else []
        if estimate is None or self._counted is None:
            self.table.clear()
        else:
            self.table.show_estimate(estimate, self._counted)
            notes += [*estimate.warnings, *self._other_phases()]
        self.notes.setText("\n".join(notes))
        self.notes.setVisible(bool(notes))
        self.use_button.setEnabled(self._offered_shares() is not None)
        self.estimated.emit()

    def _other_phases(self) -> list[str]:
        """Say whose phases are counted, where they are not all the model's."""
        model, counted = self._scheme(), self._counted
        if self.layer is None or model is None or counted is None or counted == model:
            return []
        told = f"{self.layer.name!r} was painted for {counted.describe()}; the model has {model.describe()}."
        if self._offered_shares() is None:
            return [f"{told} So the shares are not those of its phases, and its boxes cannot take them."]
        return [f"{told} Shares go to the phases of the same names."]

    def _offered_shares(self) -> tuple[Ratio, tuple[float, ...]] | None:
        """Shares and uncertainty of the model's phases; None where something was painted that is none of them."""
        model, counted, estimate = self._scheme(), self._counted, self.estimate
        if model is None or counted is None or estimate is None:
            return None
        row = {normalise_name(phase.name): k for k, phase in enumerate(counted)}
        names = [normalise_name(phase.name) for phase in model]
        if any(estimate.pixels[k] and name not in names for name, k in row.items()):
            return None
        shares = [float(estimate.shares[row[name]]) if name in row else np.nan for name in names]
        spreads = [estimate.uncertainty[row[name]] if name in row else UNKNOWN for name in names]
        return np.array(shares), tuple(spreads)

    def _offer(self) -> None:
        offered = self._offered_shares()
        if offered is None or self.estimate is None or self.layer is None:
            return
        title = f"{TITLES[self.estimate.reading].lower()} of {self.layer.name!r}"
        self.offered.emit(RatioOffer(*offered, title))

    def _on_pool(self, pooled: bool) -> None:
        """Planes are pooled as they are counted."""
        (self.painted_button if pooled else self.extrapolated_button).setChecked(True)
        self.refresh()

    def _on_layer(self, index: int) -> None:
        if self.layer is not None:
            self._picked = weakref.ref(plain(self.layer))
        self.refresh()

    def _build(self) -> None:
        tip = "A Labels layer that is partly painted: 1, 2 … a phase, 255 excluded."
        self.layer_box = LayerBox(self._viewer, self._find_layers, tip)
        self.layer_box.setPlaceholderText("no painted layer")
        self.layer_box.activated.connect(self._on_layer)
        self.extrapolated_button = QRadioButton("Extrapolated from strokes")
        self.extrapolated_button.setToolTip(EXTRAPOLATED_TIP)
        self.extrapolated_button.setChecked(True)
        self.painted_button = QRadioButton("Painted share, of a part in which every pixel is labelled")
        self.painted_button.setToolTip(PAINTED_TIP)
        self.painted_button.toggled.connect(self._later)
        self.pool_check = QCheckBox("All painted planes together (specimen)")
        self.pool_check.setToolTip(
            "The planes are the fields of one specimen; the interval is from their scatter."
        )
        self.pool_check.toggled.connect(self._on_pool)
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
        self.table = PaintedTable()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(form)
        column.addWidget(self.extrapolated_button)
        column.addWidget(self.painted_button)
        column.addWidget(self.pool_check)
        column.addLayout(self.table)
        column.addWidget(self.notes)
        column.addWidget(self.use_button)
