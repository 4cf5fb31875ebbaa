"""What is not metal never decides: a result is that of the picture without its bar, its frame, its rim."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from phaseguide.errors import MicrographError
from phaseguide.estimation.pixel_features import pixel_features
from phaseguide.events import Progress
from phaseguide.models.card import ScoreHeadCard
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.models.sam import shared_base as bases
from phaseguide.phases import EXCLUDED
from phaseguide.segmentation.inside.views import look_inside
from phaseguide.segmentation.matching.islands import smooth_scores
from phaseguide.segmentation.matching.local_means import local_mean
from phaseguide.segmentation.network.embedding_files import EmbeddingFolder
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.review.out_of_distribution import describe_image
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.training.crossfit.score_fit import head_sample
from sam_files import offer_base
from sam_models import sam_model
from tiny_models import tiny_model

ASKED = np.array([0.5, 0.3, 0.2])
SIZE = (96, 112)
AT = (slice(20, 116), slice(24, 136))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Guided, and with a head that weighs the local contrast."""
    model = load_model(tiny_model(tmp_path_factory.mktemp("model")))
    rng = np.random.default_rng(2)
    head = ScoreHeadCard(sigmas=[2.0, 6.0], weights=rng.normal(0, 1, (3, 8)).tolist(), bias=[0.0, 0.1, 0.2])
    calibration = model.card.calibration.model_copy(update={"head": head})
    return dataclasses.replace(model, card=model.card.model_copy(update={"calibration": calibration}))


def dim(seed: int = 0, shape: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """A picture of little contrast, whose grey limits anything else would move."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(110, 140, shape[1])[None] + 5 * np.sin(np.arange(shape[0]) / 7)[:, None]
    return np.clip(ramp + rng.normal(0, 3, shape), 0, 255).astype(np.uint8)


def framed() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The picture with bars above and below and black at the sides, and the edits that exclude these."""
    image, edits = np.zeros((140, 150), np.uint8), np.full((140, 150), EXCLUDED, np.uint8)
    image[:20, ::3] = image[116:, ::5] = 255
    image[AT], edits[AT] = dim(), 0
    return image, edits


def segment(session: Session, **wish: Any) -> Segmentation:
    result: Segmentation = run_to_end(session.segment(Request(**wish)))
    return result


def alike(result: Segmentation, alone: Segmentation) -> None:
    assert np.array_equal(result.labels[AT], alone.labels)
    assert np.array_equal(result.own_labels[AT], alone.own_labels)
    assert np.array_equal(result.own, alone.own) and np.array_equal(result.achieved, alone.achieved)
    assert result.notices == alone.notices
    outside = result.labels.copy()
    outside[AT] = EXCLUDED
    assert (outside == EXCLUDED).all()


WISHES = {
    "alone": {},
    "smooth": {"smoothing_px": 1.5},
    "islands": {"min_island_px": 12},
    "matched": {"asked": ASKED, "mode": "matched"},
    "conditioned": {"asked": ASKED, "mode": "conditioned"},
    "both, smooth": {"asked": ASKED, "mode": "both", "smoothing_px": 1.5, "min_island_px": 9},
    "automatic": {"auto": True, "estimator": "prior-shift"},
    "autoregressive": {"auto": True, "estimator": "autoregressive"},
}


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES.keys())
def test_bit_for_bit_what_the_picture_alone_gives(model: LoadedModel, wish: dict[str, Any]) -> None:
    image, edits = framed()
    session, alone = Session(model, image, edits=edits, device="cpu"), Session(model, dim(), device="cpu")
    result, wanted = segment(session, **wish), segment(alone, **wish)
    assert session.scores is not None and alone.scores is not None
    assert np.array_equal(session.scores[:, *AT], alone.scores)
    alike(result, wanted)


def test_in_tiles_and_views(model: LoadedModel) -> None:
    image, edits = np.zeros((400, 330), np.uint8), np.full((400, 330), EXCLUDED, np.uint8)
    at = (slice(0, 360), slice(0, 310))
    image[at], edits[at] = dim(shape=(360, 310)), 0
    wish = {"asked": ASKED, "mode": "both"}
    options: dict[str, Any] = {"device": "cpu", "tile": 256, "overlap": 64, "flips": True}
    result = segment(Session(model, image, edits=edits, **options), **wish)
    alone = segment(Session(model, dim(shape=(360, 310)), **options), **wish)
    assert np.array_equal(result.labels[at], alone.labels)


