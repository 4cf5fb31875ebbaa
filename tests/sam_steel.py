"""Untrained tiny Segment Anything models, and crops of real steel to teach them with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from phaseguide.datasets.folder import open_dataset
from phaseguide.finetuning.new_model import new_model
from phaseguide.finetuning.rehearsal import rehearsal_folder
from phaseguide.finetuning.sources import Source
from phaseguide.models.model_file import LoadedModel
from phaseguide.models.segmenter import normalise_image
from phaseguide.phases import PhaseScheme
from phaseguide.training.data import TrainingData, TrainingImage


def fresh_sam(base: str, scheme: PhaseScheme, *, guidance: str = "ccrm", **adapter: Any) -> LoadedModel:
    """A new model of size ``vit_tiny`` on a base of `sam_files.offer_base`; it has learnt nothing."""
    told = {"base": base, "rank": 4, **adapter}
    return new_model(scheme, name="sam", sam="vit_tiny", adapter=told, guidance=guidance)


def experienced_sam(base: str, scheme: PhaseScheme, **more: Any) -> LoadedModel:
    """The same as if it had been trained on whole images: adapters have moved, and its card says so."""
    model = fresh_sam(base, scheme, **more)
    generator = torch.Generator().manual_seed(5)
    for parameter in model.segmenter.backbone.encoder_parts()["adapters"].parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
    record = {"images": {"train": ["a"], "validation": []}}
    return LoadedModel(model.segmenter, model.card.model_copy(update={"training": record}), model.path)


def uhcs_crops() -> tuple[list[tuple[str, np.ndarray, np.ndarray]], PhaseScheme]:
    """The crops of ultrahigh carbon steel that ship, with their labels."""
    dataset = open_dataset(rehearsal_folder() / "uhcs")
    assert dataset.scheme is not None
    found = []
    for item in dataset.labelled().items:
        image = item.read_image().data
        found.append((item.stem, image, item.read_labels(dataset.scheme, image.shape[:2])))
    return found, dataset.scheme


def uhcs_data(train: slice, validation: slice) -> TrainingData:
    """Some of them as data of a training run."""
    crops, scheme = uhcs_crops()
    items = [
        TrainingImage(stem, torch.from_numpy(normalise_image(image)), torch.from_numpy(labels))
        for stem, image, labels in crops
    ]
    return TrainingData(tuple(items[train]), tuple(items[validation]), scheme)


def uhcs_sources(part: slice) -> tuple[list[Source], PhaseScheme]:
    """Some of them as sources of a fine-tuning run."""
    crops, scheme = uhcs_crops()
    return [Source(stem, image, labels, "full") for stem, image, labels in crops[part]], scheme
