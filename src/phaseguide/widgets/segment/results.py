"""Results of each image: writes them into layers, remembers the earlier ones, puts later edits on top."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from phaseguide.errors import MicrographError
from phaseguide.jobs.history import History, Run
from phaseguide.jobs.inputs import Inputs
from phaseguide.jobs.plane_index import Index
from phaseguide.jobs.results import PlaneResult, summary, with_edits
from phaseguide.jobs.segment import PlaneDone, PlaneSeen
from phaseguide.segmentation.request import Segmentation
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.first_looks import FirstLooks
from phaseguide.widgets.layers.hub import hub_of, tell
from phaseguide.widgets.layers.identity import plain
from phaseguide.widgets.layers.painted_phases import edits_for

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.labels import Map
    from phaseguide.phases import PhaseScheme


@dataclass(frozen=True)
class _Provisional:
    """A run on trial, and the metadata of the phases layer before it."""

    run: Run
    mark: dict[str, Any] | None


class Results:
    """Keeps the results of a viewer's images.

    Each image has the runs that were kept, and at most one that is *provisional*: on show, but not
    accepted yet.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        # Held as long as the image is: it may be out of the viewer for a while, as a field of a project is. napari's
        # proxies of an image are its equals, and find what was put in for it.
        self._histories: weakref.WeakKeyDictionary[Image, History] = weakref.WeakKeyDictionary()
        self._provisional: weakref.WeakKeyDictionary[Image, _Provisional] = weakref.WeakKeyDictionary()
        self._images: dict[Any, tuple[Image, Any]] = {}
        self._runs: dict[Any, Run] = {}
        self._inputs = Inputs()
        self._scheme: PhaseScheme | None = None
        self._looks = FirstLooks(viewer, self._map_on_show)
        hub_of(viewer).keepers.add(self)

    def history(self, image: Image) -> History:
        """Runs on an image that were kept."""
        known = self._histories.get(image)
        if known is None:
            known = self._histories[plain(image)] = History()
        return known

    def images(self) -> Iterable[Image]:
        """Images that have results; they may be out of the viewer for a while."""
        return [image for image, history in self._histories.items() if history.runs]

    def shown(self, image: Image) -> Run | None:
        """Run on show, provisional or kept."""
        known = self._provisional.get(image)
        return self.history(image).shown if known is None else known.run

    def is_provisional(self, image: Image) -> bool:
        """Whether what is on show was not accepted yet."""
        return image in self._provisional

    def forget(self, image: Image) -> None:
        """Drop the results of an image, since they belong to data that are no longer there."""
        self._histories.pop(image, None)
        self._provisional.pop(image, None)

    # -- a run ------------------------------------------------------------------------------------

    def begin(self, images: list[Image], inputs: Inputs, scheme: PhaseScheme | None) -> None:
        """Remember on which images and data a run works, what it was asked with, and its model's phases."""
        self._images = {image.unique_id: (image, planes.full_data(image)) for image in images}
        self._runs, self._inputs, self._scheme = {}, inputs, scheme

    def look(self, event: PlaneSeen) -> None:
        """Show what a model sees at its first look, until the result of the plane is there or the run has ended."""
        if self._scheme is not None and not self.lost():
            self._looks.show(self._images[event.image][0], event, self._scheme)

    def looks_at(self, image: Image, index: Index) -> bool:
        """Whether a plane shows a first look now, and not its result."""
        return self._looks.shows(image, index)

    def end(self) -> dict[Image, Run]:
        """Forget the run under way and return what it gave, by image layer."""
        done = {self._images[key][0]: run for key, run in self._runs.items()}
        self._looks.undo()
        self._images, self._runs = {}, {}
        for image, run in done.items():
            tell(hub_of(self._viewer).result_kept, image, run)
        return done

    def works_on(self, image: Image) -> bool:
        """Whether the run under way is on this image too."""
        return image.unique_id in self._images

    def image(self, key: Any) -> Image:
        """Return an image that the run under way works on."""
        return self._images[key][0]

    def lost(self) -> str:
        """Return why the results of the run have no place to go any more; empty if they have."""
        there = {layer.unique_id for layer in self._viewer.layers}
        for key, (image, data) in self._images.items():
            if key not in there:
                return f"{image.name!r} was removed meanwhile, so its result was dropped."
            if planes.full_data(image) is not data:
                return (
                    f"The data of {image.name!r} were replaced meanwhile, so the result was dropped. "
                    "Segment again."
                )
        return ""

    def add(self, event: PlaneDone) -> None:
        """Take in a plane of the run. Planes of earlier runs stay beside it, if the phases are the same."""
        image = self._images[event.image][0]
        self._looks.done(image, event.index)
        only: Index | None = event.index
        run = self._runs.get(event.image)
        if run is None:
            run, only = self._continued(image, event.result, self._inputs), None
            self._provisional.pop(image, None)
            self._runs[event.image] = run
            run.planes[event.index] = event.result
            self.history(image).add(run)
        else:
            run.planes[event.index] = event.result
        self._write(image, run, only)

    # -- what is not accepted yet -----------------------------------------------------------------

    def propose(self, image: Image, index: Index, result: PlaneResult, inputs: Inputs) -> None:
        """Show a result of one plane without keeping it; only its pixels and its mark are written."""
        layer = roles.find_layer(self._viewer, image, "phases")
        known = self._provisional.get(image)
        if known is None or known.run.scheme != result.segmentation.scheme:
            mark = None if layer is None else dict(layer.metadata)  # napari fills its own in place
            known = _Provisional(self._continued(image, result, inputs), mark)
            self._provisional[plain(image)] = known
        known.run.inputs, known.run.planes[index] = inputs, result
        if layer is None or layer.data.shape != planes.data_shape(image):
            self._write(image, known.run, None)
            return
        roles.update_metadata(
            layer,
            _key(index),
            summary(result.segmentation),
            model=result.made.model.card.name,
            source=result.made.source,
        )
        roles.write_plane(layer, index, result.segmentation.labels)

    def preview(self, image: Image, index: Index, labels: Map, window: tuple[slice, slice]) -> None:
        """Show a part of a result that is under way."""
        roles.write_window(roles.find_layer(self._viewer, image, "phases"), index, labels, window)

    def accept(self, image: Image) -> bool:
        """Keep what is provisional; False if nothing is."""
        known = self._provisional.pop(image, None)
        if known is not None:
            self.history(image).add(known.run)
            tell(hub_of(self._viewer).result_kept, image, known.run)
        return known is not None

    def discard(self, image: Image) -> None:
        """Drop what is provisional and show the last kept result again, on the planes that were touched."""
        known, kept = self._provisional.pop(image, None), self.history(image).shown
        layer = roles.find_layer(self._viewer, image, "phases")
        if known is None or kept is None or layer is None:
            return
        for index, result in known.run.planes.items():
            if result is not kept.planes.get(index):
                current = self.current(image, index)
                roles.write_plane(layer, index, 0 if current is None else current.labels)
        if known.mark is not None:
            layer.metadata = known.mark

    # -- what is on show --------------------------------------------------------------------------

    def current(self, image: Image, index: Index) -> Segmentation | None:
        """Result on show of one plane, with the edits as they are now on top; None if there is none."""
        run = self.shown(image)
        result = run.planes.get(index) if run else None
        if result is None or result.segmentation.labels.shape != planes.data_shape(image)[-2:]:
            return None
        try:
            edits = roles.find_layer(self._viewer, image, "edits")
            painted = edits_for(edits, image, index, result.segmentation.scheme)
        except MicrographError:  # told when it matters, on the next press of Segment
            painted = None
        return with_edits(result, painted)

    def step(self, image: Image, by: int) -> Run | None:
        """Show an earlier (-1) or later (1) run and return it."""
        run = self.history(image).step(by)
        if run is not None:
            self._write(image, run, None)
            tell(hub_of(self._viewer).result_kept, image, run)
        return run

    def _map_on_show(self, image: Image, index: Index) -> Map | None:
        current = self.current(image, index)
        return None if current is None else current.labels

    def _continued(self, image: Image, result: PlaneResult, inputs: Inputs) -> Run:
        """Return a new run that has the planes of the last kept one, where the phases are the same."""
        scheme, before = result.segmentation.scheme, self.history(image).shown
        run = Run(scheme, inputs=inputs)
        if before is not None and before.scheme == scheme:
            run.planes.update(before.planes)
        return run

    def _write(self, image: Image, run: Run, only: Index | None) -> None:
        """Write a run, or one plane of it, into the phases layer, and mark the layer."""
        written = run.planes if only is None else {only: run.planes[only]}
        by_plane = {_key(index): summary(r.segmentation) for index, r in run.planes.items()}
        newest = next(reversed(written.values()))
        mark = {
            **summary(newest.segmentation),
            "note": next((str(one["note"]) for one in by_plane.values() if one["note"]), ""),
            "model": newest.made.model.card.name,
            "source": newest.made.source,
            "planes": by_plane,
        }
        maps = {index: result.segmentation.labels for index, result in written.items()}
        with roles.keeping_active(self._viewer):
            roles.show_result(self._viewer, image, run.scheme, maps, mark, clear=only is None)


def _key(index: Index) -> str:
    return " ".join(map(str, index))
