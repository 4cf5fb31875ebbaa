"""From the state of the dock to jobs for the worker; everything of the layers is copied or bound here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from phaseguide.errors import MicrographError, ModelError, RatioError
from phaseguide.jobs.inputs import FIELD, SPECIMEN
from phaseguide.jobs.live import LiveRequest
from phaseguide.jobs.look_inside import InspectionRequest
from phaseguide.jobs.plane_index import Index, plane_name, plane_reader
from phaseguide.jobs.segment import Job, Plane, provenance
from phaseguide.ratios import validate_ratio
from phaseguide.segmentation.request import Request
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.painted_phases import edits_for
from phaseguide.widgets.layers.review_lock import check_not_frozen
from phaseguide.widgets.ratio.sums import left_out

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from phaseguide.jobs.session_store import SessionStore
    from phaseguide.micrographs.margins import Margins
    from phaseguide.models.sam.prompts import Prompts
    from phaseguide.phases import PhaseScheme
    from phaseguide.ratios import Ratio
    from phaseguide.segmentation.constraints.regions import Region
    from phaseguide.segmentation.session import Session
    from phaseguide.widgets.layers.info_bars import InfoBars
    from phaseguide.widgets.segment.state import ModelChoice, SegmentState


def no_prompts(image: Image, index: Index, scheme: PhaseScheme) -> None:
    """Say that there are neither boxes nor points."""


class Planner:
    """Makes jobs of what is set.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    state : SegmentState
    bars : InfoBars
        Rows to exclude.
    store : SessionStore
        Has the sessions of what was segmented before.

    Attributes
    ----------
    regions_of, prompts_of : callable
        Return the regions, and the boxes and points, on a plane of an image, given layer, index and phases.
    """

    def __init__(self, viewer: ViewerModel, state: SegmentState, bars: InfoBars, store: SessionStore) -> None:
        self._viewer, self._state, self._bars, self._store = viewer, state, bars, store
        self.regions_of: Callable[[Image, Index, PhaseScheme], tuple[Region, ...]] = lambda *_: ()
        self.prompts_of: Callable[[Image, Index, PhaseScheme], Prompts | None] = no_prompts

    def session(self) -> Session | None:
        """Return the session of the plane on show, if there is one for the chosen model and options.

        Whoever uses it in a thread holds the store's lock meanwhile.
        """
        state = self._state
        if state.image is None or state.model is None:
            return None
        return self._store.at((state.image.unique_id, state.plane), state.model.path, state.options)

    def request(self, scheme: PhaseScheme) -> Request:
        """Return the request that the values mean.

        Raises
        ------
        RatioError
            A ratio that cannot be meant.
        """
        state = self._state
        asked, how = state.asked, state.processing
        checked = None if asked is None else validate_ratio(asked, scheme)
        if checked is not None:
            self._check_room(checked, scheme)
        return Request(
            asked=checked,
            auto=state.inputs.auto and asked is None,
            estimator=state.inputs.estimator,
            uncertainty=state.uncertainty,
            mode=how.mode,
            smoothing_px=how.smoothing_px,
            min_island_px=how.min_island_px,
        )

    def job(self) -> tuple[Job, list[Image]]:
        """Return the job that a press of Segment asks for, and the image layers that it is about.

        Raises
        ------
        MicrographError, ModelError, RatioError, SchemeError
            No image, no model, or a ratio, a region or a prompt that cannot be meant.
        """
        state = self._state
        image = state.image
        if image is None:
            raise MicrographError(
                "There is no image layer. Open a micrograph (File > Open) and press Segment again."
            )
        model = self._model()
        request = self.request(model.scheme)
        shape = planes.data_shape(image)
        if len(shape) < 2:
            raise MicrographError(
                f"{image.name}: has shape {shape}; expected an image. Choose another layer."
            )
        specimen = state.inputs.scope == SPECIMEN
        if specimen:
            self._check_specimen(image, model.scheme)
        images = planes.fields_of(image, roles.micrographs(self._viewer)) if specimen else [image]
        every = specimen or state.every_plane
        todo = tuple(
            replace(
                self.plane(one, index),
                regions=self.regions_of(one, index, model.scheme),
                prompts=self.prompts_of(one, index, model.scheme),
            )
            for one in images
            for index in (planes.all_indices(one) if every else [state.plane])
        )
        regions = tuple(region for plane in todo for region in plane.regions)
        job = Job(
            model.path,
            todo,
            request,
            state.options,
            self._source_of(request, regions),
            specimen and request.asked is not None,
        )
        return job, images

    def plane(self, image: Image, index: Index) -> Plane:
        """Return one plane of an image with its edits as they are now, those for other phases left out.

        Raises
        ------
        MicrographError
            The edits have another shape than the image.
        ProjectError
            The field of the image is reviewed.
        """
        check_not_frozen(image)
        edits = roles.find_layer(self._viewer, image, "edits")
        margins: Margins = self._bars.margins(image, index)
        return Plane(
            index,
            plane_name(image.name, index),
            plane_reader(planes.full_data(image), index, rgb=image.rgb),
            edits_for(edits, image, index, self._state.scheme),
            "" if edits is None else edits.name,
            margins,
            image.unique_id,
            pixel_size_um=roles.pixel_size_um(image),
            exclude_margins=self._bars.wanted(image),
        )

    def live(self, session: Session, plane: Plane) -> tuple[Request, Callable[[], LiveRequest]]:
        """Return what the values ask of a session, and what makes the whole of it in the worker.

        Raises
        ------
        MicrographError, RatioError, SchemeError
            A ratio, a region or a prompt that cannot be meant.
        """
        state = self._state
        image, scheme = state.image, session.scheme
        request = replace(
            self.request(scheme),
            regions=self.regions_of(image, plane.index, scheme),
            prompts=self.prompts_of(image, plane.index, scheme),
        )
        tile, size = session.tile, max(session.pixels.shape[:2])
        focus = roles.view_of(self._viewer, image, larger_than=tile) if size > tile else None
        inputs, options, source = state.inputs, state.options, self._source_of(request)

        def live_request() -> LiveRequest:
            made = provenance(plane, session, request, options, source)
            return LiveRequest(session, plane, request, made, inputs, focus)

        return request, live_request

    def look_inside(self) -> InspectionRequest:
        """Return what a press of Look inside asks for.

        Raises
        ------
        MicrographError, ModelError, RatioError
            No image, no model, or a ratio that cannot be meant.
        """
        state = self._state
        image = state.image
        if image is None:
            raise MicrographError("There is no image layer. Open a micrograph (File > Open) and look again.")
        model = self._model()
        if len(planes.data_shape(image)) < 2:
            raise MicrographError(f"{image.name}: is no image of rows and columns. Choose another layer.")
        asked = state.asked
        return InspectionRequest(
            model.path,
            plane_reader(planes.full_data(image), state.plane, rgb=image.rgb),
            plane_name(image.name, state.plane),
            validate_ratio(asked, model.scheme)
            if asked is not None and model.card.guidance.acts_inside
            else None,
            middle_on_show(self._viewer, image),
            state.options.device,
            state.options.invert,
        )

    def is_live(self) -> bool:
        """Whether the mask is to follow the values: never those of a specimen, nor an estimate that takes rounds."""
        inputs = self._state.inputs
        in_rounds = inputs.auto and inputs.estimator == "autoregressive"
        return self._state.follow and inputs.scope == FIELD and not in_rounds

    def _model(self) -> ModelChoice:
        if self._state.model is None:
            raise ModelError("No model is chosen. Choose one, or open a model file.")
        return self._state.model

    def _check_room(self, asked: Ratio, scheme: PhaseScheme) -> None:
        """Never erase a phase of which nothing was said because exact values of others fill the image."""
        state = self._state
        own = None if state.shown is None or state.shown.scheme != scheme else state.shown.own
        if missed := left_out(asked, state.inputs.spreads, scheme, own):
            raise RatioError(
                f"Exact values leave nothing for {', '.join(missed)}, of which nothing was said. Lower one of them, "
                "open a lock, or enter 0 % if it is absent."
            )

    def _check_specimen(self, image: Image, scheme: PhaseScheme) -> None:
        if any(self.regions_of(image, index, scheme) for index in planes.all_indices(image)):
            raise RatioError(
                "Regions belong to one field, but the values apply to the specimen. Choose This field, or no "
                "layer for the regions."
            )
        if any(self.prompts_of(image, index, scheme) for index in planes.all_indices(image)):
            raise RatioError(
                "Boxes and points belong to one field, but the values apply to the specimen. Choose This field, or "
                "no layers for boxes and points (under Advanced)."
            )

    def _source_of(self, request: Request, regions: tuple[Region, ...] = ()) -> str | None:
        """Where the values come from, in words for the record; None if there are none."""
        if request.asked is None and not any(region.asks for region in (*request.regions, *regions)):
            return None
        return self._state.inputs.title or self._state.source.title


def middle_on_show(viewer: ViewerModel, image: Image) -> tuple[float, float]:
    """Row and column of an image in the middle of the canvas."""
    point = list(viewer.dims.point)
    displayed = viewer.dims.displayed
    for axis, at in zip(displayed, viewer.scene.camera.center[-len(displayed) :], strict=True):
        point[axis] = at
    row, column = image.world_to_data(tuple(point)[-image.ndim :])[-2:]
    return float(row), float(column)
