"""From what the panel shows to a job for the worker; everything of the layers is copied or bound here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from phaseguide.errors import MicrographError, ModelError
from phaseguide.ratios import validate_ratio
from phaseguide.segmentation.request import Request
from phaseguide.widgets import layers, planes
from phaseguide.widgets.job import Job, Plane

if TYPE_CHECKING:
    from phaseguide.widgets.segment_panel import SegmentPanel


def make_job(viewer: Any, panel: SegmentPanel, bar_rows: int) -> Job:
    """Return the job that a press of Segment asks for.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    panel : SegmentPanel
    bar_rows : int
        Rows of the information bar to exclude; 0 for none.

    Raises
    ------
    MicrographError, ModelError, RatioError
        No image, no model, or a ratio that cannot be meant.
    """
    image, card, path = panel.image_box.layer, panel.model_box.card, panel.model_box.path
    if image is None:
        raise MicrographError(
            "There is no image layer. Open a micrograph (File > Open) and press Segment again."
        )
    if card is None or path is None:
        raise ModelError("No model is chosen. Choose one, or open a model file.")
    advanced, asked = panel.advanced.value(), panel.table.asked()
    if asked is not None:
        asked = validate_ratio(asked, card.scheme)
    shape, data = planes.data_shape(image), planes.full_data(image)
    if len(shape) < 2:
        raise MicrographError(f"{image.name}: has shape {shape}; expected an image. Choose another layer.")
    shown = planes.current_index(image, viewer.dims.point)
    edits = layers.find_layer(viewer, image, "edits")
    return Job(
        path,
        tuple(
            Plane(
                index,
                planes.plane_name(image.name, index),
                planes.plane_reader(data, index, rgb=image.rgb),
                layers.edits_of(edits, image, index),
                "" if edits is None else edits.name,
                bar_rows if bar_rows < shape[-2] else 0,
            )
            for index in (planes.all_indices(image) if panel.all_planes else [shown])
        ),
        Request(
            asked=asked,
            uncertainty=panel.uncertainty,
            mode=advanced.request_mode,
            smoothing_px=advanced.smoothing_px,
            min_island_px=advanced.min_island_px,
        ),
        advanced.options(),
        None if asked is None else panel.source.title,
    )
