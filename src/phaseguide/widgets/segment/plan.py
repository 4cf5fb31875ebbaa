"""From what the panel shows to a job for the worker; everything of the layers is copied or bound here."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from phaseguide.errors import MicrographError, ModelError, RatioError
from phaseguide.jobs.inputs import SPECIMEN
from phaseguide.jobs.look_inside import InsideWish
from phaseguide.jobs.plane_index import Index, plane_name, plane_reader
from phaseguide.jobs.segment import Job, Plane
from phaseguide.ratios import validate_ratio
from phaseguide.segmentation.request import Request
from phaseguide.widgets.layers import planes, roles
from phaseguide.widgets.layers.review_lock import check_not_frozen

if TYPE_CHECKING:
    from phaseguide.phases import PhaseScheme
    from phaseguide.segmentation.constraints.regions import Region
    from phaseguide.widgets.layers.info_bars import InfoBars
    from phaseguide.widgets.segment.panel import SegmentPanel


def make_job(viewer: Any, panel: SegmentPanel, bars: InfoBars) -> tuple[Job, list[Any]]:
    """Return the job that a press of Segment asks for, and the image layers that it is about.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    panel : SegmentPanel
    bars : InfoBars
        Rows to exclude.

    Raises
    ------
    MicrographError, ModelError, RatioError, SchemeError
        No image, no model, or a ratio, a region or a prompt that cannot be meant.
    """
    image, card, path = panel.image_box.layer, panel.model_box.card, panel.model_box.path
    if image is None:
        raise MicrographError(
            "There is no image layer. Open a micrograph (File > Open) and press Segment again."
        )
    if card is None or path is None:
        raise ModelError("No model is chosen. Choose one, or open a model file.")
    request = make_request(panel, card.scheme)
    shape = planes.data_shape(image)
    if len(shape) < 2:
        raise MicrographError(f"{image.name}: has shape {shape}; expected an image. Choose another layer.")
    specimen = panel.scope == SPECIMEN
    if specimen and any(panel.regions_of(image, index, card.scheme) for index in planes.all_indices(image)):
        raise RatioError(
            "Regions belong to one field, but the values apply to the specimen. Choose This field, or no "
            "layer for the regions."
        )
    if specimen and any(panel.prompts_of(image, index, card.scheme) for index in planes.all_indices(image)):
        raise RatioError(
            "Boxes and points belong to one field, but the values apply to the specimen. Choose This field, or no "
            "layers for boxes and points (under Advanced)."
        )
    images = planes.fields_of(image, panel.image_box.layers) if specimen else [image]
    every = specimen or panel.all_planes
    shown = planes.current_index(image, viewer.dims.point)
    todo = tuple(
        replace(
            make_plane(viewer, one, index, bars),
            regions=panel.regions_of(one, index, card.scheme),
            prompts=panel.prompts_of(one, index, card.scheme),
        )
        for one in images
        for index in (planes.all_indices(one) if every else [shown])
    )
    regions = tuple(region for plane in todo for region in plane.regions)
    job = Job(
        path,
        todo,
        request,
        panel.advanced.value().options(),
        source_of(panel, request, regions),
        specimen and request.asked is not None,
    )
    return job, images


def make_plane(viewer: Any, image: Any, index: Index, bars: InfoBars) -> Plane:
    """Return one plane of an image with its edits as they are now.

    Raises
    ------
    MicrographError
        The edits have another shape than the image.
    ProjectError
        The field of the image is reviewed.
    """
    check_not_frozen(image)
    edits = roles.find_layer(viewer, image, "edits")
    return Plane(
        index,
        plane_name(image.name, index),
        plane_reader(planes.full_data(image), index, rgb=image.rgb),
        roles.edits_of(edits, image, index),
        "" if edits is None else edits.name,
        bars.margins(image, index),
        image.unique_id,
        pixel_size_um=roles.pixel_size_um(image),
        exclude_margins=bars.wanted(image),
    )


def make_request(panel: SegmentPanel, scheme: PhaseScheme) -> Request:
    """Return the request that the panel's boxes and choices mean.

    Raises
    ------
    RatioError
        A ratio that cannot be meant.
    """
    advanced, asked = panel.advanced.value(), panel.table.asked()
    return Request(
        asked=None if asked is None else validate_ratio(asked, scheme),
        auto=panel.auto and asked is None,
        uncertainty=panel.uncertainty,
        mode=advanced.request_mode,
        smoothing_px=advanced.smoothing_px,
        min_island_px=advanced.min_island_px,
    )


def source_of(panel: SegmentPanel, request: Request, regions: tuple[Region, ...] = ()) -> str | None:
    """Where the values come from, in words for the record; None if there are none."""
    if request.asked is None and not any(region.asks for region in (*request.regions, *regions)):
        return None
    return panel.title or panel.source.title


def make_wish(viewer: Any, panel: SegmentPanel) -> InsideWish:
    """Return what a press of Look inside asks for, from what the panel shows.

    Raises
    ------
    MicrographError, ModelError, RatioError
        No image, no model, or a ratio that cannot be meant.
    """
    image, card, path = panel.image_box.layer, panel.model_box.card, panel.model_box.path
    if image is None:
        raise MicrographError("There is no image layer. Open a micrograph (File > Open) and look again.")
    if card is None or path is None:
        raise ModelError("No model is chosen. Choose one, or open a model file.")
    if len(planes.data_shape(image)) < 2:
        raise MicrographError(f"{image.name}: is no image of rows and columns. Choose another layer.")
    asked, advanced = panel.table.asked(), panel.advanced.value()
    index = planes.current_index(image, viewer.dims.point)
    return InsideWish(
        path,
        plane_reader(planes.full_data(image), index, rgb=image.rgb),
        plane_name(image.name, index),
        None if asked is None else validate_ratio(asked, card.scheme),
        middle_on_show(viewer, image),
        advanced.device,
        advanced.invert,
    )


def middle_on_show(viewer: Any, image: Any) -> tuple[float, float]:
    """Row and column of an image in the middle of the canvas."""
    point = list(viewer.dims.point)
    displayed = viewer.dims.displayed
    for axis, at in zip(displayed, viewer.scene.camera.center[-len(displayed) :], strict=True):
        point[axis] = at
    row, column = image.world_to_data(tuple(point)[-image.ndim :])[-2:]
    return float(row), float(column)
