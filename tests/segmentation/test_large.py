"""Images in tiles: the composition of the whole, no seams, bounded memory, and the way back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phaseguide.datasets.samples import TITLES, open_sample
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.models.zoo import find_model
from phaseguide.segmentation.matching import islands, whole_image
from phaseguide.segmentation.network import scratch
from phaseguide.segmentation.network.tiling import Tile
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.session import Session, run_to_end
from tiny_models import tiny_model

Labels = NDArray[np.uint8]
TILE, OVERLAP = 256, 64
SEAM = 1.2
NEAR = 4


def segment(session: Session, **request: Any) -> Segmentation:
    result: Segmentation = run_to_end(session.segment(Request(**request)))
    return result


def mosaic(height: int = 448, width: int = 320) -> NDArray[np.uint8]:
    """Side by side, the windows of the samples that differ most in composition."""
    windows = []
    for name in TITLES["uhcs"]:
        sample = open_sample(name)
        assert sample.labels is not None
        for left in range(0, sample.image.shape[1] - width + 1, 25):
            image, labels = (a[:height, left : left + width] for a in (sample.image, sample.labels))
            shares = np.bincount(labels.ravel(), minlength=256)[1:5] / labels.size
            windows.append((image, shares))
    distance = [[np.abs(a[1] - b[1]).sum() / 2 for a in windows] for b in windows]
    first, second = np.unravel_index(np.argmax(distance), (len(windows), len(windows)))
    assert distance[first][second] > 0.3
    return np.concatenate([windows[first][0], windows[second][0]], axis=1)


def flips(labels: Labels, tiles: list[Tile]) -> float:
    """How often neighbouring pixels differ near the borders of tiles, relative to elsewhere."""
    near, far = np.zeros(2), np.zeros(2)
    for axis, length in enumerate(labels.shape):
        spans = [(t.top, t.top + t.height) if axis == 0 else (t.left, t.left + t.width) for t in tiles]
        borders = {b for span in spans for b in span if 0 < b < length}
        is_near = np.zeros(length - 1, dtype=bool)
        for border in borders:
            is_near[max(0, border - NEAR) : border + NEAR - 1] = True
        differ = np.moveaxis(np.diff(labels.astype(int), axis=axis) != 0, axis, 0)
        for sums, part in ((near, differ[is_near]), (far, differ[~is_near])):
            sums += part.sum(), part.size
    return float(near[0] / near[1] / (far[0] / far[1]))


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    """The shipped model on the mosaic, whole and in tiles, in every mode."""
    model, image = load_model(find_model("uhcs")), mosaic()
    asked = np.array([0.2, 0.15, 0.6, 0.05])
    results: dict[str, Any] = {}
    for name, options in (("whole", {}), ("tiled", {"tile": TILE, "overlap": OVERLAP})):
        session = Session(model, image, flips=False, **options)
        for mode in (None, "matched", "both"):
            request = {} if mode is None else {"asked": asked, "uncertainty": 0.0, "mode": mode}
            results[name, mode] = segment(session, **request)
        results[name, "tiles"] = session._scoring.encoded.tiles  # type: ignore[union-attr]
    return results


def test_tiles_of_different_phases_meet_the_composition_of_the_whole(shipped: dict[str, Any]) -> None:
    assert len(shipped["whole", "tiles"]) == 1 and len(shipped["tiled", "tiles"]) >= 6
    own = shipped["tiled", None].own_labels
    left, right = (
        np.bincount(part.ravel(), minlength=5)[1:5] / part.size for part in (own[:, :320], own[:, 320:])
    )
    assert np.abs(left - right).sum() / 2 > 0.2, "the tiles hold different phases"
    for mode in ("matched", "both"):
        result = shipped["tiled", mode]
        assert np.abs(result.achieved - result.imposed).max() <= 1 / result.labels.size


@pytest.mark.parametrize("mode", [None, "matched", "both"])
def test_tiles_leave_no_seams(shipped: dict[str, Any], mode: str | None) -> None:
    tiles = shipped["tiled", "tiles"]
    tiled, whole = shipped["tiled", mode].labels, shipped["whole", mode].labels
    # Chance puts a phase boundary here or there: the same places in the map from one piece are the measure.
    assert flips(tiled, tiles) <= SEAM * flips(whole, tiles)
    assert np.mean(tiled != whole) < 0.1


def test_the_measure_of_seams_sees_one(shipped: dict[str, Any]) -> None:
    tiles, labels = shipped["tiled", "tiles"], shipped["whole", None].labels.copy()
    inside = tiles[0].width
    labels[:, inside:] = labels[:, inside:] % 4 + 1
    assert flips(labels, tiles) > SEAM * flips(shipped["whole", None].labels, tiles)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(tiny_model(tmp_path_factory.mktemp("tiny"), "additive"))


def noise(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 200, width)[None] + 30 * np.sin(np.arange(height) / 17)[:, None]
    return np.clip(ramp + rng.normal(0, 12, (height, width)), 0, 255).astype(np.uint8)


REQUESTS = {
    "none": {},
    "matched": {"mode": "matched"},
    "both": {"mode": "both"},
    "smoothed": {"mode": "matched", "smoothing_px": 1.5},
    "cleaned": {"mode": "both", "smoothing_px": 1.0, "min_island_px": 12},
}


@pytest.fixture
def in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every step so small that a small image takes many."""
    monkeypatch.setattr(whole_image, "_CHUNK", 1 << 12)
    monkeypatch.setattr(whole_image, "_HELD", 1 << 16)
    monkeypatch.setattr(whole_image, "_SPREAD", 64)
    monkeypatch.setattr(islands, "_BAND", 1 << 13)
    monkeypatch.setattr(scratch, "_STEP", 1 << 14)


