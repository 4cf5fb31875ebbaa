"""The same seed gives the same model, stopped or not, whatever else the process draws; checkpoints keep their word."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from phaseguide.errors import TrainingError
from phaseguide.training import checkpoint as checkpoint_module
from phaseguide.training.data import TrainingData
from phaseguide.training.events import EpochDone, TrainingResult
from phaseguide.training.trainer import train
from textures import SCHEME, TINY, config, field

SMALL_ENCODER = "tu-test_efficientnet"


def small() -> TrainingData:
    return TrainingData((field(1, 40, 48), field(2, 40, 48)), (field(0, 40, 48),), SCHEME)


def finish(cfg: Any, path: Path | None = None, **more: Any) -> TrainingResult:
    return list(train(small(), cfg, checkpoint=path, **more))[-1].result  # type: ignore[union-attr]


def stop_after(epochs: int, cfg: Any, path: Path) -> None:
    events = train(small(), cfg, checkpoint=path)
    for _ in range(epochs):
        next(e for e in events if isinstance(e, EpochDone))
    events.close()  # type: ignore[attr-defined]


def same(a: TrainingResult, b: TrainingResult) -> bool:
    ours, theirs = a.segmenter.state_dict(), b.segmenter.state_dict()
    return all(torch.equal(x, y) for x, y in zip(ours.values(), theirs.values(), strict=True))


@pytest.mark.parametrize(
    ("architecture", "encoder", "decoder", "guidance"),
    [
        ("unet", "efficientnet-b0", TINY, "plm"),  # drops connections in a function
        ("unetplusplus", SMALL_ENCODER, TINY, "additive"),
        ("fpn", SMALL_ENCODER, {}, "ccrm"),  # drops channels
        ("fpn-fine", SMALL_ENCODER, {"stem_channels": 8, "fine_channels": 16}, "ccrm"),
        ("deeplabv3plus", SMALL_ENCODER, {}, "spatial"),  # drops elements
        ("segformer", "mit_b0", {}, "none"),  # drops samples
    ],
)
def test_every_architecture_gives_the_same_weights_again(
    tmp_path: Path, architecture: str, encoder: str, decoder: dict[str, Any], guidance: str
) -> None:
    cfg = config(
        architecture=architecture, encoder=encoder, decoder=decoder, guidance=guidance, crop=32, epochs=2
    )
    torch.manual_seed(1)
    whole = finish(cfg)
    torch.manual_seed(2)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    path = tmp_path / "run.ckpt"
    stop_after(1, cfg, path)
    assert same(finish(cfg, path), whole)
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads


def test_what_is_no_checkpoint_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "thesis.docx"
    path.write_bytes(b"years of work")
    with pytest.raises(TrainingError, match=r"thesis\.docx: is no training checkpoint, so it stays"):
        finish(config(epochs=1, guidance="none"), path)
    assert path.read_bytes() == b"years of work" and list(tmp_path.iterdir()) == [path]
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(TrainingError, match="folder"):
        checkpoint_module.load_checkpoint(folder)


def test_a_checkpoint_belongs_to_the_model_that_was_started_from(tmp_path: Path) -> None:
    cfg = config(epochs=2, guidance="none", crop=32)
    start = finish(cfg.changed(epochs=1)).segmenter
    path = tmp_path / "run.ckpt"
    stop_after(1, cfg, path)
    with pytest.raises(TrainingError, match="another start"):
        finish(cfg, path, start=start)
    other = copy.deepcopy(start)
    with torch.no_grad():
        next(other.parameters()).mul_(1.5)
    path.unlink()
    whole = finish(cfg, path, start=start)
    assert same(finish(cfg, path, start=start), whole)
    with pytest.raises(TrainingError, match="another start"):
        finish(cfg, path, start=other)


def test_what_a_killed_program_left_half_written_is_swept(tmp_path: Path) -> None:
    cfg, path = config(epochs=2, guidance="none", crop=32), tmp_path / "run.ckpt"
    whole = finish(cfg)
    stop_after(1, cfg, path)
    half, others = tmp_path / ".run-a1b2c3_d.ckpt", tmp_path / ".running-a1b2c3_d.ckpt"
    half.write_bytes(path.read_bytes()[:1000])
    others.write_bytes(b"")
    assert same(finish(cfg, path), whole)
    assert not half.exists() and others.exists() and path.exists()


def test_a_full_disk_is_told_before_the_first_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    events = train(small(), config(crop=32), checkpoint=tmp_path / "run.ckpt")
    with pytest.raises(TrainingError, match=r"takes .* MB, but 0 MB are free"):
        for event in events:
            assert not isinstance(event, EpochDone)
    assert not list(tmp_path.iterdir())


def test_settings_that_no_step_survives_are_told_in_a_sentence() -> None:
    # One crop has no spread that a batch norm of one pixel could take.
    cfg = config(architecture="deeplabv3plus", decoder={}, batch=1, crop=32, guidance="none")
    with pytest.raises(TrainingError, match=r"first try of the stage backbone failed .* batch"):
        list(train(small(), cfg))
