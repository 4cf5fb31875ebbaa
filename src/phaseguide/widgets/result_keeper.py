"""Results of each image: writes them into layers, remembers the earlier ones, puts later edits on top."""

from __future__ import annotations

from typing import Any

from phaseguide.errors import MicrographError
from phaseguide.segmentation.request import Segmentation
from phaseguide.widgets import layers, planes
from phaseguide.widgets.composition import summary, with_edits
from phaseguide.widgets.history import History, Run
from phaseguide.widgets.job import PlaneDone


class ResultKeeper:
    """Keeps the results of a viewer's images.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._histories: dict[Any, History] = {}
        self._run: Run | None = None
        self.image: Any = None
        self._data: Any = None

    def history(self, image: Any) -> History:
        """Runs on an image."""
        return self._histories.setdefault(image.unique_id, History())

    def forget(self, image: Any) -> None:
        """Drop the results of an image, since they belong to data that are no longer there."""
        self._histories.pop(image.unique_id, None)

    # -- a run ------------------------------------------------------------------------------------

    def begin(self, image: Any) -> None:
        """Remember on which image and data a run works."""
        self.image, self._data, self._run = image, planes.full_data(image), None

    def end(self) -> Run | None:
        """Forget the run under way and return what it gave."""
        self.image = self._data = None
        return self._run

    def lost(self) -> str:
        """Return why the results of the run have no place to go any more; empty if they have."""
        if not any(layer.unique_id == self.image.unique_id for layer in self._viewer.layers):
            return f"{self.image.name!r} was removed meanwhile, so its result was dropped."
        if planes.full_data(self.image) is not self._data:
            return (
                f"The data of {self.image.name!r} were replaced meanwhile, so the result was dropped. "
                "Segment again."
            )
        return ""

    def add(self, event: PlaneDone) -> None:
        """Take in a plane of the run. Planes of earlier runs stay beside it, if the phases are the same."""
        scheme, only = event.result.segmentation.scheme, event.index
        if self._run is None:
            history, only = self.history(self.image), None
            before = history.shown
            self._run = Run(scheme)
            if before is not None and before.scheme == scheme:
                self._run.planes.update(before.planes)
            self._run.planes[event.index] = event.result
            history.add(self._run)
        else:
            self._run.planes[event.index] = event.result
        self._write(self.image, self._run, only)

    # -- what is on show --------------------------------------------------------------------------

    def standing(self, image: Any, index: planes.Index) -> Segmentation | None:
        """Result on show of one plane, with the edits as they are now on top; None if there is none."""
        run = self.history(image).shown
        result = run.planes.get(index) if run else None
        if result is None or result.segmentation.labels.shape != planes.data_shape(image)[-2:]:
            return None
        try:
            painted = layers.edits_of(layers.find_layer(self._viewer, image, "edits"), image, index)
        except MicrographError:  # told when it matters, on the next press of Segment
            painted = None
        return with_edits(result, painted)

    def step(self, image: Any, by: int) -> str:
        """Show an earlier (-1) or later (1) run; returns a sentence on where that is."""
        history = self.history(image)
        run = history.step(by)
        if run is None:
            return ""
        self._write(image, run, None)
        return f"Result {history.position + 1} of {len(history.runs)}."

    def _write(self, image: Any, run: Run, only: planes.Index | None) -> None:
        """Write a run, or one plane of it, into the phases layer, and mark the layer."""
        written = run.planes if only is None else {only: run.planes[only]}
        by_plane = {" ".join(map(str, index)): summary(r.segmentation) for index, r in run.planes.items()}
        newest = next(reversed(written.values()))
        mark = {
            **summary(newest.segmentation),
            "note": next((str(one["note"]) for one in by_plane.values() if one["note"]), ""),
            "model": newest.made.model_name,
            "source": newest.made.source,
            "planes": by_plane,
        }
        active = self._viewer.layers.selection.active
        maps = {index: result.segmentation.labels for index, result in written.items()}
        layers.show_result(self._viewer, image, run.scheme, maps, mark, clear=only is None)
        if active is not None and active in self._viewer.layers:
            self._viewer.layers.selection.active = active  # a new layer would take it
