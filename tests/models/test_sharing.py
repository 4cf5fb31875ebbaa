"""Models copied, handed over, deleted and restored: complete, and never over anything."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from phaseguide.errors import ModelError, PhaseguideError
from phaseguide.files.new_file import creating, move_new, write_new
from phaseguide.models import recycle, sharing, summary, zoo
from phaseguide.models.model_file import load_model, read_card
from tiny_models import tiny_model

TEXT = sharing.ShareText("bainite", "TRIP steel, LOM", "CC-BY-4.0", "MIT", "doi 10.1000/xyz")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models"))


def test_save_as_and_export_are_copies_byte_for_byte(model: Path, tmp_path: Path) -> None:
    entry = sharing.save_as(model, "copy")
    assert entry.path.read_bytes() == model.read_bytes() and zoo.find_model("copy") == entry.path
    out = sharing.export_model(model, tmp_path / "new" / "out")
    assert out == tmp_path / "new" / "out.safetensors"
    assert out.read_bytes() == model.read_bytes()


def test_nothing_is_ever_written_over(model: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.safetensors"
    there.write_bytes(b"precious")
    for write in (
        lambda: sharing.export_model(model, there),
        lambda: sharing.share_model(model, there, TEXT),
        lambda: write_new(there, b"x"),
        lambda: move_new(model, there),
    ):
        with pytest.raises(ModelError, match=r"there\.safetensors: there is a file of that name"):
            write()
    assert there.read_bytes() == b"precious" and model.is_file()
    sharing.save_as(model, "taken")
    with pytest.raises(ModelError, match="'taken' already"):
        sharing.save_as(model, "taken")
    with pytest.raises(ModelError, match="'uhcs' already"):
        sharing.save_as(model, "uhcs")


def test_a_model_that_appears_between_check_and_write_stays(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two programs add a model of one name at the same time."""
    entry = sharing.save_as(model, "race")
    entry.path.write_bytes(b"the other program's")
    monkeypatch.setattr(zoo, "list_models", list)
    with pytest.raises(ModelError, match="there is a file of that name"):
        sharing.save_as(model, "race")
    assert entry.path.read_bytes() == b"the other program's"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "a.safetensors"
    with pytest.raises(KeyboardInterrupt), creating(target) as part:
        part.write_bytes(b"half")
        assert not target.exists(), "no name before the file is complete"
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(PhaseguideError, match="cannot be written"):
        write_new(tmp_path / "file" / "a.safetensors", b"x")


def test_damaged_models_are_not_handed_on(model: Path, tmp_path: Path) -> None:
    raw = bytearray(model.read_bytes())
    raw[-1000] ^= 1
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(raw)
    for write in (
        lambda: sharing.export_model(broken, tmp_path / "o.safetensors"),
        lambda: sharing.share_model(broken, tmp_path / "o.safetensors", TEXT),
        lambda: sharing.save_as(broken, "broken"),
    ):
        with pytest.raises(ModelError, match="checksum"):
            write()
    assert not (tmp_path / "o.safetensors").exists()


def test_a_shared_file_has_its_card_filled_in_and_the_same_weights(model: Path, tmp_path: Path) -> None:
    out = sharing.share_model(model, tmp_path / "shared.safetensors", TEXT)
    card = read_card(out)
    assert sharing.ShareText.from_card(card) == TEXT
    assert card.tensors_sha256 == read_card(model).tensors_sha256
    ours, theirs = load_file(model), load_file(out)
    assert all(bool((ours[name] == theirs[name]).all()) for name in ours) and len(ours) == len(theirs)
    added = zoo.add_model(out, "received")
    assert load_model(added.path).card.citation == TEXT.citation


