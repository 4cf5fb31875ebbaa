"""Every model that ships: complete, small, with a sample that it has never seen, and no stranger to it."""

from __future__ import annotations

import pytest

from phaseguide.datasets.samples import TITLES, open_sample, sample_dataset, samples_with
from phaseguide.models.model_file import LoadedModel, read_card
from phaseguide.models.zoo import USUAL, built_in_folder, list_models, open_model
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end

SHIPPED = sorted(path.stem for path in built_in_folder().glob("*.safetensors"))
LARGEST = 12e6
"""Bytes of a model in the package."""

STRANGE = "Unlike the training images"


@pytest.fixture(scope="module", params=SHIPPED)
def model(request: pytest.FixtureRequest) -> LoadedModel:
    return open_model(request.param)


def notices(model: LoadedModel, name: str) -> tuple[str, ...]:
    sample = open_sample(name)
    result = run_to_end(Session(model, sample.image, flips=False, device="cpu").segment(Request()))
    assert result.labels.shape == sample.labels.shape
    assert result.own.sum() == pytest.approx(1)
    return tuple(result.notices)


def test_the_usual_one_comes_first_and_each_has_samples() -> None:
    listed = [entry.name for entry in list_models() if entry.origin == "built-in"]
    assert listed[0] == USUAL and sorted(listed) == SHIPPED
    assert set(SHIPPED) == set(TITLES)


def test_it_is_small_and_says_what_it_is(model: LoadedModel) -> None:
    card = model.card
    assert (built_in_folder() / f"{card.name}.safetensors").stat().st_size < LARGEST
    assert card.scheme == sample_dataset(card.name).scheme
    assert samples_with(card.scheme) == list(TITLES[card.name])
    for text in (card.description, card.data_licence, card.model_licence, card.citation):
        assert text
    assert card.training["config"] and card.scores["crossfit"] and "folds" in card.calibration.source
    assert card.guidance.kind == "refine" and card.inference.mode == "matched"
    assert card.familiarity is not None


def test_it_has_never_seen_its_samples(model: LoadedModel) -> None:
    record = model.card.training
    folds = [stem for test in record["folds"].values() for stem in test]
    seen = {*record["images"]["train"], *record["images"]["validation"], *folds}
    assert seen and not seen & set(TITLES[model.card.name])


def test_it_is_at_home_on_its_sample_and_says_where_it_is_not(model: LoadedModel) -> None:
    own = next(iter(TITLES[model.card.name]))
    assert not any(STRANGE in notice for notice in notices(model, own))
    for material, (other, *_) in TITLES.items():
        if material != model.card.name:
            assert any(STRANGE in notice for notice in notices(model, other)), other


@pytest.mark.parametrize("name", SHIPPED)
def test_phases_and_colours_are_those_of_the_sample(name: str) -> None:
    card = read_card(built_in_folder() / f"{name}.safetensors")
    known = sample_dataset(name).scheme
    assert known is not None
    assert [(p.name, p.colour) for p in card.scheme] == [(p.name, p.colour) for p in known]
