"""Boxes and points in a session: what they change and what not, on which tiles, and which cannot be meant."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phaseguide.errors import MicrographError, SchemeError
from phaseguide.events import Notice
from phaseguide.models.card import ViewCard
from phaseguide.models.metal import find_metal
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.models.sam.prompts import Prompts
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.constraints.prompts import (
    check_prompts,
    name_meaning,
    parse_meaning,
    prompt_rows,
)
from phaseguide.segmentation.constraints.regions import Region
from phaseguide.segmentation.network.device import choose_device
from phaseguide.segmentation.network.encoding import EncodedImage
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.saving import CONSTRAINED, SHOWN, constraint_note, save_segmentation
from phaseguide.segmentation.session import Session, run_to_end
from prompted_models import prompted_model
from sam_files import offer_base
from tiny_models import tiny_image, tiny_model

SCHEME = PhaseScheme.from_names(["ferrite", "not resolved", "carbide"])
ASKED = np.array([0.5, 0.3, 0.2])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        yield offer_base(patch, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def model(base: str, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(prompted_model(tmp_path_factory.mktemp("model"), base))


def box(*place: float, phase: int = 2) -> Prompts:
    return Prompts(np.array([place], dtype=np.float64), np.array([phase]))


def point(row: float, column: float, phase: int = 2) -> Prompts:
    return Prompts(points=np.array([[row, column]], dtype=np.float64), point_phases=np.array([phase]))


BOX = box(10, 10, 40, 60)


def segment(session: Session, **request: Any) -> Segmentation:
    result: Segmentation = run_to_end(session.segment(Request(**request)))
    return result


def test_a_prompt_changes_the_map_but_not_what_the_model_says_alone(model: LoadedModel) -> None:
    session = Session(model, tiny_image())
    plain = segment(session)
    guided = segment(session, prompts=BOX)
    assert (guided.labels != plain.labels).any()
    assert np.array_equal(guided.own_labels, plain.labels) and np.array_equal(guided.own, plain.own)
    assert guided.imposed is None and guided.mode is None
    other = segment(session, prompts=box(10, 10, 40, 60, phase=3))
    assert (other.labels != guided.labels).any(), "the phase counts, not the place alone"
    again = segment(session)
    assert np.array_equal(again.labels, plain.labels) and again.prompts is None
    assert np.array_equal(segment(session, prompts=BOX).labels, guided.labels)


def test_no_prompts_at_all_are_none(model: LoadedModel) -> None:
    result = segment(Session(model, tiny_image()), prompts=Prompts())
    assert result.prompts is None and not result.constrained


def test_the_map_is_what_the_network_says_when_it_is_shown_them(model: LoadedModel) -> None:
    import torch

    from phaseguide.models.segmenter import normalise_image

    image = tiny_image()
    result = segment(Session(model, image), prompts=BOX)
    with torch.inference_mode():
        features = model.segmenter.encode(torch.from_numpy(normalise_image(image))[None])
        wanted = model.segmenter.decode(features, None, BOX)[0].argmax(0).numpy() + 1
    assert (result.labels != wanted).mean() < 0.001


@pytest.mark.parametrize("mode", ["matched", "both"])
@pytest.mark.parametrize("extra", [{}, {"smoothing_px": 1.5}, {"min_island_px": 6}])
def test_a_ratio_acts_on_what_the_network_sees_with_them(
    model: LoadedModel, mode: str, extra: dict[str, Any]
) -> None:
    session = Session(model, tiny_image())
    alone = segment(session, asked=ASKED, uncertainty=0.0, mode=mode, **extra)
    both = segment(session, asked=ASKED, uncertainty=0.0, mode=mode, prompts=BOX, **extra)
    assert both.achieved == pytest.approx(ASKED, abs=1e-3)
    assert (both.labels != alone.labels).any(), "the same areas, in other places"
    assert np.array_equal(both.own_labels, alone.own_labels)
    # One set of prompts after another, with the ratio standing: nothing stale is matched.
    moved = segment(session, asked=ASKED, uncertainty=0.0, mode=mode, prompts=box(30, 50, 60, 90), **extra)
    fresh = Session(model, tiny_image())
    wanted = segment(fresh, asked=ASKED, uncertainty=0.0, mode=mode, prompts=box(30, 50, 60, 90), **extra)
    assert np.array_equal(moved.labels, wanted.labels)


def test_open_phases_share_as_the_network_sees_them_with_the_prompts(model: LoadedModel) -> None:
    session = Session(model, tiny_image())
    seen = segment(session, prompts=BOX).achieved
    asked = np.array([np.nan, 0.2, np.nan])
    result = segment(session, asked=asked, uncertainty=0.0, mode="matched", prompts=BOX)
    assert result.achieved[0] / result.achieved[2] == pytest.approx(seen[0] / seen[2], rel=0.05)


def test_the_estimate_and_regions_take_them_too(model: LoadedModel) -> None:
    image = tiny_image()
    session = Session(model, image)
    seen, plain = segment(session, prompts=BOX), segment(session)
    auto = segment(session, auto=True, prompts=BOX)
    assert auto.imposed == pytest.approx(seen.achieved) and auto.constrained
    mask = np.zeros(image.shape, dtype=bool)
    mask[:32] = True
    region = Region("top", mask, np.array([np.nan, np.nan, np.nan]))
    measured = segment(session, regions=(region,), prompts=BOX)
    assert np.array_equal(measured.labels, seen.labels)
    own = np.bincount(plain.labels[mask], minlength=4)[1:] / mask.sum()
    assert measured.regions[0].own == pytest.approx(own), "own stays what the model says alone"


def test_edits_win_over_prompts(model: LoadedModel) -> None:
    edits = np.zeros(tiny_image().shape, dtype=np.uint8)
    edits[20:30, 20:30], edits[50:] = 3, 255
    result = segment(Session(model, tiny_image(), edits=edits), prompts=BOX)
    assert (result.labels[20:30, 20:30] == 3).all() and (result.labels[50:] == 255).all()


def test_only_tiles_with_prompts_are_decoded_again(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(model, tiny_image(shape=(300, 600)), tile=256, overlap=32)
    plain = segment(session)
    shown: list[Prompts] = []
    decode = model.segmenter.decode

    def spy(features: Any, ratio: Any = None, prompts: Prompts | None = None) -> Any:
        if prompts is not None:
            shown.append(prompts)
        return decode(features, ratio, prompts)

    monkeypatch.setattr(model.segmenter, "decode", spy)
    result = segment(session, prompts=point(290, 590))
    assert len(shown) == 1
    changed = result.labels != plain.labels
    assert not changed[:, :300].any() and not changed[:20].any()
    shown.clear()
    segment(session, prompts=point(290, 590), asked=ASKED, mode="both")
    assert len(shown) == 1, "with a ratio every tile is decoded, but only one is shown the point"


@pytest.mark.parametrize("flip", ["none", "x", "y", "xy"])
@pytest.mark.parametrize("zoom", [1.0, 1.5])
def test_views_show_prompts_where_the_image_shows_what_they_are_on(
    model: LoadedModel, flip: str, zoom: float
) -> None:
    """Of a bright patch in the image, the box that is drawn around it holds it in every view."""
    pixels = np.zeros((60, 90), dtype=np.uint8)
    pixels[8:24, 50:80] = 255
    encoded = EncodedImage(
        copy.deepcopy(model.segmenter),
        find_metal(pixels, None),
        choose_device("cpu"),
        tile=256,
        overlap=0,
        views=(ViewCard(flip=flip, zoom=zoom),),  # type: ignore[arg-type]
        invert=False,
        memory=1 << 30,
    )
    views: list[NDArray[np.float32]] = []

    def see(image: Any) -> Any:
        views.append(image[0, 0].numpy())
        raise InterruptedError

    encoded.segmenter.encode = see  # type: ignore[method-assign]
    with pytest.raises(InterruptedError):
        encoded._encoded(encoded.tiles[0], encoded.views[0])
    drawn = Prompts(np.array([[8, 50, 23, 79.0]]), np.array([1]), np.array([[8, 50.0]]), np.array([1]))
    seen = encoded._prompts_of(encoded.tiles[0], drawn)
    assert seen is not None
    rows, columns = (np.flatnonzero((views[0] > 0).any(axis=axis)) for axis in (1, 0))
    around = [rows[0], columns[0], rows[-1], columns[-1]]
    assert seen.boxes[0] == pytest.approx(around, abs=0.6)
    corner = (rows[-1 if "y" in flip else 0], columns[-1 if "x" in flip else 0])
    assert seen.points[0] == pytest.approx(corner, abs=0.6)


def test_what_is_shown_is_said_and_recorded(model: LoadedModel, tmp_path: Path) -> None:
    import json

    image = tiny_image()
    session = Session(model, image)
    both = Prompts(BOX.boxes, BOX.box_phases, np.array([[5.0, 6.5]]), np.array([-1]))
    result = segment(session, prompts=both)
    assert result.constrained and not result.has_ratio and constraint_note(result) == SHOWN
    files = save_segmentation(tmp_path, "a", result, model, None, image, None)
    record = json.loads(files.record.read_text())
    assert record["prompts"] == [
        {
            "kind": "box",
            "phase": "carbide network",
            "top": 10.0,
            "left": 10.0,
            "bottom": 40.0,
            "right": 60.0,
        },
        {"kind": "point", "phase": "not ferrite", "row": 5.0, "column": 6.5},
    ]
    assert record["ratio"]["statement"] == SHOWN and record["ratio"]["constrained"]
    assert record["ratio"]["source"] == "none"
    note = constraint_note(segment(session, prompts=both, asked=ASKED))
    assert CONSTRAINED in note and SHOWN in note
    assert constraint_note(segment(session)) == ""


@pytest.mark.parametrize("head", ["u-net", "conv"])
def test_a_model_that_takes_none_says_so_and_goes_on(base: str, tmp_path: Path, head: str) -> None:
    path = tiny_model(tmp_path) if head == "u-net" else prompted_model(tmp_path, base, head="conv")
    session = Session(load_model(path), tiny_image())
    plain = segment(session)
    events = list(session.segment(Request(prompts=BOX)))
    notices = [event.message for event in events if isinstance(event, Notice)]
    assert any("takes no boxes and points" in text for text in notices)
    result = events[-1].result  # type: ignore[union-attr]
    assert np.array_equal(result.labels, plain.labels) and not result.constrained
    session.prepare(Request(prompts=BOX))


@pytest.mark.parametrize(
    ("prompts", "error", "words"),
    [
        (box(70, 10, 90, 60), MicrographError, "Box 1 .* outside the image, which has 64 rows and 96 col"),
        (box(10, 40, 30, 40), MicrographError, "no area"),
        (box(30, 40, 10, 60), MicrographError, "no area"),
        (box(10, 10, np.nan, 60), MicrographError, "no area"),
        (box(10, 10, 20, 20, phase=-1), SchemeError, "only points can say"),
        (box(10, 10, 20, 20, phase=4), SchemeError, "label 4, but the model has phases 1 to 3"),
        (point(64, 10), MicrographError, "Point 1 .* outside"),
        (point(np.nan, 10), MicrographError, "outside"),
        (point(3, 3, phase=0), SchemeError, "label 0"),
        (
            Prompts(points=np.full((65, 2), 5.0), point_phases=np.ones(65, dtype=int)),
            SchemeError,
            "65 points; at most 64",
        ),
    ],
)
def test_what_cannot_be_meant_is_said(
    model: LoadedModel, prompts: Prompts, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        segment(Session(model, tiny_image()), prompts=prompts)


def test_a_box_that_reaches_over_the_border_is_cut() -> None:
    prompts = box(-20, 50, 30, 500)
    check_prompts(prompts, (64, 96), SCHEME)
    assert prompts.within(0, 0, 64, 96).boxes.tolist() == [[-0.5, 50, 30, 95.5]]


def test_meanings_in_words() -> None:
    assert parse_meaning("Carbide", SCHEME) == 3 and parse_meaning("not 1", SCHEME) == -1
    assert parse_meaning("NOT ferrite", SCHEME) == -1
    assert parse_meaning("not resolved", SCHEME) == 2, "a phase may be called so"
    assert parse_meaning("not not resolved", SCHEME) == -2
    for label in (1, 2, 3, -1, -2, -3):
        assert parse_meaning(name_meaning(label, SCHEME), SCHEME) == label
    for text in ("bainite", "not", "not bainite", ""):
        with pytest.raises(SchemeError, match="1 ferrite, 2 not resolved"):
            parse_meaning(text, SCHEME)
    assert prompt_rows(None, SCHEME) == []


@pytest.mark.parametrize(
    ("box", "told"),
    [
        ((10, 10, 60, 60), False),
        ((-1, -1, 101, 121), False),
        ((10, 10, 1800, 60), True),
        ((-50, 10, 60, 60), True),
    ],
)
def test_a_box_far_over_the_border_is_told(box: tuple[int, int, int, int], told: bool) -> None:
    from phaseguide.segmentation.constraints.prompts import describe_overhang

    prompts = Prompts(np.array([box], dtype=np.float64), np.array([1]))
    sentence = describe_overhang(prompts, (100, 120))
    assert bool(sentence) == told and (not told or ("Box 1" in sentence and "100 rows" in sentence))
