"""Estimates from painted labels for the planes of an image, each by itself or pooled for the specimen."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.estimation.painted import PaintedEstimate, Reading, check_painted, painted_share, pool_planes
from phaseguide.events import Finished, Notice, Progress

if TYPE_CHECKING:
    from phaseguide.models.model_file import LoadedModel


@dataclass(frozen=True)
class PaintedPlane:
    """A plane of an image with what was painted on it; ``name`` is used in errors."""

    name: str
    image: NDArray[Any]
    labels: NDArray[np.uint8]


def estimate_planes(
    planes: Sequence[PaintedPlane], model: LoadedModel, reading: Reading, *, device: str = "auto"
) -> Iterator[Progress | Notice | Finished[PaintedEstimate]]:
    """Estimate the area shares of one plane, or of a specimen from all of its planes that are painted (`pool_planes`).

    The model gives the phases, and to the extrapolated reading the scores of each plane. Raises as `check_painted` and
    `extrapolated_share`.
    """
    scheme = model.card.scheme
    painted = [plane for plane in planes if np.isin(plane.labels, [p.label for p in scheme]).any()]
    painted = painted or list(planes[:1])  # which then raises, and says what is wrong
    estimates = []
    for number, plane in enumerate(painted):
        if len(painted) > 1:
            yield Progress(f"Estimating {plane.name}", number, len(painted))
        labels = check_painted(plane.labels, scheme, plane.image.shape[:2], source=plane.name)
        if reading == "painted":
            estimates.append(painted_share(labels, scheme, source=plane.name))
        else:
            estimates.append((yield from _extrapolate(plane, labels, model, device)))
    yield Finished(estimates[0] if len(planes) == 1 else pool_planes(estimates, scheme))


def _extrapolate(
    plane: PaintedPlane, labels: NDArray[np.uint8], model: LoadedModel, device: str
) -> Generator[Any, None, PaintedEstimate]:
    from phaseguide.estimation.extrapolated import extrapolated_share
    from phaseguide.estimation.pixel_features import pixel_features
    from phaseguide.segmentation.network.logits import excluded_only
    from phaseguide.segmentation.request import Request
    from phaseguide.segmentation.session import Session

    session = Session(model, plane.image, edits=excluded_only(labels), device=device, name=plane.name)
    for event in session.segment(Request()):
        if not isinstance(event, Finished):
            yield event
    yield Progress("Looking at every pixel", 0, 0)
    return extrapolated_share(labels, pixel_features(session), model.card.scheme, source=plane.name)
