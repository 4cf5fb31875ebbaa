"""A first model from a few strokes: it learns, it is a model file like any other, and everything works with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from phaseguide.errors import MicrographError, ModelError, TrainingError
from phaseguide.events import run_to_end
from phaseguide.finetuning.sources import Source
from phaseguide.finetuning.strokes.classifier import StrokeClassifier
from phaseguide.finetuning.strokes.fit import UNSEEN, judge_strokes
from phaseguide.finetuning.strokes.islands import deal_islands, number_islands
from phaseguide.finetuning.strokes.model import blank_model
from phaseguide.models.model_file import load_model, save_model
from phaseguide.models.onnx_graph import export_graph
from phaseguide.models.segmenter import normalise_image
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session
from tiny_models import tiny_model

SCHEME = PhaseScheme.from_names(["smooth", "rough", "bright"])


def micrograph(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Three bands: dark and smooth, dark and rough, bright; and their true phases."""
    rng = np.random.default_rng(seed)
    truth = np.repeat([1, 2, 3], [30, 40, 34])[None].repeat(90, 0).astype(np.uint8)
    grey = np.where(truth == 3, 170, 90) + rng.normal(0, np.where(truth == 2, 30, 4))
    return np.clip(grey, 0, 255).astype(np.uint8), truth


def strokes(truth: np.ndarray) -> np.ndarray:
    """Two strokes of each phase."""
    marks = np.zeros_like(truth)
    for top in (12, 60):
        for left in (10, 48, 88):
            marks[top : top + 3, left : left + 10] = truth[top, left]
    return marks


@pytest.fixture
def classifier(tmp_path: Path) -> StrokeClassifier:
    return StrokeClassifier(blank_model(load_model(tiny_model(tmp_path)), SCHEME, "new"))


def test_a_few_strokes_teach_the_image_and_another_one(classifier: StrokeClassifier) -> None:
    image, truth = micrograph()
    source = Source("one", image, strokes(truth), "edits")
    painted = run_to_end(classifier.gather([source]))
    fitted = classifier.fit(painted, [source])
    here = run_to_end(classifier.segment(fitted, source))
    assert (here.labels == truth).mean() > 0.7  # a random encoder; chance is a third
    other, its_truth = micrograph(1)
    there = run_to_end(Session(fitted.model, other).segment(Request()))
    assert (there.labels == its_truth).mean() > 0.7
    right, of = judge_strokes(painted) or (0, 1)
    assert of == np.count_nonzero(source.labels) and right / of > 0.7
    assert fitted.painted == (60, 60, 60)


def test_scores_are_those_of_the_features_that_were_fitted(classifier: StrokeClassifier) -> None:
    image, truth = micrograph()
    source = Source("one", image, strokes(truth), "edits")
    fitted = classifier.fit(run_to_end(classifier.gather([source])), [source])
    session = Session(fitted.model, image)
    with pytest.raises(MicrographError, match="was not segmented yet"):
        session.features_at(np.array([1]), np.array([2]))
    run_to_end(session.segment(Request()))
    rows, columns = np.array([0, 3, 40, 89]), np.array([0, 50, 77, 103])
    layer = fitted.model.segmenter.backbone.net.decoder
    features = (torch.from_numpy(session.features_at(rows, columns)) - layer.centre) / layer.spread
    by_hand = (features @ layer.weight.T + layer.bias).detach().numpy()
    assert session.scores is not None
    np.testing.assert_allclose(session.scores[:, rows, columns].T, by_hand, atol=1e-3)


def test_it_is_a_file_with_a_card_and_takes_a_ratio(classifier: StrokeClassifier, tmp_path: Path) -> None:
    image, truth = micrograph()
    source = Source("one", image, strokes(truth), "edits")
    fitted = classifier.fit(run_to_end(classifier.gather([source])), [source])
    before = run_to_end(classifier.segment(fitted, source))
    card = save_model(tmp_path / "new.safetensors", fitted.model.segmenter, fitted.model.card)
    assert card.training["parent"] == "tiny-plm" and card.training["painted_px"] == [60, 60, 60]
    assert card.training["data_sha256"] == fitted.data_sha256
    loaded = load_model(tmp_path / "new.safetensors")
    after = run_to_end(Session(loaded, image).segment(Request()))
    assert (after.labels == before.labels).mean() > 0.99
    asked = np.array([0.5, 0.2, 0.3])
    forced = run_to_end(Session(loaded, image).segment(Request(asked=asked, uncertainty=0.0)))
    np.testing.assert_allclose(forced.achieved, asked, atol=1e-3)
    again = blank_model(loaded, SCHEME, "another")
    mine, its = (m.segmenter.backbone.net.encoder.network.state_dict() for m in (again, loaded))
    assert all(torch.equal(mine[key], its[key]) for key in mine)


