"""Several fields together: the specimen's ratio is met by their mean, and they keep their differences."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from phaseguide.errors import DeviceError, RatioError, UnexpectedError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.ratios import blend_ratios
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.segmentation.specimen import (
    Composition,
    Field,
    FieldDone,
    FieldFailed,
    segment_fields,
    segment_specimen,
)
from phaseguide.segmentation.stacks import area_px, together
from tiny_models import tiny_model

OPEN = np.nan


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("model")))


def patchwork(seed: int, shape: tuple[int, int] = (64, 96)) -> np.ndarray:
    """Patches of other brightness and noise in every field, so that the model sees another composition."""
    rng = np.random.default_rng(seed)
    patches = np.kron(rng.uniform(20, 230, (shape[0] // 16, shape[1] // 16)), np.ones((16, 16)))
    return np.clip(patches + rng.normal(0, 10 * seed, shape), 0, 255).astype(np.uint8)


class Opener:
    """Opens a session, and remembers how often it was asked to."""

    def __init__(self, model: LoadedModel, image: np.ndarray, edits: np.ndarray | None = None) -> None:
        self.make: Callable[[], Session] = lambda: Session(model, image, edits=edits, device="cpu")
        self.count = 0

    def __call__(self) -> Session:
        self.count += 1
        return self.make()


SHAPES = ((64, 96), (64, 64), (96, 96), (64, 160))


@pytest.fixture
def openers(model: LoadedModel) -> list[Opener]:
    return [Opener(model, patchwork(seed, shape)) for seed, shape in enumerate(SHAPES)]


def as_fields(openers: list[Opener]) -> list[Field]:
    return [Field(f"field {i}", opener) for i, opener in enumerate(openers)]


def segmented(events: Iterator[Any]) -> tuple[list[Segmentation], Composition | None]:
    """The segmentations in the order of the fields, and the last event's result."""
    everything = list(events)
    assert isinstance(everything[-1], Finished)
    done = sorted((e for e in everything if isinstance(e, FieldDone)), key=lambda e: e.index)
    return [e.segmentation for e in done], everything[-1].result


def mean(results: list[Segmentation], key: str) -> np.ndarray:
    areas = np.array([area_px(r.labels) for r in results])
    return areas @ np.array([getattr(r, key) for r in results]) / areas.sum()


@pytest.mark.parametrize("mode", ["matched", "both"])
@pytest.mark.parametrize("uncertainty", [0.0, 0.2, (0.1, 0.3, 0.2)])
def test_the_mean_of_the_fields_is_what_is_imposed(
    openers: list[Opener], model: LoadedModel, mode: Any, uncertainty: Any
) -> None:
    asked = np.array([0.4, OPEN, 0.1])
    request = Request(asked=asked, uncertainty=uncertainty, mode=mode)
    results, whole = segmented(segment_specimen(as_fields(openers), request))
    assert whole is not None and whole.fields == len(results) == 4
    assert whole.own == pytest.approx(mean(results, "own"))
    expected = blend_ratios(asked, whole.own, uncertainty, model.card.own_error)
    assert whole.imposed == pytest.approx(expected)
    assert mean(results, "imposed") == pytest.approx(whole.imposed, abs=1e-6)
    assert np.abs(mean(results, "achieved") - whole.imposed).max() < 0.001
    if uncertainty == 0:
        assert whole.imposed[[0, 2]] == pytest.approx([0.4, 0.1])


def test_the_scatter_between_fields_survives(openers: list[Opener]) -> None:
    request = Request(asked=np.array([0.4, OPEN, 0.1]), uncertainty=0.0)
    results, _ = segmented(segment_specimen(as_fields(openers), request))

    def scatter(key: str) -> np.ndarray:
        logs = np.log([getattr(r, key) for r in results])
        return (logs[:, 1:] - logs[:, :1]).std(axis=0)

    assert scatter("own").min() > 0.05, "the fields differ, or the test says nothing"
    assert scatter("achieved") == pytest.approx(scatter("own"), rel=0.05)
    # What it must not be: the same value forced on every field.
    forced, _ = segmented(segment_fields(as_fields(openers), request))
    assert np.ptp([r.achieved[0] for r in forced]) < 0.001 < np.ptp([r.achieved[0] for r in results])


def test_a_result_tells_what_was_asked_of_the_specimen(openers: list[Opener]) -> None:
    asked = np.array([0.4, OPEN, OPEN])
    results, whole = segmented(segment_specimen(as_fields(openers), Request(asked=asked, uncertainty=0.2)))
    assert whole is not None
    for result in results:
        assert result.asked == pytest.approx(asked, nan_ok=True) and result.uncertainty == 0.2
        assert result.constrained and result.imposed is not None
        assert result.imposed == pytest.approx(result.achieved, abs=0.001)


def test_one_field_is_segmented_as_by_itself(model: LoadedModel) -> None:
    request = Request(asked=np.array([0.4, OPEN, 0.1]), uncertainty=0.2, mode="both")
    (together_,), _ = segmented(segment_specimen(as_fields([Opener(model, patchwork(0))]), request))
    alone = run_to_end(Session(model, patchwork(0), device="cpu").segment(request))
    assert np.array_equal(together_.labels, alone.labels)
    assert together_.imposed == pytest.approx(alone.imposed)


def test_sessions_are_kept_only_while_they_are_few(openers: list[Opener]) -> None:
    request = Request(asked=np.array([0.4, OPEN, OPEN]))
    first, _ = segmented(segment_specimen(as_fields(openers), request, keep_px=64 * 96))
    assert [opener.count for opener in openers] == [1, 2, 2, 2]
    again, _ = segmented(segment_specimen(as_fields(openers), request))
    assert [opener.count for opener in openers] == [2, 3, 3, 3]
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(first, again, strict=True))


