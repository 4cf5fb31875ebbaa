"""Embeddings: what was encoded once is found again, only where it is the same, within its limits, whatever happens."""

from __future__ import annotations

import errno
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from phaseguide.errors import PhaseguideError
from phaseguide.events import Finished, Notice, Progress
from phaseguide.models.backbones.base import BackboneOptions, Features
from phaseguide.models.model_file import LoadedModel, load_model, save_model
from phaseguide.models.segmenter import GuidanceOptions, GuidedSegmenter
from phaseguide.phases import PhaseScheme
from phaseguide.segmentation.network import embedding_files, embedding_keys, embeddings
from phaseguide.segmentation.network.embedding_files import (
    EmbeddingError,
    EmbeddingFolder,
    embedding_folder,
    usual_embedding_folder,
)
from phaseguide.segmentation.network.embedding_keys import NetworkKeys, image_checksum, network_keys
from phaseguide.segmentation.network.embeddings import MEMORY, FeatureMemory
from phaseguide.segmentation.request import READING, Request, Segmentation
from phaseguide.segmentation.session import Session
from sam_files import offer_base
from sam_models import sam_model
from tiny_models import tiny_image, tiny_model

IMAGE = tiny_image(shape=(224, 460))
TILES = {"tile": 256, "overlap": 32}  # two of them
ASKED = Request(asked=np.array([0.2, 0.3, 0.5]), uncertainty=0.0, mode="both")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def model(model_file: Path) -> LoadedModel:
    return load_model(model_file)


@pytest.fixture
def kept(tmp_path: Path) -> EmbeddingFolder:
    return EmbeddingFolder(tmp_path / "embeddings")


@pytest.fixture(autouse=True)
def _nothing_was_told() -> Iterator[None]:
    embeddings._told.clear()
    yield
    embeddings._told.clear()


