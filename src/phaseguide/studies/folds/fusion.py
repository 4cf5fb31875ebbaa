"""Guidance on scores in a cross-validation: each fold's is learnt on what models said of the other folds unseen."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from phaseguide.datasets.folder import Dataset
from phaseguide.events import Notice, Progress
from phaseguide.models.architectures import REFINE
from phaseguide.models.card import GuidanceCard, InferenceCard
from phaseguide.models.model_file import LoadedModel
from phaseguide.models.segmenter import GuidanceOptions, with_guidance
from phaseguide.studies.folds.rows import FoldModel
from phaseguide.training.crossfit.calibrate import calibrate_on
from phaseguide.training.crossfit.fold_models import FoldTrained
from phaseguide.training.crossfit.parts import Parts
from phaseguide.training.crossfit.refinement import learn_refinement
from phaseguide.training.crossfit.scores import CrossfitImage, out_of_fold


def score_images(
    dataset: Dataset,
    models: Sequence[FoldModel],
    folder: Path,
    *,
    inference: InferenceCard | None,
    device: str,
) -> Generator[Progress | Notice, None, list[CrossfitImage]]:
    """Return what each image looks like to the model of its fold; kept in a folder."""
    parts = Parts(folder)
    parts.begin()
    trained = [FoldTrained(m.fold, m.path, m.test) for m in models]
    return (yield from out_of_fold(dataset, trained, parts, inference=inference, device=device))


def with_fusion(
    model: LoadedModel, fold: FoldModel, images: Sequence[CrossfitImage], *, seed: int
) -> Generator[Progress, None, LoadedModel]:
    """Return the model of a fold with calibration and guidance on scores that know nothing of its images."""
    others = [image for image in images if image.fold != fold.fold]
    n_phases = len(model.card.scheme)
    calibration = yield from calibrate_on(others, n_phases, seed=seed)
    learnt = yield from learn_refinement(others, calibration, n_phases, {}, seed=seed)
    segmenter = with_guidance(model.segmenter, GuidanceOptions(REFINE))
    assert segmenter.refinement is not None
    segmenter.refinement.load_state_dict(learnt.state_dict())
    card = model.card.model_copy(update={"calibration": calibration, "guidance": GuidanceCard(kind=REFINE)})
    return replace(model, segmenter=segmenter.eval(), card=card)