def test_a_text_that_no_card_takes_is_not_shared(model: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    with pytest.raises(ModelError, match="description: String should have at most"):
        sharing.share_model(model, tmp_path / "o.safetensors", replace(TEXT, description="x" * 30_000))
    assert not list(tmp_path.iterdir())


def test_a_shared_file_tells_nothing_of_its_owners_disk(model: Path, tmp_path: Path) -> None:
    card = read_card(model).model_copy(
        update={
            "training": {"sources": [{"name": "/home/anna/steel/f1.tif"}], "start": {"file": "C:\\m\\a.tif"}}
        }
    )
    private = tmp_path / "private.safetensors"
    private.write_bytes(sharing.with_card(model.read_bytes(), card))
    out = sharing.share_model(private, tmp_path / "out.safetensors", TEXT)
    assert read_card(out).training == {"sources": [{"name": "f1.tif"}], "start": {"file": "a.tif"}}
    assert b"anna" not in out.read_bytes()


@pytest.mark.parametrize(("field", "word"), [("description", "what it is for"), ("model_licence", "licence")])
def test_a_card_that_says_nothing_is_not_shared(model: Path, tmp_path: Path, field: str, word: str) -> None:
    from dataclasses import replace

    with pytest.raises(ModelError, match=word):
        sharing.share_model(model, tmp_path / "o.safetensors", replace(TEXT, **{field: " "}))
    assert not list(tmp_path.iterdir())


def test_deleted_models_wait_and_come_back(model: Path) -> None:
    before = datetime.now().astimezone().replace(microsecond=0)
    path = sharing.save_as(model, "mine").path
    first = recycle.recycle_model("mine")
    assert not path.exists() and first.path.read_bytes() == model.read_bytes()
    sharing.save_as(model, "mine")
    second = recycle.recycle_model("mine")
    assert first.path != second.path and first.path.is_file()
    listed = recycle.list_recycled()
    assert {m.path for m in listed} == {first.path, second.path}
    assert all(m.name == "mine" and m.card is not None and m.deleted >= before for m in listed)
    assert recycle.restore_model(first).path == path
    with pytest.raises(ModelError, match=r"'mine' already.*another name"):
        recycle.restore_model(second)
    assert second.path.is_file()
    assert recycle.restore_model(second, "mine-2").path.read_bytes() == model.read_bytes()
    assert not recycle.list_recycled() and not list(recycle.recycle_folder().iterdir())


def test_what_is_in_the_recycle_folder_by_chance_is_left_alone(model: Path) -> None:
    odd = recycle.recycle_folder() / "notes" / "a.safetensors"
    odd.parent.mkdir(parents=True)
    odd.write_bytes(b"x")
    assert recycle.list_recycled() == []
    sharing.save_as(model, "damaged").path.write_bytes(b"no model")
    recycle.recycle_model("damaged")
    (only,) = recycle.list_recycled()
    assert only.card is None and recycle.restore_model(only).problem


def test_a_model_that_cannot_be_moved_stays(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sharing.save_as(model, "mine").path

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        patch.setattr(os, "link", refuse)
        with pytest.raises(ModelError, match="cannot be moved"):
            recycle.recycle_model("mine")
    assert path.read_bytes() == model.read_bytes() and not recycle.list_recycled()
    with pytest.raises(ModelError, match="built in"):
        recycle.recycle_model("uhcs")


def test_scores_and_parents_in_a_few_words(model: Path) -> None:
    card = read_card(model)
    assert summary.main_score(card) is None and summary.parent_name(card) == ""
    tuned = card.model_copy(
        update={
            "scores": {
                "folds": {"no ratio": {"dice_mean": 0.8}},
                "validation blocks": {"dice_mean": 0.91, "pixels": 9},
            },
            "training": {"parent": "uhcs"},
        }
    )
    assert summary.main_score(tuned) == ("validation blocks", 0.91) and summary.parent_name(tuned) == "uhcs"
    assert summary.score_text(tuned.scores["validation blocks"]) == "Dice 91.00 %"
    shipped = read_card(zoo.find_model("uhcs"))
    assert summary.main_score(shipped) == ("crossfit", pytest.approx(0.8549, abs=1e-4))
    empty = card.model_copy(update={"scores": {"validation blocks": {"dice_mean": None}}})
    assert summary.main_score(empty) is None and summary.score_basis(empty) is None


@pytest.mark.parametrize(
    ("name", "source", "where"),
    [
        (
            "validation blocks",
            "12 blocks of 48 px held out of the painted area (9,000 px)",
            "held-out blocks",
        ),
        ("validation blocks", "all labels of field1, field2", "judge images"),
        ("validation", "", "validation images"),
        ("round robin", "", "round robin"),
    ],
)
def test_a_score_says_what_it_was_measured_on(model: Path, name: str, source: str, where: str) -> None:
    score = {"dice_mean": 0.9, **({"source": source} if source else {})}
    basis = summary.score_basis(read_card(model).model_copy(update={"scores": {name: score}}))
    assert basis is not None and basis.where == where and basis.meaning


def test_judging_fields_and_blocks_are_named_as_the_list_of_models_tells_them_apart() -> None:
    from phaseguide.finetuning.sources import Source
    from phaseguide.finetuning.validation_blocks import split_labels

    labels = np.ones((200, 200), dtype=np.uint8)
    sources = [Source(name, np.zeros(labels.shape, np.uint8), labels, "full") for name in ("f1", "f2")]
    whole = split_labels(sources, 2, share=0.2, fields=["f2"]).sentence
    assert whole.startswith("all labels of ")
    assert not split_labels(sources, 2, share=0.2).sentence.startswith("all labels of ")


def test_only_paths_lose_their_folders() -> None:
    kept = {"a": ["field 3", 0.5, None, True, "1/2", "~", "Dice 3/4", "c"]}
    assert summary.without_folders(kept) == kept
    assert json.dumps(summary.without_folders({"b": ("/x/y.tif", "~/z/q.png", "\\\\lab\\share\\r.tif")})) == (
        '{"b": ["y.tif", "q.png", "r.tif"]}'
    )
