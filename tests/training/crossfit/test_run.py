"""A training with cross-fitting: its parts, what stops it, and that nothing is lost."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from phaseguide.datasets.folder import Dataset, open_dataset
from phaseguide.errors import PhaseguideError, TrainingError
from phaseguide.events import Notice, Progress
from phaseguide.files.atomic import cannot_write
from phaseguide.models.card import InferenceCard, ViewCard
from phaseguide.models.model_file import load_model, read_card, save_model
from phaseguide.segmentation.request import Request
from phaseguide.segmentation.session import Session, run_to_end
from phaseguide.studies.folds.cross_validation import cross_validate
from phaseguide.studies.folds.report import report_folds
from phaseguide.studies.folds.rows import NONE, ROWS, FoldModel
from phaseguide.training.config import TrainingConfig
from phaseguide.training.crossfit import scores as scores_module
from phaseguide.training.crossfit.fold_models import FoldTrained
from phaseguide.training.crossfit.parts import Parts
from phaseguide.training.crossfit.run import fold_config, train_crossfitted
from phaseguide.training.crossfit.scores import CrossfitImage, out_of_fold
from phaseguide.training.data import load_images, seen_images, split_images
from phaseguide.training.events import EpochDone, TrainingResult
from phaseguide.training.trainer import train
from textures import SCHEME, config, write_fields

RUN = config(epochs=2, guidance="none", crossfit=3, crossfit_epochs=1)
TWO_VIEWS = InferenceCard(views=[ViewCard(), ViewCard(flip="x")])
Events = list[Any]
Stop = Callable[[Any], bool]


def events_of(dataset: Dataset, settings: TrainingConfig, parts: Parts | None, **more: Any) -> Any:
    images = list(load_images(dataset, SCHEME))
    data = split_images(images, SCHEME, seed=settings.seed)
    return train_crossfitted(dataset, images, data, settings, parts=parts, **more)


def finish(dataset: Dataset, parts: Parts | None, settings: TrainingConfig = RUN, **more: Any) -> Events:
    return list(events_of(dataset, settings, parts, **more))


def result(events: Events) -> TrainingResult:
    return events[-1].result  # type: ignore[no-any-return]


def told(events: Events) -> str:
    return "\n".join(e.message for e in events if isinstance(e, Notice))


def stages(events: Events) -> list[str]:
    return [e.stage for e in events if isinstance(e, EpochDone)]


def same(a: TrainingResult, b: TrainingResult) -> bool:
    ours, theirs = a.segmenter.state_dict(), b.segmenter.state_dict()
    weights = all(torch.equal(x, y) for x, y in zip(ours.values(), theirs.values(), strict=True))
    return weights and a.card.calibration == b.card.calibration and a.record["folds"] == b.record["folds"]


def kept(image: CrossfitImage) -> tuple[bytes, ...]:
    return tuple(a.tobytes() for a in (image.scores, image.grey, image.labels, image.own, image.confusion))


@dataclass(frozen=True)
class Whole:
    """A run that nothing stopped, and what it left."""

    dataset: Dataset
    parts: Parts
    events: Events


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("crossfit")
    dataset = open_dataset(write_fields(folder / "data"))
    parts = Parts(folder / "run.parts")
    return Whole(dataset, parts, finish(dataset, parts))


@pytest.fixture
def copied(whole: Whole, tmp_path: Path) -> Whole:
    """The same, for tests that change it."""
    shutil.copytree(whole.dataset.folder, tmp_path / "data")
    shutil.copytree(whole.parts.folder, tmp_path / "run.parts")
    return Whole(open_dataset(tmp_path / "data"), Parts(tmp_path / "run.parts"), whole.events)


def images_of(whole: Whole, **more: Any) -> list[CrossfitImage]:
    trained = [e for e in whole.events if isinstance(e, FoldTrained)]
    models = [FoldTrained(t.fold, whole.parts.model(t.fold), t.test) for t in trained]
    events = out_of_fold(whole.dataset, models, whole.parts, device="cpu", **more)
    while True:
        try:
            next(events)
        except StopIteration as end:
            return list(end.value)


def test_each_image_is_scored_by_a_model_that_has_not_seen_it_and_the_last_model_is_calibrated(
    whole: Whole,
) -> None:
    assert stages(whole.events) == [*(f"fold {f}, backbone" for f in "123"), "backbone", "backbone"]
    folds = result(whole.events).record["folds"]
    assert sorted(stem for test in folds.values() for stem in test) == ["f0", "f1", "f2"]
    images = images_of(whole)
    for image in images:
        model = load_model(whole.parts.model(image.fold))
        assert image.stem in folds[image.fold] and image.stem not in seen_images(model.card)
        item = next(i for i in whole.dataset.items if i.stem == image.stem)
        session = Session(model, item.read_image().data, device="cpu", embeddings="off")
        seen = run_to_end(session.segment(Request()))
        expected = torch.log_softmax(torch.from_numpy(np.array(session.scores)), 0).numpy()
        assert image.scores.dtype == np.float32 and image.excluded is None
        np.testing.assert_allclose(image.scores, expected, rtol=2e-3, atol=1e-6)
        assert np.array_equal(image.labels, item.read_labels(SCHEME, (64, 64)))
        assert np.array_equal(image.grey, session.metal.planes().mean(0))
        assert image.own == pytest.approx(seen.own) and image.own_labelled == pytest.approx(seen.own)
        assert image.true.sum() == pytest.approx(1)
    card = result(whole.events).card
    assert card.calibration.source == "folds 1, 2, 3: 3 images, each by a model that had not seen it"
    assert card.calibration.head is not None and len(card.calibration.own_error) == 2
    assert set(card.scores) == {"validation", "crossfit"}


def test_the_model_itself_is_the_one_that_a_training_without_folds_makes(whole: Whole) -> None:
    images = list(load_images(whole.dataset, SCHEME))
    plain = train(split_images(images, SCHEME), RUN.changed(crossfit=0, crossfit_epochs=0))
    alone = run_to_end(plain)
    crossfitted = result(whole.events).segmenter.state_dict()
    assert all(torch.equal(t, crossfitted[name]) for name, t in alone.segmenter.state_dict().items())


def test_models_of_folds_are_those_of_a_cross_validation_with_the_same_settings(whole: Whole) -> None:
    folds = {fold: tuple(test) for fold, test in result(whole.events).record["folds"].items()}
    settings = RUN.changed(crossfit=0, crossfit_epochs=0, epochs=RUN.crossfit_epochs)
    events = list(cross_validate(whole.dataset, SCHEME, folds, settings, whole.parts.folder))
    assert told(events).count("trained before") == 3 and not stages(events)


def test_the_calibration_is_that_of_the_study_on_the_same_folds(
    whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ROWS, "belief", (NONE, *(r for r in ROWS["belief"] if r.source == "own")))
    trained = [e for e in whole.events if isinstance(e, FoldTrained)]
    models = [FoldModel(t.fold, t.path, t.test) for t in trained]
    report = run_to_end(report_folds(whole.dataset, models, repeats=1, device="cpu"))
    expected, ours = report["calibration"], result(whole.events).card.calibration.model_dump()
    for name in ("own_error", "own_variation", "auto_error_pp"):
        assert ours[name] == pytest.approx(expected[name]), name
    for name in ("weights", "bias"):
        np.testing.assert_allclose(ours["head"][name], expected["head"][name], rtol=0.05, atol=0.02)


def test_a_run_that_is_stopped_in_every_part_ends_with_the_same_model(whole: Whole, tmp_path: Path) -> None:
    parts, checkpoint = Parts(tmp_path / "run.parts"), tmp_path / "run.safetensors"
    settings = RUN.changed(crossfit_epochs=2)
    expected = finish(whole.dataset, None, settings)
    stops: list[Stop] = [
        lambda e: isinstance(e, EpochDone) and e.stage == "fold 1, backbone",
        lambda e: isinstance(e, FoldTrained) and e.fold == "1",
        lambda e: isinstance(e, Progress) and e.stage.startswith("Fold 3") and e.done > 0,
        lambda e: isinstance(e, Progress) and e.stage.startswith("Segmenting images") and e.done == 2,
        lambda e: isinstance(e, Progress) and e.stage.startswith("Calibrating"),
        lambda e: isinstance(e, EpochDone) and e.stage == "backbone",
    ]
    learnt: list[str] = []
    for stop in stops:
        events = events_of(whole.dataset, settings, parts, checkpoint=checkpoint)
        for event in events:
            learnt += [event.stage] if isinstance(event, EpochDone) else []
            if stop(event):
                break
        else:
            pytest.fail("it was not stopped")
        events.close()
    last = finish(whole.dataset, parts, settings, checkpoint=checkpoint)
    assert same(result(last), result(expected))
    assert "unused" not in told(last) and "Going on from run.safetensors" in told(last)
    assert learnt + stages(last) == stages(expected), "no epoch is learnt twice"


def test_what_fits_no_longer_is_kept_aside_and_made_anew(copied: Whole) -> None:
    labels = copied.dataset.folder / "labels" / "f0.png"
    changed = np.array(Image.open(labels))
    changed[:8] = 1
    Image.fromarray(changed).save(labels)
    before = {p.name: p.read_bytes() for p in copied.parts.folder.glob("fold_*.safetensors")}
    events = finish(copied.dataset, copied.parts)
    own = next(fold for fold, test in result(events).record["folds"].items() if "f0" in test)
    for fold in "123":
        aside = copied.parts.folder / f"fold_{fold}-unused.safetensors"
        if fold == own:
            assert not aside.exists(), "its model has not learnt from the image"
        else:
            assert aside.read_bytes() == before[f"fold_{fold}.safetensors"]
    assert told(events).count("images or labels that were changed since. It is kept as fold_") == 2
    assert "f0: its labels were changed, so its scores (scores_f0" in told(events)
    assert "the model of its fold is another one, so its scores" in told(events)
    assert same(result(events), result(finish(copied.dataset, None)))

    copied.parts.sweep()
    left = {p.name for p in copied.parts.folder.iterdir()}
    assert left == {"crossfit.json", *(f"fold_{f}-unused.safetensors" for f in "123" if f != own)}


def test_other_settings_are_told_and_a_checkpoint_of_others_is_kept_aside(copied: Whole) -> None:
    checkpoint = copied.parts.folder.parent / "last.safetensors"
    finish(copied.dataset, copied.parts, checkpoint=checkpoint)
    old = checkpoint.read_bytes()
    longer = RUN.changed(epochs=3, learning_rate=1e-4)
    events = finish(copied.dataset, copied.parts, longer, checkpoint=checkpoint)
    assert told(events).count("is a model of other settings. It is kept as") == 3
    assert "It is kept as last-unused.safetensors" in told(events)
    assert checkpoint.with_name("last-unused.safetensors").read_bytes() == old
    assert same(result(events), result(finish(copied.dataset, None, longer)))


def test_more_epochs_of_the_last_model_alone_keep_the_folds(copied: Whole) -> None:
    events = finish(copied.dataset, copied.parts, RUN.changed(epochs=3))
    assert stages(events) == ["backbone"] * 3 and "unused" not in told(events)


@pytest.mark.parametrize("harm", ["cut", "another file"])
def test_a_harmed_part_is_made_anew(copied: Whole, harm: str) -> None:
    expected = {image.stem: kept(image) for image in images_of(copied)}
    for path in (copied.parts.model("1"), copied.parts.scores("f1")):
        path.write_bytes(path.read_bytes()[:-100] if harm == "cut" else b"something else")
    events = finish(copied.dataset, copied.parts)
    assert "f1: the file is damaged, so its scores" in told(events)
    if harm == "another file":
        assert "is no sound model" in told(events)
        assert (copied.parts.folder / "fold_1-unused.safetensors").read_bytes() == b"something else"
        assert stages(events)[0] == "fold 1, backbone"
    assert {image.stem: kept(image) for image in images_of(copied)} == expected
    assert same(result(events), result(copied.events))


def test_scores_are_those_of_the_views_that_the_card_asks_for(copied: Whole) -> None:
    plain = {image.stem: image.scores for image in images_of(copied)}
    averaged = {image.stem: image.scores for image in images_of(copied, inference=TWO_VIEWS)}
    assert all(not np.array_equal(plain[stem], averaged[stem]) for stem in plain)


def test_a_disk_that_is_full_is_told_and_the_run_goes_on_when_it_is_not(
    copied: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in copied.parts.folder.glob("scores_*"):
        path.unlink()
    write, written = scores_module.write_bytes, []

    def full(path: Path, data: bytes) -> None:
        written.append(path)
        if len(written) == 2:
            raise cannot_write(path, OSError(errno.ENOSPC, "No space left on device"))
        write(path, data)

    monkeypatch.setattr(scores_module, "write_bytes", full)
    with pytest.raises(PhaseguideError, match=r"scores_.*No space left on device.*Free some space there"):
        finish(copied.dataset, copied.parts)
    assert len(list(copied.parts.folder.glob("scores_*"))) == 1
    events = finish(copied.dataset, copied.parts)
    assert len(written) == 4, "the first is not made twice"
    assert same(result(events), result(copied.events))

    for path in copied.parts.folder.glob("scores_*"):
        path.unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(
        TrainingError, match=r"run\.parts: the scores of all images take .* MB are free there"
    ):
        finish(copied.dataset, copied.parts)


def test_a_folder_that_holds_something_else_stays_as_it_is(whole: Whole, tmp_path: Path) -> None:
    folder = tmp_path / "run.parts"
    folder.mkdir()
    (folder / "fold_1.safetensors").write_text("mine")
    with pytest.raises(TrainingError, match=r"holds something else .*\(fold_1\.safetensors\)"):
        finish(whole.dataset, Parts(folder))
    Parts(folder).sweep()
    assert (folder / "fold_1.safetensors").read_text() == "mine"
    with pytest.raises(TrainingError, match="is a file, but the parts"):
        finish(whole.dataset, Parts(folder / "fold_1.safetensors"))


def refuse(dataset: Dataset, tmp_path: Path, match: str, settings: TrainingConfig = RUN, **more: Any) -> None:
    """Expect an error before anything is trained, and no folder."""
    parts = Parts(tmp_path / "refused.parts")
    with pytest.raises(TrainingError, match=match):
        for event in events_of(dataset, settings, parts, **more):
            assert isinstance(event, Progress | Notice) and not getattr(event, "done", 0)
    assert not parts.folder.exists()


def test_what_cannot_be_crossfitted_is_told_before_anything_is_trained(whole: Whole, tmp_path: Path) -> None:
    refuse(whole.dataset, tmp_path, "crossfit is 4, but .* has 3 labelled images", RUN.changed(crossfit=4))
    refuse(whole.dataset, tmp_path, "leaves 1 image to its model", RUN.changed(crossfit=2))
    with pytest.raises(TrainingError, match="crossfit is 1; it must lie between 2 and 100"):
        RUN.changed(crossfit=1)

    start = load_model(whole.parts.model("1"))
    refuse(whole.dataset, tmp_path, "was trained or validated on", start=start)
    alone = config(guidance="ccrm", guidance_scales=1, schedule="guidance", crossfit=3)
    refuse(whole.dataset, tmp_path, "schedule is 'guidance'", alone, start=start)

    data = tmp_path / "data"
    shutil.copytree(whole.dataset.folder, data)
    for stem in ("f1", "f2"):
        Image.fromarray(np.ones((64, 64), dtype=np.uint8)).save(data / "labels" / f"{stem}.png")
    refuse(open_dataset(data), tmp_path, r"only its own images \(f0\) hold rough")
    Image.fromarray(np.zeros((64, 64), dtype=np.uint8)).save(data / "labels" / "f1.png")
    folds = {"A": ("f0",), "B": ("f1",), "C": ("f2",)}
    refuse(open_dataset(data), tmp_path, "no pixel of f1 carries a phase", folds=folds)


def test_a_start_that_is_new_to_the_images_begins_every_fold(whole: Whole, tmp_path: Path) -> None:
    model = load_model(whole.parts.model("1"))
    record = {**model.card.training, "images": {"train": ["x"], "validation": ["y"]}}
    path = tmp_path / "start.safetensors"
    save_model(path, model.segmenter, model.card.model_copy(update={"training": record}))
    start, parts = load_model(path), Parts(tmp_path / "run.parts")
    finish(whole.dataset, parts, start=start)
    card = read_card(parts.model("2"))
    assert card.training["start_sha256"] == start.card.tensors_sha256 and "x" in seen_images(card)
    assert stages(finish(whole.dataset, parts, start=start)) == ["backbone"] * 2
    assert "is a model with another start" in told(finish(whole.dataset, parts))


def test_images_in_no_fold_are_learnt_from_and_said(tmp_path: Path) -> None:
    dataset = open_dataset(write_fields(tmp_path / "data", count=4))
    folds = {"A": ("f0",), "B": ("f1",), "C": ("f2",)}
    events = finish(dataset, None, folds=folds)
    assert "f3: in no fold" in told(events)
    images = result(events).record["images"]
    assert "f3" in images["train"] + images["validation"]
    assert "folds A, B, C: 3 images" in result(events).card.calibration.source


def test_folds_learn_no_guidance_that_has_no_part_in_their_scores(whole: Whole, tmp_path: Path) -> None:
    parts = Parts(tmp_path / "run.parts")
    staged = config(epochs=1, guidance_epochs=1, crossfit=3)
    events = finish(whole.dataset, parts, staged)
    assert read_card(parts.model("1")).guidance.kind == "none"
    assert result(events).card.guidance.kind == "plm"
    deaf = staged.changed(guidance_options={"use_ratio_encoder": False})
    assert fold_config(deaf).guidance == "plm", "it acts without a ratio, so it has a part in them"
    joint = finish(whole.dataset, Parts(tmp_path / "joint.parts"), staged.changed(schedule="joint"))
    assert "fold 1, joint" in stages(joint)


def test_what_fails_in_the_last_training_is_told_before_the_first_fold(whole: Whole, tmp_path: Path) -> None:
    impossible = config(epochs=1, crossfit=3, guidance_options={"width": 8, "no such": 1})
    with pytest.raises(PhaseguideError, match="no such"):
        for event in events_of(whole.dataset, impossible, Parts(tmp_path / "run.parts")):
            assert isinstance(event, Progress) and not event.done


def test_nothing_is_left_where_no_place_was_named(
    whole: Whole, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    events = events_of(whole.dataset, RUN, None)
    next(e for e in events if isinstance(e, FoldTrained))
    assert list(tmp_path.iterdir())
    events.close()
    assert not list(tmp_path.iterdir())


def test_parts_are_swept_with_their_folder(copied: Whole) -> None:
    copied.parts.sweep()
    assert not copied.parts.folder.exists()
