"""The phase table as a palette: a click on a row takes the brush, and the table shows what the brush holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from phaseguide.errors import PhaseguideError, SchemeError
from phaseguide.phases import EXCLUDED
from phaseguide.widgets.layers.brush import brush_label, put_away, take_brush
from phaseguide.widgets.layers.edit_log import scheme_of
from phaseguide.widgets.layers.painted_phases import is_painted_for, painted_for_others
from phaseguide.widgets.layers.review_lock import check_not_frozen
from phaseguide.widgets.layers.roles import ensure_edits_layer, find_layer
from phaseguide.widgets.qt.dock import listen

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.phases import PhaseScheme
    from phaseguide.widgets.ratio.phase_table import PhaseTable


class Palette(QObject):
    """Keeps table and brush in step.

    Parameters
    ----------
    table : PhaseTable
    viewer : napari.viewer.Viewer
    image, scheme : callable
        Return the chosen image layer, and the phases of the chosen model; None without one.
    fail : callable
        Takes an error.
    """

    changed = Signal()
    """The brush was taken, put away, or holds something else."""
    made_edits = Signal(object)
    """An edits layer that the brush is on."""

    def __init__(
        self,
        table: PhaseTable,
        viewer: ViewerModel,
        image: Callable[[], Image | None],
        scheme: Callable[[], PhaseScheme | None],
        fail: Callable[[BaseException], None],
    ) -> None:
        super().__init__(table)
        self._table, self._viewer, self._fail = table, viewer, fail
        self._image, self._scheme = image, scheme
        table.armed.connect(self.take)
        table.away_button.clicked.connect(self.put_away)
        listen(self, viewer.layers.selection.events.active, self.follow)
        listen(self, viewer.layers.events.removed, self.follow)
        self.follow()

    def take(self, label: int) -> None:
        """Take the brush with a phase, or say why not."""
        image, scheme = self._image(), self._scheme()
        if image is None or scheme is None:
            return
        try:
            check_not_frozen(image)
            painted = find_layer(self._viewer, image, "edits")
            if painted is not None and not is_painted_for(painted, scheme):
                raise SchemeError(painted_for_others(painted, scheme))
            edits = ensure_edits_layer(self._viewer, image, scheme)
            take_brush(self._viewer, edits, label)
        except PhaseguideError as error:
            self._fail(error)
            return
        self.made_edits.emit(edits)
        self.follow()

    def put_away(self) -> None:
        """Put the brush away."""
        put_away(self._viewer)
        self.follow()

    def follow(self, event: Any = None) -> None:
        """Show what the brush holds, and hear of it when it takes something else."""
        image = self._image()
        edits = None if image is None else find_layer(self._viewer, image, "edits")
        if edits is not None:
            listen(self, edits.events.mode, self.follow)
            listen(self, edits.events.selected_label, self.follow)
            listen(self, edits.events.visible, self._on_visible)
        label = brush_label(self._viewer, image)
        scheme = self._scheme()
        if edits is not None and scheme is not None and not is_painted_for(edits, scheme):
            scheme = scheme_of(edits)
        if label is None:
            what = ""
        elif label == 0:
            what = "Erasing what you painted."
        elif label == EXCLUDED:
            what = "Painting what is excluded."
        else:
            names = () if scheme is None else scheme.names
            what = f"Painting {names[label - 1]}." if label <= len(names) else "Painting a label of no phase."
        self._table.show_brush(label or 0, what)
        self.changed.emit()

    def _on_visible(self, event: Any) -> None:
        """Leave the brush away when a layer is shown again; napari gives it back the tool that it was hidden with."""
        if event.source.visible:
            self.put_away()
