"""How the places to paint next are found on the image that the user works on; in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from phaseguide.errors import ModelError, TrainingError
from phaseguide.jobs.plane_index import plane_reader
from phaseguide.widgets.finetune.next_places import Find
from phaseguide.widgets.layers import planes, roles

if TYPE_CHECKING:
    from phaseguide.finetuning.suggest_places import Place
    from phaseguide.phases import PhaseScheme
    from phaseguide.widgets.finetune.dock import FinetuneWidget


def places_finder(widget: FinetuneWidget) -> tuple[Any, Find]:
    """Return the image of a Fine-tune widget and a function that ranks its places.

    The newest model counts: that of the last result, unless the user went back from it, else the one
    that is chosen. A ratio that is complete counts too, as far as it is believed beside what the model sees.

    Raises
    ------
    PhaseguideError
        No image, or no model.
    """
    image = widget.image
    if image is None:
        raise TrainingError("Open an image first.")
    outcome, path = widget.outcome, widget.panel.model_box.path
    fresh = outcome.result.model if outcome is not None and outcome.used != "old" else None
    if fresh is None and path is None:
        raise ModelError("Choose a model first: it says where it hesitates.")
    index = planes.current_index(image, widget.viewer.dims.point)
    read = plane_reader(planes.full_data(image), index, rgb=image.rgb)
    edits = roles.edits_of(roles.find_layer(widget.viewer, image, "edits"), image, index)
    given = widget.panel.sources.complete_ratio(image)
    name, pixel_size = image.name, roles.pixel_size_um(image)

    def find() -> tuple[tuple[Place, ...], PhaseScheme]:
        from phaseguide.widgets.layers.warm_up import warm_up

        warm_up()
        from phaseguide.events import run_to_end
        from phaseguide.finetuning.suggest_places import rank_places
        from phaseguide.micrographs.margins import find_margins
        from phaseguide.models.zoo import open_model
        from phaseguide.segmentation.network.logits import excluded_only
        from phaseguide.segmentation.request import Request
        from phaseguide.segmentation.session import Session

        model = fresh if fresh is not None else open_model(path)  # type: ignore[arg-type]
        pixels = read()
        known = None if edits is None else edits.astype(np.uint8)
        known = find_margins(pixels).exclude(known, pixels.shape[:2])
        session = Session(
            model, pixels, edits=excluded_only(known), flips=False, name=name, pixel_size_um=pixel_size
        )
        scheme = model.card.scheme
        request = Request()
        if given is not None and len(given[0]) == len(scheme):
            request = Request(
                asked=np.array(given[0], dtype=np.float64), uncertainty=given[1], mode="matched"
            )
        told = run_to_end(session.segment(request))
        assert session.scores is not None
        if known is not None:
            known[known > len(scheme)] = 255  # a phase that this model does not know needs no label of it
        return rank_places(np.asarray(session.scores), told.imposed, edits=known), scheme

    return image, find
