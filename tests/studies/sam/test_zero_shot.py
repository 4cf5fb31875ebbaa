"""The zero-shot baseline: clicks that tell the truth, masks as the official predictor gives them, rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from phaseguide.datasets.folder import Dataset, open_dataset
from phaseguide.errors import DatasetError, MicrographError, ModelError, PhaseguideError
from phaseguide.events import Finished
from phaseguide.models.sam.prompts import Prompts
from phaseguide.models.sam.shapes import find_shape
from phaseguide.studies.sam.clicks import boxes_around, draw_clicks
from phaseguide.studies.sam.official import ZeroShotSam
from phaseguide.studies.sam.zero_shot import to_lines, zero_shot_study
from sam_files import write_base
from textures import SCHEME, field


def truth() -> np.ndarray:
    labels = np.full((60, 80), 1, dtype=np.uint8)
    labels[10:30, 10:40] = 2
    labels[40:50, 50:70] = 2
    labels[:, 75:] = 255
    labels[:5] = 0
    return labels


def test_clicks_are_right_and_repeatable() -> None:
    clicks = draw_clicks(truth(), 3, 5, np.random.default_rng(4))
    assert clicks.point_phases.tolist() == [1] * 5 + [2] * 5, "a phase that is not there gets none"
    where = clicks.points.astype(int)
    assert truth()[where[:, 0], where[:, 1]].tolist() == clicks.point_phases.tolist()
    assert len({tuple(p) for p in where.tolist()}) == 10
    again = draw_clicks(truth(), 3, 5, np.random.default_rng(4))
    other = draw_clicks(truth(), 3, 5, np.random.default_rng(5))
    assert np.array_equal(clicks.points, again.points) and not np.array_equal(clicks.points, other.points)


def test_a_phase_of_few_pixels_gets_few_clicks() -> None:
    labels = np.ones((20, 20), dtype=np.uint8)
    labels[3, 4:6] = 2
    clicks = draw_clicks(labels, 2, 5, np.random.default_rng(0))
    assert clicks.points[clicks.point_phases == 2].tolist() in ([[3, 4], [3, 5]], [[3, 5], [3, 4]])


def test_boxes_are_around_the_regions_that_were_clicked_on() -> None:
    clicks = Prompts(
        points=np.array([[12.0, 12.0], [20.0, 30.0], [45.0, 60.0]]), point_phases=np.array([2, 2, 2])
    )
    boxes = boxes_around(truth(), clicks)
    assert boxes.boxes.tolist() == [[10, 10, 29, 39], [40, 50, 49, 69]] and len(boxes.points) == 0
    assert boxes.box_phases.tolist() == [2, 2]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "sam")[0]


def some_image(height: int = 100, width: int = 70) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_masks_are_those_of_the_official_predictor(base: Path) -> None:
    """A click against another phase's, and a box, on an image that is scaled and padded."""
    from segment_anything import SamPredictor

    from phaseguide.models.sam.checkpoint import build_official

    image, shape = some_image(), find_shape("vit_tiny")
    official = build_official(shape).eval()
    official.load_state_dict(torch.load(base, weights_only=True))
    predictor = SamPredictor(official)
    predictor.set_image(image)
    masks, quality, _ = predictor.predict(
        np.array([[30, 20], [50, 80]]), np.array([1, 0]), return_logits=True
    )
    points = Prompts(points=np.array([[20.0, 30.0], [80.0, 50.0]]), point_phases=np.array([1, 2]))
    opened = ZeroShotSam(base, shape).open(image)
    assert np.abs(opened.phases(points, 2)[0] - masks[quality.argmax()]).max() < 0.05 * masks.std()
    boxed, _, _ = predictor.predict(
        box=np.array([10, 15, 60, 90]), multimask_output=False, return_logits=True
    )
    box = Prompts(boxes=np.array([[15.0, 10.0, 90.0, 60.0]]), box_phases=np.array([1]))
    logits = opened.phases(box, 2)
    assert np.abs(logits[0] - boxed[0]).max() < 0.05 * boxed.std()
    assert np.isneginf(logits[1]).all(), "nobody pointed at the second phase"


def test_the_largest_of_a_phase_counts(base: Path) -> None:
    opened = ZeroShotSam(base, find_shape("vit_tiny")).open(some_image())
    places = np.random.default_rng(0).uniform(0, 70, (20, 2))
    one = Prompts(points=places, point_phases=np.ones(20, dtype=np.int64))
    alone = [opened.phases(Prompts(points=p[None], point_phases=np.array([1])), 1)[0] for p in places]
    assert np.allclose(opened.phases(one, 1)[0], np.max(alone, axis=0), atol=1e-4)


