"""Area shares from what is painted on planes, counted or learnt: for the command line, and in the part of the dock."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phaseguide.events import Finished, Notice, Progress
from phaseguide.phases import EXCLUDED, NOT_CLASSIFIED, PhaseScheme

if TYPE_CHECKING:
    from phaseguide.estimation.painted import PaintedEstimate
    from phaseguide.models.metal import Metal
    from phaseguide.models.model_file import LoadedModel

Events = Iterator["Progress | Notice | Finished[PaintedEstimate]"]


@dataclass(frozen=True)
class ScoredImage:
    """The arrays of a session, which stay as they are whatever another thread does with it."""

    metal: Metal
    scores: NDArray[np.float32]

    def is_same(self, other: ScoredImage) -> bool:
        """Whether these are the very arrays of another one."""
        return self.scores is other.scores and self.metal is other.metal


@dataclass(frozen=True)
class PaintedPlane:
    """What was painted on a plane; ``name`` is used in errors, and only a model looks at the image."""

    name: str
    labels: NDArray[Any]
    image: NDArray[Any] | None = None


def estimate_plane(
    plane: PaintedPlane, scheme: PhaseScheme, model: LoadedModel | None = None, *, device: str = "auto"
) -> Events:
    """Estimate the area shares of one plane.

    Parameters
    ----------
    plane : PaintedPlane
    scheme : PhaseScheme
    model : LoadedModel, optional
        Gives the scores that the extrapolated reading learns from; without one the painted pixels are counted.
    device : str
        Where the model runs.

    Raises
    ------
    MicrographError, SchemeError
        As `check_painted` and `extrapolated_share`.
    """
    yield Finished((yield from _estimate(plane, scheme, model, device)))


def estimate_specimen(
    planes: Sequence[PaintedPlane],
    scheme: PhaseScheme,
    model: LoadedModel | None = None,
    *,
    device: str = "auto",
) -> Events:
    """Estimate the area shares of a specimen from all of its planes that are painted (`pool_planes`).

    Parameters and errors are those of `estimate_plane`.
    """
    from phaseguide.estimation.painted import pool_planes

    painted = [plane for plane in planes if np.isin(plane.labels, [p.label for p in scheme]).any()]
    painted = painted or list(planes[:1])  # which then raises, and says what is wrong
    estimates = []
    for number, plane in enumerate(painted):
        if len(painted) > 1:
            yield Progress(f"Estimating {plane.name}", number, len(painted))
        estimates.append((yield from _estimate(plane, scheme, model, device)))
    yield Finished(pool_planes(estimates, scheme))


def _estimate(
    plane: PaintedPlane, scheme: PhaseScheme, model: LoadedModel | None, device: str
) -> Generator[Any, None, PaintedEstimate]:
    from phaseguide.estimation.painted import check_painted

    shape = None if plane.image is None else plane.image.shape[:2]
    labels = check_painted(plane.labels, scheme, shape, source=plane.name)
    if model is None:
        return counted_share(labels, scheme, plane.name)[0]

    from phaseguide.segmentation.edits import excluded_only
    from phaseguide.segmentation.request import Request
    from phaseguide.segmentation.session import Session

    assert plane.image is not None
    session = Session(model, plane.image, edits=excluded_only(labels), device=device, name=plane.name)
    for event in session.segment(Request()):
        if not isinstance(event, Finished):
            yield event
    assert session.scores is not None
    yield Progress("Looking at every pixel", 0, 0)
    scored = ScoredImage(session.metal, session.scores)
    return learnt_share(labels, None, scored, None, scheme, plane.name)[0]


def counted_share(labels: NDArray[Any], scheme: PhaseScheme, source: str) -> tuple[PaintedEstimate, None]:
    """Painted share of one plane; the second value is nothing that need be kept."""
    from phaseguide.estimation.painted import painted_share

    return painted_share(labels, scheme, source=source), None


def learnt_share(
    labels: NDArray[Any],
    excluded: NDArray[np.bool_] | None,
    scored: ScoredImage,
    features: NDArray[np.float16] | None,
    scheme: PhaseScheme,
    source: str,
) -> tuple[PaintedEstimate, tuple[ScoredImage, NDArray[np.float16]]]:
    """Extrapolated share of one plane; and, to be kept for the next stroke, the arrays and features of them.

    Parameters
    ----------
    labels : ndarray of int, shape (H, W)
    excluded : ndarray of bool, shape (H, W), or None
        What the session leaves out, such as the information bar.
    scored : ScoredImage
    features : ndarray of float16, or None
        Those of this image, if they were kept.
    scheme : PhaseScheme
    source : str
        The layer, for errors.
    """
    from phaseguide.estimation.extrapolated import extrapolated_share
    from phaseguide.estimation.painted import check_painted
    from phaseguide.estimation.pixel_features import pixel_features

    labels = check_painted(labels, scheme, scored.metal.pixels.shape[:2], source=source)
    if excluded is not None:
        labels = np.where((labels == NOT_CLASSIFIED) & excluded, np.uint8(EXCLUDED), labels)
    if features is None:
        features = pixel_features(scored)
    return extrapolated_share(labels, features, scheme, source=source), (scored, features)
