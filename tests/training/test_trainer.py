"""The training generator: it learns, stops, resumes bit for bit, and refuses what cannot work."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from phaseguide.datasets.folder import open_dataset
from phaseguide.datasets.samples import sample_dataset
from phaseguide.errors import TrainingError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.phases import PhaseScheme
from phaseguide.training import trainer
from phaseguide.training.building import build_model
from phaseguide.training.config import TrainingConfig
from phaseguide.training.data import TrainingData, load_images, split_images
from phaseguide.training.describing import tell_data
from phaseguide.training.drawing import draw_crops
from phaseguide.training.events import EpochDone, TrainingResult
from phaseguide.training.trainer import train
from textures import SCHEME, config, data, field
from tiny_models import NAMES, tiny_dataset

PRETRAINED = "tu-tf_efficientnet_lite0"
"""The smallest encoder with weights that learnt on ImageNet."""


def run(cfg: TrainingConfig, **kwargs: object) -> tuple[list[EpochDone], TrainingResult]:
    epochs, result = [], None
    for event in train(data(), cfg, **kwargs):  # type: ignore[arg-type]
        if isinstance(event, EpochDone):
            epochs.append(event)
        if isinstance(event, Finished):
            result = event.result
    assert result is not None
    return epochs, result


def weights(result: TrainingResult) -> dict[str, torch.Tensor]:
    return result.segmenter.state_dict()


def same(a: TrainingResult, b: TrainingResult) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights(a).values(), weights(b).values(), strict=True))


def test_it_learns_two_textures_and_fills_the_card() -> None:
    epochs, result = run(
        config(
            epochs=10, guidance_epochs=1, encoder=PRETRAINED, encoder_weights="imagenet", guidance="additive"
        )
    )
    assert epochs[8].loss < 0.7 * epochs[0].loss
    assert max(e.miou or 0 for e in epochs) > 0.6
    card = result.card
    assert card.scheme.names == SCHEME.names
    assert card.training["images"]["validation"] == ["f0"]
    assert sum(card.training_ratio_mean) == pytest.approx(1)
    assert len(card.calibration.own_error) == 2
    assert not result.segmenter.training
    assert next(result.segmenter.parameters()).is_contiguous()


def test_guidance_stage_leaves_the_backbone_untouched_and_answers_to_the_ratio() -> None:
    _, staged = run(config(epochs=1, guidance_epochs=2))
    _, plain = run(config(epochs=1, guidance="none"))
    ours = {n: t for n, t in weights(staged).items() if n.startswith("backbone.")}
    theirs = {n: t for n, t in weights(plain).items() if n.startswith("backbone.")}
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[n], theirs[n]) for n in ours)
    image = field(9).image[None]
    with torch.inference_mode():
        a, b = (staged.segmenter(image, torch.tensor([[r, 1 - r]])) for r in (0.2, 0.8))
        assert torch.equal(staged.segmenter(image), plain.segmenter(image))
    assert float((a - b).abs().max()) > 1e-6


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("none", {}),
        ("additive", {}),
        ("ccrm", {}),
        ("plm", {"width": 8, "use_spatial_awareness": False, "use_feature_aggregator": False}),
        ("plm", {"width": 8, "use_ratio_encoder": False, "use_feature_aggregator": False}),
        ("plm", {"width": 8, "use_ratio_encoder": False}),
        ("plm", {"width": 8, "use_feature_aggregator": False}),
        ("plm", {"width": 8, "gamma": 0.5, "delta": 0.5}),
    ],
)
def test_every_ablation_trains_an_epoch_and_answers(kind: str, options: dict[str, object]) -> None:
    epochs, result = run(
        config(guidance=kind, guidance_options=options, schedule="joint", epochs=1, ratio_dropout=0.3)
    )
    assert np.isfinite(epochs[-1].loss)
    with torch.inference_mode():
        features = result.segmenter.encode(field(9).image[None])
        a, b = (result.segmenter.decode(features, torch.tensor([[r, 1 - r]])) for r in (0.1, 0.9))
    change = float((a - b).abs().max())
    # Without a Ratio Encoder, as without guidance, no ratio has a part in it.
    deaf = kind == "none" or not options.get("use_ratio_encoder", True)
    assert change == 0 if deaf else change > 1e-7


@pytest.mark.parametrize("stop_after", [1, 2])
def test_resume_gives_the_same_weights_as_an_uninterrupted_run(tmp_path: Path, stop_after: int) -> None:
    cfg = config(epochs=2, guidance_epochs=2)
    _, whole = run(cfg)
    path = tmp_path / "run.safetensors"
    events = train(data(), cfg, checkpoint=path)
    for seen, _ in enumerate((e for e in events if isinstance(e, EpochDone)), start=1):
        if seen == stop_after:
            events.close()  # type: ignore[attr-defined]
            break
    notices = [e for e in train(data(), cfg, checkpoint=path) if isinstance(e, Notice)]
    assert any("Going on" in n.message for n in notices)
    _, resumed = run(cfg, checkpoint=path)
    assert same(whole, resumed)


def test_a_checkpoint_of_another_run_or_a_broken_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    run(config(epochs=1, guidance="none"), checkpoint=path)
    with pytest.raises(TrainingError, match="other settings"):
        run(config(epochs=2, guidance="none"), checkpoint=path)


def resumed(path: Path, images: TrainingData, **changes: Any) -> tuple[list[str], TrainingResult]:
    """Run to the end from a checkpoint, and return what was said and the result."""
    events = list(train(images, config(**changes), checkpoint=path))
    return [e.message for e in events if isinstance(e, Notice)], events[-1].result  # type: ignore[union-attr]


@pytest.mark.parametrize("harm", ["cut", "one bit", "state"])
def test_a_damaged_checkpoint_is_told_kept_and_not_gone_on_from(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "run.safetensors"
    settings = {"epochs": 2, "guidance": "none"}
    _, whole = run(config(**settings), checkpoint=path)
    sound = path.read_bytes()
    start = 8 + int.from_bytes(sound[:8], "little")
    harmed = {
        "cut": sound[:-100],
        "one bit": sound[: start + 4001] + bytes([sound[start + 4001] ^ 1]) + sound[start + 4002 :],
        "state": sound.replace(b'position\\": [1', b'position\\": [0', 1),
    }[harm]
    assert harmed != sound
    path.write_bytes(harmed)
    said, anew = resumed(path, data(), **settings)
    assert any("damaged" in s and "run-unused.safetensors" in s for s in said)
    assert (tmp_path / "run-unused.safetensors").read_bytes() == harmed
    assert same(whole, anew)


def test_a_checkpoint_of_images_that_were_changed_is_not_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    settings = {"epochs": 1, "guidance": "none"}
    run(config(**settings), checkpoint=path)
    images = data()
    images.train[0].image[..., :8, :8] += 0.5
    said, _ = resumed(path, images, **settings)
    assert any("changed since" in s for s in said)


@pytest.mark.parametrize("kind", ["none", "additive", "plm", "ccrm"])
def test_dropout_neither_uses_nor_moves_the_randomness_of_the_process(tmp_path: Path, kind: str) -> None:
    """The default architecture drops channels; runs in one process, and runs that were stopped, are alike."""
    narrow = {"decoder_pyramid_channels": 64, "decoder_segmentation_channels": 32}
    cfg = config(architecture="fpn", decoder=narrow, epochs=2, guidance_epochs=1, guidance=kind)
    torch.manual_seed(1)
    _, whole = run(cfg)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    events = train(data(), cfg, checkpoint=tmp_path / "run.safetensors")
    next(e for e in events if isinstance(e, EpochDone))
    events.close()  # type: ignore[attr-defined]
    _, again = run(cfg, checkpoint=tmp_path / "run.safetensors")
    assert same(whole, again)
    assert torch.equal(before, torch.get_rng_state())


def test_partly_labelled_images_train_guidance_on_the_crops_that_have_a_ratio() -> None:
    images = data()
    for item in images.train:
        item.labels[:3] = 0
    result = list(train(images, config(epochs=1, guidance_epochs=2, crop=32)))[-1].result  # type: ignore[union-attr]
    assert all(np.isfinite(h.loss) for h in result.history)
    assert any(h.stage == "guidance" and h.loss > 0 for h in result.history)


def test_a_phase_without_a_pixel_and_labels_from_zero_are_told_before_the_first_epoch() -> None:
    images = data()
    for item in images.train:
        item.labels[:] = item.labels - 1
    events = train(images, config(epochs=1, guidance="none"))
    said = [e.message for e in itertools.takewhile(lambda e: not isinstance(e, EpochDone), events)
            if isinstance(e, Notice)]  # fmt: skip
    last = images.scheme.phases[-1].name
    assert any(last in s and "no pixel" in s for s in said) and any("from 0" in s for s in said)


def test_what_fails_in_the_second_stage_is_told_before_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "decode_shown", failing_with_a_ratio(trainer.decode_shown, calls=0))
    events = train(data(), config(epochs=2, guidance_epochs=1))
    with pytest.raises(TrainingError, match=r"stage guidance failed \(no such kernel\)"):
        for event in events:
            assert not isinstance(event, EpochDone)


def test_a_stage_that_fails_later_keeps_what_was_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    _, plain = run(config(epochs=2, guidance="none"))
    monkeypatch.setattr(trainer, "decode_shown", failing_with_a_ratio(trainer.decode_shown, calls=1))
    events = list(train(data(), config(epochs=2, guidance_epochs=1)))
    assert any("failed (no such kernel)" in e.message for e in events if isinstance(e, Notice))
    assert events[-1].result.card.guidance.kind == "none"  # type: ignore[union-attr]
    kept = events[-1].result.segmenter.backbone.state_dict()  # type: ignore[union-attr]
    learnt = plain.segmenter.backbone.state_dict()
    assert all(torch.equal(kept[name], learnt[name]) for name in learnt)


def failing_with_a_ratio(decode: Any, calls: int) -> Any:
    """Stands for a kernel that a device lacks: fails after some calls that show a ratio."""
    seen = []

    def failing(model: Any, features: Any, given: Any, *rest: Any) -> Any:
        if given is not None:
            seen.append(1)
            if len(seen) > calls:
                raise RuntimeError("no such kernel")
        return decode(model, features, given, *rest)

    return failing


def test_same_seed_same_weights_other_seed_others() -> None:
    cfg = {"epochs": 1, "guidance": "none"}
    _, a = run(config(**cfg))
    _, b = run(config(**cfg))
    _, c = run(config(**cfg, seed=1))
    assert same(a, b) and not same(a, c)


def test_patience_stops_early() -> None:
    events = list(train(data(), config(epochs=40, guidance="none", patience=1, learning_rate=1e-8)))
    done = [e for e in events if isinstance(e, EpochDone)]
    assert len(done) < 40
    assert any(isinstance(e, Notice) and "Stopped early" in e.message for e in events)
    assert isinstance(events[-1], Finished) and events[-1].result.stopped_early


def test_progress_comes_at_every_step() -> None:
    events = train(data(), config(epochs=1, guidance="none"))
    first = next(events)
    assert isinstance(first, Progress) and first.total >= 1
    events.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [2, 3, 7, 20])
def test_there_is_always_a_validation_image_and_no_image_is_on_both_sides(count: int) -> None:
    split = split_images([field(i, 32, 40) for i in range(count)], SCHEME)
    assert split.validation and split.train
    assert not {i.stem for i in split.train} & {i.stem for i in split.validation}
    assert len(split.train) + len(split.validation) == count


def test_what_cannot_be_trained_says_why() -> None:
    with pytest.raises(TrainingError, match="at least two labelled images"):
        split_images([field(0)], SCHEME)
    with pytest.raises(TrainingError, match="f9 is not among"):
        split_images([field(0), field(1)], SCHEME, validation=["f9"])
    with pytest.raises(TrainingError, match="both for training and for validation"):
        TrainingData((field(0),), (field(0),), SCHEME)
    blank = dataclasses.replace(field(5), labels=torch.zeros_like(field(5).labels))
    for sides in (((blank,), (field(0),)), ((field(0),), (blank,))):
        with pytest.raises(TrainingError, match=r"f5.*carries a phase"):
            TrainingData(*sides, SCHEME)
    with pytest.raises(TrainingError, match="multiple of 32"):
        list(train(data(), config(crop=100)))
    with pytest.raises(TrainingError, match="batch is 0"):
        list(train(data(), config(batch=0)))
    with pytest.raises(TrainingError, match="Unknown training setting colour"):
        TrainingConfig.from_dict({"colour": 1})
    with pytest.raises(TrainingError, match="no longer a number"):
        list(train(data(), config(epochs=3, guidance="none", learning_rate=1.0, dice_weight=100.0, average=0.0,
                                  decoder={"decoder_channels": [16, 16, 8, 8, 8]}), start=_broken()))  # fmt: skip


def _broken() -> object:
    _, result = run(config(epochs=1, guidance="none"))
    with torch.no_grad():
        for p in result.segmenter.parameters():
            p.fill_(float("nan"))
    return result.segmenter


def test_bars_and_excluded_borders_teach_nothing(tmp_path: Path) -> None:
    """A data set with bars is, number by number, the one without them."""
    alone, barred = tiny_dataset(tmp_path / "alone", 5, shape=(80, 96)), tmp_path / "barred"
    for part in ("images", "labels"):
        (barred / part).mkdir(parents=True)
    shutil.copy(alone / "scheme.json", barred)
    for file in sorted((alone / "images").iterdir()):
        bar = np.zeros((16, 96), np.uint8)
        bar[5:11, 10:60:2] = 255
        picture = np.vstack([np.asarray(Image.open(file)), bar])
        picture = np.hstack([picture, np.full((96, 30), 255, np.uint8)])
        labels = np.pad(np.asarray(Image.open(alone / "labels" / file.name)), ((0, 16), (0, 0)))
        labels = np.pad(labels, ((0, 0), (0, 30)), constant_values=255)
        Image.fromarray(picture).save(barred / "images" / file.name)
        Image.fromarray(labels).save(barred / "labels" / file.name)
    scheme = PhaseScheme.from_names(NAMES)
    ours, theirs = (list(load_images(open_dataset(folder), scheme)) for folder in (barred, alone))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one.image, other.image) and torch.equal(one.labels, other.labels)
        assert one.properties is not None and other.properties is not None
        assert np.array_equal(one.properties, other.properties)


def test_the_loss_goes_down_on_real_pixels() -> None:
    dataset = sample_dataset("uhcs")
    assert dataset.scheme is not None
    real = split_images(list(load_images(dataset, dataset.scheme)), dataset.scheme, validation=["uhcs0495"])
    cfg = config(
        epochs=4,
        guidance="none",
        encoder=PRETRAINED,
        encoder_weights="imagenet",
        crop=96,
        batch=4,
        learning_rate=2e-3,
    )
    losses = [e.loss for e in train(real, cfg) if isinstance(e, EpochDone)]
    assert losses[-1] < 0.8 * losses[0]


def test_crops_of_several_sides_are_drawn_a_side_for_each_batch() -> None:
    cfg = config(crops=[32, 64, 96], batch=2)
    generator = torch.Generator().manual_seed(0)
    sides = {tuple(draw_crops(data(), cfg, generator)[0].shape[2:]) for _ in range(20)}
    assert sides == {(32, 32), (64, 64), (96, 96)}
    one, other = config(crop=64), config(crop=32, crops=[64])
    assert same(run(one)[1], run(other)[1]), "one side is what crop is"
    first, again = run(cfg)[1], run(cfg)[1]
    assert same(first, again) and not same(first, run(one)[1])
    with pytest.raises(TrainingError, match="crops holds 100; a side must be a multiple of 32"):
        config(crops=[64, 100])
    with pytest.raises(TrainingError, match="windows is 'sliding'"):
        config(crops=[64, 96], windows="sliding")


@pytest.mark.parametrize(("below", "moves"), [(8, False), (2, True)])
def test_small_batches_leave_the_norms_of_the_encoder_unless_told(below: int, moves: bool) -> None:
    fresh = {n: t.clone() for n, t in build_model(config(), SCHEME, 1).state_dict().items()}
    trained = weights(run(config(epochs=1, guidance="none", frozen_norms_below=below))[1])
    means = [n for n in trained if "encoder" in n and n.endswith("running_mean")]
    assert means and any(not torch.equal(fresh[n], trained[n]) for n in means) is moves


def test_all_images_can_teach_and_then_the_last_epoch_is_kept_and_nothing_is_claimed() -> None:
    images = [field(i) for i in range(2)]
    everything = split_images(images, SCHEME, share=0.0)
    assert [i.stem for i in everything.train] == ["f0", "f1"] and everything.validation == ()
    settings = config(guidance="none", guidance_options={}, epochs=2, validation_share=0.0, average=0.0)
    events = list(train(everything, settings))
    told = " ".join(e.message for e in events if isinstance(e, Notice))
    assert "No image validates, so the last epoch is kept, and patience has no effect; nothing says" in told
    tested = dataclasses.replace(everything, train=everything.train[:1], test=everything.train[1:])
    (told,) = tell_data(tested, settings)
    assert told.endswith("the test images say how good the model is.")
    (told,) = tell_data(everything, settings.changed(crossfit=2))
    assert told.endswith("the models of the folds say how good such a model is.")
    result = events[-1].result
    assert [h.miou for h in result.history] == [None, None] and not any(h.best for h in result.history)
    assert result.card.scores == {} and result.card.training["images"]["validation"] == []
    assert result.card.calibration.source == "assumed"
    shorter = list(train(everything, settings.changed(epochs=1)))[-1].result
    assert not torch.equal(*(next(iter(r.segmenter.parameters())) for r in (result, shorter)))


def test_one_image_alone_cannot_teach_and_judge() -> None:
    with pytest.raises(TrainingError, match="let all of them teach"):
        split_images([field(0)], SCHEME)
    assert len(split_images([field(0)], SCHEME, share=0.0).train) == 1
