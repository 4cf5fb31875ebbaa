"""The model `uhcs`: good on its samples, and better with a good ratio."""

from __future__ import annotations

import numpy as np
import pytest

from phaseguide.datasets.samples import TITLES, Sample, open_sample
from phaseguide.evaluation.confusion import confusion_matrix, scores_from_confusion
from phaseguide.models.model_file import LoadedModel
from phaseguide.models.zoo import open_model
from phaseguide.ratios import complete_ratio, expert_ratio, ratio_from_labels
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.session import Session, run_to_end


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return open_model("uhcs")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [open_sample(name) for name in TITLES["uhcs"]]


def dice(results: list[Segmentation], samples: list[Sample]) -> float:
    total = sum(confusion_matrix(s.labels, r.labels, 4) for s, r in zip(samples, results, strict=True))
    return float(scores_from_confusion(total).dice_mean)


def test_it_finds_the_phases_and_a_good_ratio_makes_it_better(
    model: LoadedModel, samples: list[Sample]
) -> None:
    plain, told, mean = [], [], []
    for sample in samples:
        session = Session(model, sample.image)
        plain.append(run_to_end(session.segment(Request())))
        true = ratio_from_labels(sample.labels, 4)
        assert true is not None
        asked = complete_ratio(expert_ratio(true, 0.1, np.random.default_rng(0)), plain[-1].own)
        told.append(run_to_end(session.segment(Request(asked=asked, uncertainty=0.1))))
        wrong = np.array([0.55, 0.05, 0.2, 0.2])
        mean.append(run_to_end(session.segment(Request(asked=wrong, uncertainty=0.0))))
    assert dice(plain, samples) > 0.75
    assert dice(told, samples) > dice(plain, samples)
    assert dice(mean, samples) < dice(plain, samples), "a ratio imposed beyond its quality does harm"
    assert any("Check where" in n for r in mean for n in r.notices), "and far-off disagreement is shown"


def test_conditioning_answers_to_the_ratio(model: LoadedModel, samples: list[Sample]) -> None:
    session = Session(model, samples[0].image)
    own = run_to_end(session.segment(Request())).own
    shares = []
    for change in (-0.05, 0.05):
        moved = own * (1 - own[2] - change) / (1 - own[2])
        moved[2] = own[2] + change
        request = Request(asked=moved, uncertainty=0.0, mode="conditioned")
        shares.append(run_to_end(session.segment(request)).achieved[2])
    assert shares[1] - shares[0] > 0.02, "a change of 0.1 was asked"


def test_tiles_give_the_same_map_as_the_whole(model: LoadedModel, samples: list[Sample]) -> None:
    image = samples[0].image
    whole = run_to_end(Session(model, image, flips=False).segment(Request()))
    tiled = run_to_end(Session(model, image, flips=False, tile=384, overlap=128).segment(Request()))
    assert (whole.labels == tiled.labels).mean() > 0.95


def test_the_type_of_the_image_does_not_matter(model: LoadedModel, samples: list[Sample]) -> None:
    image = samples[0].image
    labels = run_to_end(Session(model, image, flips=False).segment(Request())).labels
    for other in (image.astype(np.uint16) * 257, image.astype(np.float32) / 255, np.stack([image] * 3, -1)):
        again = run_to_end(Session(model, other, flips=False).segment(Request())).labels
        assert (again == labels).mean() > 0.995