def counter(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the encoder has run since the last question."""
    encode, calls = model.segmenter.encode, []

    def counted(image: torch.Tensor) -> Features:
        calls.append(1)
        return encode(image)

    def since() -> int:
        count = len(calls)
        calls.clear()
        return count

    monkeypatch.setattr(model.segmenter, "encode", counted)
    return since


def keys(model: LoadedModel) -> NetworkKeys:
    found = network_keys(model.segmenter)
    assert found is not None
    return found


def load_again(model: LoadedModel) -> LoadedModel:
    return load_model(model.path)


def segment(session: Session, request: Request | None = None) -> tuple[Segmentation, list[Any]]:
    events = list(session.segment(request or Request()))
    return next(e.result for e in events if isinstance(e, Finished)), events


def next_day(
    model: LoadedModel, kept: EmbeddingFolder | None, image: np.ndarray = IMAGE, **options: Any
) -> Session:
    """A session as a new process would make it: nothing in memory."""
    MEMORY.clear()
    return Session(model, image, device="cpu", embeddings=kept or "off", **{**TILES, **options})


def files(kept: EmbeddingFolder, kind: str = "") -> list[Path]:
    return sorted(kept.path.glob(f"*/{kind}*.safetensors"))


# -- found again --------------------------------------------------------------------------------------


def test_the_next_day_nothing_is_encoded_and_all_is_the_same(
    model: LoadedModel, kept: EmbeddingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = counter(model, monkeypatch)
    plain = next_day(model, None, flips=True)
    expected, _ = segment(plain)
    first = next_day(model, kept, flips=True)
    made, _ = segment(first)
    assert calls() == 2 * 2 * 4 and len(files(kept, "features")) == 8 and len(files(kept, "scores")) == 2
    again = next_day(load_again(model), kept, flips=True)
    calls = counter(again.model, monkeypatch)
    found, events = segment(again)
    assert next(e.stage for e in events if isinstance(e, Progress)) == READING
    assert calls() == 0
    for other in (made, found):
        np.testing.assert_array_equal(other.labels, expected.labels)
    for session in (first, again):
        np.testing.assert_array_equal(np.asarray(session.scores), np.asarray(plain.scores))
    guided, (_, told) = segment(plain, ASKED)[0], segment(again, ASKED)
    np.testing.assert_array_equal(segment(again, ASKED)[0].labels, guided.labels)
    assert calls() == 0 and not [e for e in told if isinstance(e, Notice)]


def test_features_are_read_only_when_they_are_wanted(
    model: LoadedModel, kept: EmbeddingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment(next_day(model, kept, flips=True))
    read: list[str] = []
    real = embedding_files.read_unit
    monkeypatch.setattr(
        embedding_files, "read_unit", lambda path, about: (read.append(path.name[:6]), real(path, about))[1]
    )
    session = next_day(model, kept, flips=True)
    segment(session)
    assert read == ["scores"] * 2, "without a ratio, the scores are enough"
    segment(session, ASKED)
    assert read[2:] == ["featur"] * 2, "a ratio needs the first view of each tile"


def test_sessions_share_what_is_in_memory_and_nothing_is_written(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    calls = counter(model, monkeypatch)
    first = next_day(model, None)
    expected, _ = segment(first)
    second = Session(model, IMAGE.copy(), device="cpu", **TILES)
    found, _ = segment(second)
    assert calls() == 2
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(np.asarray(second.scores), np.asarray(first.scores))
    assert not any(data_dir.iterdir())


def test_a_model_with_the_same_encoder_shares_features_but_not_scores(
    model: LoadedModel, kept: EmbeddingFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment(next_day(model, kept))
    child = load_again(model)
    with torch.no_grad():
        for name, parameter in child.segmenter.named_parameters():
            if ".encoder." not in name:
                parameter.add_(0.05 * torch.randn_like(parameter))
    save_model(tmp_path / "child.safetensors", child.segmenter, child.card)
    child = load_model(tmp_path / "child.safetensors")
    assert keys(child).encoder == keys(model).encoder
    assert keys(child).model != keys(model).model
    alone = next_day(child, None)
    expected, _ = segment(alone)
    calls = counter(child, monkeypatch)
    session = next_day(child, kept)
    found, _ = segment(session)
    assert calls() == 0
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(np.asarray(session.scores), np.asarray(alone.scores))
    parent = next_day(model, None)
    segment(parent)
    assert np.abs(np.asarray(session.scores) - np.asarray(parent.scores)).max() > 1e-3


def test_what_was_in_memory_is_written_once_the_disk_is_wanted(
    model: LoadedModel, kept: EmbeddingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment(next_day(model, None))
    calls = counter(model, monkeypatch)
    segment(Session(model, IMAGE, device="cpu", embeddings=kept, **TILES))
    assert calls() == 0 and len(files(kept)) == 4


def test_adapters_on_one_base_are_told_apart_and_their_features_found_again(
    kept: EmbeddingFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = offer_base(monkeypatch, tmp_path)
    one, other = (load_model(sam_model(tmp_path, base, f"model{seed}", seed=seed)) for seed in (1, 2))
    assert keys(one) == keys(load_again(one))
    assert keys(one).encoder != keys(other).encoder
    expected, _ = segment(next_day(one, None))
    segment(next_day(one, kept))
    found, _ = segment(next_day(other, kept))
    assert not np.array_equal(found.labels, expected.labels)
    again = load_again(one)
    calls = counter(again, monkeypatch)
    session = next_day(again, kept)
    np.testing.assert_array_equal(segment(session)[0].labels, expected.labels)
    segment(session, ASKED)
    assert calls() == 0


def test_random_base_weights_that_nothing_names_are_never_shared() -> None:
    options = BackboneOptions("sam", "vit_tiny", 1, {}, {"rank": 0})
    scheme = PhaseScheme.from_names(["a", "b"])
    segmenter = GuidedSegmenter(options, GuidanceOptions("none"), scheme)
    assert network_keys(segmenter) is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 5])
def test_tensors_come_back_bit_for_bit_in_the_same_order_in_memory(dtype: torch.dtype, channels: int) -> None:
    plain = torch.randn(1, channels, 6, 7).to(dtype)
    for tensor in (plain, plain.contiguous(memory_format=torch.channels_last)):
        back = embeddings._as_tensor(*embeddings._as_array(tensor))
        assert back.dtype == dtype and back.stride() == tensor.stride()
        assert torch.equal(back, tensor)
    assert torch.equal(embeddings._as_tensor(*embeddings._as_array(plain[..., ::2])), plain[..., ::2])


# -- only where it is the same ------------------------------------------------------------------------


def one_pixel(image: np.ndarray) -> np.ndarray:
    changed = image.copy()
    changed[200, 300] ^= 1
    return changed


@pytest.mark.parametrize(
    "change",
    [
        {"image": one_pixel(IMAGE)},
        {"image": IMAGE.astype(np.uint16)},
        {"invert": True},
        {"overlap": 64},
        {"flips": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_image_or_view_of_it_is_encoded(
    change: dict[str, Any], model: LoadedModel, kept: EmbeddingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment(next_day(model, kept))
    session = next_day(model, kept, **change)
    calls = counter(model, monkeypatch)
    found, _ = segment(session)
    assert calls() > 0
    np.testing.assert_array_equal(found.labels, segment(next_day(model, None, **change))[0].labels)


def test_another_encoder_encodes(model: LoadedModel, kept: EmbeddingFolder, tmp_path: Path) -> None:
    segment(next_day(model, kept))
    other = load_model(tiny_model(tmp_path, seed=1))
    expected, _ = segment(next_day(other, None))
    np.testing.assert_array_equal(segment(next_day(other, kept))[0].labels, expected.labels)


def scaled_in_place(segmenter: GuidedSegmenter) -> None:
    with torch.no_grad():
        next(segmenter.backbone.net.encoder.parameters()).mul_(1.5)


def trained(segmenter: GuidedSegmenter) -> None:
    """One step of an optimiser, as learning takes it."""
    optimiser = torch.optim.AdamW(segmenter.parameters(), lr=0.01)
    segmenter(torch.randn(1, 1, 64, 64)).square().mean().backward()
    optimiser.step()


def normalised_anew(segmenter: GuidedSegmenter) -> None:
    """Let running statistics, which are no parameters, follow other images."""
    segmenter.train()
    with torch.no_grad():
        segmenter(torch.randn(2, 1, 64, 64) * 3)
    segmenter.eval()


def exchanged(segmenter: GuidedSegmenter) -> None:
    name, old = next(iter(segmenter.backbone.net.encoder.named_parameters()))
    module = segmenter.backbone.net.encoder.get_submodule(name.rpartition(".")[0])
    setattr(module, name.rpartition(".")[2], torch.nn.Parameter(old.detach() * 1.5))


def assigned(segmenter: GuidedSegmenter) -> None:
    parameter = next(segmenter.backbone.net.encoder.parameters())
    parameter.data = parameter.data * 1.5


@pytest.mark.parametrize("change", [scaled_in_place, trained, normalised_anew, exchanged, assigned])
def test_a_model_that_was_changed_never_finds_its_old_features(
    change: Callable[[GuidedSegmenter], None], model: LoadedModel, kept: EmbeddingFolder
) -> None:
    segment(next_day(model, kept))
    before = keys(model)
    change(model.segmenter)
    after = keys(model)
    assert after.encoder != before.encoder and after.model != before.model
    in_memory, on_disk = Session(model, IMAGE, device="cpu", **TILES), next_day(model, kept)
    expected = segment(next_day(model, None))[0].labels
    for session in (in_memory, on_disk):
        np.testing.assert_array_equal(segment(session)[0].labels, expected)


def test_what_an_open_session_makes_with_a_changed_model_is_not_kept_for_the_old_one(
    model: LoadedModel, kept: EmbeddingFolder
) -> None:
    events = next_day(model, kept).segment(Request())
    assert next(events).done == 0  # type: ignore[union-attr]
    scaled_in_place(model.segmenter)
    list(events)
    assert not files(kept)


def test_the_checksums_of_a_network_are_made_once(
    model: LoadedModel, kept: EmbeddingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = embedding_keys.tensors_sha256
    monkeypatch.setattr(
        embedding_keys, "tensors_sha256", lambda tensors: (made.append("sum"), real(tensors))[1]
    )
    for seed in range(3):
        segment(next_day(model, kept, tiny_image(seed, (224, 460)), flips=True))
    assert made == ["sum"] * 2, "one of the encoder, one of the rest"


def test_another_version_of_a_library_encodes(
    model: LoadedModel, kept: EmbeddingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment(next_day(model, kept))
    calls = counter(model, monkeypatch)
    monkeypatch.setattr("phaseguide.segmentation.network.embedding_keys.version", lambda name: "99")
    segment(next_day(model, kept))
    assert calls() == 2


def test_checksums_of_images_tell_shape_and_order() -> None:
    flat = np.arange(24, dtype=np.uint8)
    sums = {
        image_checksum(a, (0.0, 1.0), invert=False)
        for a in (flat.reshape(4, 6), flat.reshape(6, 4), flat.reshape(4, 6).T, flat.reshape(4, 2, 3))
    }
    assert len(sums) == 4
    image = flat.reshape(4, 6)
    assert image_checksum(np.asfortranarray(image), (0.0, 1.0), invert=False) in sums


# -- limits -------------------------------------------------------------------------------------------


def maps(size: int) -> Features:
    return Features([torch.zeros(size, dtype=torch.uint8)], 1, 1)


class Somebody:
    """Works on an image."""


def test_memory_keeps_to_the_room_and_lets_go_of_what_was_used_least_recently() -> None:
    memory, users = FeatureMemory(), [Somebody() for _ in range(3)]
    for name, user in zip("abc", users, strict=True):
        memory.enter(user, name, 100)
    for name in "abc":
        memory.put((name, "1", "cpu"), maps(40), 100)
        assert sum(memory.held(one) for one in "abc") <= 100
    assert [memory.held(name) for name in "abc"] == [0, 40, 40]
    assert memory.get(("b", "1", "cpu")) is not None
    memory.put(("a", "1", "cpu"), maps(40), 100)
    assert [memory.held(name) for name in "abc"] == [40, 40, 0], "c was used less recently than b"
    memory.put(("a", "2", "cpu"), maps(80), 100)
    assert memory.held("a") == 40, "an image never drops its own features for its own"
    memory.enter(users[0], "a", 30)
    assert sum(memory.held(one) for one in "abc") <= 30, "a smaller budget holds at once"


def test_features_that_no_session_uses_take_half_of_the_room() -> None:
    memory, user = FeatureMemory(), Somebody()
    for name in "abc":
        gone = Somebody()
        memory.enter(gone, name, 100)
        memory.put((name, "1", "cpu"), maps(30), 100)
        del gone
    gc.collect()
    memory.enter(user, "d", 100)
    assert [memory.held(name) for name in "abc"] == [0, 0, 30]


def test_sessions_together_keep_to_the_budget_of_one(model: LoadedModel) -> None:
    MEMORY.clear()
    sessions = []
    for seed in range(3):
        session = Session(model, tiny_image(seed, (224, 460)), device="cpu", memory_mb=8, **TILES)
        segment(session)
        sessions.append(session)
        assert 0 < MEMORY._held(None) <= 4_000_000 - 6 * 224 * 460


def test_whole_images_go_when_the_disk_is_full_of_them(tmp_path: Path) -> None:
    kept = EmbeddingFolder(tmp_path / "e", 100_000)
    noise = np.random.default_rng(0).integers(0, 255, 12_000, dtype=np.uint8)
    for number in range(3):
        for part in "xy":
            kept.write(f"{number:064}", part, {"a": 1}, [noise], {})
        time.sleep(0.02)
    assert kept.size() <= 100_000 and len(kept.images()) == 3
    assert kept.read(f"{0:064}", "x", {"a": 1}) is not None  # now image 1 was used least recently
    time.sleep(0.02)
    kept.write(f"{3:064}", "x", {"a": 1}, [noise, noise, noise], {})
    assert kept.size() <= 100_000
    assert [int(one.folder.name) for one in kept.images()] == [2, 0, 3]
    assert not (tmp_path / "e" / f"{1:064}").exists()


def test_an_image_larger_than_the_limit_is_segmented_and_said_once(
    model: LoadedModel, tmp_path: Path
) -> None:
    kept = EmbeddingFolder(tmp_path / "e", 300_000)
    expected, _ = segment(next_day(model, None))
    told: list[str] = []
    for _ in range(2):
        found, events = segment(next_day(model, kept))
        told += [e.message for e in events if isinstance(e, Notice)]
        np.testing.assert_array_equal(found.labels, expected.labels)
        assert kept.size() <= 300_000
    assert len(told) == 1 and "Raise the limit" in told[0]


# -- whatever happens ---------------------------------------------------------------------------------


def test_embeddings_of_another_image_are_not_taken(model: LoadedModel, kept: EmbeddingFolder) -> None:
    """Somebody puts the files of one image into the folder of another one, under the right names."""
    other = np.ascontiguousarray(IMAGE[::-1, ::-1])
    expected, _ = segment(next_day(model, None, other))
    segment(next_day(model, kept, other))
    wanted = [path.relative_to(kept.path) for path in files(kept)]
    kept.clear()
    segment(next_day(model, kept, IMAGE))
    assert [path.name for path in files(kept)] == [path.name for path in wanted]
    for path, place in zip(files(kept), wanted, strict=True):
        (kept.path / place).parent.mkdir(exist_ok=True)
        shutil.copyfile(path, kept.path / place)
    found, _ = segment(next_day(model, kept, other))
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert (found.labels != segment(next_day(model, None))[0].labels).any()


def altered(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], None]:
    """Write other numbers in the place of those that were kept, with a checksum of their own."""

    def alter(path: Path) -> None:
        with safe_open(path, framework="np") as file:
            about = json.loads(file.metadata()["told"])["about"]
        unit = embedding_files.read_unit(path, about)
        assert unit is not None
        path.unlink()
        arrays = [np.ascontiguousarray(change(array)) for array in unit.arrays]
        embedding_files.write_unit(path, about, arrays, unit.details)

    return alter


@pytest.mark.parametrize(
    "change",
    [
        lambda array: np.full_like(array, np.nan),
        lambda array: np.full_like(array, np.inf),
        lambda array: array[..., :-1],
        lambda array: array[:0],
        lambda array: array.reshape(-1),
        lambda array: array.astype(np.float64),
    ],
)
def test_embeddings_that_cannot_be_those_of_the_image_are_made_again(
    change: Callable[[np.ndarray], np.ndarray], model: LoadedModel, kept: EmbeddingFolder
) -> None:
    expected, _ = segment(next_day(model, None), ASKED)
    segment(next_day(model, kept), ASKED)
    for path in files(kept):
        altered(change)(path)
    found, _ = segment(next_day(model, kept), ASKED)
    np.testing.assert_array_equal(found.labels, expected.labels)


def test_numbers_that_do_not_match_their_checksum_are_damaged(kept: EmbeddingFolder) -> None:
    kept.write("0" * 64, "x", {"a": 1}, [np.zeros(30)], {})
    (path,) = files(kept)
    path.write_bytes(re.sub(rb'"sha256": *"[0-9a-f]{4}', b'"sha256":"ffff', path.read_bytes()))
    with pytest.raises(EmbeddingError, match="damaged"):
        kept.read("0" * 64, "x", {"a": 1})
    assert not path.exists()


def test_a_link_in_the_place_of_an_image_is_not_followed(kept: EmbeddingFolder, tmp_path: Path) -> None:
    kept.write("0" * 64, "x", {}, [np.zeros(3)], {})
    (path,) = files(kept)
    outside = tmp_path / "outside"
    path.parent.rename(outside)
    path.parent.symlink_to(outside)
    before = (outside / path.name).read_bytes()
    assert kept.read("0" * 64, "x", {}) is None and kept.images() == []
    with pytest.raises(EmbeddingError, match="cannot be kept there"):
        kept.write("0" * 64, "y", {}, [np.zeros(3)], {})
    assert kept.clear() == 0
    assert [p.name for p in outside.iterdir()] == [path.name] and (outside / path.name).read_bytes() == before


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def robbed(path: Path) -> None:
    """Lose an array and keep what the file says of itself."""
    with safe_open(path, framework="np") as file:
        metadata = file.metadata()
        arrays = {name: file.get_tensor(name) for name in list(file.keys())[:-1]}
    path.unlink()
    save_file(arrays, path, metadata)


@pytest.mark.parametrize("damage", [truncated, flipped, emptied, robbed])
def test_damaged_embeddings_are_said_and_made_again(
    damage: Callable[[Path], None], model: LoadedModel, kept: EmbeddingFolder
) -> None:
    expected, _ = segment(next_day(model, kept))
    before = len(files(kept))
    for path in files(kept):
        damage(path)
    found, events = segment(next_day(model, kept))
    notices = [e.message for e in events if isinstance(e, Notice)]
    assert len(notices) == before and all("damaged" in n and str(kept.path) in n for n in notices)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert len(files(kept)) == before
    assert not [e for e in segment(next_day(model, kept))[1] if isinstance(e, Notice)]


def test_a_file_that_is_about_something_else_is_not_taken(kept: EmbeddingFolder) -> None:
    kept.write("0" * 64, "x", {"encoder": "a"}, [np.zeros(3)], {})
    assert kept.read("0" * 64, "x", {"encoder": "a"}) is not None
    assert kept.read("0" * 64, "x", {"encoder": "b"}) is None


def test_a_full_disk_is_said_once_and_the_work_goes_on(
    model: LoadedModel, kept: EmbeddingFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = segment(next_day(model, None))

    def full(path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(embedding_files, "write_unit", full)
    told: list[str] = []
    for _ in range(2):
        found, events = segment(next_day(model, kept))
        told += [e.message for e in events if isinstance(e, Notice)]
        np.testing.assert_array_equal(found.labels, expected.labels)
    assert len(told) == 1 and "No space left" in told[0] and str(kept.path) in told[0]
    assert not files(kept) and kept.size() == 0


def test_a_folder_that_cannot_be_made_is_said(model: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _, events = segment(next_day(model, EmbeddingFolder(tmp_path / "file" / "e")))
    (notice,) = [e.message for e in events if isinstance(e, Notice)]
    assert "cannot be kept there" in notice


WRITER = """
import sys, numpy as np
from pathlib import Path
from phaseguide.segmentation.network import embedding_files
from phaseguide.segmentation.network.embedding_files import EmbeddingFolder
kept, first, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
folder = EmbeddingFolder(kept, limit)
for round_ in range(12):
    for number in range(first, first + 4):
        image = f"{number:064}"
        array = np.random.default_rng(number).integers(0, 100, 20000, np.int32)
        folder.write(image, f"part{round_ % 3}", {"n": number}, [array], {})
        unit = folder.read(image, f"part{round_ % 3}", {"n": number})
        assert unit is None or (unit.arrays[0] == array).all()
"""


def test_two_processes_may_use_one_folder(tmp_path: Path) -> None:
    limit = 300_000
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(first), str(limit)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in (0, 2)
    ]
    for run in runs:
        _, errors = run.communicate(timeout=120)
        assert run.returncode == 0, errors
    kept = EmbeddingFolder(tmp_path, limit)
    assert 0 < kept.size() <= limit
    assert not list(tmp_path.glob(".writing-*"))
    for one in kept.images():
        for path in one.folder.iterdir():
            about = {"n": int(one.folder.name)}
            assert kept.read(one.folder.name, path.name.removesuffix(".safetensors"), about) is not None


KILLED = """
import os, sys, numpy as np
from pathlib import Path
from phaseguide.segmentation.network import embedding_files
from phaseguide.segmentation.network.embedding_files import EmbeddingFolder
real = embedding_files.write_unit
def write(path, *rest):
    real(path, *rest)
    path.write_bytes(path.read_bytes()[:1000])
    os._exit(9)
embedding_files.write_unit = write
EmbeddingFolder(Path(sys.argv[1])).write("0" * 64, "x", {}, [np.random.default_rng(0).random(5000)], {})
"""


def test_what_a_killed_process_left_half_written_is_never_used(tmp_path: Path) -> None:
    run = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], timeout=60)
    assert run.returncode == 9
    (half,) = tmp_path.glob(".writing-*")
    kept = EmbeddingFolder(tmp_path)
    assert not kept.has("0" * 64, "x") and kept.images() == [] and kept.size() == 1000
    kept.write("1" * 64, "x", {}, [np.zeros(3)], {})
    assert half.exists(), "another process may still be writing it"
    os.utime(half, (0, 0))
    kept.write("2" * 64, "x", {}, [np.zeros(3)], {})
    assert not half.exists()


def test_embeddings_of_earlier_versions_count_and_go(kept: EmbeddingFolder) -> None:
    for image in "01":
        (kept.path / (image * 64)).mkdir(parents=True)
        (kept.path / (image * 64) / "features-1.zarr.zip").write_bytes(bytes(1000))
    assert len(kept.images()) == 2 and kept.size() == 2000
    assert kept.read("0" * 64, "features-1", {}) is None
    kept.write("0" * 64, "features-1", {}, [np.zeros(3)], {})
    assert [path.suffix for path in (kept.path / ("0" * 64)).iterdir()] == [".safetensors"]
    assert kept.clear() > 1000 and kept.images() == []
    assert not (kept.path / ("1" * 64)).exists()


def test_clear_removes_embeddings_and_nothing_else(kept: EmbeddingFolder) -> None:
    kept.write("0" * 64, "x", {}, [np.zeros(30)], {})
    (kept.path / "mine.txt").write_text("mine")
    (kept.path / "photos").mkdir()
    (kept.path / ("1" * 64)).mkdir()
    (kept.path / ("1" * 64) / "notes.txt").write_text("mine")
    assert kept.clear() > 0
    assert not files(kept) and (kept.path / "mine.txt").exists() and (kept.path / "photos").is_dir()
    assert (kept.path / ("1" * 64) / "notes.txt").exists()
    assert EmbeddingFolder(kept.path / "never made").clear() == 0


# -- what the user asks for ---------------------------------------------------------------------------


def test_the_variable_names_the_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_dir: Path, model: LoadedModel
) -> None:
    assert usual_embedding_folder() is None
    monkeypatch.setenv("PHASEGUIDE_EMBEDDINGS", "on")
    assert usual_embedding_folder() == EmbeddingFolder(data_dir / "embeddings")
    monkeypatch.setenv("PHASEGUIDE_EMBEDDINGS", str(tmp_path / "e"))
    monkeypatch.setenv("PHASEGUIDE_EMBEDDINGS_GB", "0.5")
    folder = usual_embedding_folder()
    assert folder == EmbeddingFolder(tmp_path / "e", 500_000_000)
    segment(Session(model, IMAGE, device="cpu", **TILES))
    assert len(files(folder)) == 4
    monkeypatch.setenv("PHASEGUIDE_EMBEDDINGS_GB", "much")
    with pytest.raises(PhaseguideError, match="PHASEGUIDE_EMBEDDINGS_GB is 'much'"):
        usual_embedding_folder()


def test_wishes_that_cannot_be_meant(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PhaseguideError, match="is a file"):
        embedding_folder(str(tmp_path / "file"))
    for limit in (0.0, -1.0, float("nan")):
        with pytest.raises(PhaseguideError, match="Give more than 0"):
            embedding_folder("on", limit)
    assert embedding_folder("off") is None and embedding_folder(" ") is None
