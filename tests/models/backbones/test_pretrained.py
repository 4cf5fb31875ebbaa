"""What encoders of the library start from: MicroNet from a server on this computer, ImageNet, files, and refusals."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from phaseguide.errors import ModelError
from phaseguide.events import Notice, Progress
from phaseguide.files import download
from phaseguide.models.backbones.base import Backbone, BackboneOptions
from phaseguide.models.backbones.imagenet import new_encoder
from phaseguide.models.backbones.micronet import ENCODERS, encoders_folder, url_of
from phaseguide.models.backbones.pretrained import bringing
from phaseguide.models.backbones.registry import build_backbone
from weights_server import Server, serving

SMALL = "mobilenet_v2"  # 9 MB: the smallest of those that MicroNet has
FILE = f"{SMALL}_pretrained_microscopynet_v1.0.pth.tar"


def in_the_format_of_micronet(encoder: str, head: str, seed: int = 1) -> dict[str, Tensor]:
    """State dict of a classifier of micrographs: the encoder's tensors, which begin with three colours, and a head."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        state: dict[str, Tensor] = dict(new_encoder(encoder, 5).state_dict())
    return {**state, f"{head}.weight": torch.zeros(54, 8), f"{head}.bias": torch.zeros(54)}


@pytest.fixture(scope="module")
def micronet() -> dict[str, Tensor]:
    return in_the_format_of_micronet(SMALL, "classifier.1")


@pytest.fixture(scope="module")
def content(micronet: dict[str, Tensor]) -> bytes:
    file = io.BytesIO()
    torch.save(micronet, file)
    return file.getvalue()


