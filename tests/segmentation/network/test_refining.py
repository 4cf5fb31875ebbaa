"""A ratio that acts on scores: bypassed without one, as exact as matching, and without seams."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny_models import tiny_image, tiny_model

from phaseguide.models.model_file import LoadedModel, load_model, save_model
from phaseguide.segmentation.network import refining
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end

ASKED = np.array([0.5, 0.2, 0.3])
IMAGE = tiny_image(shape=(200, 170))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A tiny model whose refinement has learnt something, read from its file."""
    folder = tmp_path_factory.mktemp("refining")
    made = load_model(tiny_model(folder, "refine"))
    assert made.segmenter.refinement is not None
    torch.manual_seed(3)
    torch.nn.init.normal_(made.segmenter.refinement.correction.weight, std=2.0)
    save_model(folder / "taught.safetensors", made.segmenter, made.card)
    return load_model(folder / "taught.safetensors")


def segment(model: LoadedModel, request: Request, image: np.ndarray = IMAGE, **options: object) -> object:
    return run_to_end(Session(model, image, device="cpu", **options).segment(request))


def asked(mode: str, uncertainty: float = 0.0, ratio: np.ndarray = ASKED) -> Request:
    return Request(asked=ratio, uncertainty=uncertainty, mode=mode)  # type: ignore[arg-type]


def test_without_a_ratio_the_model_is_its_backbone(model: LoadedModel, tmp_path: Path) -> None:
    plain = load_model(tiny_model(tmp_path, "none"))
    plain.segmenter.backbone.load_state_dict(model.segmenter.backbone.state_dict())
    with_refinement, without = (Session(one, IMAGE, device="cpu") for one in (model, plain))
    for session in (with_refinement, without):
        run_to_end(session.segment(Request()))
    assert np.array_equal(with_refinement.scores, without.scores)


def test_both_has_the_asked_areas_and_conditioned_is_another_map(model: LoadedModel) -> None:
    matched, conditioned, both = (segment(model, asked(mode)) for mode in ("matched", "conditioned", "both"))
    pixels = IMAGE.size
    for result in (matched, both):
        assert np.abs(result.achieved - ASKED).max() <= 1 / pixels
    assert not np.array_equal(matched.labels, both.labels)
    assert not np.array_equal(conditioned.labels, both.labels)


def test_a_stated_uncertainty_is_heard(model: LoadedModel) -> None:
    session = Session(model, IMAGE, device="cpu")
    own = run_to_end(session.segment(Request())).own
    sure, unsure = (
        run_to_end(session.segment(asked("conditioned", spread, own))).labels for spread in (0.05, 0.9)
    )
    assert not np.array_equal(sure, unsure), "what is aimed at is the same; only the trust differs"


def test_tiles_leave_no_seam(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = segment(model, asked("conditioned"))
    monkeypatch.setattr(refining, "TILE", 64)
    tiled = segment(model, asked("conditioned"))
    assert np.mean(whole.labels == tiled.labels) > 0.9995  # rounding


def test_the_field_on_show_comes_first(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    from phaseguide.segmentation.request import Preview

    monkeypatch.setattr(refining, "TILE", 64)
    session = Session(model, IMAGE, device="cpu")
    focus = (slice(130, 190), slice(130, 160))
    seen = [e for e in session.segment(asked("conditioned"), focus=focus) if isinstance(e, Preview)]
    final = run_to_end(session.segment(asked("conditioned")))
    assert len(seen) == 1
    assert np.array_equal(seen[0].labels, final.labels[focus])


def test_excluded_pixels_stay_excluded_and_count_nowhere(model: LoadedModel) -> None:
    edits = np.zeros(IMAGE.shape, dtype=np.uint8)
    edits[160:] = 255
    result = segment(model, asked("both"), edits=edits)
    assert (result.labels[160:] == 255).all()
    assert np.abs(result.achieved - ASKED).max() <= 1 / (160 * IMAGE.shape[1])


def test_a_model_card_with_a_wrong_option_is_refused(model: LoadedModel, tmp_path: Path) -> None:
    from phaseguide.errors import ModelError
    from phaseguide.models.model_file import check_card

    data = model.card.model_dump()
    data["guidance"]["options"] = {"levels": 9}
    with pytest.raises(ModelError, match="levels is 9; it must be a whole number from 1 to 5"):
        check_card(data)


def test_own_areas_are_not_fed_back_to_guidance_that_knows_them(model: LoadedModel) -> None:
    result = segment(model, Request(auto=True, estimator="autoregressive"))
    own = segment(model, Request(auto=True))
    assert np.array_equal(result.labels, own.labels) and result.found == own.found
    assert "acts on scores and has its own areas already" in " ".join(result.notices)
