"""``phaseguide train`` and a disk that refuses: told before training, and never a lost model."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phaseguide.cli import app
from phaseguide.cli.train import dataset as train_module
from phaseguide.cli.train.saving import save_or_rescue
from phaseguide.errors import PhaseguideError
from phaseguide.models import model_file
from phaseguide.models.model_file import load_model
from phaseguide.models.zoo import list_models
from tiny_models import tiny_dataset, tiny_model


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
