"""A session: what a ratio does, what edits do, tiles, memory, and everything that can go wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from phaseguide.errors import DeviceError, MicrographError, ModelError, RatioError, SchemeError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.card import InferenceCard, ScoreHeadCard, ViewCard
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.ratios import blend_ratios
from phaseguide.segmentation.constraints.regions import Region
from phaseguide.segmentation.network import encoding
from phaseguide.segmentation.request import Estimator, Mode, Preview, Request, Segmentation
from phaseguide.segmentation.session import Session, run_to_end
from tiny_models import DEAF, tiny_model


@pytest.fixture(scope="module")
def guided(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("guided")))


@pytest.fixture(scope="module")
def unguided(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("unguided"), "none"))


@pytest.fixture(scope="module")
def deaf(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """A model whose guidance takes no ratio, and whose card does not know that."""
    model = load_model(tiny_model(tmp_path_factory.mktemp("deaf"), guidance_options=DEAF))
    how = model.card.inference.model_copy(update={"mode": "conditioned"})
    return dataclasses.replace(model, card=model.card.model_copy(update={"inference": how}))


def picture(height: int = 90, width: int = 110, seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    ramp = np.linspace(40, 200, width)[None] + 30 * np.sin(np.arange(height) / 7)[:, None]
    return np.clip(ramp + rng.normal(0, 12, (height, width)), 0, 255).astype(np.uint8)


def segment(session: Session, **request: Any) -> Segmentation:
    result: Segmentation = run_to_end(session.segment(Request(**request)))
    return result


ASKED = np.array([0.5, 0.3, 0.2])


def test_without_a_ratio_the_map_is_its_own(guided: LoadedModel) -> None:
    result = segment(Session(guided, picture()))
    assert result.labels.shape == (90, 110) and result.labels.dtype == np.uint8
    assert set(np.unique(result.labels)) <= {1, 2, 3}
    assert np.array_equal(result.labels, result.own_labels)
    assert result.achieved == pytest.approx(result.own) and result.imposed is None
    assert not result.constrained and result.mode is None


@pytest.mark.parametrize("mode", ["matched", "both"])
@pytest.mark.parametrize("extra", [{}, {"smoothing_px": 1.5}, {"min_island_px": 6}])
def test_an_exact_ratio_is_met_to_one_pixel(guided: LoadedModel, mode: str, extra: dict[str, Any]) -> None:
    image = picture()
    result = segment(Session(guided, image), asked=ASKED, uncertainty=0.0, mode=mode, **extra)
    assert result.imposed == pytest.approx(ASKED)
    assert np.abs(result.achieved - ASKED).max() <= 1 / image.size
    assert result.constrained and result.mode == mode


def test_uncertainty_blends_with_what_the_model_sees(guided: LoadedModel) -> None:
    session = Session(guided, picture())
    own = segment(session).own
    result = segment(session, asked=ASKED, uncertainty=0.3, mode="matched")
    assert result.imposed == pytest.approx(blend_ratios(ASKED, own, 0.3, guided.card.own_error))
    far, near = np.abs(own - ASKED).sum(), np.abs(result.imposed - ASKED).sum()
    assert near < far


def test_open_phases_share_the_rest(guided: LoadedModel) -> None:
    asked = np.array([np.nan, 0.4, np.nan])
    result = segment(Session(guided, picture()), asked=asked, uncertainty=0.0, mode="matched")
    assert result.achieved[1] == pytest.approx(0.4, abs=1e-3)
    assert result.imposed is not None and result.imposed.sum() == pytest.approx(1)


def test_all_open_is_no_ratio(guided: LoadedModel) -> None:
    result = segment(Session(guided, picture()), asked=np.full(3, np.nan))
    assert result.imposed is None and not result.constrained


def test_conditioning_changes_the_map_and_reuses_the_encoding(
    guided: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(guided, picture())
    plain = segment(session)
    calls = count_calls(monkeypatch, guided)
    a = segment(session, asked=[0.9, 0.05, 0.05], uncertainty=0.0, mode="conditioned")
    b = segment(session, asked=[0.05, 0.05, 0.9], uncertainty=0.0, mode="conditioned")
    assert calls() == 0, "a changed ratio never runs the encoder again"
    assert not np.array_equal(a.labels, b.labels)
    assert np.array_equal(a.own_labels, plain.labels)


def count_calls(monkeypatch: pytest.MonkeyPatch, model: LoadedModel) -> Callable[[], int]:
    count = [0]
    encode = model.segmenter.encode

    def counted(image: torch.Tensor) -> Any:
        count[0] += 1
        return encode(image)

    monkeypatch.setattr(model.segmenter, "encode", counted)
    return lambda: count[0]


@pytest.mark.parametrize(("kind", "mode"), [("unguided", "both"), ("deaf", "both"), ("deaf", None)])
def test_without_guidance_that_takes_a_ratio_it_is_matched_and_that_is_said(
    kind: str, mode: Mode | None, request: pytest.FixtureRequest
) -> None:
    session = Session(request.getfixturevalue(kind), picture())
    events = list(session.segment(Request(asked=ASKED, uncertainty=0.0, mode=mode)))
    assert any(isinstance(e, Notice) and "no guidance" in e.message for e in events)
    result = events[-1].result
    assert result.mode == "matched" and np.allclose(result.achieved, ASKED, atol=1e-3)
    assert not any("network alone" in notice for notice in result.notices)


@pytest.mark.parametrize("kind", ["guided", "unguided"])
def test_auto_finds_a_ratio_of_its_own(kind: str, request: pytest.FixtureRequest) -> None:
    result = segment(Session(request.getfixturevalue(kind), picture()), auto=True)
    assert result.imposed is not None and result.imposed.sum() == pytest.approx(1)
    assert not result.constrained and result.asked is None


def test_edits_win_and_excluded_pixels_leave_every_denominator(guided: LoadedModel) -> None:
    image = picture()
    edits = np.zeros(image.shape, np.uint8)
    edits[:10] = 255
    edits[20:30, :20] = 3
    session = Session(guided, image, edits=edits)
    for request in ({}, {"asked": ASKED, "uncertainty": 0.0, "mode": "matched"}, {"auto": True}):
        result = segment(session, **request)
        assert (result.labels[:10] == 255).all() and (result.labels[20:30, :20] == 3).all()
        assert (result.labels[10:] != 255).all()
        counts = np.bincount(result.labels.ravel(), minlength=256)[1:4]
        assert result.achieved == pytest.approx(counts / counts.sum())
    matched = segment(session, asked=ASKED, uncertainty=0.0, mode="matched")
    assert np.abs(matched.achieved - ASKED).max() <= 1 / (80 * 110)


def test_edits_that_contradict_the_ratio_are_told(guided: LoadedModel) -> None:
    edits = np.zeros((90, 110), np.uint8)
    edits[:60] = 1
    result = segment(
        Session(guided, picture(), edits=edits), asked=[0.1, 0.5, 0.4], uncertainty=0.0, mode="matched"
    )
    assert any("edits win" in n for n in result.notices)
    assert (result.labels[:60] == 1).all()


def test_a_tiled_image_meets_its_ratio_over_the_whole(guided: LoadedModel) -> None:
    image = picture(300, 420)
    session = Session(guided, image, tile=256, overlap=96, flips=False)
    for mode in ("matched", "both"):
        result = segment(session, asked=ASKED, uncertainty=0.0, mode=mode)
        assert np.abs(result.achieved - ASKED).max() <= 1 / image.size


def test_a_small_budget_drops_features_and_uses_a_scratch_file(
    guided: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = picture(300, 280)
    plenty = segment(Session(guided, image, tile=256), asked=ASKED, mode="both")
    session = Session(guided, image, tile=256, memory_mb=1)
    frugal = segment(session, asked=ASKED, mode="both")
    assert np.array_equal(plenty.labels, frugal.labels)
    assert isinstance(session.scores, np.memmap)
    calls = count_calls(monkeypatch, guided)
    segment(session, asked=[0.2, 0.3, 0.5], uncertainty=0.0, mode="both")
    assert calls() > 0, "features beyond the budget are made again"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_the_type_of_the_image_does_not_matter(guided: LoadedModel, dtype: type) -> None:
    image = picture()
    scaled = image.astype(dtype) * (257 if dtype == np.uint16 else 1)
    assert (segment(Session(guided, scaled)).labels == segment(Session(guided, image)).labels).mean() > 0.999


def test_inverted_contrast_can_be_told(guided: LoadedModel) -> None:
    image = picture()
    told = segment(Session(guided, 255 - image, invert=True))
    assert (told.labels == segment(Session(guided, image)).labels).mean() > 0.99


def test_grey_and_colour_go_both_ways_and_other_channels_are_refused(
    guided: LoadedModel, tmp_path: Path
) -> None:
    image = picture()
    rgb = np.repeat(image[..., None], 3, -1)
    assert (segment(Session(guided, rgb)).labels == segment(Session(guided, image)).labels).mean() > 0.99
    colour = load_model(tiny_model(tmp_path, in_channels=3))
    assert segment(Session(colour, image)).labels.shape == image.shape
    two = load_model(tiny_model(tmp_path, in_channels=2, file_name="two.safetensors"))
    with pytest.raises(ModelError, match="made for 2"):
        Session(two, image)


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (np.full((1, 1), 7, np.uint8), "1 x 1|pixel"),
        (np.full((40, 40), 7, np.uint8), "same|constant"),
        (np.zeros((40, 40), np.uint8), "black|same|constant"),
        (np.full((40, 40), np.nan, np.float32), "NaN|finite|number"),
        (np.zeros((4, 40, 40, 40), np.uint8), "dimension|shape"),
    ],
)
def test_images_that_cannot_be_segmented(guided: LoadedModel, image: NDArray[Any], match: str) -> None:
    with pytest.raises(MicrographError, match=match):
        Session(guided, image, name="bad image")


def test_wrong_edits_and_ratios(guided: LoadedModel) -> None:
    with pytest.raises(MicrographError, match="edits are 5 x 5 px"):
        Session(guided, picture(), edits=np.ones((5, 5), np.uint8))
    with pytest.raises(SchemeError, match="label value 9"):
        Session(guided, picture(), edits=np.full((90, 110), 9, np.uint8))
    with pytest.raises(MicrographError, match="every pixel is excluded"):
        segment(Session(guided, picture(), edits=np.full((90, 110), 255, np.uint8)))
    session = Session(guided, picture())
    for asked, match in (
        ([0.9, 0.4, 0.1], "more than 100"),
        ([-0.1, 0.6, 0.5], "not an area"),
        ([0.5, 0.5], "2 values"),
    ):
        with pytest.raises(RatioError, match=match):
            segment(session, asked=np.array(asked))


@pytest.mark.skipif(torch.cuda.is_available(), reason="only where there is no CUDA device")
def test_cuda_asked_for_and_absent(guided: LoadedModel) -> None:
    with pytest.raises(DeviceError, match="CUDA was asked for"):
        Session(guided, picture(), device="cuda")


def failing_scores(times: int) -> Callable[..., Iterator[Any]]:
    left = [times]
    real = encoding.EncodedImage.scores

    def scores(self: Any, *args: Any) -> Iterator[Any]:
        if left[0]:
            left[0] -= 1
            raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
        return (yield from real(self, *args))

    return scores


def test_out_of_memory_falls_back_to_smaller_tiles_and_says_so(
    guided: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding.EncodedImage, "scores", failing_scores(1))
    events = list(Session(guided, picture(700, 600)).segment(Request()))
    notices = [e.message for e in events if isinstance(e, Notice)]
    assert any("smaller" in n or "tiles of 320" in n for n in notices), notices
    assert isinstance(events[-1], Finished) and events[-1].result.labels.shape == (700, 600)


def test_out_of_memory_while_decoding_falls_back_too(
    guided: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(guided, picture(300, 300))
    segment(session)
    real, left = encoding.EncodedImage.conditioned, [1]

    def conditioned(self: Any, *args: Any) -> Iterator[Any]:
        if left[0]:
            left[0] -= 1
            raise MemoryError
        return (yield from real(self, *args))

    monkeypatch.setattr(encoding.EncodedImage, "conditioned", conditioned)
    events = list(session.segment(Request(asked=ASKED, uncertainty=0.0, mode="both")))
    assert any(isinstance(e, Notice) and "trying again with tiles" in e.message for e in events)
    assert np.abs(events[-1].result.achieved - ASKED).max() <= 1 / 90000


def test_zoomed_and_mirrored_views_are_averaged_in_place(guided: LoadedModel) -> None:
    image = picture(128, 128)
    views = [ViewCard(), ViewCard(zoom=1.5, flip="xy")]
    card = guided.card.model_copy(update={"inference": InferenceCard(views=views)})
    both = Session(dataclasses.replace(guided, card=card), image)
    one, many = Session(guided, image), Session(guided, image, flips=True)
    assert (len(one.views), len(both.views), len(many.views)) == (1, 2, 4)
    assert len(Session(dataclasses.replace(guided, card=card), image, flips=False).views) == 1
    events = list(both.segment(Request()))
    assert [e.done for e in events if isinstance(e, Progress)] == [0, 1, 2], "a step of progress for each"
    # Random weights see a zoomed image in their own way, but a mirrored average stays in its place.
    segment(one), segment(many)
    plain, mean = one.scores, many.scores
    assert plain is not None and mean is not None
    flipped = Session(guided, np.ascontiguousarray(image[:, ::-1]), flips=True)
    segment(flipped)
    assert flipped.scores is not None
    assert np.allclose(flipped.scores[:, :, ::-1], mean, atol=1e-3)
    assert not np.allclose(plain, mean, atol=1e-3)


def test_a_far_off_wish_is_told_even_when_little_of_it_is_imposed(guided: LoadedModel) -> None:
    session = Session(guided, picture())
    own = segment(session).own
    rare = int(np.argmin(own))
    asked = np.full(3, np.nan)
    asked[rare] = 0.95
    for mode in ("matched", "conditioned", "both"):
        result = segment(session, asked=asked, uncertainty=2.0, mode=mode)
        assert sum("differs from what the model sees" in n for n in result.notices) == 1
    assert not segment(session, asked=own, uncertainty=0.1, mode="matched").notices


def test_out_of_memory_everywhere_ends_in_a_sentence(
    guided: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding.EncodedImage, "scores", failing_scores(99))
    with pytest.raises(DeviceError, match="Not enough memory"):
        segment(Session(guided, picture(300, 300)))


def test_other_runtime_errors_are_not_swallowed(guided: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Iterator[Any]:
        raise RuntimeError("shapes do not match")
        yield

    monkeypatch.setattr(encoding.EncodedImage, "scores", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        segment(Session(guided, picture()))


def test_a_stopped_run_leaves_the_session_usable(guided: LoadedModel) -> None:
    session = Session(guided, picture(300, 300), tile=256)
    events = session.segment(Request())
    assert isinstance(next(events), Progress)
    next(events)
    events.close()  # type: ignore[attr-defined]
    assert segment(session).labels.shape == (300, 300)


def test_same_numbers_same_map_bit_for_bit(guided: LoadedModel) -> None:
    session = Session(guided, picture())
    first = segment(session, asked=ASKED, mode="both")
    segment(session, asked=[0.1, 0.1, 0.8], mode="both")
    again = segment(session, asked=ASKED, mode="both")
    assert np.array_equal(first.labels, again.labels)


def halves(shape: tuple[int, int]) -> tuple[Region, Region]:
    left = np.zeros(shape, dtype=bool)
    left[:, : shape[1] // 2] = True
    return Region("coating", left, np.array([0.5, np.nan, np.nan]), 0.0), Region(
        "steel", ~left, np.array([0.1, 0.2, 0.7]), 0.0
    )


@pytest.mark.parametrize("mode", ["matched", "both"])
def test_each_region_gets_its_own_ratio(guided: LoadedModel, mode: Mode) -> None:
    image = picture()
    coating, steel = halves(image.shape)
    result = segment(Session(guided, image), regions=(coating, steel), mode=mode)
    inside = result.labels[coating.mask]
    assert (inside == 1).mean() == pytest.approx(0.5, abs=0.001)
    shares = [(result.labels[steel.mask] == k).mean() for k in (1, 2, 3)]
    assert shares == pytest.approx([0.1, 0.2, 0.7], abs=0.001)
    assert [part.name for part in result.regions] == ["coating", "steel"]
    assert result.constrained and result.asked is None


def test_a_region_outside_the_image_is_named(guided: LoadedModel) -> None:
    empty = Region("weld", np.zeros(picture().shape, dtype=bool), np.array([0.5, np.nan, np.nan]))
    with pytest.raises(MicrographError, match="weld"):
        segment(Session(guided, picture()), regions=(empty,))


@pytest.mark.parametrize("estimator", ["own", "autoregressive", "prior-shift"])
def test_the_model_finds_the_ratio_and_the_map_has_it(guided: LoadedModel, estimator: Estimator) -> None:
    image = picture()
    result = segment(Session(guided, image), auto=True, estimator=estimator, mode="matched")
    assert result.imposed is not None and not result.constrained
    assert result.found is not None and result.found.estimator == estimator
    assert np.abs(result.achieved - result.imposed).max() <= 1 / image.size + 1e-9
    if estimator == "own":
        assert result.imposed == pytest.approx(result.own)


def test_an_estimate_that_is_fed_back_is_what_the_network_sees_that_knows_it(guided: LoadedModel) -> None:
    session = Session(guided, picture())
    result = segment(session, auto=True, estimator="autoregressive")
    assert result.mode == "conditioned" and result.found is not None and result.imposed is not None
    told = segment(session, asked=result.imposed, uncertainty=0.0, mode="conditioned")
    np.testing.assert_array_equal(result.labels, told.labels)
    found = result.found
    assert found.settled is bool(np.abs(result.achieved - result.imposed).max() < 0.001)
    assert 1 <= found.rounds <= 10 and any(f"{found.rounds} round" in notice for notice in result.notices)
    both = segment(session, auto=True, estimator="autoregressive", mode="both")
    assert np.abs(both.achieved - result.imposed).max() <= 1 / picture().size + 1e-9


def test_rounds_can_be_watched_and_stopped(guided: LoadedModel) -> None:
    session = Session(guided, picture())
    before = segment(session)
    events = session.segment(Request(auto=True, estimator="autoregressive"))
    for event in events:
        if isinstance(event, Progress) and event.stage.startswith("Feeding"):
            assert event.total == 10
            break
    events.close()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(segment(session).labels, before.labels)


@pytest.mark.parametrize("kind", ["unguided", "deaf"])
def test_without_guidance_nothing_is_fed_back_and_that_is_said(
    kind: str, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(kind)
    fed = segment(Session(model, picture()), auto=True, estimator="autoregressive")
    own = segment(Session(model, picture()), auto=True)
    np.testing.assert_array_equal(fed.labels, own.labels)
    assert fed.found == own.found and fed.found.estimator == "own"
    assert any("has no guidance" in notice and "fed back" in notice for notice in fed.notices)


def test_a_ratio_and_an_estimate_exclude_each_other(guided: LoadedModel) -> None:
    with pytest.raises(RatioError, match="Choose one"):
        segment(Session(guided, picture()), asked=ASKED, auto=True)


def test_the_part_on_show_comes_first(guided: LoadedModel) -> None:
    session = Session(guided, picture(700, 300), tile=256, overlap=32)
    segment(session)
    window = (slice(600, 700), slice(0, 300))
    events = list(session.segment(Request(asked=ASKED, uncertainty=0.0, mode="conditioned"), window))
    kinds = [type(e) for e in events]
    at = kinds.index(Preview)
    assert at < len(kinds) - 2, "others are still to come"
    assert np.array_equal(events[at].labels, events[-1].result.labels[window])


def test_calibrated_scores_take_part_in_matching_alone(guided: LoadedModel) -> None:
    image = picture()
    weights = np.zeros((3, 4))
    weights[:, 3] = [3.0, 0.0, -3.0]  # brightness alone decides
    head = ScoreHeadCard(sigmas=[], weights=weights.tolist(), bias=[0.0, 0.0, 0.0])
    calibration = guided.card.calibration.model_copy(update={"head": head})
    card = guided.card.model_copy(update={"calibration": calibration})
    plain, calibrated = Session(guided, image), Session(dataclasses.replace(guided, card=card), image)
    assert np.array_equal(segment(plain).labels, segment(calibrated).labels)
    result = segment(calibrated, asked=np.array([0.3, 0.3, 0.4]), uncertainty=0.0)
    means = [image[result.labels == k].mean() for k in (1, 2, 3)]
    assert means[0] > means[1] > means[2], "the brightest pixels are the first phase"


def test_regions_leave_the_rest_and_a_measured_region_as_without_a_ratio(guided: LoadedModel) -> None:
    image = picture()
    weights = np.zeros((3, 4))
    weights[:, 3] = [3.0, 0.0, -3.0]
    head = ScoreHeadCard(sigmas=[], weights=weights.tolist(), bias=[0.0, 0.0, 0.0])
    calibration = guided.card.calibration.model_copy(update={"head": head})
    session = Session(
        dataclasses.replace(guided, card=guided.card.model_copy(update={"calibration": calibration})), image
    )
    coating, steel = halves(image.shape)
    measured = dataclasses.replace(steel, asked=np.full(3, np.nan))
    result = segment(session, regions=(coating, measured))
    assert np.array_equal(result.labels[steel.mask], result.own_labels[steel.mask])
    assert result.achieved == pytest.approx(result.imposed, abs=1e-3)
    only = segment(session, regions=(measured,))
    assert only.imposed is None and only.mode is None and not only.constrained
    assert np.array_equal(only.labels, only.own_labels)


def test_a_network_that_misses_its_ratio_is_told(guided: LoadedModel) -> None:
    result = segment(Session(guided, picture()), asked=ASKED, uncertainty=0.0, mode="conditioned")
    assert np.abs(result.achieved - ASKED).max() > 0.01, "else this tests nothing"
    assert any("does not reach the ratio" in n for n in result.notices)


def test_a_value_that_is_followed_only_so_far_is_told(guided: LoadedModel) -> None:
    session = Session(guided, picture())
    own = segment(session).own
    k = int(own.argmax())
    far, near = np.full(3, np.nan), np.full(3, np.nan)
    far[k], near[k] = own[k] * 0.4, own[k] * 0.99
    told = segment(session, asked=far, uncertainty=0.3)
    assert any("The mask was made with" in n for n in told.notices)
    for request in ({"asked": near, "uncertainty": 0.3}, {"asked": far, "uncertainty": 0.0}):
        assert not any("The mask was made with" in n for n in segment(session, **request).notices)


@pytest.mark.parametrize(
    "kind",
    [
        lambda a: a.tolist(),
        lambda a: torch.from_numpy(a.astype(np.float32)).requires_grad_(),
        lambda a: a.astype(">u2"),
        lambda a: a[::-1].copy()[::-1],
        lambda a: np.broadcast_to(a, a.shape),
        lambda a: a.astype(np.float64),
    ],
    ids=["list", "torch", "big-endian", "mirrored", "read-only", "float64"],
)
def test_images_and_edits_of_any_kind(unguided: LoadedModel, kind: Callable[[Any], Any]) -> None:
    image, edits = picture(64, 64), np.zeros((64, 64), np.uint8)
    edits[:9] = 2
    wanted = segment(Session(unguided, image, edits=edits, device="cpu"))
    given = segment(Session(unguided, kind(image), edits=kind(edits), device="cpu"))
    np.testing.assert_array_equal(given.labels, wanted.labels)


def test_what_is_no_image_and_no_edits_is_named(unguided: LoadedModel) -> None:
    with pytest.raises(MicrographError, match="steel: a list cannot be taken"):
        Session(unguided, [[1, 2], [3]], name="steel", device="cpu")
    session = Session(unguided, picture(64, 64), name="steel", device="cpu")
    with pytest.raises(MicrographError, match=r"edits of steel: label values run from 0\.5"):
        session.set_edits(np.full((64, 64), 0.5))