def test_grey_images_are_refused_with_a_sentence(base: Path) -> None:
    with pytest.raises(ModelError, match="colour images"):
        ZeroShotSam(base, find_shape("vit_tiny")).open(np.zeros((20, 20), dtype=np.uint8))


def make_data(folder: Path, count: int = 2) -> Dataset:
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for i in range(count):
        item = field(i, 64, 80)
        grey = ((item.image[0].numpy() + 1.5) / 3 * 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / "images" / f"f{i}.png")
        Image.fromarray(item.labels.numpy()).save(folder / "labels" / f"f{i}.png")
    return open_dataset(folder)


def study(data: Dataset, base: Path, **options: object) -> dict[str, object]:
    given = {"size": "vit_tiny", "base": base, "points": 2, "repeats": 2, "device": "cpu", **options}
    events = zero_shot_study(data, SCHEME, **given)  # type: ignore[arg-type]
    return next(e.result for e in events if isinstance(e, Finished))


def test_rows_as_in_the_folds_report(tmp_path: Path, base: Path) -> None:
    data = make_data(tmp_path / "data")
    report = study(data, base, folds={"A": ("f0",), "B": ("f1",)})
    points, boxes = report["rows"]  # type: ignore[misc]
    assert (points["source"], boxes["source"], points["net"]) == ("points", "boxes", "vit_tiny, zero-shot")
    assert set(points["per_fold"]) == {"A", "B"} and points["draws"] == 2 and points["paired_dice"] is None
    for row in (points, boxes):
        assert 0 < row["dice_mean"] < 1 and 0 <= row["fraction_mae_pp"] <= 100
    assert study(data, base, folds={"A": ("f0",), "B": ("f1",)}) == report, "clicks come from the seed"
    text = "\n".join(to_lines(report))
    assert "2 points a phase" in text and "boxes around what 2 clicks" in text and " ± " in text
    assert " ± " not in "".join(to_lines(study(data, base)))


def test_scores_are_those_of_the_map(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that always finds what was labelled scores 1."""
    from phaseguide.studies.sam import official as zero_shot

    data = make_data(tmp_path / "data", 1)
    labels = field(0, 64, 80).labels.numpy()
    perfect = np.stack([labels == 1, labels == 2]).astype(np.float32)
    monkeypatch.setattr(zero_shot.ZeroShotImage, "phases", lambda self, prompts, n: perfect)
    (row,) = study(data, base, prompts=["points"])["rows"]  # type: ignore[misc]
    assert row["dice_mean"] == 1 and row["pooled"]["miou"] == 1 and row["fraction_mae_pp"] == 0


def test_without_weights_it_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from weights_server import isolate

    (tmp_path / "home").mkdir()
    isolate(monkeypatch, tmp_path / "home")
    data = make_data(tmp_path / "data", 1)
    with pytest.raises(ModelError, match="phaseguide models base get vit_b"):
        list(zero_shot_study(data, SCHEME, device="cpu"))
    with pytest.raises(ModelError, match="no official weights 'vit_tiny'"):
        list(zero_shot_study(data, SCHEME, size="vit_tiny", device="cpu"))
    with pytest.raises(ModelError, match="no such file"):
        study(data, tmp_path / "none.pth")


def test_what_cannot_be_judged(tmp_path: Path, base: Path) -> None:
    data = make_data(tmp_path / "data", 1)
    for options in ({"points": 0}, {"repeats": 0}, {"prompts": ["masks"]}, {"prompts": []}):
        with pytest.raises(PhaseguideError):
            study(data, base, **options)
    empty = Image.fromarray(np.zeros((64, 80), dtype=np.uint8))
    empty.save(tmp_path / "data" / "labels" / "f0.png")
    with pytest.raises(DatasetError, match="no pixel carries a phase"):
        study(data, base)
    (tmp_path / "data" / "labels" / "f0.png").unlink()
    with pytest.raises(DatasetError, match="nothing to click on"):
        study(open_dataset(tmp_path / "data"), base)
    import tifffile

    folder = tmp_path / "stack"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    tifffile.imwrite(
        folder / "images" / "s.tif", np.zeros((4, 40, 50), dtype=np.uint8), photometric="minisblack"
    )
    Image.fromarray(np.ones((40, 50), dtype=np.uint8)).save(folder / "labels" / "s.png")
    with pytest.raises(MicrographError, match="is a stack"):
        study(open_dataset(folder), base)