@pytest.fixture
def server(data_dir: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as state:
        state.content = content
        monkeypatch.setenv("PHASEGUIDE_MICRONET_MIRROR", state.address)
        yield state


def unet(encoder: str = SMALL, channels: int = 1, architecture: str = "unet") -> Backbone:
    return build_backbone(BackboneOptions(architecture, encoder, channels), 3)


def encoder_of(backbone: Any) -> dict[str, Tensor]:
    encoder = backbone.net.encoder
    state: dict[str, Tensor] = getattr(encoder, "coarse", encoder).state_dict()
    return state


def same(own: dict[str, Tensor], state: dict[str, Tensor]) -> bool:
    """Whether an encoder for grey has these weights, those of its first convolution summed over the colours."""
    return all(
        torch.equal(
            tensor, state[name].sum(1, keepdim=True) if tensor.shape != state[name].shape else state[name]
        )
        for name, tensor in own.items()
    )


def test_micronet_is_downloaded_once_compared_and_loaded(
    server: Server, micronet: dict[str, Tensor], content: bytes
) -> None:
    events = list(bringing(SMALL, "micronet"))
    target = encoders_folder() / FILE
    assert target.read_bytes() == content and server.asked == [(f"/{FILE}", None)]
    assert any(isinstance(e, Progress) and e.total == len(content) for e in events)
    (told,) = [e.message for e in events if isinstance(e, Notice)]
    sha256 = hashlib.sha256(content).hexdigest()
    assert "No checksum of it is published" in told and sha256[:12] in told
    backbone = unet()
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    backbone.load_pretrained("micronet")
    assert torch.equal(before, torch.random.get_rng_state()), "the numbers of the run stay what they are"
    assert same(encoder_of(backbone), micronet) and len(server.asked) == 1
    fine = unet(architecture="fpn-fine")
    fine.load_pretrained("micronet")
    assert same(encoder_of(fine), micronet)
    target.write_bytes(content[:-1] + b"x")
    with pytest.raises(ModelError, match=r"is not what was downloaded; .* Delete it"):
        backbone.load_pretrained("micronet")


def test_a_download_of_micronet_goes_on_where_it_was(
    server: Server, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WAIT_S", 0.02)
    part = encoders_folder() / f"{FILE}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content[:1_000_000])
    server.cuts = [500_000]
    told = [event.message for event in bringing(SMALL, "micronet") if isinstance(event, Notice)]
    assert "The connection broke off after 1." in told[0]
    first, second = (int(str(asked).strip("bytes=-")) for _, asked in server.asked)
    assert first == 1_000_000 < second
    assert (encoders_folder() / FILE).read_bytes() == content and not part.exists()


def test_micronet_without_a_network_is_one_sentence(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("PHASEGUIDE_MICRONET_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="cannot be reached") as caught:
        unet().load_pretrained("image-micronet")
    told = str(caught.value)
    assert (
        "Offline: get https://nasa-public-data" in told
        and "--encoder-weights FILE" in told
        and "\n" not in told
    )
    monkeypatch.setenv("PHASEGUIDE_MICRONET_MIRROR", "disk")
    with pytest.raises(ModelError, match="PHASEGUIDE_MICRONET_MIRROR 'disk': give the address of a folder"):
        unet().load_pretrained("micronet")


def test_a_page_for_a_file_is_refused(server: Server) -> None:
    server.content_type = "text/html"
    with pytest.raises(ModelError, match="a web page instead of the file"):
        unet().load_pretrained("micronet")
    assert not (encoders_folder() / FILE).exists()


def test_every_encoder_of_micronet_is_one_of_the_library_and_has_its_published_name() -> None:
    from segmentation_models_pytorch.encoders import encoders

    assert all(name in encoders for names in ENCODERS.values() for name in names)
    ends = "microscopy_segmentation_models/"
    for (encoder, weights), name in {
        ("resnet50", "micronet"): "resnet50_pretrained_microscopynet_v1.1.pth.tar",
        ("resnet50", "image-micronet"): "resnet50_pretrained_imagenet-microscopynet_v1.0.pth.tar",
        ("se_resnext50_32x4d", "micronet"): "se_resnext50_32x4d_pretrained_microscopynet_v1.0.pth.tar",
        ("resnext101_32x8d", "micronet"): "resnext101_pretrained_microscopynet_v1.0.pth.tar",
    }.items():
        assert url_of(encoder, weights).endswith(f"{ends}{name}")


@pytest.mark.parametrize(
    ("encoder", "head"),
    [("resnet50", "fc"), ("vgg16", "classifier.0"), ("se_resnext50_32x4d", "last_linear")],
)
def test_imagenet_weights_of_any_encoder_come_by_the_librarys_download(
    encoder: str, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import segmentation_models_pytorch as smp

    asked, state = [], in_the_format_of_micronet(encoder, head)
    monkeypatch.setattr(smp.encoders, "hf_hub_download", lambda repo, **_: asked.append(repo) or repo)
    monkeypatch.setattr(smp.encoders, "load_file", lambda *_, **__: dict(state))
    backbone = unet(encoder)
    backbone.load_pretrained()
    assert set(asked) == {f"smp-hub/{encoder}.imagenet"} and same(encoder_of(backbone), state)


def test_imagenet_without_a_network_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import segmentation_models_pytorch as smp

    def unreachable(*_: Any, **__: Any) -> None:
        raise OSError("[Errno -2] Name or service\nnot known")

    monkeypatch.setattr(smp.encoders, "hf_hub_download", unreachable)
    with pytest.raises(
        ModelError, match=r"of resnet18 could not be downloaded .*Connect to the internet once"
    ) as caught:
        unet("resnet18").load_pretrained()
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="no ImageNet weights of encoder 'resnext101_32x48d'"):
        unet("resnext101_32x48d").load_pretrained()


def test_a_file_is_loaded_by_its_content(tmp_path: Path, content: bytes, micronet: dict[str, Tensor]) -> None:
    own, other, odd = tmp_path / "own.pth", tmp_path / "other.pth", tmp_path / "odd.pth"
    own.write_bytes(content)
    colour = unet(channels=3)
    colour.load_pretrained(str(own))
    assert same(encoder_of(colour), micronet)
    torch.save(in_the_format_of_micronet("efficientnet-b0", "_fc"), other)
    torch.save({"state_dict": micronet}, odd)
    cases = {
        str(tmp_path / "none.pth"): "neither micronet, image-micronet, imagenet, none nor a file",
        str(other): "of another network than the encoder mobilenet_v2",
        str(odd): "holds no state dict",
    }
    for path, said in cases.items():
        with pytest.raises(ModelError, match=said) as caught:
            unet().load_pretrained(path)
        assert "\n" not in str(caught.value)


class Evil:
    """What runs code where a pickle of it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("touched").write_text, ("x",))


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "evil.pth").read_bytes()[:200])
    for name in ("evil.pth", "cut.pth"):
        with pytest.raises(ModelError, match="cannot be read as weights"):
            unet().load_pretrained(str(tmp_path / name))
    assert not (tmp_path / "touched").exists()
