"""The calibration of a model, from images that the networks behind the scores had not seen."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np
from numpy.typing import NDArray

from phaseguide.errors import TrainingError
from phaseguide.evaluation.calibration import own_error, own_variation
from phaseguide.events import Progress
from phaseguide.models.card import CalibrationCard
from phaseguide.training.crossfit.score_fit import HeadSample, draw_sample, fit_head
from phaseguide.training.crossfit.scores import CrossfitImage

Floats = NDArray[np.float64]


def calibrate(
    own: Floats, true: Floats, samples: Sequence[HeadSample], n_phases: int, source: str
) -> CalibrationCard:
    """Return what own and true compositions, shape (n, K), and pixels of the same images tell: own error, usual
    variation, and the score head.
    """
    return CalibrationCard(
        own_error=own_error(own, true).tolist(),
        own_variation=own_variation(own, true),
        head=fit_head(samples, n_phases),
        source=source,
    )


def calibrate_on(
    images: Sequence[CrossfitImage], n_phases: int, *, seed: int = 0
) -> Generator[Progress, None, CalibrationCard]:
    """Return the calibration that out-of-fold images tell; one image is in memory at a time.

    `TrainingError` where no labelled pixel is metal.
    """
    images = [image for image in images if image.confusion.any()]
    if not images:
        raise TrainingError(
            "Every labelled pixel lies on an information bar or an empty rim, so there is nothing to calibrate on. "
            "Label metal, or leave crossfit out."
        )
    samples = []
    for done, image in enumerate(images):
        yield Progress("Calibrating on the scores", done, len(images))
        samples.append(draw_sample(image.scores, image.grey, image.labels, image.excluded, seed=seed))
    own, true = (np.array([getattr(i, which) for i in images]) for which in ("own_labelled", "true"))
    folds = ", ".join(dict.fromkeys(image.fold for image in images))
    source = f"folds {folds}: {len(images)} images, each by a model that had not seen it"
    card = calibrate(own, true, samples, n_phases, source)
    # The automatic estimate is the model's own composition, so its error is that of the composition.
    return card.model_copy(update={"auto_error_pp": float(100 * np.abs(own - true).mean())})