def test_at_most_two_sessions_are_there_at_once(openers: list[Opener]) -> None:
    alive: weakref.WeakSet[Session] = weakref.WeakSet()
    most = 0

    def watched(opener: Opener) -> Callable[[], Session]:
        def make() -> Session:
            session = opener()
            alive.add(session)
            return session

        return make

    fields = [Field("a field", watched(opener)) for opener in openers]
    request = Request(asked=np.array([0.4, OPEN, OPEN]))
    for _ in segment_specimen(fields, request, keep_px=0):
        most = max(most, len(alive))
    assert most <= 2


def test_excluded_areas_count_nowhere_and_edits_win(model: LoadedModel) -> None:
    edits = np.zeros((64, 96), np.uint8)
    edits[:, :48], edits[:8, 48:] = 255, 3
    openers = [Opener(model, patchwork(0), edits), Opener(model, patchwork(1))]
    request = Request(asked=np.array([0.4, OPEN, 0.3]), uncertainty=0.0)
    results, whole = segmented(segment_specimen(as_fields(openers), request))
    assert whole is not None and [area_px(r.labels) for r in results] == [64 * 48, 64 * 96]
    assert (results[0].labels[edits > 0] == edits[edits > 0]).all()
    assert np.abs(mean(results, "achieved") - whole.imposed).max() < 0.001


def test_a_field_that_fails_is_left_out_of_the_mean(openers: list[Opener]) -> None:
    def refuse() -> Session:
        raise DeviceError("field 1: no.")

    openers[1].make = refuse
    openers[2].make = lambda: (_ for _ in ()).throw(MemoryError())
    request = Request(asked=np.array([0.4, OPEN, 0.1]), uncertainty=0.0)
    events = list(segment_specimen(as_fields(openers), request))
    failed = [e for e in events if isinstance(e, FieldFailed)]
    assert [(e.index, str(e.error)[:28]) for e in failed] == [
        (1, "field 1: no."),
        (2, "field 2: Not enough memory. "),
    ]
    results, whole = segmented(iter(events))
    assert len(results) == 2 and whole is not None and whole.fields == 2
    assert mean(results, "achieved")[0] == pytest.approx(0.4, abs=0.001)


def test_without_any_field_there_is_nothing(openers: list[Opener]) -> None:
    def refuse() -> Session:
        raise DeviceError("no.")

    openers[0].make = refuse
    events = list(segment_specimen(as_fields(openers[:1]), Request(asked=np.array([0.4, OPEN, OPEN]))))
    assert isinstance(events[-2], FieldFailed) and events[-1] == Finished(None)


def test_a_fault_of_the_program_in_one_field_stops_no_other(openers: list[Opener]) -> None:
    openers[0].make = lambda: (_ for _ in ()).throw(RuntimeError("shapes differ"))
    events = list(segment_fields(as_fields(openers), Request()))
    (failed,) = [event for event in events if isinstance(event, FieldFailed)]
    assert isinstance(failed.error, UnexpectedError) and "RuntimeError: shapes differ" in str(failed.error)
    assert sum(isinstance(event, FieldDone) for event in events) == len(openers) - 1


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (None, "every phase is open"),
        ([OPEN, OPEN, OPEN], "every phase is open"),
        ([0.2, 0.2, 0.2], "sum to 60.00 %"),
        ([0.2, 0.8], "2 values"),
    ],
)
def test_ratios_that_cannot_be_meant(openers: list[Opener], asked: Any, words: str) -> None:
    request = Request(asked=None if asked is None else np.array(asked))
    with pytest.raises(RatioError, match=words):
        list(segment_specimen(as_fields(openers), request))


def test_progress_counts_both_looks_and_can_be_stopped(openers: list[Opener]) -> None:
    fields = as_fields(openers)
    events = list(segment_specimen(fields, Request(asked=np.array([0.4, OPEN, OPEN]))))
    steps = [e for e in events if isinstance(e, Progress)]
    assert {s.total for s in steps} == {8} and [s.done for s in steps] == sorted(s.done for s in steps)
    assert {s.done for s in steps} == set(range(8))
    running = segment_specimen(fields, Request(asked=np.array([0.4, OPEN, OPEN])))
    next(e for e in running if isinstance(e, FieldDone))
    running.close()


def test_a_specimen_unlike_its_ratio_is_said_once(openers: list[Opener]) -> None:
    fields = as_fields(openers)
    request = Request(asked=np.array([0.9, OPEN, OPEN]), uncertainty=0.3)
    notices = [e.message for e in segment_specimen(fields, request) if isinstance(e, Notice)]
    assert sum("of the specimen differs" in n for n in notices) == 1
    plain, _ = segmented(segment_fields(fields, Request()))
    seen = np.average([one.own[0] for one in plain], weights=[one.labels.size for one in plain])
    request = Request(asked=np.array([seen, OPEN, OPEN]), uncertainty=0.3)
    assert not any(isinstance(e, Notice) for e in segment_specimen(fields, request))


def test_planes_together_are_their_stack_and_mean(model: LoadedModel) -> None:
    openers = [Opener(model, patchwork(seed)) for seed in range(3)]
    planes, _ = segmented(segment_fields(as_fields(openers), Request()))
    whole = together(planes)
    assert whole.labels.shape == whole.own_labels.shape == (3, 64, 96)
    counts = np.bincount(whole.labels.ravel(), minlength=4)[1:4]
    assert whole.achieved == pytest.approx(counts / counts.sum())
    assert whole.imposed is None and not whole.constrained
