"""``phaseguide train`` and a disk that refuses: told before training, and never a lost model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from segmentation_models_pytorch.encoders import get_encoder
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from phaseguide.cli.train import dataset as train_module
from phaseguide.cli.train.saving import save_or_rescue
from phaseguide.cli.train.settings import parse_split
from phaseguide.errors import PhaseguideError
from phaseguide.models import model_file
from phaseguide.models.model_file import load_model
from phaseguide.models.zoo import list_models
from tiny_models import TINY_ENCODER, tiny_dataset, tiny_model


@pytest.mark.parametrize("option", ["--out", "--json", "--checkpoint"])
def test_a_file_that_cannot_be_written_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    data = tiny_dataset(tmp_path / "data")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(train_module, "_train_folder", lambda *_: pytest.fail("it trains"))
    files = {"--out": tmp_path / "m.safetensors", option: tmp_path / "file" / "below.safetensors"}
    result: Result = CliRunner().invoke(
        app, ["train", str(data), "--device", "cpu", *(str(a) for pair in files.items() for a in pair)]
    )
    assert result.exit_code == 2, result.output
    assert "below.safetensors: cannot be written" in result.stderr and result.stderr.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "file"]


@pytest.mark.parametrize(
    "entries",
    [
        '{"description": 5}', '{"inference": {"views": []}}', '{"scores": 5}', '{"description": "\\ud800"}',
        '{"calibration": {"own_error": [0.1], "temperature": 1}}', '{"calibration": {"temperature": -1}}',
    ],
)  # fmt: skip
def test_entries_that_fit_no_card_are_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entries: str
) -> None:
    data = tiny_dataset(tmp_path / "data")
    (tmp_path / "card.json").write_text(entries)
    monkeypatch.setattr(train_module, "_train_folder", lambda *_: pytest.fail("it trains"))
    told = ["train", data, "--out", tmp_path / "m.safetensors", "--card", tmp_path / "card.json"]
    result: Result = CliRunner().invoke(app, list(map(str, told)))
    assert result.exit_code == 2, result.output
    assert "card.json: not valid in a card: " in result.stderr and result.stderr.count("\n") == 1


PUBLISHED = (
    "--preset", "published", "--encoder", TINY_ENCODER, "--set", "encoder_weights=none", "--crop", "32",
    "--epochs", "1",
    "--set", 'decoder={"decoder_channels": [16, 16, 8, 8, 8]}', "--threads", "1", "--device", "cpu",
)  # fmt: skip


QUICK = (
    "--epochs", "1", "--crop", "32", "--threads", "1", "--device", "cpu", "--set", "guidance_epochs=1",
)  # fmt: skip


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def test_trained_as_published_by_one_word(tmp_path: Path) -> None:
    folder, out, told = tiny_dataset(tmp_path / "data", 6), tmp_path / "plm.safetensors", tmp_path / "n.json"
    ran = run(folder, "--out", out, *PUBLISHED, "--json", told)
    assert ran.exit_code == 0, ran.output
    text = " ".join(ran.output.split())
    assert "not quite as published: epochs 1 instead of 40" in text
    assert "plm: on the validation images, without a ratio" in text and "best on" not in text
    assert "On validation windows, true ratio: Dice" in text and "On test, true ratio: Dice" in text
    numbers = json.loads(told.read_text())
    assert [len(numbers["images"][side]) for side in ("train", "validation", "test")] == [4, 1, 1]
    card = load_model(out).card
    assert card.guidance.kind == "plm" and card.guidance.options["gamma"] == 0.5 and card.guidance.scales == 1
    assert card.inference.mode == "conditioned" and card.training["config"]["learning_rate"] == 1e-5
    assert numbers["further"].keys() == card.scores.keys() - {"validation"}

    # The same image tests again, and what it is told of the start's guidance is true.
    again = tmp_path / "again.safetensors"
    ran = run(folder, "--out", again, *PUBLISHED, "--from", out, "--seed", "5")
    assert ran.exit_code == 0, ran.output
    assert load_model(again).card.training["images"]["test"] == card.training["images"]["test"]
    assert "dropped" not in ran.output


def test_what_is_not_asked_for_stays_the_guidance_of_the_start(tmp_path: Path) -> None:
    folder, start = tiny_dataset(tmp_path / "data", 3), tiny_model(tmp_path, "plm")
    kept = run(folder, "--out", tmp_path / "a.safetensors", "--from", start, *QUICK)
    assert kept.exit_code == 0 and "dropped" not in kept.output, kept.output
    assert load_model(tmp_path / "a.safetensors").card.guidance.kind == "plm"
    other = run(
        folder, "--out", tmp_path / "b.safetensors", "--from", start, *QUICK, "--guidance", "additive"
    )
    assert other.exit_code == 0, other.output
    assert "(plm, scales: 1) is dropped; a fresh module (additive, scales: 4)" in " ".join(
        other.output.split()
    )
    assert load_model(tmp_path / "b.safetensors").card.guidance.kind == "additive"


def test_guidance_on_scores_of_the_start_is_left_out_without_folds_and_that_is_told(tmp_path: Path) -> None:
    folder, start, out = (
        tiny_dataset(tmp_path / "data"),
        tiny_model(tmp_path, "refine"),
        tmp_path / "a.safetensors",
    )
    ran = run(folder, "--out", out, "--from", start, *QUICK)
    assert ran.exit_code == 0, ran.output
    assert "guidance on scores (refine) of the model to start from" in " ".join(ran.output.split())
    assert load_model(out).card.guidance.kind == "none"
    asked = run(folder, "--out", tmp_path / "b.safetensors", "--from", start, *QUICK, "--guidance", "refine")
    assert asked.exit_code == 2 and "Add folds" in asked.stderr


@pytest.mark.parametrize(
    "split", ["70/20", "70/20/20", "a/b/c", "100", "100/0", "0/50/50", "-10/100/10", "nan/nan", "nan/50/50"]
)
def test_a_split_that_cannot_be_meant(tmp_path: Path, split: str) -> None:
    ran = run(tiny_dataset(tmp_path / "data"), "--out", tmp_path / "m.safetensors", f"--split={split}")
    assert ran.exit_code == 2 and "for example 70/20/10" in " ".join(ran.stderr.split())


def test_what_would_not_be_used_is_refused(tmp_path: Path) -> None:
    folder, out, start = tiny_dataset(tmp_path / "data", 3), tmp_path / "m.safetensors", tiny_model(tmp_path)
    for options, words in [
        (("--from", start, "--architecture", "fpn"), "and architecture=fpn differ. Keep one."),
        (("--from", start, "--set", 'decoder={"skips": false}'), "differ. Keep one."),
        (
            ("--split", "70/20/10", "--set", "test_share=0.3"),
            "test_share is 0.1 by an option, but 0.3 by --set.",
        ),
        (("--fresh",), "--fresh: not used with a DATASET."),
    ]:
        ran = run(folder, "--out", out, *options)
        assert ran.exit_code == 2 and words in " ".join(ran.stderr.split()), ran.output
    assert not out.exists()


def test_a_split_is_percent_of_the_images() -> None:
    assert parse_split("70/20/10") == {"validation_share": 0.2, "test_share": 0.1}
    assert parse_split("75 % / 25%") == {"validation_share": 0.25, "test_share": 0.0}
    assert parse_split(None) == {}


def test_a_model_that_cannot_be_saved_is_rescued(tmp_path: Path, data_dir: Path) -> None:
    trained = load_model(tiny_model(tmp_path))
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "steel.safetensors"  # its folder is a file
    folder = data_dir / "models" / "rescued"
    for name in ("steel.safetensors", "steel-2.safetensors"):
        with pytest.raises(PhaseguideError, match=r"steel\.safetensors: cannot be written") as caught:
            save_or_rescue(out, trained.segmenter, trained.card)
        assert str(caught.value).endswith(f"The trained model is safe in {folder / name}.")
        assert load_model(folder / name).card.tensors_sha256 == trained.card.tensors_sha256
    assert all(e.origin == "built-in" for e in list_models()), "rescued models are not in the list"


def test_a_rescue_that_fails_as_well_tells_the_first_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = load_model(tiny_model(tmp_path))

    def refuse(path: Path, *_: object) -> None:
        raise PhaseguideError(f"{path.name}: cannot be written")

    monkeypatch.setattr(model_file, "save_model", refuse)
    with pytest.raises(PhaseguideError) as caught:
        save_or_rescue(tmp_path / "a.safetensors", trained.segmenter, trained.card)
    assert str(caught.value) == "a.safetensors: cannot be written"


def test_where_all_images_are_to_teach_those_that_judged_the_start_teach_too(tmp_path: Path) -> None:
    folder, start, again = (tmp_path / name for name in ("data", "start.safetensors", "again.safetensors"))
    tiny_dataset(folder, 3)
    quick = (*PUBLISHED[4:], "--architecture", "unet", "--encoder", TINY_ENCODER, "--guidance", "none")
    assert run(folder, "--out", start, *quick).exit_code == 0
    ran = run(folder, "--out", again, "--from", start, *quick, "--set", "validation_share=0")
    assert ran.exit_code == 0, ran.output
    images = load_model(again).card.training["images"]
    assert len(images["train"]) == 3 and images["validation"] == []
    assert "No image validates" in " ".join(ran.output.split())


def test_a_published_system_by_its_name(tmp_path: Path) -> None:
    folder, out = tiny_dataset(tmp_path / "data", 3), tmp_path / "elu.safetensors"
    system = ("--architecture", "elunet", "--guidance", "plm", "--set", "width=0.5")
    ran = run(folder, "--out", out, *system, *QUICK)
    assert ran.exit_code == 0, ran.output
    card = load_model(out).card
    assert (card.backbone.architecture, card.backbone.encoder) == ("elunet", "own")
    assert card.backbone.decoder == {"width": 0.5} and card.guidance.scales == 4
    ran = run(folder, "--out", tmp_path / "b.safetensors", *system, "--encoder", "resnet34")
    assert ran.exit_code == 2 and "elunet has an encoder of its own" in " ".join(ran.stderr.split())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--encoder-weights", "micronet"), "no micronet weights of encoder 'tu-tf_efficientnet_lite1'"),
        (
            ("--encoder-weights", "imagnet"),
            "'imagnet': neither micronet, image-micronet, imagenet, none nor a file",
        ),
        (
            ("--encoder-weights", "micronet", "--architecture", "unet3plus"),
            "unet3plus has an encoder of its own",
        ),
        (
            ("--encoder-weights", "imagenet", "--architecture", "unet3plus"),
            "no pretrained weights for unet3plus",
        ),
        (
            ("--encoder-weights", "micronet", "--preset", "sam"),
            "sam starts from base weights of Segment Anything",
        ),
        (("--encoder-weights", "micronet", "--from", "uhcs"), "uhcs brings one that is trained"),
        (("--encoder-weights", "imagenet", "--set", "encoder_weights=none"), "Keep one of the two"),
    ],
)
def test_encoder_weights_that_cannot_be_meant_are_one_sentence(
    tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    folder = tiny_dataset(tmp_path / "data", 3)
    ran = run(folder, "--out", tmp_path / "m.safetensors", "--device", "cpu", *options)
    assert ran.exit_code == 2 and said in " ".join(ran.stderr.split()), ran.output
    assert not (tmp_path / "m.safetensors").exists()


def test_a_model_starts_from_a_file_of_its_encoder(tmp_path: Path) -> None:
    folder, out, file = (
        tiny_dataset(tmp_path / "data", 3),
        tmp_path / "m.safetensors",
        tmp_path / "encoder.pth",
    )
    encoder = get_encoder(TINY_ENCODER, in_channels=3)
    torch.save(encoder.state_dict(), file)
    few = ("--epochs", "1", "--guidance", "none", "--learning-rate", "1e-8", "--set", "average=0")
    ran = run(
        folder, "--out", out, "--encoder", TINY_ENCODER, "--encoder-weights", file, *few, "--crop", "32",
        "--threads", 1, "--device", "cpu",
    )  # fmt: skip
    assert ran.exit_code == 0, ran.output
    model = load_model(out)
    assert model.card.training["config"]["encoder_weights"] == str(file)
    (first, started), *_ = encoder.named_parameters()
    learnt = dict(model.segmenter.backbone.net.encoder.named_parameters())[first]
    assert torch.allclose(learnt, started.sum(1, keepdim=True), atol=1e-3), "it began there, and moved little"


def test_micronet_that_cannot_be_downloaded_is_told_before_images_are_read(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PHASEGUIDE_MICRONET_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setattr("phaseguide.training.data.load_images", lambda *_: pytest.fail("it reads"))
    folder = tiny_dataset(tmp_path / "data", 3)
    ran = run(
        folder,
        "--out",
        tmp_path / "m.safetensors",
        "--encoder",
        "resnet18",
        "--encoder-weights",
        "micronet",
        "--device",
        "cpu",
    )
    assert (
        ran.exit_code == 2 and "cannot be reached" in ran.stderr and "Offline: get https://nasa" in ran.stderr
    )