def test_a_small_budget_changes_nothing_but_the_memory(tiny: LoadedModel, in_bands: None) -> None:
    image = noise(420, 300)
    edits = np.zeros(image.shape, np.uint8)
    edits[:20], edits[60:70, 40:90] = 255, 2
    rich = Session(tiny, image, edits=edits, tile=256)
    poor = Session(tiny, image, edits=edits, tile=256, memory_mb=1)
    asked = np.array([0.5, 0.3, 0.2])
    for name, request in REQUESTS.items():
        if request:
            request = {"asked": asked, "uncertainty": 0.0, **request}
        first, second = segment(rich, **request), segment(poor, **request)
        np.testing.assert_array_equal(first.labels, second.labels, err_msg=name)
        if request:
            assert np.abs(second.achieved - asked).max() <= 1 / (400 * 300), name
    assert isinstance(poor.scores, np.memmap) and not isinstance(rich.scores, np.memmap)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells")
def test_scratch_scores_are_never_all_in_memory(
    tiny: LoadedModel, in_bands: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: list[int] = []
    drop = scratch.release

    def watched(array: NDArray[Any]) -> None:
        # Third number: pages of mapped files that are held, libraries included.
        shared.append(4096 * int(Path("/proc/self/statm").read_text(encoding="ascii").split()[2]))
        drop(array)

    for module in (whole_image, islands, scratch):
        monkeypatch.setattr(module, "release", watched)
    session = Session(tiny, noise(1400, 1400), tile=512, memory_mb=1, flips=False)
    segment(session)
    assert session.scores is not None
    size = session.scores.nbytes
    before = shared[-1]
    shared.clear()
    asked = np.array([0.5, 0.3, 0.2])
    segment(session, asked=asked, uncertainty=0.0, mode="matched", smoothing_px=1.0, min_island_px=5)
    assert max(shared) - before < size / 4


def test_there_and_back_gives_the_same_map_bit_for_bit(tiny: LoadedModel) -> None:
    session = Session(tiny, noise(300, 340), tile=256)
    rng = np.random.default_rng(0)
    wishes = [
        {"asked": asked, "mode": mode, **extra}
        for asked in rng.dirichlet(np.ones(3), 2)
        for mode in ("matched", "both")
        for extra in ({}, {"uncertainty": 0.0}, {"smoothing_px": 1.0, "min_island_px": 8})
    ]
    there = [segment(session, **wish).labels.copy() for wish in wishes]
    own = segment(session).labels.copy()
    for wish, labels in zip(wishes[::-1], there[::-1], strict=True):
        np.testing.assert_array_equal(segment(session, **wish).labels, labels)
    np.testing.assert_array_equal(segment(session).labels, own)
    fresh = Session(dataclasses.replace(tiny), noise(300, 340), tile=256)
    np.testing.assert_array_equal(segment(fresh, **wishes[-1]).labels, there[-1])


def test_more_asked_is_more_in_the_mask(tiny: LoadedModel) -> None:
    session = Session(tiny, noise(300, 340), tile=256)
    rest = np.array([0.7, 0.3])
    before = np.zeros((300, 340), dtype=bool)
    for share in (0.02, 0.1, 0.3, 0.6, 0.95):
        asked = np.array([share, *(rest * (1 - share))])
        mask = segment(session, asked=asked, uncertainty=0.0, mode="matched").labels == 1
        assert np.count_nonzero(before & ~mask) <= 1, "up to the rounding to whole pixels"
        before = mask
