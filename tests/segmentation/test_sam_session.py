"""Sessions on models of Segment Anything: encode once, match to a pixel, share a base, run out of memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phaseguide.errors import DeviceError, MicrographError, ModelError
from phaseguide.events import Finished, Notice
from phaseguide.models.backbones.sam import SamBackbone
from phaseguide.models.model_file import LoadedModel, load_model
from phaseguide.models.sam import shared_base as bases
from phaseguide.models.sam.shared_base import BaseWeights
from phaseguide.segmentation.network import logits
from phaseguide.segmentation.network.device import Device
from phaseguide.segmentation.network.embeddings import MEMORY
from phaseguide.segmentation.request import Request, Segmentation
from phaseguide.segmentation.session import Session, run_to_end
from sam_files import offer_base
from sam_models import sam_model
from tiny_models import tiny_model
from widget_helpers import micrograph

ASKED = np.array([0.5, 0.3, 0.2])


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    bases._bases.clear()
    return offer_base(monkeypatch, tmp_path)


@pytest.fixture
def model(base: str, tmp_path: Path) -> LoadedModel:
    return load_model(sam_model(tmp_path, base))


def segment(session: Session, **wish: Any) -> Segmentation:
    result: Segmentation = run_to_end(session.segment(Request(**wish)))
    return result


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of the images that went through an encoder."""
    seen: list[tuple[int, ...]] = []
    encode = SamBackbone.encode

    def counted(self: SamBackbone, image: torch.Tensor) -> Any:
        seen.append(tuple(image.shape))
        return encode(self, image)

    monkeypatch.setattr(SamBackbone, "encode", counted)
    return seen


@pytest.mark.parametrize("mode", ["matched", "conditioned", "both"])
def test_a_changed_ratio_encodes_nothing_and_is_met_to_a_pixel(
    model: LoadedModel, encodings: list[tuple[int, ...]], mode: Any
) -> None:
    session = Session(model, micrograph((150, 170)), embeddings="off")
    plain = segment(session)
    assert len(encodings) == 1 and plain.labels.shape == (150, 170)
    for asked in (ASKED, ASKED[::-1]):
        result = segment(session, asked=asked, uncertainty=0.0, mode=mode)
        if mode != "conditioned":
            counts = np.bincount(result.labels.ravel(), minlength=4)[1:]
            assert np.abs(counts - asked * 150 * 170).max() <= 1
    if mode == "conditioned":
        assert not np.array_equal(result.labels, plain.labels), "the network heeds the ratio"
    assert len(encodings) == 1


def test_colour_and_grey_images_fit_either_model(base: str, tmp_path: Path) -> None:
    grey = load_model(sam_model(tmp_path, base, "grey"))
    colour = load_model(sam_model(tmp_path, base, "colour", in_channels=3))
    for model in (grey, colour):
        for shape in ((64, 80), (64, 80, 3)):
            assert segment(Session(model, micrograph(shape))).labels.shape == (64, 80)


def test_models_take_turns_on_one_base(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, reading = [], bases.read_checkpoint
    monkeypatch.setattr(bases, "read_checkpoint", lambda *a: read.append(a) or reading(*a))
    image = micrograph((96, 96))
    one = load_model(sam_model(tmp_path, base, "one"))
    two = load_model(sam_model(tmp_path, base, "two", rank=2, seed=5))
    first = segment(Session(one, image)).labels
    other = segment(Session(two, image)).labels
    assert not np.array_equal(first, other)
    MEMORY.clear()
    assert np.array_equal(segment(Session(one, image)).labels, first)
    assert len(read) == 1, "the base was read once for all of this"


def test_tiles_suit_the_backbone_and_the_device(
    model: LoadedModel, tmp_path: Path, encodings: list[tuple[int, ...]]
) -> None:
    image = micrograph((700, 600))
    session = Session(model, image)
    assert session.tile == 512 and session._scoring._options["overlap"] == 64
    segment(session)
    assert len(encodings) == 4 and max(max(shape[-2:]) for shape in encodings) <= 512
    assert model.segmenter.backbone.preferred_tile("cuda") == 1024
    assert model.segmenter.backbone.preferred_overlap(1024) == 128
    unet = load_model(tiny_model(tmp_path))
    assert Session(unet, image).tile == 1920
    assert Session(unet, image, tile=640)._scoring._options["overlap"] == 128
    assert Session(model, image, tile=640).tile == 640


def test_no_seam_where_tiles_meet(model: LoadedModel) -> None:
    """Next to a seam the scores change no more from pixel to pixel than elsewhere."""
    session = Session(model, micrograph((96, 700)), tile=256, embeddings="off")
    segment(session)
    scores = np.asarray(session.scores)
    step = np.abs(np.diff(scores, axis=2)).mean(axis=(0, 1))
    assert session._scoring.encoded is not None
    starts = [t.left for t in session._scoring.encoded.tiles if t.left]
    assert len(starts) >= 2
    overlap = session._scoring._options["overlap"]
    for start in starts:
        for border in (start, start + overlap):
            assert step[border - 2 : border + 2].max() < 2 * np.percentile(step, 99)


@pytest.mark.parametrize("shape", [(2, 3), (10, 12), (15, 40), (17, 16)])
def test_an_image_smaller_than_a_patch_works(model: LoadedModel, shape: tuple[int, int]) -> None:
    image = micrograph((64, 64))[: shape[0], : shape[1]]
    result = segment(Session(model, image), asked=ASKED, mode="both")
    assert result.labels.shape == shape and result.labels.min() >= 1


def test_an_image_of_one_pixel_is_refused(model: LoadedModel) -> None:
    with pytest.raises(MicrographError, match=r"crumb\.tif: is only 1 x 1 pixels"):
        Session(model, micrograph((64, 64))[:1, :1], name="crumb.tif")


# -- memory ----------------------------------------------------------------------------------------


def refuse(times: int, error: type[Exception] = torch.OutOfMemoryError) -> Any:
    """Return a function that runs out of memory so many times and does nothing afterwards."""
    left = [times]

    def look(*_: Any) -> None:
        if left[0]:
            left[0] -= 1
            raise error("no room" if error is torch.OutOfMemoryError else "Cannot allocate memory")

    return look


def before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, look: Any) -> None:
    inner = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        look(*args)
        return inner(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)


