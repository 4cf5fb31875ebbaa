"""The score head that a fold's model would ship with, fitted without the images of the fold."""

from __future__ import annotations

from pathlib import Path

from phaseguide.datasets.folder import Dataset
from phaseguide.models.card import ScoreHeadCard
from phaseguide.models.model_file import load_model
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.studies.finetune.data import read_fields
from phaseguide.training.crossfit.folds import Folds, model_path
from phaseguide.training.crossfit.score_fit import HeadSample, fit_head, head_sample


class FoldHeads:
    """Heads of folds; every image is segmented once, by the model of its own fold, which has not seen it."""

    def __init__(self, dataset: Dataset, folds: Folds, models: Path, scheme: PhaseScheme) -> None:
        self._dataset, self._folds, self._models, self._scheme = dataset, folds, models, scheme
        self._samples: dict[str, list[HeadSample]] = {}

    def of(self, fold: str) -> ScoreHeadCard | None:
        """Fit the head of a fold on the images of all others that have a model."""
        others = [name for name in self._folds if name != fold and model_path(self._models, name).exists()]
        return fit_head([sample for name in others for sample in self._of(name)], len(self._scheme))

    def _of(self, name: str) -> list[HeadSample]:
        if name not in self._samples:
            model = load_model(model_path(self._models, name))
            found = []
            for one in read_fields(self._dataset, self._folds[name], self._scheme):
                session = Session(model, one.image, name=one.stem, embeddings="off")
                run_to_end(session.segment(Request()))
                found.append(head_sample(session, one.truth))
            self._samples[name] = found
        return self._samples[name]