def test_a_later_stroke_changes_the_map_and_encodes_nothing(classifier: StrokeClassifier) -> None:
    image, truth = micrograph()
    few = np.where(truth == 3, 0, strokes(truth)).astype(np.uint8)
    first = Source("one", image, few, "edits")
    fitted = classifier.fit(run_to_end(classifier.gather([first])), [first])
    assert fitted.model.segmenter.backbone.net.decoder.bias[2] == UNSEEN
    assert not (run_to_end(classifier.segment(fitted, first)).labels == 3).any()
    encoder = fitted.model.segmenter.backbone.net.encoder
    calls: list[object] = []
    encoder.register_forward_hook(lambda *_: calls.append(1))
    more = Source("one", image, strokes(truth), "edits")
    later = classifier.fit(run_to_end(classifier.gather([more])), [more])
    assert later.model.segmenter.backbone.net.encoder is encoder
    labels = run_to_end(classifier.segment(later, more)).labels
    assert (labels[truth == 3] == 3).mean() > 0.7 and not calls


def test_excluded_pixels_stay_excluded(classifier: StrokeClassifier) -> None:
    image, truth = micrograph()
    marks = strokes(truth)
    marks[80:] = 255
    source = Source("one", image, marks, "edits")
    fitted = classifier.fit(run_to_end(classifier.gather([source])), [source])
    assert (run_to_end(classifier.segment(fitted, source)).labels[80:] == 255).all()


def test_what_cannot_be_learnt_is_said(classifier: StrokeClassifier, tmp_path: Path) -> None:
    image, truth = micrograph()
    with pytest.raises(TrainingError, match="Nothing is painted"):
        run_to_end(classifier.gather([Source("one", image, np.zeros_like(truth), "edits")]))
    one = Source("one", image, np.where(truth == 1, strokes(truth), 0).astype(np.uint8), "edits")
    with pytest.raises(TrainingError, match="two phases"):
        classifier.fit(run_to_end(classifier.gather([one])), [one])
    plain = load_model(tiny_model(tmp_path))
    session = Session(plain, image)
    run_to_end(session.segment(Request()))
    with pytest.raises(ModelError, match="no features of single pixels"):
        session.features_at(np.array([1]), np.array([2]))


def test_strokes_are_judged_as_islands() -> None:
    _, truth = micrograph()
    marks = strokes(truth)
    islands = number_islands(marks, 3)
    assert islands.max() == 6 and (islands > 0).sum() == np.count_nonzero(marks)
    at = np.nonzero(marks)
    folds = deal_islands(marks[at].astype(np.intp), islands[at].astype(np.intp), 0)
    for island in range(1, 7):
        assert len(np.unique(folds[islands[at] == island])) == 1
    lonely = marks.copy()
    lonely[60:, 80:] = 0  # bright is painted in one place only
    at = np.nonzero(lonely)
    folds = deal_islands(lonely[at].astype(np.intp), number_islands(lonely, 3)[at].astype(np.intp), 0)
    assert not folds.any()


def test_the_network_can_be_exported(classifier: StrokeClassifier) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    image, truth = micrograph()
    source = Source("one", image, strokes(truth), "edits")
    fitted = classifier.fit(run_to_end(classifier.gather([source])), [source])
    segmenter = fitted.model.segmenter
    shown = normalise_image(image)[None, :, :64, :64]
    run = runtime.InferenceSession(export_graph(segmenter, 1, 64), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        wanted = segmenter(torch.from_numpy(shown)).numpy()
    found = run.run(None, {run.get_inputs()[0].name: shown})[0]
    np.testing.assert_allclose(found, wanted, atol=1e-2)