def run(session: Session, **wish: Any) -> tuple[list[str], Segmentation]:
    notices, result = [], None
    for event in session.segment(Request(**wish)):
        if isinstance(event, Notice):
            notices.append(event.message)
        elif isinstance(event, Finished):
            result = event.result
    assert result is not None
    return notices, result


@pytest.mark.parametrize("stage", ["encode", "decode"])
@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, MemoryError])
def test_a_network_out_of_memory_gets_smaller_tiles(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, stage: str, kind: type[Exception]
) -> None:
    before(monkeypatch, SamBackbone, stage, refuse(1, kind))
    notices, result = run(Session(model, micrograph((600, 96))), asked=ASKED, uncertainty=0.0)
    assert any("trying again with tiles of 256 px" in n for n in notices), notices
    assert np.abs(result.achieved - ASKED).max() < 1e-3


def test_decoding_with_a_ratio_out_of_memory_starts_again_and_ends_right(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(model, micrograph((600, 96)))
    run(session)
    before(monkeypatch, SamBackbone, "decode", refuse(1))
    notices, result = run(session, asked=ASKED, uncertainty=0.0, mode="both")
    assert any("tiles of 256 px" in n for n in notices)
    assert np.abs(result.achieved - ASKED).max() < 1e-3


def test_a_network_that_never_fits_says_so(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    before(monkeypatch, SamBackbone, "encode", refuse(99))
    with pytest.raises(DeviceError, match=r"Not enough memory for f1\.tif even in tiles of 256 px"):
        run(Session(model, micrograph((600, 96)), name="f1.tif"))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices are a GPU in name, which is the CPU; ``cpu`` stays what it is."""
    choose = logits.choose_device

    class Pretended(Device):
        @property
        def torch_device(self) -> torch.device:
            return torch.device("cpu")

    def pretend(wish: str) -> Device:
        if wish == "cpu":
            return choose("cpu")
        return Pretended("mps", "Small GPU", "for a test", half=False)

    monkeypatch.setattr(logits, "choose_device", pretend)


def test_base_weights_too_large_for_the_gpu_go_to_the_cpu_at_once(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, gpu: None
) -> None:
    base = model.segmenter.backbone.base  # type: ignore[union-attr]
    full = dict(base._on)
    monkeypatch.setattr(base, "_on", {})  # nothing is anywhere, so attaching copies

    def encoder(self: BaseWeights) -> Any:
        return full[torch.device("cpu")]

    monkeypatch.setattr(BaseWeights, "encoder", property(encoder))
    before(monkeypatch, torch.Tensor, "to", _weights_only(refuse(1)))
    session = Session(model, micrograph((600, 96)))
    assert session.device.kind == "mps" and session.tile == 1024
    notices, _ = run(session)
    assert notices == ["Not enough memory on Small GPU for the weights of the model; going on with the CPU."]
    assert session.device.kind == "cpu" and session.tile == 1024, "the tile is kept"


def _weights_only(look: Any) -> Any:
    """Look only at tensors of the encoder, not at images."""

    def maybe(tensor: torch.Tensor, *_: Any) -> None:
        if tensor.ndim == 4 and tensor.shape[1:3] == (16, 16):  # the position embedding
            look()

    return maybe


def test_base_weights_too_large_for_the_cpu_are_told(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    bases._bases.clear()
    before(monkeypatch, torch, "load", refuse(99))
    with pytest.raises(DeviceError, match="base weights of vit_tiny do not fit into memory") as told:
        run(Session(model, micrograph((600, 96))))
    assert "'adapted'" in str(told.value)


def test_a_small_gpu_ends_on_the_cpu_with_its_tile(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch, gpu: None
) -> None:
    before(monkeypatch, SamBackbone, "encode", refuse(3))  # at 1024, 512 and 256
    session = Session(model, micrograph((1100, 64)))
    notices, _ = run(session)
    assert "going on with the CPU" in notices[-1] and session.device.kind == "cpu" and session.tile == 256


def test_half_precision_is_that_of_the_backbone(model: LoadedModel, tmp_path: Path) -> None:
    assert model.segmenter.backbone.half_dtype == "bfloat16"
    assert load_model(tiny_model(tmp_path)).segmenter.backbone.half_dtype == "float16"


def test_a_model_without_its_base_is_refused_by_name(
    base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sam_model(tmp_path, base)
    monkeypatch.setenv("PHASEGUIDE_SAM_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="not at hand") as told:
        load_model(path)
    assert base[:8] in str(told.value)


def test_a_device_that_was_left_keeps_no_copy_of_the_base(model: LoadedModel) -> None:
    backbone, other = model.segmenter.backbone, torch.device("meta")
    assert isinstance(backbone, SamBackbone)
    backbone._attach(other)
    assert other in backbone.base._on
    session = Session(model, micrograph((96, 96)), device="cpu")
    run(session)
    assert other not in backbone.base._on