def test_models_of_segment_anything(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bases._bases.clear()
    sam = load_model(sam_model(tmp_path, offer_base(monkeypatch, tmp_path)))
    image, edits = framed()
    alike(segment(Session(sam, image, edits=edits)), segment(Session(sam, dim())))


def test_edits_that_come_later_give_what_edits_at_the_start_give(model: LoadedModel) -> None:
    image, edits = framed()
    session = Session(model, image, device="cpu")
    before = segment(session, asked=ASKED)
    session.set_edits(edits)
    alike(segment(session, asked=ASKED), segment(Session(model, dim(), device="cpu"), asked=ASKED))
    session.set_edits(None)
    assert np.array_equal(segment(session, asked=ASKED).labels, before.labels)


def test_strokes_of_a_phase_encode_nothing_anew(model: LoadedModel) -> None:
    image, edits = framed()
    session = Session(model, image, edits=edits, device="cpu")
    segment(session)
    edits[40:50, 50:60] = 2
    session.set_edits(edits)
    assert not [e for e in session.segment(Request()) if isinstance(e, Progress)]


HOLE = (slice(40, 60), slice(30, 80))


@pytest.mark.parametrize("where", ["rim", "hole"])
def test_the_values_in_it_change_nothing(model: LoadedModel, where: str) -> None:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    out = rows + columns < 40
    if where == "hole":
        out[:], out[HOLE] = False, True
    edits = np.where(out, EXCLUDED, 0).astype(np.uint8)
    found = []
    for value in (0, 117, 255):
        image = dim()
        image[out] = value
        found.append(segment(Session(model, image, edits=edits, device="cpu"), asked=ASKED, smoothing_px=1.0))
    for other in found[1:]:
        assert np.array_equal(other.labels, found[0].labels) and other.notices == found[0].notices


def test_a_hole_has_no_part_in_the_comparison_with_training_images() -> None:
    out = np.zeros((300, 320), dtype=bool)
    out[100:180, 90:200] = True
    plain = dim(shape=out.shape)
    image = plain.copy()
    image[out] = 255
    described = describe_image(image, excluded=out)
    assert np.isfinite(described).all() and np.array_equal(described, describe_image(plain, excluded=out))
    assert np.isnan(describe_image(image, excluded=np.ones_like(out))).all()


def test_a_hole_has_no_part_in_local_means() -> None:
    out = np.zeros(SIZE, dtype=bool)
    out[HOLE] = True
    image, plain = dim().astype(np.float32), dim().astype(np.float32)
    image[out] = 255
    mean = local_mean(partial(gaussian_filter, sigma=3.0), out)
    assert np.allclose(mean(image)[~out], mean(plain)[~out])
    assert np.array_equal(mean(image)[50, 45:65], image[50, 45:65]), "far inside it stays as it is"
    blurred = (smooth_scores(one[None], 3.0, out)[0] for one in (image, plain))
    assert np.allclose(*(one[~out] for one in blurred))


def test_features_of_pixels_and_the_fit_of_a_head(model: LoadedModel) -> None:
    image, edits = framed()
    session, alone = Session(model, image, edits=edits, device="cpu"), Session(model, dim(), device="cpu")
    segment(session)
    segment(alone)
    features = pixel_features(session)
    assert np.array_equal(features[AT], pixel_features(alone)) and not features[:20].any()
    labels = np.full(image.shape, EXCLUDED, np.uint8)
    labels[AT] = 1 + (np.arange(SIZE[1]) % 3)
    ours, theirs = head_sample(session, labels), head_sample(alone, labels[AT])
    assert np.array_equal(ours.inputs, theirs.inputs) and np.array_equal(ours.phases, theirs.phases)


def test_kept_embeddings_are_of_what_was_shown(model: LoadedModel, tmp_path: Path) -> None:
    image, edits = framed()
    kept = EmbeddingFolder(tmp_path / "kept", 1 << 30)
    options: dict[str, Any] = {"device": "cpu", "embeddings": kept}
    whole = segment(Session(model, image, **options))
    alike(
        segment(Session(model, image, edits=edits, **options)), segment(Session(model, dim(), device="cpu"))
    )
    assert np.array_equal(segment(Session(model, image, **options)).labels, whole.labels)


def test_a_look_inside_shows_the_picture_alone(model: LoadedModel) -> None:
    image, edits = framed()
    ours = run_to_end(look_inside(model, image, device="cpu", labels=edits))
    alone = run_to_end(look_inside(model, dim(), device="cpu"))
    assert all(np.array_equal(one.rgb, two.rgb) for one, two in zip(ours, alone, strict=True))
    assert {view.origin for view in ours} == {(20, 24)}


def test_values_that_are_no_numbers_matter_only_in_metal(model: LoadedModel) -> None:
    image, edits = framed()
    damaged = image.astype(np.float32)
    damaged[:20] = np.nan
    session = Session(model, damaged, edits=edits, device="cpu")
    alike(segment(session), segment(Session(model, dim(), device="cpu")))
    with pytest.raises(MicrographError, match="not finite"):
        session.set_edits(None)
    alike(segment(session), segment(Session(model, dim(), device="cpu")))
    black = np.zeros((140, 150), np.uint8)
    black[:20] = image[:20]
    with pytest.raises(MicrographError, match="all black"):
        Session(model, black, edits=edits, device="cpu")
